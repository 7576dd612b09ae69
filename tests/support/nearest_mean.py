"""A classifier by the nearest mean of a class, in the place of a network: what is around one, tested in no time."""

import numpy as np

from fmnist.run.directory import RunDirectory
from fmnist.run.history import write_history


def stand_in(trained):
    """Return `train` and `load_model` of the same form as the real ones; what is trained is put into the list."""

    def train(config, dataset, run, *, train_only):
        assert train_only
        trained.append((config, dataset))
        run = RunDirectory(run)
        images = dataset.train_images.astype(np.float64)
        weights = np.ones(len(images)) if dataset.train_weights is None else dataset.train_weights
        parts = [dataset.train_labels == label for label in range(dataset.num_classes)]
        means = np.stack([np.average(images[part], axis=0, weights=weights[part]) for part in parts])
        run.path.mkdir(parents=True)
        with open(run.model, "wb") as file:
            np.save(file, means)
        write_history(run.history, [{"epoch": 1, "loss": 0.0}])
        return run

    def load_model(run):
        means = np.load(run.model)
        pixels = means[0].size

        def predict(images):
            distances = ((images[:, np.newaxis] - means) ** 2).sum(axis=(2, 3, 4)) / pixels / 1000
            shares = np.exp(distances.min(axis=1, keepdims=True) - distances)
            return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)

        return predict

    return train, load_model
