"""Compares how long commands of two versions take, from start to end of a fresh process: before and after a change.

    fmnist data                                                             # once: fetches the data set
    python benchmarks/startup.py ../before/src src --repeats 7

BEFORE and AFTER are source trees, the folders that hold `fmnist/`; both run with this Python and its packages. Each
version first trains and exports a run of its own, uncounted. Then the two take turns at each command, and every second
round begins with the other one, so that a slow moment of the machine meets both. Prints and stores the medians, in
`benchmarks/results/startup.json`.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measured
import numpy as np

measured.use_tests()

from support import photos  # noqa: E402

from fmnist import load_dataset  # noqa: E402
from fmnist.run.environment import machine  # noqa: E402

NAMES = ("before", "after")


def check(tree: Path) -> str | None:
    """Return the git commit of a source tree, with a `+` if it has changes; None outside of git.

    Raises:
        SystemExit: `import fmnist` does not find the package of this tree.
    """
    code = "import fmnist; print(fmnist.__file__)"
    found = measured.command([sys.executable, "-c", code], {"PYTHONPATH": str(tree)})["output"].strip()
    if Path(found).resolve() != (tree / "fmnist" / "__init__.py").resolve():
        raise SystemExit(f"{tree} holds no package fmnist: Python finds {found}; give the folder that fmnist/ lies in")
    try:
        git = ["git", "-C", str(tree)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changes else "")


def commands(folder: Path, photo: Path) -> dict[str, list[str]]:
    """Return the words of each measured command; `folder` has the runs `litert` and `keras`."""
    predict = [*measured.FMNIST, "predict"]
    train = ["train", "--preset", "fast", "--runs-dir", str(folder), "--name", "measured", "--overwrite"]
    return {
        "fmnist --help": [*measured.FMNIST, "--help"],
        "fmnist predict, one picture, LiteRT": [*predict, str(folder / "litert"), str(photo)],
        "fmnist predict, one picture, Keras": [*predict, str(folder / "keras"), str(photo)],
        "fmnist train --preset fast": [*measured.FMNIST, *train],
    }


def prepare(folder: Path, environment: dict[str, str]) -> None:
    """Train a run, and keep it twice: with a LiteRT export, and without any, so that Keras answers."""
    place = ["--runs-dir", str(folder), "--name", "keras"]
    measured.command([*measured.FMNIST, "train", "--preset", "fast", *place], environment)
    shutil.copytree(folder / "keras", folder / "litert")
    measured.command([*measured.FMNIST, "export", str(folder / "litert"), "--format", "litert"], environment)


def measure(trees: dict[str, Path], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Return for each command and version the seconds of each repeat."""
    with tempfile.TemporaryDirectory() as temporary:
        photo = Path(temporary) / "photo"
        photo.write_bytes(photos.fake_photo(load_dataset().test_images[0, ..., 0], "light", np.random.default_rng(0)))
        environments = {name: {"PYTHONPATH": str(tree.resolve())} for name, tree in trees.items()}
        words = {}
        for name in NAMES:
            folder = Path(temporary) / name
            folder.mkdir()
            prepare(folder, environments[name])
            words[name] = commands(folder, photo)
        seconds: dict[str, dict[str, list[float]]] = {key: {name: [] for name in NAMES} for key in words["before"]}
        for number in range(-1, repeats):  # round -1 warms the caches of files and is not counted
            for key, rows in seconds.items():
                for name in NAMES if number % 2 else reversed(NAMES):
                    took = measured.command(words[name][key], environments[name])["seconds"]
                    if number >= 0:
                        rows[name].append(took)
                        print(f"round {number + 1}: {key}, {name}: {took:.3f} s", file=sys.stderr, flush=True)
    return seconds


def table(result: dict) -> list[str]:
    """Return the medians as Markdown, with the lowest and the highest of each."""

    def cell(seconds: list[float]) -> str:
        return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"

    lines = [
        f"Seconds of whole processes, median of {result['repeats']} (lowest to highest), in turn, on "
        f"{measured.machine(result['environment'])}:",
        "",
        "| command | before | after | after / before |",
        "| --- | --- | --- | --- |",
    ]
    for key, rows in result["seconds"].items():
        ratio = statistics.median(rows["after"]) / statistics.median(rows["before"])
        lines.append(f"| `{key}` | {cell(rows['before'])} | {cell(rows['after'])} | {ratio:.2f} |")
    return lines


def main() -> None:
    """Measure both versions, store the seconds, print the table."""
    parser = measured.parser(__doc__)
    parser.add_argument("before", type=Path, metavar="BEFORE")
    parser.add_argument("after", type=Path, metavar="AFTER")
    parser.add_argument("--repeats", type=int, default=7, help="of each command and version [default: 7]")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}; expected 1 or more")
    trees = dict(zip(NAMES, (arguments.before, arguments.after), strict=True))
    result = {
        "repeats": arguments.repeats,
        "commits": {name: check(tree) for name, tree in trees.items()},
        "environment": machine(),
        "seconds": measure(trees, arguments.repeats),
    }
    measured.store("startup", result)
    print("\n".join(table(result)))


if __name__ == "__main__":
    main()
