"""Computes means, paired differences and their 95% intervals. Knows no runs and no files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation over seeds (None for a single seed) and number of values."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and the half-width of its 95% interval (None for a single pair).

    `seed_variance` is what one more seed adds to the variance, divided by the number of seeds in that of the mean;
    `image_variance` stays, however many seeds there are.
    """

    mean: float
    margin: float | None
    n: int
    seed_variance: float | None = None
    image_variance: float = 0.0

    def measurable(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.margin is not None and abs(self.mean) > self.margin

    def seeds_to_tell(self, worth: float, most: int) -> int | None:
        """Return how many seeds are likely to show this difference, or that it is smaller than what it is `worth`.

        It supposes that mean and variance stay as they are. None if not even the largest number of seeds would, or
        nothing is known of how much seeds differ.
        """
        if self.seed_variance is None:
            return None
        for seeds in range(self.n + 1, most + 1):
            margin = student_quantile(seeds - 1) * math.sqrt(self.seed_variance / seeds + self.image_variance)
            if margin < abs(self.mean) or abs(self.mean) + margin <= worth:
                return seeds
        return None


def summarize(values: Sequence[float]) -> Summary | None:
    """Return mean and standard deviation (n - 1) of the values, or None where there are none."""
    if not values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Summary(float(np.mean(values)), sd, len(values))


def paired(values: Sequence[float], baseline: Sequence[float]) -> Difference | None:
    """Return the mean of `values - baseline`, seed by seed, with Student's 95% interval; None where there are none."""
    found = summarize([value - base for value, base in zip(values, baseline, strict=True)])
    if found is None:
        return None
    margin = None if found.sd is None else student_quantile(found.n - 1) * found.sd / math.sqrt(found.n)
    return Difference(found.mean, margin, found.n, None if found.sd is None else found.sd**2)


def crossed(differences: np.ndarray) -> Difference:
    """Return the mean difference with a 95% interval that holds for other seeds and for other test images.

    Seeds and images are crossed random effects: the variance of the mean is s²/S + i²/I + r²/(S·I), with the components
    of seeds, images and residual from the mean squares of a two-way table, none below zero, and the degrees of freedom
    after Satterthwaite. With one seed only the images are left, and the interval says nothing about other seeds.

    Args:
        differences: float (seeds, images), variant minus baseline, seed by seed and image by image; at least 2 images.

    Source: F. E. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2 (1946); the model is that of fully crossed designs in H. H. Clark, "The language-as-fixed-effect
    fallacy", Journal of Verbal Learning and Verbal Behavior 12 (1973).
    """
    seeds, images = differences.shape
    total = float(differences.mean())
    by_seed, by_image = (differences.mean(axis=axis, keepdims=True) for axis in (1, 0))
    image_square = seeds * float(np.square(by_image - total).sum()) / (images - 1)
    if seeds == 1:
        return Difference(total, student_quantile(images - 1) * math.sqrt(image_square / images), 1)
    seed_square = images * float(np.square(by_seed - total).sum()) / (seeds - 1)
    rest_degrees = (seeds - 1) * (images - 1)
    rest = float(np.square(differences - by_seed - by_image + total).sum()) / rest_degrees
    # max: a component estimated below zero is none.
    parts = [(max(seed_square, rest), seeds - 1), (max(image_square, rest), images - 1), (-rest, rest_degrees)]
    variance = sum(square for square, _ in parts)
    if variance <= 0:  # every difference is the same
        return Difference(total, 0.0, seeds)
    degrees = variance**2 / sum(square**2 / degrees for square, degrees in parts)
    margin = student_quantile(max(degrees, 1.0)) * math.sqrt(variance / (seeds * images))
    of_images = (max(image_square, rest) - rest) / (seeds * images)
    return Difference(total, margin, seeds, max(seed_square, rest) / images, of_images)


def student_quantile(degrees: float) -> float:
    """Return t for which Student's distribution, of degrees of freedom from 1, whole or not, holds 95% within ±t."""
    # What scipy.stats.t asks; to import scipy.stats takes three times as long.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + 0.95) / 2))
