"""Takes a folder of four IDX files, which needs no import, as it may lie in an archive."""

from pathlib import Path

from fmnist.data.dataset import holds_idx, read_folder
from fmnist.images.forms.found import Found, Reading, joined, numbered


def find(folder: Path, _: Reading) -> Found | None:
    """Return the images of a folder of IDX files, under MNIST's, torchvision's or EMNIST's names."""
    if not holds_idx(folder):
        return None
    data = read_folder(folder)
    learnt = len(data.train_labels) - data.num_validation
    parts = [
        ("train", data.train_images[:learnt], data.train_labels[:learnt]),
        ("val", data.train_images[learnt:], data.train_labels[learnt:]),
        ("test", data.test_images, data.test_labels),
    ]
    return joined(
        [
            Found(
                labels=[data.class_names[label] for label in labels],
                pictures=numbered(images, f"{folder}, {part}"),
                parts=[part] * len(labels),
                channels=images.shape[-1],
                order=data.class_names,
            )
            for part, images, labels in parts
            if len(labels)
        ]
    )
