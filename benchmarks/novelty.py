"""Measures what is called unfamiliar: the figures of docs/calibration.md.

    python benchmarks/novelty.py [--fonts FILE.ttf FILE.ttf ...]

It needs no network: the score depends on the training pictures alone. They are those of seed 0. Digits are
scikit-learn's, 1,797 of 8 × 8 pixels, enlarged; characters are A to Z, a to z and 0 to 9 of each font (by default three
of Debian's package fonts-dejavu). None of these pictures was used to choose the score.
"""

import json
import statistics
import string
import time
from typing import Any

import documents
import measured
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits, load_sample_image
from sklearn.metrics import roc_auc_score

from fmnist import load_dataset, split_indices
from fmnist.data.preparation import PHOTO
from fmnist.evaluation import novelty
from fmnist.evaluation.novelty import THRESHOLD, Novelty
from fmnist.images import examine, prepare
from fmnist.run import environment

measured.use_tests()

from support import photos  # noqa: E402

SIZE = (28, 28)
VALIDATION = 0.2  # the share of the training images that places the threshold
NUMBER = 350  # fake photos
WAYS = {
    "nearest pixel": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
FONTS = [
    f"/usr/share/fonts/truetype/dejavu/{name}.ttf" for name in ("DejaVuSans", "DejaVuSerif-Bold", "DejaVuSansMono")
]


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
    large = [prepare(Image.fromarray(255 - drawn(letter, file, 280, 200)), SIZE, PHOTO) for letter in letters]
    return {f"characters, {' '.join(name)}": np.stack(small), f"their photos, {' '.join(name)}": np.stack(large)}


def drawn(letter: str, file: str, side: int, size: int) -> np.ndarray:
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((side / 2, side / 2), letter, 255, ImageFont.truetype(file, size), anchor="mm")
    return np.asarray(image)


def plain_photos() -> dict[str, Image.Image]:
    """Return photos of no garment."""
    rng, text = np.random.default_rng(0), Image.new("L", (400, 300), 255)
    ImageDraw.Draw(text).multiline_text(
        (20, 20), "All that glisters\nis not gold;\n" * 3, 0, ImageFont.load_default(28)
    )
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
    fakes = photos.photographed(chosen, [photos.KINDS[number % len(photos.KINDS)] for number in range(NUMBER)])
    garments = known.unfamiliarity(tests)
    rows: dict[str, dict[str, float]] = {}
    others = digits()
    for font in fonts:
        others |= characters(font)
    for name, pictures in {"test garments": tests, "fake photos of test garments": fakes, **others}.items():
        found = known.unfamiliarity(pictures)
        rows[name] = {"unfamiliar": float((found > THRESHOLD).mean())}
        if name in others:
            truth = np.repeat([0, 1], [len(garments), len(found)])
            rows[name]["auroc"] = float(roc_auc_score(truth, np.concatenate([garments, found])))
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
    levels, found = examine(photo, SIZE, PHOTO)
    return [*(["unfamiliar"] if known.unfamiliarity(levels[np.newaxis])[0] > THRESHOLD else []), *found.doubts]


def milliseconds(known: Novelty, images: np.ndarray) -> float:
    """Return the time for a picture, the median of 21 calls with all of them."""
    times = []
    for _ in range(21):
        started = time.perf_counter()
        known.unfamiliarity(images)
        times.append(1000 * (time.perf_counter() - started) / len(images))
    return statistics.median(times)


def figures() -> list[str]:
    """Return the stored figures as Markdown."""
    result = measured.stored("novelty")
    lines = ["", "| pictures | called unfamiliar | AUROC against test garments |", "| --- | --- | --- |"]
    for name, row in result["pictures"].items():
        area = f"**{row['auroc']:.3f}**" if "auroc" in row else ""
        lines.append(f"| {name} | {100 * row['unfamiliar']:.1f}% | {area} |")
    lines += ["", "| photo of no garment | what is said of it |", "| --- | --- |"]
    lines += [f"| {name} | {', '.join(words) or 'nothing'} |" for name, words in result["photos"].items()]
    times = result["milliseconds"]
    return [
        *lines,
        "",
        f"A picture takes {times['1']:.2f} ms alone and {times['1000']:.3f} ms among 1,000, the fit "
        f"{result['fit_seconds']:.0f} s, on {measured.machine(result['environment'])}; the description of the training "
        f"pictures has {result['bytes'] / 1000:.0f} kB.",
        "",
    ]


PARTS = (documents.Part("docs/calibration.md", "novelty: made by benchmarks/novelty.py", figures),)


def main() -> None:
    """Measure, store the figures and write them into the page."""
    parser = measured.parser(__doc__)
    parser.add_argument("--fonts", nargs="+", default=FONTS)
    measured.store("novelty", measure(parser.parse_args().fonts))
    documents.write(*PARTS)
    print("\n".join(figures()))


if __name__ == "__main__":
    main()
