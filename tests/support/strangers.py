"""Pictures, folders, histories and names as strangers have them, made at random, and what each of them must give.

    python strangers.py COUNT SEED

tries COUNT of each kind in this process, so that one that kills it is noticed, and prints as JSON how many were
answered, how many refused in words, and what broke the promise of its kind. No Keras.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fmnist import import_data, load_dataset
from fmnist.data.preparation import PHOTO
from fmnist.diagnosis import diagnose
from fmnist.errors import InputError
from fmnist.images.decoding import decode
from fmnist.images.recipe import prepare

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import tool_histories
from support.onnx_models import onnx_model

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM")
OTHERS = {  # what a file of a form that is not opened begins with
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": b"\xff\x0a",
    "ICO": b"\0\0\1\0\1\0",
    "Photoshop": b"8BPS\0\1",
    "PDF or PostScript": b"%PDF-1.7\n",
}
CLUTTER = ("@eaDir", "$RECYCLE.BIN", "__MACOSX", ".Trashes", ".git")
PASSED_OVER = ("noext", "Thumbs.db", "photo.jpg!d", "raw.CR2", "notes.txt")
PARTS = ((), ("train", "test"), ("training_set", "test_set"), ("seg_train", "seg_test"), ("Train", "valid", "Test"))
SCRIPTS = ("shoe", "bag 2", "靴", "حذاء", "ботинок", "žába", "👟", "a,b", "=1+1", 'quo"te', "-v")


def drawing(rng: random.Random, width: int, height: int) -> Image.Image:
    """An object on light or dark, noise, or nothing at all, as a colour picture with alpha."""
    kind = rng.choice(("object", "object", "noise", "blank", "clear"))
    if kind == "noise":
        pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 4), np.uint8)
        return Image.fromarray(pixels)
    ground, ink = (rng.choice(([rng.choice((0, 20, 235, 255))] * 3, rng.choices(range(256), k=3))) for _ in range(2))
    picture = Image.new("RGBA", (width, height), (*ground, 0 if kind == "clear" else 255))
    if kind == "object":
        x, y = rng.randrange(width), rng.randrange(height)
        ImageDraw.Draw(picture).ellipse((x // 2, y // 2, x // 2 + width // 2, y // 2 + height // 2), fill=(*ink, 255))
    return picture


def encoded(rng: random.Random) -> bytes:
    """A picture file of any format, mode and size; modes that a format lacks become colour."""
    sides = [rng.choice((rng.randint(1, 40), rng.randint(1, 130), rng.randint(1, 1500))) for _ in range(2)]
    picture, mode = drawing(rng, *sides), rng.choice(MODES)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * rng.choice((1, 16, 257)))
    else:
        picture = picture.convert("RGB").convert(mode) if mode == "CMYK" else picture.convert(mode)
    for candidate in (picture, picture.convert("RGB") if mode != "I;16" else drawing(rng, *sides).convert("RGB")):
        file = io.BytesIO()
        try:
            candidate.save(file, rng.choice(FORMATS))
            return file.getvalue()
        except (OSError, ValueError, KeyError):
            continue  # this format has no such mode
    return encoded(rng)


def spoilt(rng: random.Random, content: bytes) -> bytes:
    """The file cut short, with some bytes changed, or with others in front of it or behind it."""
    at = rng.randrange(len(content))
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return rng.choice((content[:at], bytes(changed), content + content[at:], content[at:], rng.randbytes(at)))


def pictures(rng: random.Random, folder: Path) -> str:
    """A picture that is whole becomes an image, grey and in colour; one that is spoilt does, or is refused."""
    content, whole = encoded(rng), rng.random() < 0.5
    shape = rng.choice(((28, 28), (8, 8), (20, 33), (64, 64)))
    try:
        picture = decode(content if whole else spoilt(rng, content))
        images = [prepare(picture, (*shape, 1)), prepare(picture, (*shape, 3), PHOTO)]
    except InputError as error:
        assert not whole, f"a whole picture is refused: {error}"
        return "refused"
    for channels, image in zip((1, 3), images, strict=True):
        assert image.shape == (*shape, channels) and image.dtype == np.uint8, (image.shape, image.dtype)
    return "answered"


def other_forms(rng: random.Random, folder: Path) -> str:
    """A picture of a form that is not opened is refused by the form's name, whatever its ending says."""
    form = rng.choice(tuple(OTHERS))
    path = folder / f"picture{rng.choice(('.png', '.jpg', '.heic', ''))}"
    path.write_bytes(OTHERS[form] + rng.randbytes(rng.randrange(3000)))
    try:
        decode(path)
    except InputError as error:
        assert form == "HEIC" or form in str(error), f"{form}: {error}"
        return "refused"
    raise AssertionError(f"{form} was opened")


