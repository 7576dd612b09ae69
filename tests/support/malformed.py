"""Malformed IDX, gzip, CSV, JSON and YAML files, made with random numbers from small files that are fine."""

import gzip
import json
import random
import struct
import zlib
from collections.abc import Iterator

from fmnist.config import preset
from fmnist.data.sources import FILE_NAMES

MIB = 2**20


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + values


IMAGES, LABELS = idx((6, 5, 5), bytes(range(150))), idx((6,), bytes([0, 1, 2, 0, 1, 2]))
HISTORY = "epoch,seconds,learning_rate,loss,accuracy,train_loss,train_accuracy,val_loss,val_accuracy\n" + "".join(
    f"{n},1.5,0.001,{1 / n:.4f},{1 - 0.5 / n:.4f},{0.9 / n:.4f},{1 - 0.4 / n:.4f},{1.1 / n:.4f},{1 - 0.6 / n:.4f}\n"
    for n in range(1, 9)
)
STUDY = """description: Does a wider network need more dropout?
preset: reference
settings: {limit: 2000, epochs: 2, dropout: 0.2}
seeds: 3
variants:
  wider: {filters: [64, 128, 256]}
  more dropout: {dropout: 0.4}
"""
SCORE = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
RUN_FILES = {
    "config.json": preset("reference").to_dict()
    | {
        "parameters": 10,
        "dataset": {
            "class_names": ["a", "b"],
            "image_shape": [5, 5],
            "num_train": 4,
            "num_validation": 1,
            "num_test": 6,
        },
    },
    "environment.json": {"data_sha256": {name: "00" for name in FILE_NAMES}, "data_source": "here", "cores": 2},
    "status.json": {"state": "finished", "epoch": 2, "epochs": 2, "step": 4, "seconds": 1.5, "model_epoch": 2},
    "first_epoch.json": {"segments": [[1, 1.5], [2, 0.75]]},
    "calibration.json": {"temperature": 1.5, "num_images": 60},
    "metrics.json": {
        "accuracy": 0.5,
        "loss": 1.0,
        "accuracy_interval": [0.2, 0.8],
        "correct": 3,
        "num_images": 6,
        "macro": SCORE,
        "per_class": [{"name": "a", "support": 3, **SCORE}, {"name": "b", "support": 3, **SCORE}],
        "class_names": ["a", "b"],
        "confusion_matrix": [[2, 1], [2, 1]],
    },
    "exports.json": {
        "model_sha256": "00",
        "files": [{"format": "litert", "file": "model.tflite", "bytes": 1, "sha256": "00", "passed": True}],
    },
}


def broken_bytes(content: bytes, rng: random.Random) -> bytes:
    """Break a file as a disk, a transfer or a careless editor does."""
    kind, place = rng.randrange(9), rng.randrange(len(content) + 1)
    changed = bytearray(content)
    if kind == 0:
        return content[:place]
    if kind == 1:
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        return content[:place] + rng.randbytes(rng.randint(1, 40)) + content[place:]
    if kind == 3:
        return rng.randbytes(rng.randint(0, 300))
    if kind == 4:
        return content[place:] + content[:place]
    if kind == 5:
        return content.decode("latin1").encode("utf-16")
    if kind == 6:
        return content[:place] + bytes(rng.randint(1, 64)) + content[place:]
    if kind == 7:
        return b"<!DOCTYPE html><html>404 Not Found</html>"
    return content + content[: max(1, place)]


def broken_idx(rng: random.Random) -> tuple[str, bytes]:
    """Return one of the four files, broken: in its header, its length, or anywhere."""
    name = rng.choice(FILE_NAMES)
    content = IMAGES if "images" in name else LABELS
    kind = rng.randrange(6)
    if kind == 0:
        content = bytes([0, 0, rng.choice([0, 9, 11, 12, 13, 14, 255]), content[3]]) + content[4:]
    elif kind == 1:
        content = content[:4] + struct.pack(">I", rng.choice([0, 5, 7, 2**31, 2**32 - 1])) + content[8:]
    elif kind == 2:
        content = LABELS if "images" in name else IMAGES
    elif kind == 3:
        content = content[: rng.randrange(len(content))]
    elif kind == 4:
        content = content[:-1] + b"\xff" * rng.randint(1, 9)
    else:
        content = broken_bytes(content, rng)
    if rng.random() < 0.5:
        return f"{name}.gz", broken_bytes(gzip.compress(content), rng) if rng.random() < 0.5 else gzip.compress(content)
    return name, content


