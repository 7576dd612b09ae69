"""The parity gate: how far an exported file's answers may be from Keras's, and the verdict."""

from dataclasses import dataclass

import numpy as np

from fmnist.evaluation import metrics
from fmnist.export.formats import Limits


@dataclass(frozen=True)
class Parity:
    """An exported file beside Keras on the same images: shares from 0 to 1, a difference of probabilities, a count."""

    accuracy: float
    keras_accuracy: float
    agreement: float
    largest_difference: float
    num_images: int

    def problems(self, limits: Limits) -> list[str]:
        """Return what is beyond the limits, in words; nothing where the file passes."""
        found = []
        off, lost = self.largest_difference, self.keras_accuracy - self.accuracy
        if limits.difference is not None and not off <= limits.difference:
            found.append(f"a probability is {off:.2g} off Keras's, allowed are {limits.difference:g}")
        if limits.agreement is not None and self.agreement < limits.agreement:
            share = f"{100 * self.agreement:.2f}% of the images have Keras's top class"
            found.append(f"{share}, required are {100 * limits.agreement:.1f}%")
        # Rounded, since 0.9307 - 0.9277 is a little more than 0.003 in binary.
        if limits.loss is not None and round(lost, 9) > limits.loss:
            beside = f"{100 * lost:.2f} points below Keras's {100 * self.keras_accuracy:.2f}%"
            found.append(f"accuracy is {100 * self.accuracy:.2f}%, {beside}, allowed are {100 * limits.loss:.1f}")
        return found


def compare(probabilities: np.ndarray, keras: np.ndarray, labels: np.ndarray) -> Parity:
    """Return how two models' probabilities, float (N, classes) for the same images, differ; labels are integer (N,).

    A probability that is no number counts as infinitely far off.
    """
    differences = np.nan_to_num(np.abs(probabilities - keras), nan=np.inf)
    return Parity(
        accuracy=metrics.accuracy(probabilities, labels),
        keras_accuracy=metrics.accuracy(keras, labels),
        agreement=float((probabilities.argmax(axis=1) == keras.argmax(axis=1)).mean()),
        largest_difference=float(differences.max()),
        num_images=len(labels),
    )
