"""Measures the calibration of runs and what they call unfamiliar: the figures of docs/calibration.md.

    fmnist train --preset fast --seed 0 --name fast0      # and so on
    python benchmarks/calibration_check.py runs/fast0 runs/fast1 runs/reference

The runs must be calibrated (`fmnist evaluate`). Digits are scikit-learn's: 1,797 of 8 × 8 pixels, enlarged.
"""

import documents
import measured
import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from fmnist import load_dataset
from fmnist.data import run_split
from fmnist.evaluation import evaluate
from fmnist.evaluation.calibration import at_temperature, expected_calibration_error
from fmnist.evaluation.novelty import THRESHOLD, Novelty
from fmnist.run import environment
from fmnist.run.directory import RunDirectory, find_run, read_json

SIZE = (28, 28)
WAYS = {
    "enlarged, nearest pixel": Image.Resampling.NEAREST,
    "enlarged, bilinear": Image.Resampling.BILINEAR,
    "enlarged, bicubic": Image.Resampling.BICUBIC,
}


def digits() -> dict[str, np.ndarray]:
    """Return the digits in each way of making them 28 × 28, light on black as garments are: uint8 (N, 28, 28, 1)."""
    small = [Image.fromarray(np.uint8(image * 255 / 16)) for image in load_digits().images]
    found = {name: np.stack([image.resize(SIZE, way) for image in small]) for name, way in WAYS.items()}
    found["made like a garment's photo"] = np.stack([like_a_garment(image) for image in small])
    return {name: images[..., np.newaxis] for name, images in found.items()}


def like_a_garment(image: Image.Image) -> np.ndarray:
    """Enlarge, trim, bring the longest side to 28 pixels, sharpen and centre: the data set's own recipe."""
    large = image.resize((280, 280), Image.Resampling.BICUBIC)
    trimmed = large.crop(large.point(lambda value: 255 * (value > 12)).getbbox())
    scale = SIZE[0] / max(trimmed.size)
    shrunk = trimmed.resize([max(1, round(side * scale)) for side in trimmed.size], Image.Resampling.BOX)
    result = Image.new("L", SIZE)
    result.paste(shrunk.filter(ImageFilter.UnsharpMask(1.0, 100, 0)), [(28 - side) // 2 for side in shrunk.size])
    return np.asarray(result)


def chance(probabilities: np.ndarray, rounds: int = 100) -> list[float]:
    """Return mean and standard deviation of the calibration error that chance gives a perfectly calibrated model."""
    rng, confidence = np.random.default_rng(0), probabilities.max(axis=1)
    best = probabilities.argmax(axis=1)
    errors = [
        expected_calibration_error(probabilities, np.where(rng.random(len(best)) < confidence, best, -1))
        for _ in range(rounds)
    ]
    return [float(np.mean(errors)), float(np.std(errors))]


def measure(run: RunDirectory, dataset, others: dict[str, np.ndarray]) -> dict:
    """Return the figures of one run."""
    config, calibration, metrics = (read_json(path) for path in (run.config, run.calibration, run.metrics))
    _, validation = run_split(config, dataset.train_labels)
    temperature, images = calibration["temperature"], dataset.train_images[validation]
    probabilities = at_temperature(evaluate.load_model(run)(images), temperature)
    known = Novelty.from_dict(read_json(run.familiarity))
    garments = known.unfamiliarity(dataset.test_images)
    found = {
        "preset": config["preset"],
        "seed": config["training"]["seed"],
        "num_validation": len(validation),
        "temperature": temperature,
        "validation": {"before": calibration["before"], "after": calibration["after"], "chance": chance(probabilities)},
        "test": {"before": {"ece": metrics["ece"], "loss": metrics["loss"]}, "after": metrics["calibrated"]},
        "called_unfamiliar": {
            "validation garments": float((known.unfamiliarity(images) > THRESHOLD).mean()),
            "test garments": float((garments > THRESHOLD).mean()),
        },
        "auroc": {},
    }
    for name, pictures in others.items():
        scores = known.unfamiliarity(pictures)
        truth = np.repeat([0, 1], [len(garments), len(scores)])
        found["auroc"][f"digits, {name}"] = float(roc_auc_score(truth, np.concatenate([garments, scores])))
        found["called_unfamiliar"][f"digits, {name}"] = float((scores > THRESHOLD).mean())
    return found


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
    lines += ["", "| pictures | called unfamiliar | AUROC against test garments |", "| --- | --- | --- |"]
    for name in result["runs"][0]["called_unfamiliar"]:
        shares = [100 * row["called_unfamiliar"][name] for row in result["runs"]]
        areas = [row["auroc"].get(name, np.nan) for row in result["runs"]]
        area = "" if np.isnan(areas[0]) else f"**{min(areas):.3f}**"
        lines.append(f"| {name} | {min(shares):.1f} to {max(shares):.1f}% | {area} |")
    versions = result["environment"]
    return [
        *lines,
        "",
        f"{len(result['runs'])} runs; the AUROC is the smallest of them. Keras {versions['keras']}.",
        "",
    ]


PARTS = (documents.Part("docs/calibration.md", "figures: made by benchmarks/calibration_check.py", figures),)


def main() -> None:
    """Measure the runs, store the figures and write them into the page."""
    parser = measured.parser(__doc__)
    parser.add_argument("runs", nargs="+")
    runs = [find_run(name) for name in parser.parse_args().runs]
    dataset, others = load_dataset(), digits()
    rows = [measure(run, dataset, others) for run in runs]
    measured.store("calibration", {"runs": rows, "environment": environment.environment()})
    documents.write(*PARTS)
    print("\n".join(figures()))


if __name__ == "__main__":
    main()
