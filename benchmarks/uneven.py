"""Measures what class weights buy on an uneven part of Fashion-MNIST, by images of its training set that are left over.

    python benchmarks/uneven.py

The classes have 20 to 600 images, each about 1.46 times as many as the one before. Writes results/uneven.json.
"""

import statistics
import tempfile
from pathlib import Path

import measured
import numpy as np

import fmnist
from fmnist import backend
from fmnist.config import leaf_fields
from fmnist.data.dataset import Dataset
from fmnist.evaluation.evaluate import scores
from fmnist.run.directory import read_json

COUNTS = np.geomspace(20, 600, 10).round().astype(int)
LEFT = 300  # images of each class that are asked about


def uneven(whole: Dataset, seed: int) -> Dataset:
    """Return a data set of so many training images; what is asked about stands in the place of the test set.

    The seed decides which images, and which class is rare.
    """
    rng = np.random.default_rng(seed)
    learnt, asked = [], []
    for label, count in zip(rng.permutation(10), COUNTS, strict=True):
        members = rng.permutation(np.flatnonzero(whole.train_labels == label))
        learnt.append(members[:count])
        asked.append(members[-LEFT:])
    parts = [rng.permutation(np.concatenate(part)) for part in (learnt, asked)]
    arrays = [array[part] for part in parts for array in (whole.train_images, whole.train_labels)]
    return Dataset(*arrays, whole.class_names, "an uneven part of Fashion-MNIST")


def main() -> None:
    """Measure."""
    parser = measured.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    backend.expect_many_models()
    whole, rows = fmnist.load_dataset(), []
    for seed in range(arguments.seeds):
        dataset = uneven(whole, seed)
        for mode in leaf_fields()["class_weights"][1].metadata["choices"][1:]:
            with tempfile.TemporaryDirectory() as folder:
                config = fmnist.preset("standard", seed=seed, class_weights=mode)
                run = fmnist.train(config, dataset, Path(folder) / "run", train_only=True)
                probabilities = fmnist.open_model(run).probabilities(dataset.test_images)
                environment = measured.public(read_json(run.environment))
            found = scores(probabilities, dataset.test_labels, dataset.class_names)
            rare = [found["per_class"][label]["recall"] for label in np.random.default_rng(seed).permutation(10)[:3]]
            rows.append({"seed": seed, "class_weights": mode, "balanced_accuracy": found["balanced_accuracy"]})
            rows[-1]["recall_of_the_rarest_three"] = statistics.mean(rare)
            print(rows[-1], flush=True)
    measured.store("uneven", {"counts": COUNTS.tolist(), "environment": environment, "rows": rows})


if __name__ == "__main__":
    main()
