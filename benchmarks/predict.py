"""Measures `fmnist predict`: the accuracy on fake photos, the seconds for one picture and for an IDX file of 10,000.

    python benchmarks/predict.py runs/fast runs/longer            # runs with exports
    python benchmarks/predict.py runs/fast runs/longer --photos   # the fake photos alone; the stored times stay

500 test images (`--number`) are made into fake photos of each kind (tests/support/photos.py). The script counts how
often a model gives a photo the class that it gives the image itself. Times are those of whole processes with the first
run, from start to end, medians of 7.
Stored in `benchmarks/results/predict.json`; the tables in docs/predict.md are made from it.
"""

import itertools
import shlex
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

import documents
import measured
import numpy as np
import PIL

measured.use_tests()

from support import photos  # noqa: E402

from fmnist import load_dataset  # noqa: E402
from fmnist.config import command_flags, restore  # noqa: E402
from fmnist.data.idx import write_idx  # noqa: E402
from fmnist.predictor.opening import open_model  # noqa: E402
from fmnist.predictor.predictor import Predictor  # noqa: E402
from fmnist.run import environment  # noqa: E402
from fmnist.run.directory import RunDirectory, find_run, read_json  # noqa: E402

ROUNDS = 7


def photo_shares(models: list[Predictor], images: np.ndarray, number: int) -> list[dict[str, dict[str, float]]]:
    """Return for each model and kind of photo the share of its images' class."""
    chosen = images[np.random.default_rng(0).choice(len(images), number, replace=False)]
    shares: list[dict[str, dict[str, float]]] = [{} for _ in models]
    for kind in photos.KINDS:
        seen = photos.photographed(chosen, [kind] * number)
        for model, share in zip(models, shares, strict=True):
            share[kind] = {
                "same_class": float(photos.same_class(model, chosen, seen).mean()),
            }
        print(kind, *(share[kind] for share in shares), flush=True)
    return shares


def times(run: str, images: np.ndarray) -> dict[str, dict]:
    """Return the seconds of whole commands."""
    fmnist = [*measured.FMNIST, "predict", run]
    with tempfile.TemporaryDirectory() as folder:
        photo, idx = Path(folder) / "photo", Path(folder) / "images-idx3-ubyte"
        photo.write_bytes(photos.fake_photo(images[0, ..., 0], "light", np.random.default_rng(0)))
        write_idx(idx, images[..., 0])
        results = {}
        for name, words in {"one photo": [str(photo)], f"{len(images):,} images": [str(idx), "--csv"]}.items():
            runs = [measured.command([*fmnist, *words]) for _ in range(ROUNDS)]
            seconds = [row["seconds"] for row in runs]
            results[name] = {"seconds": seconds}
            print(name, results[name], flush=True)
    return results


def figures() -> list[str]:
    """Write the stored figures as the document has them."""
    result = measured.stored("predict")

    def percent(shares: Iterable[float]) -> str:
        return f"{100 * statistics.mean(shares):.1f}"

    lines = [
        f"{result['number']} test images, each made into a photo on each kind of ground: the share, in %, that gets "
        f"the class of the image itself. Pillow {result['pillow']}.",
        "",
        f"| trained with `fmnist train` … | test, % | {' | '.join(photos.KINDS)} | all |",
        "| --- |" + " --- |" * (len(photos.KINDS) + 2),
    ]
    for model in result["photos"]:
        kinds = [model["shares"][kind] for kind in photos.KINDS]
        same = [kind["same_class"] for kind in kinds]
        cells = [
            f"`{model['model'].removeprefix('fmnist train ')}`",
            f"{100 * model['accuracy']:.2f}",
            *(percent([share]) for share in same),
            f"**{percent(same)}**",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if "times" in result:
        lines += [
            "",
            f"Whole commands, from start to end, medians of {ROUNDS}, on {measured.machine(result['environment'])}:",
            "",
            "| `fmnist predict` | seconds |",
            "| --- | --- |",
        ]
        lines += [f"| {name} | {statistics.median(row['seconds']):.2f} |" for name, row in result["times"].items()]
    return lines


PARTS = (documents.Part("docs/predict.md", "figures: made by benchmarks/predict.py", figures),)


def command(run: RunDirectory) -> str:
    """Return the command that trains such a run."""
    return shlex.join(
        ["fmnist", "train", *itertools.chain.from_iterable(command_flags(restore(read_json(run.config))))]
    )


def main() -> None:
    """Measure, store and write the tables."""
    parser = measured.parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--number", type=int, default=500, help="images [default: 500]")
    parser.add_argument("--photos", action="store_true", help="measure no times")
    arguments = parser.parse_args()
    runs, images = [find_run(name, Path("runs")) for name in arguments.runs], load_dataset().test_images
    shares = photo_shares([open_model(run) for run in runs], images, arguments.number)
    result = measured.stored("predict") | {
        "pillow": PIL.__version__,
        "number": arguments.number,
        "photos": [
            {"model": command(run), "accuracy": read_json(run.metrics)["accuracy"], "shares": share}
            for run, share in zip(runs, shares, strict=True)
        ],
    }
    if not arguments.photos:
        result |= {"times": times(str(runs[0].path), images), "environment": environment.machine()}
    measured.store("predict", result)
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
