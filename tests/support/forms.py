"""Writes one small data set in every form that `fmnist data import` takes.

The same 24 training, 4 validation and 8 test images in two classes everywhere, 8 × 8 in colour or in grey.
"""

import csv
import io
import json
import tarfile
import zipfile
from itertools import chain

import numpy as np
from PIL import Image

from fmnist.data.idx import write_idx
from fmnist.data.shape import without_channel
from fmnist.data.sources import FILE_NAMES

COUNTS = {"train": 24, "val": 4, "test": 8}
NAMES = ("cat", "dog")


def parts(channels=3, names=tuple(COUNTS)):
    """Images, uint8 (N, 8, 8, C), and labels of each part."""
    rng = np.random.default_rng(0)
    made = {
        name: (rng.integers(0, 256, (count, 8, 8, channels), dtype=np.uint8), np.arange(count) % 2)
        for name, count in COUNTS.items()
    }
    return {name: made[name] for name in names}


def png(image):
    file = io.BytesIO()
    Image.fromarray(without_channel(image)).save(file, "PNG")
    return file.getvalue()


def class_folders(folder, data):
    """`folder/train/cat/0.png` and so on; without a part where there is one alone."""
    for part, (images, labels) in data.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / (part if len(data) > 1 else "") / NAMES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{part}-{number}.png").write_bytes(png(image))
    return folder


def csv_of_files(folder, data):
    """`folder/labels.csv`, with a column for the part, beside `folder/pictures`."""
    (folder / "pictures").mkdir(parents=True)
    rows = [("file name", "Label", "split")]
    for part, (images, labels) in data.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            rows.append((f"{part}-{number}.png", NAMES[label], part))
            (folder / "pictures" / rows[-1][0]).write_bytes(png(image))
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return folder


def without_header(folder, data):
    """Two columns, file and class, with the pictures in a folder below."""
    (folder / "pictures").mkdir(parents=True)
    for number, image in enumerate(data[0]):
        (folder / "pictures" / f"{number}.png").write_bytes(png(image))
    rows = [f"{number}.png;{NAMES[label]}\n" for number, label in enumerate(data[1])]
    (folder / "list.csv").write_text("".join(rows), "utf-8")
    return folder / "list.csv"


def csv_of_pixels(path, images, labels, *, header=True, last=False):
    rows = [[*image.ravel()] for image in images]
    rows = [[*row, label] if last else [label, *row] for row, label in zip(rows, labels, strict=True)]
    names = [f"pixel{number}" for number in range(len(rows[0]) - 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(chain([[*names, "label"] if last else ["label", *names]] if header else [], rows))
    return path


def kaggle(folder, data):
    for part, (images, labels) in data.items():
        csv_of_pixels(folder / f"fashion_{part}.csv", images, labels)
    return folder


def keras_npz(path, data, change=lambda images: images):
    arrays = {f"x_{part}": change(images) for part, (images, _) in data.items()}
    np.savez(path, **arrays, **{f"y_{part}": labels for part, (_, labels) in data.items()})
    return path


def medmnist_npz(path, data):
    arrays = {f"{part}_images": without_channel(images) for part, (images, _) in data.items()}
    labels = {f"{part}_labels": labels[:, None].astype(np.uint8) for part, (_, labels) in data.items()}
    np.savez_compressed(path, **arrays, **labels)
    return path


def npy(folder, data, form="{kind}_{part}"):
    folder.mkdir(parents=True, exist_ok=True)
    for part, (images, labels) in data.items():
        np.save(folder / f"{form.format(kind='X', part=part).strip('_')}.npy", images)
        np.save(folder / f"{form.format(kind='y', part=part).strip('_')}.npy", labels)
    return folder


def idx(folder, data):
    """As torchvision keeps them, in `raw/`; without a part for validation."""
    (folder / "raw").mkdir(parents=True)
    arrays = [array for part in ("train", "test") for array in data[part]]
    for name, array in zip(FILE_NAMES, arrays, strict=True):
        write_idx(folder / "raw" / name, without_channel(array) if array.ndim == 4 else array.astype(np.uint8))
    return folder


def parquet(path, images, labels, *, names=NAMES):
    """One shard as Hugging Face writes it: pictures as a struct, and the classes' names in the schema."""
    import pyarrow as pa
    from pyarrow import parquet as files

    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    values = [{"bytes": png(image), "path": f"{number}.png"} for number, image in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(values, kind), "label": pa.array(labels.astype(np.int64))})
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(table.replace_schema_metadata(told), path)
    return path


def hugging_face(folder, data):
    for part, (images, labels) in data.items():
        shards = 2 if part == "train" else 1
        for number in range(shards):
            name = f"{part}-{number:05}-of-{shards:05}.parquet"
            parquet(folder / "data" / name, images[number::shards], labels[number::shards])
    return folder


def zipped(path, source):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(source.rglob("*")):
            archive.write(file, file.relative_to(source.parent))
    return path


def tarred(path, source):
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as archive:
        archive.add(source, source.name)
    return path
