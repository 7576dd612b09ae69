"""Measures where an epoch's time goes on this machine: the training steps, the augmentation beside them, the measuring.

    KERAS_BACKEND=jax python benchmarks/steps.py preset=best batch_size=500 filters=18,64,128
    python benchmarks/steps.py --before ../before/src --rounds 10 --images 384 precision=float32 threads=1

The first prints a line of JSON about one recipe; `first_s` holds compiling. Steps are taken in segments as
`fmnist train` takes them; the median of the rounds counts, and a round is an epoch of `--images`.

The second compares the training steps of two versions, this one and that of the source tree after --before, for each
preset of `IN_TURN`. Both versions stay in memory and take turns, a round each. Seconds are the processor's, which other
work on the machine changes little. Stored in `benchmarks/results/steps.json`.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import measured

from fmnist import backend
from fmnist.config import preset
from fmnist.run.environment import machine
from fmnist.run.history import TRAIN_SAMPLE

NAMES = ("before", "after")
IN_TURN = ("fast", "standard", "accurate", "best", "tiny", "micro", "reference")


def main() -> None:
    """Measure one recipe, or two versions in turn."""
    parser = measured.parser(__doc__)
    parser.add_argument("settings", nargs="*", help="preset=NAME and settings, e.g. batch_size=500")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=12_000, help="a round; a multiple of the batch size")
    parser.add_argument("--before", type=Path, metavar="TREE", help="the folder that holds another version's fmnist/")
    parser.add_argument("--asked", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.before:
        compare(arguments)
        return
    overrides = {name: _value(text) for name, text in (pair.split("=", 1) for pair in arguments.settings)}
    config = preset(overrides.pop("preset"), limit=2 * arguments.images, validation_fraction=0.5, **overrides)
    backend.prepare(config.engine)
    recipe = Recipe(config)
    if arguments.asked:
        for _ in sys.stdin:
            print(recipe.processor_seconds(), flush=True)
    else:
        rounds = [recipe.round() for _ in range(arguments.rounds + 1)]
        print(json.dumps({"settings": arguments.settings} | recipe.rates(rounds)), flush=True)


def _value(text: str) -> object:
    """Read a setting as JSON; what is none is a word, and numbers with commas are several."""
    try:
        return json.loads(f"[{text}]" if "," in text else text)
    except ValueError:
        return text


class Recipe:
    """A recipe's network, and how long its parts take."""

    def __init__(self, config) -> None:
        """Build it; nothing is traced before the first round."""
        import keras

        from fmnist import load_dataset
        from fmnist.training import loop
        from fmnist.training.distillation import Targets
        from fmnist.training.phase import Phase, split

        dataset = load_dataset()
        examples = split(config, dataset)
        model, final = loop._networks(config, dataset, examples)
        labels = keras.utils.to_categorical(examples.train_labels, dataset.num_classes)
        self._phase = Phase(model, final, examples, Targets(labels), config, 0)
        self._size, self._count, self._numbers = config.training.batch_size, len(labels), itertools.count()
        self._segment = self._size * min(config.engine.segment_steps, max(1, loop.MAX_SEGMENT_IMAGES // self._size))
        self._parameters = model.count_params()

    def round(self) -> dict[str, float]:
        """Return the seconds that an epoch's parts take."""
        marks = [time.perf_counter()]
        images, targets = self._phase.epoch(next(self._numbers), more=False)
        marks.append(time.perf_counter())
        self._train(images, targets)
        marks.append(time.perf_counter())
        self._phase.measure()
        marks.append(time.perf_counter())
        seconds = [after - before for before, after in itertools.pairwise(marks)]
        return dict(zip(("augmentation", "steps", "measuring"), seconds, strict=True))

    def processor_seconds(self) -> float:
        """Return the seconds of the processor that an epoch's training steps take."""
        images, targets = self._phase.epoch(next(self._numbers), more=False)
        started = time.process_time()
        self._train(images, targets)
        return time.process_time() - started

    def _train(self, images, targets) -> None:
        for start in range(0, self._count, self._segment):
            part = slice(start, start + self._segment)
            self._phase.advance(images[part], targets[part], (start + self._segment) // self._size)

    def rates(self, rounds: list[dict[str, float]]) -> dict:
        """Return images a second of the parts, medians over the rounds but for the first."""
        import keras

        medians = {name: statistics.median(row[name] for row in rounds[1:]) for name in rounds[0]}
        return {
            "backend": keras.backend.backend(),
            "parameters": self._parameters,
            "first_s": round(rounds[0]["steps"], 1),
            "images_per_second": round(self._count / medians["steps"]),
            "augmentation_images_per_second": round(self._count / medians["augmentation"]),
            "measuring_images_per_second": round((self._count + TRAIN_SAMPLE) / medians["measuring"]),
        }


def compare(arguments: argparse.Namespace) -> None:
    """Measure each preset in two versions, in turn, and store the seconds of every round after each preset."""
    trees = dict(zip(NAMES, (arguments.before, measured.ROOT / "src"), strict=True))
    result = measured.stored("steps") | {"environment": machine(), "images": arguments.images}
    result["settings"] = arguments.settings
    for name in IN_TURN:
        rounds = list(_in_turn(trees, [f"preset={name}", *arguments.settings], arguments))[1:]
        batch = preset(name).training.batch_size
        result.setdefault("presets", {})[name] = {"batch_size": batch, "rounds": rounds}
        measured.store("steps", result)
        print(_row(name, result["presets"][name], arguments.images), flush=True)


def _in_turn(trees: dict[str, Path], settings: list[str], arguments: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Yield each round's seconds of both versions; the first one holds compiling. The one to begin alternates."""
    words = [sys.executable, __file__, *settings, "--asked", "--images", str(arguments.images)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = {
        name: subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(tree.resolve())}, **pipes)
        for name, tree in trees.items()
    }
    try:
        for number in range(arguments.rounds + 1):
            found = {}
            for name in NAMES[:: 1 if number % 2 else -1]:
                print("round", file=running[name].stdin, flush=True)
                found[name] = float(running[name].stdout.readline())
            yield found
    finally:
        for process in running.values():
            process.stdin.close()
            process.wait()


def section(result: dict) -> list[str]:
    """Write the part of docs/results.md about the two versions: medians, and the medians of the rounds' ratios."""
    rounds = min(len(stored["rounds"]) for stored in result["presets"].values())
    return [
        "## Milliseconds a training step",
        "",
        f"`python benchmarks/steps.py --before TREE --rounds {rounds} --images {result['images']} "
        f"{' '.join(result['settings'])}`: before and after batch normalisation became one operation, in turn. "
        "Milliseconds of the processor, medians over the rounds; the ratio is the median of the rounds' ratios. "
        f"{measured.machine(result['environment'])}, without bfloat16, and with much other work.",
        "",
        "| preset | images a step | before, ms | after, ms | before / after |",
        "| --- | --- | --- | --- | --- |",
        *(_row(name, stored, result["images"]) for name, stored in result["presets"].items()),
    ]


def _row(name: str, stored: dict, images: int) -> str:
    rounds, scale = stored["rounds"], 1000 * stored["batch_size"] / images
    before, after = (scale * statistics.median(both[version] for both in rounds) for version in NAMES)
    ratio = statistics.median(both["before"] / both["after"] for both in rounds)
    return f"| `{name}` | {stored['batch_size']} | {before:.1f} | {after:.1f} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
