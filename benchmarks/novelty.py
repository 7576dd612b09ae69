"""Measures what is called unfamiliar: the figures of docs/calibration.md.

    python benchmarks/novelty.py [--fonts FILE.ttf FILE.ttf ...]
    python benchmarks/novelty.py --choose    # what the looks were chosen by

It needs no network: the score depends on the training pictures alone. They are those of seed 0. Digits are
scikit-learn's, 1,797 of 8 × 8 pixels, enlarged; characters are A to Z, a to z and 0 to 9 of each font (by default three
of Debian's package fonts-dejavu). The looks were chosen on none of these, but on pictures made of validation pictures.
"""

import json
import statistics
import string
import time
from typing import Any

import documents
import measured
import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits, load_sample_image
from sklearn.metrics import roc_auc_score

from fmnist import load_dataset, split_indices
from fmnist.data.preparation import PHOTO
from fmnist.data.shape import with_channels
from fmnist.evaluation import novelty
from fmnist.evaluation.novelty import THRESHOLD, Novelty
from fmnist.images.recipe import examine, prepare
from fmnist.run import environment

measured.use_tests()

from support import photos  # noqa: E402

SIZE = (28, 28)
VALIDATION = 0.2  # the share of the training images that places the threshold
NUMBER = 100  # fake photos of each kind
WAYS = {
    "nearest pixel": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
FONTS = [
    f"/usr/share/fonts/truetype/dejavu/{name}.ttf" for name in ("DejaVuSans", "DejaVuSerif-Bold", "DejaVuSansMono")
]


LOOKS = {  # what was compared
    "levels 5, no root": ((novelty.PLAIN, 5),),
    **{f"levels {count}": (("levels", count),) for count in (4, 5, 7)},
    **{
        f"levels {count}, steps {steps}": (("levels", count), ("across", steps), ("down", steps))
        for count, steps in ((3, 3), (4, 3), (4, 4), (5, 3), (5, 4), (6, 3), (7, 5), (7, 7))
    },
    "levels 4, squares 4, steps 3": novelty.LOOKS,
    "levels 7, squares 7": (("levels", 7), ("squares", 7)),
    "levels 7, squares 7, steps 5": (("levels", 7), ("squares", 7), ("across", 5), ("down", 5)),
}


def made(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return what is made of 1,000 images, uint8 (N, 28, 28), and is none of their kind."""
    places = rng.permutation(len(images))[:1000]
    ones = images[places]
    others = images[[rng.choice(np.flatnonzero(labels != label)) for label in labels[places]]]
    halves = np.arange(28) < 14
    corners = ones.copy()
    for image in corners:
        top, left = 14 * rng.integers(0, 2, 2)
        image[top : top + 14, left : left + 14] = np.rot90(image[top : top + 14, left : left + 14], rng.integers(1, 4))
    shapes = [Image.fromarray(np.uint8(255 * (image > 20))) for image in ones]
    outlines = np.stack([np.asarray(ImageChops.subtract(one, one.filter(ImageFilter.MinFilter(5)))) for one in shapes])
    noise = rng.normal(0, 60, ones.shape)
    return {
        "patches of 7": patches(ones, 7, rng),
        "patches of 14": patches(ones, 14, rng),
        "two blended": np.uint8((ones / 2 + others / 2).round()),
        "the lighter of two": np.maximum(ones, others),
        "left and right halves of two": np.where(halves, ones, others),
        "upper and lower halves of two": np.where(halves[:, np.newaxis], ones, others),
        "upper half upside down": np.where(halves[:, np.newaxis], ones[:, 13::-1][:, np.arange(28) % 14], ones),
        "a quarter turned": corners,
        "turned by 90°": np.rot90(ones, 1, (1, 2)),
        "outlines": outlines,
        "parts enlarged": np.stack([part(image, rng.integers(10, 20), rng) for image in ones]),
        "parts of outlines enlarged": np.stack([part(image, rng.integers(14, 22), rng) for image in outlines]),
        "shrunk": np.stack([shrunk(image, rng.integers(8, 16), rng) for image in ones]),
        "moved around the edge": np.stack([np.roll(image, rng.integers(8, 21, 2), (0, 1)) for image in ones]),
        "negative": 255 - ones,
        "noise": rng.integers(0, 256, ones.shape).astype(np.uint8),
        "noise added": np.uint8((ones + noise).clip(0, 255)),
        "one level": np.broadcast_to(rng.integers(0, 256, (1000, 1, 1)).astype(np.uint8), ones.shape),
        "black": np.zeros((1, 28, 28), np.uint8),
    }


def patches(images: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return images whose squares of a side are in another order."""
    count = 28 // side
    squares = images.reshape(-1, count, side, count, side).swapaxes(2, 3).reshape(-1, count**2, side, side)
    mixed = rng.permuted(np.tile(np.arange(count**2), (len(images), 1)), axis=1)
    squares = np.take_along_axis(squares, mixed[:, :, np.newaxis, np.newaxis], 1)
    return squares.reshape(-1, count, count, side, side).swapaxes(2, 3).reshape(-1, 28, 28)


def part(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a square part of an image, enlarged."""
    left, top = rng.integers(0, 28 - side, 2).tolist()
    return np.asarray(
        Image.fromarray(image).resize(SIZE, Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    )


def shrunk(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return an image, smaller and somewhere."""
    result, (left, top) = np.zeros(SIZE, np.uint8), rng.integers(0, 28 - side, 2)
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
    result[top : top + side, left : left + side] = np.asarray(small)
    return result


def choose() -> list[dict[str, Any]]:
    """Return for each set of looks how well it tells what was made from validation pictures."""
    dataset = load_dataset()
    training, validation = split_indices(dataset.train_labels, VALIDATION, 0)
    images, labels = dataset.train_images, dataset.train_labels
    strangers = made(images[validation][..., 0], labels[validation], np.random.default_rng(1))
    rows = []
    for name, looks in LOOKS.items():
        known = novelty.fit(images[training], labels[training], images[validation], looks)
        own = known.unfamiliarity(images[validation])
        found = {kind: known.unfamiliarity(with_channels(pictures)) for kind, pictures in strangers.items()}
        areas = {kind: area(own, scores) for kind, scores in found.items()}
        told = {kind: float((scores > THRESHOLD).mean()) for kind, scores in found.items()}
        rows.append({"looks": name, "numbers": known.means.shape[1], "auroc": areas, "unfamiliar": told})
        print(name, *(f"{statistics.mean(each.values()):.3f}" for each in (areas, told)), flush=True)
    return rows


def area(own: np.ndarray, others: np.ndarray) -> float:
    """Return the area under the curve that tells others from own pictures by their scores."""
    return float(roc_auc_score(np.repeat([0, 1], [len(own), len(others)]), np.concatenate([own, others])))


def digits() -> dict[str, np.ndarray]:
    """Return the digits in each way of making them 28 × 28, light on black as garments are: uint8 (N, 28, 28)."""
    small = [Image.fromarray(np.uint8(image * 255 / 16)) for image in load_digits().images]
    found = {f"digits, {name}": np.stack([image.resize(SIZE, way) for image in small]) for name, way in WAYS.items()}
    found["digits, made like a garment's photo"] = np.stack([like_a_garment(image) for image in small])
    return found


def like_a_garment(image: Image.Image) -> np.ndarray:
    """Enlarge, trim, bring the longest side to 28 pixels, sharpen and centre: the data set's own recipe."""
    large = image.resize((280, 280), Image.Resampling.BICUBIC)
    trimmed = large.crop(large.point(lambda value: 255 * (value > 12)).getbbox())
    scale = SIZE[0] / max(trimmed.size)
    shrunk = trimmed.resize([max(1, round(side * scale)) for side in trimmed.size], Image.Resampling.BOX)
    result = Image.new("L", SIZE)
    result.paste(shrunk.filter(ImageFilter.UnsharpMask(1.0, 100, 0)), [(28 - side) // 2 for side in shrunk.size])
    return np.asarray(result)


def characters(file: str) -> dict[str, np.ndarray]:
    """Return a font's characters, 20 to 24 pixels high on black and as photos of dark print: uint8 (N, 28, 28)."""
    letters = string.ascii_letters + string.digits
    name = ImageFont.truetype(file, 24).getname()
    small = [drawn(letter, file, 28, size) for letter in letters for size in (20, 24)]
    large = [prepare(Image.fromarray(255 - drawn(letter, file, 280, 200)), (*SIZE, 1), PHOTO) for letter in letters]
    return {
        f"characters, {' '.join(name)}": np.stack(small),
        f"their photos, {' '.join(name)}": np.stack(large)[..., 0],
    }


def drawn(letter: str, file: str, side: int, size: int) -> np.ndarray:
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((side / 2, side / 2), letter, 255, ImageFont.truetype(file, size), anchor="mm")
    return np.asarray(image)


def plain_photos() -> dict[str, Image.Image]:
    """Return photos of no garment."""
    rng, text = np.random.default_rng(0), Image.new("L", (400, 300), 255)
    lines = "All that glisters\nis not gold;\n" * 3
    ImageDraw.Draw(text).multiline_text((20, 20), lines, 0, ImageFont.load_default(28))
    squares = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((40, 40))) * 255
    return {
        "white": Image.new("L", (400, 300), 255),
        "black": Image.new("L", (400, 300)),
        "noise": Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8)),
        "text": text,
        "checkerboard": Image.fromarray(squares.astype(np.uint8)),
        "china": Image.fromarray(load_sample_image("china.jpg")),
        "flower": Image.fromarray(load_sample_image("flower.jpg")),
    }


def measure(fonts: list[str]) -> dict[str, Any]:
    """Return the areas under the curve, the shares that are called unfamiliar, and what it costs."""
    dataset = load_dataset()
    training, validation = split_indices(dataset.train_labels, VALIDATION, 0)
    images, tests = dataset.train_images, dataset.test_images
    started = time.perf_counter()
    known = novelty.fit(images[training], dataset.train_labels[training], images[validation])
    fitting = time.perf_counter() - started
    chosen = tests[np.random.default_rng(0).choice(len(tests), NUMBER, replace=False)]
    fakes = {f"fake photos, {kind}": photos.photographed(chosen, [kind] * NUMBER) for kind in photos.KINDS}
    garments = known.unfamiliarity(tests)
    rows: dict[str, dict[str, float]] = {}
    others = digits()
    for font in fonts:
        others |= characters(font)
    for name, pictures in {"test garments": tests, **fakes, **others}.items():
        found = known.unfamiliarity(with_channels(pictures))
        rows[name] = {"unfamiliar": float((found > THRESHOLD).mean())}
        if name in others:
            rows[name]["auroc"] = area(garments, found)
        print(name, rows[name], flush=True)
    return {
        "pictures": rows,
        "photos": {name: told(known, photo) for name, photo in plain_photos().items()},
        "milliseconds": {str(count): milliseconds(known, tests[:count]) for count in (1, 1000)},
        "fit_seconds": fitting,
        "bytes": len(json.dumps(known.to_dict())),
        "environment": environment.machine(),
    }


def told(known: Novelty, photo: Image.Image) -> list[str]:
    """Return what is said of a photo: that it is unfamiliar, and what the recipe doubts."""
    levels, found = examine(photo, (*SIZE, 1), PHOTO)
    return [*(["unfamiliar"] if known.unfamiliarity(levels[np.newaxis])[0] > THRESHOLD else []), *found.doubts]


def milliseconds(known: Novelty, images: np.ndarray) -> float:
    """Return the time for a picture, the quickest of 21 calls with all of them."""
    times = []
    for _ in range(21):
        started = time.perf_counter()
        known.unfamiliarity(images)
        times.append(1000 * (time.perf_counter() - started) / len(images))
    return min(times)


def figures() -> list[str]:
    """Return the stored figures as Markdown."""
    result = measured.stored("novelty")
    lines = ["", "| pictures | called unfamiliar | AUROC against test garments |", "| --- | --- | --- |"]
    for name, row in result["pictures"].items():
        told = f"**{row['auroc']:.3f}**" if "auroc" in row else ""
        lines.append(f"| {name} | {100 * row['unfamiliar']:.1f}% | {told} |")
    lines += [
        "",
        "| looks | numbers | made pictures: mean AUROC | smallest | called unfamiliar |",
        "| --- |" + " --- |" * 4,
    ]
    for row in result["choice"]:
        areas, told = ([*row[key].values()] for key in ("auroc", "unfamiliar"))
        figures = f"{statistics.mean(areas):.3f} | {min(areas):.3f} | {100 * statistics.mean(told):.1f}%"
        lines.append(f"| {row['looks']} | {row['numbers']} | {figures} |")
    lines += ["", "| photo of no garment | what is said of it |", "| --- | --- |"]
    lines += [f"| {name} | {', '.join(words) or 'nothing'} |" for name, words in result["photos"].items()]
    times = result["milliseconds"]
    return [
        *lines,
        "",
        f"A picture takes {times['1']:.2f} ms alone and {times['1000']:.3f} ms among 1,000 (the quickest of 21), "
        f"the fit {result['fit_seconds']:.0f} s, on {measured.machine(result['environment'])}; the description of the "
        f"training pictures has {result['bytes'] / 1000:.0f} kB.",
        "",
    ]


PARTS = (documents.Part("docs/calibration.md", "novelty: made by benchmarks/novelty.py", figures),)


def main() -> None:
    """Measure, store the figures and write them into the page."""
    parser = measured.parser(__doc__)
    parser.add_argument("--fonts", nargs="+", default=FONTS)
    parser.add_argument("--choose", action="store_true", help="compare the looks alone")
    arguments = parser.parse_args()
    result = {"choice": choose()} if arguments.choose else measure(arguments.fonts)
    measured.store("novelty", measured.stored("novelty") | result)
    documents.write(*PARTS)
    print("\n".join(figures()))


if __name__ == "__main__":
    main()
