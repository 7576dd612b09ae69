"""A model's answer to one picture: the classes with their probabilities, and whether the picture is familiar."""

from dataclasses import dataclass

import numpy as np

from fmnist.evaluation.novelty import THRESHOLD
from fmnist.images.cutout import CutOut
from fmnist.text import percent

_SHOWN = 3  # classes that its text names


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What a model sees in one picture.

    Attributes:
        class_names: of all classes.
        probabilities: of all classes in the same order, float32 (classes,), 0 to 1; their sum is 1.
        picture: what the model saw, uint8 (H, W, C).
        image: the file; None where an array was given.
        index: the picture's place in its array; None for one that is alone in its file.
        unfamiliarity: how unlike the training pictures it is, above 1 unfamiliar; None where the model cannot tell.
        cut_out: what was found out while the picture was made of a file; None where an array was given.
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray
    picture: np.ndarray
    image: str | None = None
    index: int | None = None
    unfamiliarity: float | None = None
    cut_out: CutOut | None = None

    @property
    def label(self) -> int:
        """The number of the most probable class; of equals the first one."""
        return int(self.probabilities.argmax())

    @property
    def class_name(self) -> str:
        """The most probable class."""
        return self.class_names[self.label]

    @property
    def probability(self) -> float:
        """The probability of that class, 0 to 1."""
        return float(self.probabilities[self.label])

    @property
    def others(self) -> dict[str, float]:
        """The other classes and their probabilities, best first."""
        return {name: probability for _, name, probability in self.top()[1:]}

    @property
    def familiar(self) -> bool | None:
        """Whether the picture is like the training pictures; None where the model cannot tell."""
        return None if self.unfamiliarity is None else self.unfamiliarity <= THRESHOLD

    @property
    def doubts(self) -> list[str]:
        """What there is to doubt about how the picture was made, such as `several objects` or `no object found`."""
        return self.cut_out.doubts if self.cut_out else []

    @property
    def warnings(self) -> list[str]:
        """`unfamiliar`, where it is, and the doubts."""
        return [*(["unfamiliar"] if self.familiar is False else []), *self.doubts]

    def top(self, count: int | None = None) -> list[tuple[int, str, float]]:
        """Return number, name and probability of the `count` most probable classes, or of all, best first."""
        best = (-self.probabilities).argsort(kind="stable")[:count].tolist()
        return [(label, self.class_names[label], float(self.probabilities[label])) for label in best]

    def __repr__(self) -> str:
        classes = ", ".join(f"{name} {percent(probability)}" for _, name, probability in self.top(_SHOWN))
        warnings = "".join(f"; {warning}" for warning in self.warnings)
        place = "" if self.index is None else f"[{self.index}]"
        name = "" if self.image is None and not place else f"{self.image or ''}{place}: "
        return f"<Prediction {name}{classes}{warnings}>"
