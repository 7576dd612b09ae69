"""Trains recipes on several kinds of own pictures and stores what each reached on validation images.

    npm pack emoji-datasource-twitter@16.0.0
    pip download --no-deps scikit-image==0.26.0
    python benchmarks/own_pictures.py emoji-datasource-twitter-16.0.0.tgz scikit_image-0.26.0-*.whl

The default that `fmnist.preset_for` chooses was found with these figures. The test sets are not looked at. Writes
results/own-pictures.json after each run; what is in it already is not run again.
"""

import argparse
import io
import json
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colour
import measured
import numpy as np
import yaml
from PIL import Image

import fmnist
from fmnist import backend
from fmnist.data.dataset import Dataset
from fmnist.data.idx import write_idx
from fmnist.data.sources import FILE_NAMES
from fmnist.data.split import split_indices
from fmnist.run.directory import read_json
from fmnist.run.history import read_history

NAME = "own-pictures"
# Grey textures and photos in colour, from which tiles are cut.
PHOTOS = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "ihc.png")
PHOTOS += ("motorcycle_left.png", "retina.jpg", "rocket.jpg", "hubble_deep_field.jpg", "coins.png")


def tones(arguments: argparse.Namespace, work: Path) -> Dataset:
    """People in six skin tones, 64 × 64 in colour."""
    colour.unpack(arguments.emoji, work / "pictures")
    fmnist.import_data(work / "pictures", work / "data")
    return fmnist.load_dataset(work / "data")


def categories(arguments: argparse.Namespace, work: Path) -> Dataset:
    """Emoji in the groups that Unicode puts them into, 64 × 64 in colour."""
    with tarfile.open(arguments.emoji) as package:
        emoji = json.load(package.extractfile("package/emoji.json") or io.BytesIO())
        groups = {f"package/img/twitter/64/{one['image']}": one["category"] for one in emoji}
        for member in package:
            group = groups.get(member.name, "Component")
            if group != "Component" and (content := package.extractfile(member)):
                (work / "pictures" / group).mkdir(parents=True, exist_ok=True)
                (work / "pictures" / group / Path(member.name).name).write_bytes(content.read())
    fmnist.import_data(work / "pictures", work / "data")
    return fmnist.load_dataset(work / "data")


def tiles(side: int) -> Callable[[argparse.Namespace, Path], Dataset]:
    """Return a function that cuts twelve photos into square tiles in colour: which photo is each from?"""

    def make(arguments: argparse.Namespace, work: Path) -> Dataset:
        images, labels = [], []
        with zipfile.ZipFile(arguments.photos) as package:
            for label, name in enumerate(PHOTOS):
                photo = Image.open(io.BytesIO(package.read(f"skimage/data/{name}"))).convert("RGB")
                whole = np.asarray(photo)[: photo.height // side * side, : photo.width // side * side]
                cut = whole.reshape(-1, side, whole.shape[1] // side, side, 3).swapaxes(1, 2)
                cut = cut.reshape(-1, side, side, 3)
                images.append(cut[np.random.default_rng(0).permutation(len(cut))[:60]])
                labels += [label] * len(images[-1])
        return divided(np.concatenate(images), np.array(labels, np.uint8), work)

    return make


def digits(arguments: argparse.Namespace, work: Path) -> Dataset:
    """scikit-learn's digits, 8 × 8 in grey."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return divided((found.images * 15).astype(np.uint8), found.target.astype(np.uint8), work)


def garments(count: int) -> Callable[[argparse.Namespace, Path], Dataset]:
    """Return a function that makes a set of the first images of Fashion-MNIST, 28 × 28 in grey."""

    def make(arguments: argparse.Namespace, work: Path) -> Dataset:
        whole = fmnist.load_dataset()
        return divided(whole.train_images[: count * 5 // 4, ..., 0], whole.train_labels[: count * 5 // 4], work)

    return make


def divided(images: np.ndarray, labels: np.ndarray, work: Path) -> Dataset:
    """Return the data set of a folder that is made of these images, a fifth of them for the test."""
    train, test = split_indices(labels, 0.2, 0)
    work.mkdir(exist_ok=True)
    for name, array in zip(FILE_NAMES, (images[train], labels[train], images[test], labels[test]), strict=True):
        write_idx(work / name, array)
    return fmnist.load_dataset(work)


SETS: dict[str, Callable[[argparse.Namespace, Path], Dataset]] = {
    "tones": tones,
    "categories": categories,
    "tiles-64": tiles(64),
    "tiles-128": tiles(128),
    "digits": digits,
    "garments-500": garments(500),
    "garments-5000": garments(5000),
}


def main() -> None:
    """Train what is missing."""
    parser = measured.parser(__doc__ or "")
    parser.add_argument("emoji", type=Path, help="what `npm pack` wrote")
    parser.add_argument("photos", type=Path, help="what `pip download` wrote")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--recipes", nargs="*", default=["standard"], help="preset and settings: 'standard epochs=40'")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    backend.expect_many_models()
    rows = measured.stored(NAME).get("rows", [])
    known = [(row["set"], row["recipe"], row["seed"]) for row in rows]
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            dataset = None
            for recipe in arguments.recipes:
                for seed in range(arguments.seeds):
                    if (name, recipe, seed) in known:
                        continue
                    dataset = dataset or SETS[name](arguments, Path(folder) / "set")
                    rows.append({"set": name, "recipe": recipe, "seed": seed} | pilot(recipe, seed, dataset))
                    print(rows[-1], flush=True)
                    measured.store(NAME, {"rows": rows})


def pilot(recipe: str, seed: int, dataset: Dataset) -> dict[str, Any]:
    """Train one; return its seconds, its size and what it reached on validation images, a fifth of the training's."""
    name, *settings = recipe.split()
    given = dict(one.split("=") for one in settings)
    overrides = {key: yaml.safe_load(value) for key, value in given.items()}
    config = fmnist.preset(name, **overrides, validation_fraction=0.2, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        started, busy = time.perf_counter(), time.process_time()
        run = fmnist.train(config, dataset, Path(folder) / "pilot", train_only=True)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        last, facts = read_history(run.history)[-1], read_json(run.config)
        return {
            "images": facts["dataset"]["num_train"],
            "parameters": facts["parameters"],
            "seconds": round(seconds, 1),
            "processor_seconds": round(busy, 1),
            **{key: last[key] for key in ("train_accuracy", "val_accuracy", "val_loss")},
        }


if __name__ == "__main__":
    main()
