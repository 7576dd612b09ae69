"""What `fmnist predict` makes of photos, and how long it takes: fake photos, one picture, an IDX file of 10,000.

    python benchmarks/predict.py runs/fast            # a run with exports
    python benchmarks/predict.py runs/fast --photos   # the fake photos alone; the stored times stay

Test images are made into fake photos of each kind (tests/photos.py), 500 unless `--number` says otherwise; what counts
is whether the model gives the photo the class that it gives the image itself. Times are those of whole processes, from
start to end, medians of 7.
Stored in `benchmarks/results/predict.json`; the tables in docs/predict.md are made from it.
"""

import argparse
import re
import statistics
import sys
import tempfile
from pathlib import Path

import measured
import numpy as np
import PIL

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import photos  # noqa: E402

from fmnist import environment  # noqa: E402
from fmnist.data import load_dataset, write_idx  # noqa: E402
from fmnist.predictor import Predictor, open_model  # noqa: E402
from fmnist.rundir import find_run, read_json, write_json  # noqa: E402

DOCS = ROOT / "docs" / "predict.md"
STORED = measured.RESULTS / "predict.json"
MARKS = ("<!-- figures: made by benchmarks/predict.py -->", "<!-- end of figures -->")
ROUNDS = 7


def photo_shares(model: Predictor, images: np.ndarray, number: int) -> dict[str, float]:
    """Return for each kind of photo the share that gets the class of the image that it was made from."""
    chosen = images[np.random.default_rng(0).choice(len(images), number, replace=False)]
    shares = {}
    for kind in photos.KINDS:
        shares[kind] = float(photos.same_class(model, chosen, [kind] * number).mean())
        print(f"{kind:15} {100 * shares[kind]:.1f}%", flush=True)
    return shares


def times(run: str, images: np.ndarray) -> dict[str, dict]:
    """Return seconds and peak memory of whole commands."""
    fmnist = [sys.executable, "-m", "fmnist", "predict", run]
    with tempfile.TemporaryDirectory() as folder:
        photo, idx = Path(folder) / "photo", Path(folder) / "images-idx3-ubyte"
        photo.write_bytes(photos.fake_photo(images[0], "light", np.random.default_rng(0)))
        write_idx(idx, images)
        results = {}
        for name, words in {"one photo": [str(photo)], f"{len(images):,} images": [str(idx), "--csv"]}.items():
            runs = [measured.command([*fmnist, *words]) for _ in range(ROUNDS)]
            seconds = [round(row["seconds"], 3) for row in runs]
            results[name] = {"seconds": seconds, "peak_mib": max(row["peak_mib"] for row in runs)}
            print(name, results[name], flush=True)
    return results


def tables(result: dict) -> str:
    """Write the figures as the docs have them."""
    shares = result["photos"]
    lines = [
        f"{result['number']} test images, each as a photo of each kind, `{result['model']}` "
        f"({100 * result['accuracy']:.2f}% on the test set), Pillow {result['pillow']}:",
        "",
        "| the object lies on | classified like the image itself |",
        "| --- | --- |",
        *(f"| {kind} | {100 * share:.1f}% |" for kind, share in shares.items()),
        f"| all {result['number'] * len(shares):,} photos | **{100 * statistics.mean(shares.values()):.1f}%** |",
    ]
    if "times" in result:
        machine = result["environment"]
        lines += [
            "",
            f"Whole commands, from start to end, medians of {ROUNDS}, on {machine['cores']} cores of "
            f"{machine['processor']}:",
            "",
            "| `fmnist predict` | seconds | peak memory, MiB |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {name} | {statistics.median(row['seconds']):.2f} | {row['peak_mib']} |"
            for name, row in result["times"].items()
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure, store and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--number", type=int, default=500, help="images [default: 500]")
    parser.add_argument("--photos", action="store_true", help="measure no times")
    arguments = parser.parse_args()
    run, images = find_run(arguments.run, Path("runs")), load_dataset().test_images
    result = read_json(STORED) if STORED.exists() else {}
    result |= {
        "model": f"fmnist train --preset {read_json(run.config)['preset']}",
        "accuracy": read_json(run.metrics)["accuracy"],
        "pillow": PIL.__version__,
        "number": arguments.number,
        "photos": photo_shares(open_model(run), images, arguments.number),
    }
    if not arguments.photos:
        result |= {"times": times(str(run.path), images), "environment": environment.machine()}
    write_json(STORED, result)
    block = f"{MARKS[0]}\n{tables(result)}\n{MARKS[1]}"
    DOCS.write_text(
        re.sub(f"{MARKS[0]}.*?{MARKS[1]}", lambda _: block, DOCS.read_text("utf-8"), flags=re.DOTALL), "utf-8"
    )


if __name__ == "__main__":
    main()
