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
# A point this many standard deviations off the running median is pulled in: one bad epoch is no trend.
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


def fit_trend(epochs: np.ndarray, values: np.ndarray, grid: np.ndarray, seed: int) -> Trend:
    """Fit the trend of a positive curve.

    Args:
        epochs: float (N,), from 1, ascending.
        values: float (N,), positive or NaN; at least 3 that are no NaN.
        grid: float (M,), the epochs at which the trend is wanted.
        seed: of the draws.
    """
    there = np.isfinite(values)
    x, y = np.log(epochs[there]), np.log(values[there])
    y = pull_in(y)
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
    if not np.array_equal(epochs[there], grid):
        curves = curves @ np.array([np.interp(np.log(grid), x, unit) for unit in np.eye(len(x))])
    return Trend(np.exp(curves), float(np.sqrt(np.median(variance))))


@lru_cache(maxsize=8)
def _directions(x: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves that the roughness takes apart, as columns, and how much each costs; ascending."""
    stiff, rotation = np.linalg.eigh(_roughness(np.frombuffer(x)))
    return stiff, rotation


def _roughness(x: np.ndarray) -> np.ndarray:
    """Return the matrix (N, N) whose quadratic form is a natural cubic spline's integrated squared curvature."""
    steps = np.diff(x)
    inner = len(x) - 2
    bends, gram = np.zeros((len(x), inner)), np.zeros((inner, inner))
    for j in range(inner):
        bends[j : j + 3, j] = 1 / steps[j], -1 / steps[j] - 1 / steps[j + 1], 1 / steps[j + 1]
        gram[j, j] = (steps[j] + steps[j + 1]) / 3
        if j + 1 < inner:
            gram[j, j + 1] = gram[j + 1, j] = steps[j + 1] / 6
    return np.asarray(bends @ np.linalg.solve(gram, bends.T))


def running_median(values: np.ndarray) -> np.ndarray:
    """Return the median of five neighbours (three next to the ends; the ends themselves as they are), (N,)."""
    medians = values.copy()
    for place in range(1, len(values) - 1):
        reach = min(2, place, len(values) - 1 - place)
        medians[place] = np.median(values[place - reach : place + reach + 1])
    return medians


def pull_in(values: np.ndarray) -> np.ndarray:
    """Return the values with outliers pulled in to `_OUTLIER` standard deviations from the running median."""
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
