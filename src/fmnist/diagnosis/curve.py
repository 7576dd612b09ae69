"""Fits the trend of a noisy curve, a smoothing spline, and draws from what the data leave open about it.

A curve is fitted in the logarithm of both the score and the epoch, in which learning curves are nearly straight. How
stiff the spline is and how strong the noise is follow from the data, by the marginal likelihood; each draw is a curve
that the data might have come from. Source: Green and Silverman, "Nonparametric Regression and Generalized Linear
Models", 1994, chapters 2 and 3; Wahba, "Bayesian confidence intervals for the cross-validated smoothing spline", JRSS B
45 (1983).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DRAWS = 500
# Longer histories are averaged in groups down to this many points, which a fit takes some ten milliseconds for.
MAX_POINTS = 200
# What is expected of the noise before the curve is seen, as a share of the loss, and the number of epochs that this
# expectation weighs as much as. The reference recipe's validation loss has 0.04.
EXPECTED_NOISE, EXPECTATION_WEIGHT = 0.04, 3.0
# From a spline that bends at every epoch to a straight line, in powers of ten.
_STIFFNESS = np.arange(-5.0, 4.1, 0.5)
# A point more standard deviations off the running median than this is pulled in to it: one bad epoch is no trend.
_OUTLIER = 4.0


@dataclass(frozen=True)
class Trend:
    """A curve without its noise.

    Attributes:
        draws: float64 (DRAWS, N), positive: curves that agree with the data.
        noise: the standard deviation of an epoch around the trend, as a share of its value.
    """

    draws: np.ndarray
    noise: float

    @property
    def middle(self) -> np.ndarray:
        """The median of the draws, (N,)."""
        return np.asarray(np.median(self.draws, axis=0))


def fit_trend(epochs: np.ndarray, values: np.ndarray, seed: int) -> Trend:
    """Fit the trend of a curve at each of its epochs.

    Args:
        epochs: float (N,), from 1, ascending.
        values: float (N,), positive or NaN; at least 3 that are no NaN.
        seed: of the draws.
    """
    there = np.isfinite(values)
    x, y = np.log(epochs[there]), _pull_in(np.log(values[there]))
    stiff, rotation = _directions(x.tobytes())
    stiff, level = stiff[2:], rotation.T @ y  # the first two directions are the straight lines, which cost nothing
    factors = 10.0 ** _STIFFNESS[:, None] / stiff[0] * stiff
    share = 1 / (1 + factors)  # how much of each direction is trend; the rest is noise
    shape = (EXPECTATION_WEIGHT + len(stiff)) / 2
    scale = (EXPECTATION_WEIGHT * EXPECTED_NOISE**2 + ((1 - share) * level[2:] ** 2).sum(1)) / 2
    evidence = 0.5 * np.log(1 - share).sum(1) - shape * np.log(scale)
    weights = np.exp(evidence - evidence.max())

    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(weights), DRAWS, p=weights / weights.sum())
    variance = scale[chosen] / rng.gamma(shape, size=DRAWS)
    kept = np.hstack([np.ones((DRAWS, 2)), share[chosen]])
    spread = np.sqrt(variance[:, None] * kept) * rng.standard_normal(kept.shape)
    curves = (level * kept + spread) @ rotation.T
    if not there.all():
        curves = curves @ np.array([np.interp(np.log(epochs), x, unit) for unit in np.eye(len(x))])
    # A curve cannot jitter by more than it moves, whatever is expected of the noise.
    return Trend(np.exp(curves), min(float(np.sqrt(np.median(variance))), float(np.ptp(y)) / 2))


@lru_cache(maxsize=8)
def _directions(x: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return how much roughness costs, ascending, and the curves that it takes apart, as columns.

    Roughness is the quadratic form of a matrix (N, N): a natural cubic spline's integrated squared curvature.
    """
    steps = np.diff(np.frombuffer(x))
    bends = np.diff(
        np.diff(np.eye(len(steps) + 1), axis=0) / steps[:, None], axis=0
    ).T  # slope after minus slope before
    between = np.diag(steps[1:-1] / 6, 1)
    gram = np.diag((steps[:-1] + steps[1:]) / 3) + between + between.T
    stiff, rotation = np.linalg.eigh(bends @ np.linalg.solve(gram, bends.T))
    return stiff, rotation


def running_median(values: np.ndarray) -> np.ndarray:
    """Return the median of five neighbours (three next to the ends; the ends themselves as they are), (N,)."""
    medians = values.copy()
    for place in range(1, len(values) - 1):
        reach = min(2, place, len(values) - 1 - place)
        medians[place] = np.median(values[place - reach : place + reach + 1])
    return medians


def _pull_in(values: np.ndarray) -> np.ndarray:
    medians = running_median(values)
    # 1.4826 makes a median of deviations the standard deviation of normal ones; 0.01 keeps a smooth curve as it is.
    width = _OUTLIER * max(1.4826 * float(np.median(np.abs((values - medians)[1:-1]))), 0.01)
    return np.clip(values, medians - width, medians + width)


def thin_out(epochs: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """Return epochs and columns averaged in groups of neighbours, so that at most `MAX_POINTS` are left."""
    if len(epochs) <= MAX_POINTS:
        return [epochs, *columns]
    groups = np.array_split(np.arange(len(epochs)), MAX_POINTS)

    def mean(column: np.ndarray) -> np.ndarray:
        return np.array([part.mean() if len(part := column[g][np.isfinite(column[g])]) else np.nan for g in groups])

    return [mean(column) for column in (epochs, *columns)]