def broken_csv(rng: random.Random) -> bytes:
    """Return a history with cells, rows or names that are wrong, or broken anywhere."""
    rows = [line.split(",") for line in HISTORY.splitlines()]
    row, column = rng.randrange(1, len(rows)), rng.randrange(1, len(rows[0]))
    kind = rng.randrange(7)
    if kind == 0:
        rows[row][column] = rng.choice(["", "x", "1e999", "-5", "nan", "1,5", '"', "0x1f", "9" * 5000, "١٢", "True"])
    elif kind == 1:
        rows[row] += ["1"] * rng.randint(1, 5)
    elif kind == 2:
        rows[0] = [rng.choice(["epoch", "a", "", "loss", "val"]) for _ in rows[0]]
    elif kind == 3:
        rows = rows[:1]
    elif kind == 4:
        rows[row] = ['"' + "x" * rng.choice([10, 200_000])]
    elif kind == 5:
        return b"epoch;loss\n1;" + rng.randbytes(20)
    text = "\n".join(map(",".join, rows)).encode()
    return broken_bytes(text, rng) if kind == 6 else text


def _spoil(value, rng: random.Random):
    """Return a JSON value in which one thing is missing, of another kind, or absurd."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.3:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _spoil(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _spoil(value[place], rng), *value[place + 1 :]]
    deep: list = []
    for _ in range(rng.choice([1, 200])):
        deep = [deep]
    return rng.choice(
        [None, "x", -1, 1e300, float("nan"), [], {}, True, deep, "../../etc/passwd", 10**30, [None], {"a": 1}]
    )


def broken_json(rng: random.Random) -> tuple[str, bytes]:
    """Return one of a run's files, broken as text or in what it says."""
    name = rng.choice(list(RUN_FILES))
    if rng.random() < 0.3:
        return name, broken_bytes(json.dumps(RUN_FILES[name]).encode(), rng)
    return name, json.dumps(_spoil(RUN_FILES[name], rng)).encode()


def broken_yaml(rng: random.Random) -> bytes:
    """Return a study with wrong fields, tricks of YAML, or broken anywhere."""
    kind = rng.randrange(5)
    if kind == 0:
        line = rng.choice(STUDY.splitlines())
        return STUDY.replace(
            line, rng.choice([line + ":", "\t" + line, line.replace(":", ""), f"- {line}", "x: y: z"])
        ).encode()
    if kind == 1:
        tricks = (
            "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
            "!!python/object/apply:os.system ['touch canary']",
            "a: !!binary |\n  R0lGODlhDAAMAIQAAP",
            "[" * 5000,
            "{" * 50 + "}" * 50,
            "--- 1\n--- 2",
            "seeds: 1\nseeds: 2",
            "? [a]\n: b",
            "date: 2026-02-31",
            "%YAML 9.9\n---\na: 1",
            "@",
            "a: 'x",
        )
        return rng.choice(tricks).encode()
    if kind == 2:
        value = rng.choice(["-1", "x", "[]", "{}", "1e400", ".nan", "null", "[1, 1]", "true", "99999999999999999999"])
        return STUDY.replace(rng.choice(["3\n", "0.4", "2000", "[64, 128, 256]"]), value + "\n", 1).encode()
    if kind == 3:
        return STUDY.replace(
            rng.choice(["preset", "dropout", "filters", "variants"]), rng.choice(["dropuot", "", "seed"])
        ).encode()
    return broken_bytes(STUDY.encode(), rng)


def bombs() -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, name and bytes of small files that would be large in memory."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(idx((629_145, 10, 10), b"")), *(packer.compress(bytes(MIB)) for _ in range(60))]
    yield "gzip", f"{FILE_NAMES[0]}.gz", b"".join([*parts, packer.flush()])
    yield "idx", FILE_NAMES[0], idx((2**31, 2**10, 2**10), bytes(100))
    yield "json", "metrics.json", b'{"a":[' + b"[]," * (MIB - 10) + b"[]]}"
    yield "json", "config.json", b'{"a":' * 100_000
    yield "json", "status.json", b" " * (4 * MIB)
    yield "csv", "history.csv", HISTORY.encode() + b"1,1\n" * (MIB // 2)
    yield "csv", "history.csv", b",".join(b"%d" % n for n in range(500_000)) + b"\n" + b"1," * 400_000
    yield "csv", "history.json", b'{"loss":[' + b"1," * (MIB - 100) + b"1]}"
    yield "yaml", "study.yaml", b"- " * 30_000
    yield "yaml", "study.yaml", b"a: 1\n" * 100_000
    yield "classes", "classes.txt", b"name\n" * MIB


def malformed(rng: random.Random) -> tuple[str, str, bytes]:
    """Return kind, name and bytes of a file."""
    kind = rng.choice(
        ["idx", "csv", "json", "yaml", "classes"] if rng.random() < 0.1 else ["idx", "csv", "json", "yaml"]
    )
    if kind == "idx":
        name, content = broken_idx(rng)
        return ("gzip" if name.endswith(".gz") else kind), name, content
    if kind == "csv":
        return kind, "history.csv", broken_csv(rng)
    if kind == "json":
        return kind, *broken_json(rng)
    if kind == "classes":
        return kind, "classes.txt", rng.choice([b"", b"a\na\nb\n", b"\xff\xfe\x00", b"one\n", b"\0\n\0\n"])
    return kind, "study.yaml", broken_yaml(rng)
