"""Measures the calibration of runs: the figures of docs/calibration.md.

    fmnist train --preset fast --seed 0 --name fast0      # and so on
    python benchmarks/calibration_check.py runs/fast0 runs/fast1 runs/reference

The runs must be calibrated (`fmnist evaluate`).
"""

from typing import Any

import documents
import measured
import numpy as np

from fmnist import load_dataset
from fmnist.data.dataset import Dataset
from fmnist.data.split import run_split
from fmnist.evaluation import evaluate
from fmnist.evaluation.calibration import at_temperature, expected_calibration_error
from fmnist.run import environment
from fmnist.run.directory import RunDirectory, find_run, read_json


def chance(probabilities: np.ndarray, rounds: int = 100) -> list[float]:
    """Return mean and standard deviation of the calibration error that chance gives a perfectly calibrated model."""
    rng, confidence = np.random.default_rng(0), probabilities.max(axis=1)
    best = probabilities.argmax(axis=1)
    errors = [
        expected_calibration_error(probabilities, np.where(rng.random(len(best)) < confidence, best, -1))
        for _ in range(rounds)
    ]
    return [float(np.mean(errors)), float(np.std(errors))]


def measure(run: RunDirectory, dataset: Dataset) -> dict[str, Any]:
    """Return the figures of one run."""
    config, calibration, metrics = (read_json(path) for path in (run.config, run.calibration, run.metrics))
    _, validation = run_split(config, dataset.train_labels, dataset.num_validation)
    temperature, images = calibration["temperature"], dataset.train_images[validation]
    probabilities = at_temperature(evaluate.load_model(run)(images), temperature)
    return {
        "preset": config["preset"],
        "seed": config["training"]["seed"],
        "num_validation": len(validation),
        "temperature": temperature,
        "validation": {"before": calibration["before"], "after": calibration["after"], "chance": chance(probabilities)},
        "test": {"before": {"ece": metrics["ece"], "loss": metrics["loss"]}, "after": metrics["calibrated"]},
    }


def figures() -> list[str]:
    """Return the stored figures as Markdown."""
    result = measured.stored("calibration")
    lines = [
        "",
        "| run | temperature | validation: before | after | by chance | test: before | after | test loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["runs"]:
        validation, test = row["validation"], row["test"]
        errors = [100 * part["ece"] for part in (validation["before"], validation["after"])]
        errors += [100 * test["before"]["ece"], 100 * test["after"]["ece"]]
        low, spread = (100 * value for value in validation["chance"])
        lines.append(
            f"| `{row['preset']}`, seed {row['seed']} | {row['temperature']:.3f} | {errors[0]:.2f}% | "
            f"**{errors[1]:.2f}%** | {low:.2f} ± {spread:.2f}% | {errors[2]:.2f}% | **{errors[3]:.2f}%** | "
            f"{test['before']['loss']:.4f} → {test['after']['loss']:.4f} |"
        )
    versions = result["environment"]
    return [
        *lines,
        "",
        f"Keras {versions['keras']}.",
        "",
    ]


PARTS = (documents.Part("docs/calibration.md", "figures: made by benchmarks/calibration_check.py", figures),)


def main() -> None:
    """Measure the runs, store the figures and write them into the page."""
    parser = measured.parser(__doc__)
    parser.add_argument("runs", nargs="+")
    runs = [find_run(name) for name in parser.parse_args().runs]
    dataset = load_dataset()
    rows = [measure(run, dataset) for run in runs]
    measured.store("calibration", {"runs": rows, "environment": environment.environment()})
    documents.write(*PARTS)
    print("\n".join(figures()))


if __name__ == "__main__":
    main()
