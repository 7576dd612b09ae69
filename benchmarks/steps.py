"""Measures where an epoch's time goes on this machine: the training steps, the augmentation beside them, the measuring.

    KERAS_BACKEND=jax python benchmarks/steps.py preset=best-gpu
    KERAS_BACKEND=jax python benchmarks/steps.py preset=best batch_size=500 filters=18,64,128

Prints a line of JSON. `first_s` holds compiling. Steps are taken in segments as `fmnist train` takes them; the median
of the rounds counts, and a round is an epoch of `--images`.
"""

import json
import statistics
import time

import measured

from fmnist import backend
from fmnist.config import preset


def main() -> None:
    """Measure one recipe."""
    parser = measured.parser(__doc__)
    parser.add_argument("settings", nargs="+", help="preset=NAME and settings, e.g. batch_size=500")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=12_000, help="a round; a multiple of the batch size")
    arguments = parser.parse_args()
    overrides = {name: _value(text) for name, text in (pair.split("=", 1) for pair in arguments.settings)}
    config = preset(overrides.pop("preset"), limit=2 * arguments.images, validation_fraction=0.5, **overrides)
    backend.prepare(config.engine)
    print(json.dumps({"settings": arguments.settings} | measure(config, arguments.rounds)), flush=True)


def _value(text: str) -> object:
    """Read a setting as JSON; what is none is a word, and numbers with commas are several."""
    try:
        return json.loads(f"[{text}]" if "," in text else text)
    except ValueError:
        return text


def measure(config, rounds: int) -> dict:
    """Return seconds and images a second of a recipe's parts."""
    import keras

    from fmnist import load_dataset
    from fmnist.run.history import TRAIN_SAMPLE
    from fmnist.training import loop
    from fmnist.training.distillation import Targets
    from fmnist.training.phase import Phase, split

    dataset = load_dataset()
    examples = split(config, dataset)
    model, final = loop._networks(config, dataset, examples)
    labels = keras.utils.to_categorical(examples.train_labels, dataset.num_classes)
    phase = Phase(model, final, examples, Targets(labels), config, 0)
    size, count = config.training.batch_size, len(examples.train)
    segment = size * min(config.engine.segment_steps, max(1, loop.MAX_SEGMENT_IMAGES // size))
    clock = time.perf_counter
    steps, epochs, measuring = [], [], []
    for number in range(rounds + 1):
        started = clock()
        images, targets = phase.epoch(number, more=False)
        epochs.append(clock() - started)
        started = clock()
        for start in range(0, count, segment):
            part = slice(start, start + segment)
            phase.advance(images[part], targets[part], (start + segment) // size)
        steps.append(clock() - started)
        started = clock()
        phase.measure()
        measuring.append(clock() - started)
    return {
        "backend": keras.backend.backend(),
        "parameters": model.count_params(),
        "first_s": round(steps[0], 1),
        "images_per_second": round(count / statistics.median(steps[1:])),
        "augmentation_images_per_second": round(count / statistics.median(epochs[1:])),
        "measuring_images_per_second": round((count + TRAIN_SAMPLE) / statistics.median(measuring[1:])),
    }


if __name__ == "__main__":
    main()