def folders(rng: random.Random, folder: Path) -> str:
    """A folder for each class gives its classes and pictures, whatever lies between them; parts that it has stay."""
    names = sorted(rng.sample([name for name in SCRIPTS if name != "-v"], rng.randint(2, 5)))
    source, counts = folder / "source", Counter[str]()
    parts = rng.choice(PARTS)
    for part in parts or ("",):
        for name in names:
            place = source / part / name
            deep = place / "2024" if rng.random() < 0.3 else place
            deep.mkdir(parents=True)
            number = rng.randint(5, 12)
            counts[name] += number
            counts[part] += number
            for picture in (drawing(rng, rng.randint(9, 60), rng.randint(9, 60)) for _ in range(number)):
                kind = rng.choice(("png", "jpg", "PNG", "gif", "bmp"))
                picture.convert("RGB").save(deep / f"{rng.randrange(2**32)} {name}.{kind}")
            for other in rng.sample(PASSED_OVER, rng.randint(0, 3)):
                (place / other).write_bytes(b"hello")
            for clutter in rng.sample(CLUTTER, rng.randint(0, 2)):
                (place / clutter).mkdir()
                drawing(rng, 9, 9).save(place / clutter / "x.png")
            if rng.random() < 0.3:
                (place / "again").symlink_to(".")  # a circle
            if rng.random() < 0.2:  # it lies elsewhere
                elsewhere = folder / f"elsewhere {part} {name}"
                place.rename(elsewhere)
                place.symlink_to(elsewhere)
    facts = import_data(source, folder / "out")
    found = dict(zip(facts["class_names"], facts["class_counts"], strict=True))
    assert found == {name: counts[name] for name in names}, (found, counts)
    assert not parts or facts["test"] == counts[parts[-1]], (facts["test"], counts)
    assert set(load_dataset(folder / "out").class_names) == set(names)
    return "answered"


def printing(rng: random.Random, folder: Path) -> str:
    """Every row of an answer is printed in every encoding, also with a stream closed."""
    (folder / "m.onnx").write_bytes(onnx_model(facts={"class_names": rng.sample(SCRIPTS, 3)}))
    names = [
        *(os.fsencode(name) + b".png" for name in rng.sample(SCRIPTS, 2)),
        rng.randbytes(4).hex().encode() + b"\xff.png",
    ]
    for name in names:
        drawing(rng, 6, 4).convert("L").save(folder / "x.bmp")
        (folder / "x.bmp").rename(folder / os.fsdecode(name))
    form = rng.choice(([], ["--csv"], ["--json"], ["--top", "2"]))
    words = [sys.executable, "-m", "fmnist", "predict", "m.onnx", *form, *(b"./" + name for name in names)]
    encoding = rng.choice(("cp1252", "ascii", "utf-8", "latin-1", "cp932", "koi8-r"))
    closed = rng.random() < 0.3
    done = subprocess.run(
        words, cwd=folder, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True,
        preexec_fn=(lambda: os.close(2)) if closed else None,
    )  # fmt: skip
    assert done.returncode == 0 and b"Traceback" not in done.stderr, (encoding, form, done.stderr[-300:])
    assert done.stdout.count(b".png") == 3, (encoding, form, done.stdout)
    return "answered"


def histories(rng: random.Random, folder: Path) -> str:
    """A history keeps its verdict, whatever stands beside it; a damaged one of any form is diagnosed or refused."""
    verdict, form = rng.choice(tool_histories.VERDICTS), rng.choice(tuple(tool_histories.FORMS.values()))
    curves, whole = tool_histories.curves(verdict), rng.random() < 0.5
    path = folder / f"history.{'csv' if whole else form.suffix}"
    if whole:
        path.write_text(tool_histories.table(tool_histories.disturbed(curves, rng)), encoding="utf-8")
    else:
        path.write_bytes(tool_histories.damaged(form.write(curves), rng))
    try:
        found = diagnose(path)
    except InputError as error:
        assert not whole, f"a whole history is refused: {error}"
        return "refused"
    assert not whole or (found.verdict, found.epochs) == (verdict, tool_histories.EPOCHS), (verdict, found.verdict)
    return "answered"


KINDS: dict[str, Callable[[random.Random, Path], str]] = {
    "pictures": pictures,
    "other forms": other_forms,
    "folders": folders,
    "histories": histories,
    "printing": printing,
}


def try_all(count: int, seed: int) -> dict:
    """Try `count` of each kind; a twentieth of those that start a process."""
    kinds = {}
    for kind, attempt in KINDS.items():
        outcomes: Counter[str] = Counter()
        wrong = []
        for number in range(max(1, count // 20) if kind == "printing" else count):
            rng = random.Random(f"{seed} {kind} {number}")
            with tempfile.TemporaryDirectory() as folder:
                try:
                    outcomes[attempt(rng, Path(folder))] += 1
                except Exception as error:  # whatever it is, it is told with the number that makes it again
                    wrong.append(f"{number}: {type(error).__name__}: {str(error)[:500]}")
        kinds[kind] = {"promise": attempt.__doc__, "outcomes": outcomes, "wrong": wrong}
    return {"seed": seed, "kinds": kinds}


if __name__ == "__main__":
    print(json.dumps(try_all(*map(int, sys.argv[1:]))))
