"""Judges a history by definitions on curves without noise; curves drawn from what the data leave open take a vote.

The definitions, in the order in which they are asked (`docs/overfitting.md` says the same with a picture):

- too short to tell: there are fewer than 4 epochs.
- diverged: the training loss stopped being a number, or ended nearer to where it started than to its lowest value, or
  no better than guessing after having been far worse.
- good fit, solved: the validation loss ends at 0.01 or less (an error rate: at 0.3%). Below that no difference counts:
  in everything that follows a smaller value counts as this one.
- unstable: in at least a fifth of the epochs the validation loss lies more than 20% off its own trend, or both losses
  have risen by at least 10% since the validation loss was lowest.
- overfitting: the validation loss has risen by at least 10% above its lowest value while the training loss did
  not rise with it; or it has levelled off and the training loss is less than half of it.
- underfitting: the model is wrong on at least 10% of its own training images, and would still be if it gained as much
  again as it did in the second half of the run.
- still improving: over the last third of the epochs the validation loss fell by at least 5%.
- good fit: the validation loss has levelled off, near the training loss, and the model has learnt its training images.

The gap opens at the first epoch from which on the training loss lies at least a quarter below the validation loss. The
validation loss turns at the epoch at which it is lowest, if at the end it is at least 10% higher.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fmnist.diagnosis.curve import DRAWS, Trend, fit_trend, running_median, thin_out
from fmnist.diagnosis.history import History

OVERFITTING, UNDERFITTING, GOOD_FIT = "overfitting", "underfitting", "good fit"
STILL_IMPROVING, UNSTABLE, DIVERGED, TOO_SHORT = "still improving", "unstable", "diverged", "too short to tell"
VERDICTS = (OVERFITTING, UNDERFITTING, GOOD_FIT, STILL_IMPROVING, UNSTABLE, DIVERGED, TOO_SHORT)

MIN_EPOCHS = 4  # two points fix a straight line, a third its noise, a fourth whether it bends
OPEN = 0.25  # share of the validation loss by which the training loss lies lower where the gap is open
WIDE = 0.5  # the same, where it is so wide that it alone is overfitting
RISE = 0.10  # of the validation loss above its lowest value; ten times what two seeds differ by at their lowest
FALL = 0.05  # of the validation loss over the last third of the epochs
SOLVED = "solved"  # a cause of a good fit
CHANCE = "chance"  # a cause of underfitting: in no epoch was the model better than guessing
# A cross-entropy so small comes with at most 1.4% of mistakes, since each costs ln 2 at least; and an error rate.
SOLVED_LOSS, SOLVED_ERROR = 0.01, 0.003
POOR = 0.10  # share of the training images that a model still gets wrong when it has not learnt them
# A cross-entropy that goes with an error of 10%, for histories without accuracies: the reference recipe has 0.265.
POOR_LOSS = 0.27
OFF_TREND, OFF_SHARE = 0.20, 0.20  # an epoch is off its trend by more than; and the share of such epochs
# A curve with less noise is not unstable, however sharply it turns: 0.7% false alarms on short smooth curves, not 3.2%.
SMOOTH = 0.06
LOST = 1.5  # a training loss that has not risen by half has not diverged
GUESSING = 0.95  # share of the loss of guessing, the logarithm of the number of classes
BLOWN_UP = 1.5  # the same, of a loss that cannot come from an untrained network
# The standard deviation of the loss over images, as a multiple of its mean. The reference recipe's test images have 1.7
# after 2 epochs, 2.6 after 12, 3.3 after 60; gaps open early.
LOSS_SPREAD = 2.0


@dataclass(frozen=True)
class Judgement:
    """The verdict and the trends that it rests on.

    Attributes:
        verdict: one of `VERDICTS`.
        votes: share (0 to 1) of the drawn curves for each verdict that has any; of a verdict that needs no curve, 1.
        cause: which of the verdict's definitions holds: "rise", "gap", "not finite", "lost", "guessing", "off trend",
            "both rise", "solved", "chance", or "".
        epochs: float64 (M,), at which the trends are given; None where there are no trends.
        train, validation: trends of the loss, or of the error rate where there are no losses.
        train_error, val_error: trends of the share of images classified wrongly, where there are accuracies.
        onset, turn: (epoch, low, high), the last two a 90% interval; None where the gap is closed, or nothing turned.
        off_trend: epochs that lie off the trend of the validation loss.
    """

    verdict: str
    votes: dict[str, float]
    cause: str = ""
    epochs: np.ndarray | None = None
    train: Trend | None = None
    validation: Trend | None = None
    train_error: Trend | None = None
    val_error: Trend | None = None
    onset: tuple[int, int, int] | None = None
    turn: tuple[int, int, int] | None = None
    off_trend: int = 0

    @property
    def what(self) -> str:
        """What `train` and `validation` are trends of, in words."""
        return "error rate" if self.train and self.train is self.train_error else "loss"

    @property
    def change(self) -> float:
        """The share, above -1, by which `validation` rose over the last third of the epochs; 0 without trends."""
        curve = self.validation.middle if self.validation else np.ones(2)
        return float(curve[-1] / curve[third(len(curve))] - 1)

    @property
    def slow(self) -> bool:
        """Whether the model has not learnt its training images but still learns."""
        return self.verdict == UNDERFITTING and -self.change >= FALL


def judge(history: History, *, validation_size: int | None, num_classes: int) -> Judgement:
    """Judge a history, of which `validation_size` images were scored, if known, by the definitions above."""
    use_losses = bool(np.isfinite(history.val_loss).any() and np.isfinite(history.train_loss).any())
    if use_losses:
        train_raw, val_raw = history.train_loss, history.val_loss
    else:
        train_raw, val_raw = (error_rate(a, validation_size) for a in (history.train_accuracy, history.val_accuracy))
    cause = _diverged(history, train_raw, num_classes if use_losses else None)
    if cause == "not finite":
        return Judgement(DIVERGED, {DIVERGED: 1.0}, cause)
    if min(np.isfinite(train_raw).sum(), np.isfinite(val_raw).sum()) < MIN_EPOCHS:
        verdict = DIVERGED if cause else TOO_SHORT
        return Judgement(verdict, {verdict: 1.0}, cause)

    errors = error_rate(history.train_accuracy, None), error_rate(history.val_accuracy, validation_size)
    # Before the first and after the last score there is no curve to judge.
    ends = [np.flatnonzero(np.isfinite(curve))[[0, -1]] for curve in (train_raw, val_raw)]
    known = slice(max(first for first, _ in ends), min(last for _, last in ends) + 1)
    curves = (history.epochs, train_raw, val_raw, *errors)
    epochs, train_raw, val_raw, *rates = thin_out(*(curve[known] for curve in curves))
    tiny = 1e-6  # a loss of exactly 0 has no logarithm
    train = fit_trend(epochs, np.maximum(train_raw, tiny), seed=1)
    validation = fit_trend(epochs, np.maximum(val_raw, tiny), seed=2)
    train_error: Trend | None = train
    val_error: Trend | None = validation
    if use_losses:
        train_error, val_error = (
            fit_trend(epochs, column, seed) if np.isfinite(column).sum() >= MIN_EPOCHS else None
            for seed, column in enumerate(rates, 3)
        )
    floor = SOLVED_LOSS if use_losses else SOLVED_ERROR
    off_trend = _count_off_trend(val_raw, validation, floor)
    losses = np.maximum(train.draws, floor), np.maximum(validation.draws, floor)
    verdicts, causes = definitions(*losses, train_error.draws if train_error else None, use_losses)
    votes = {name: float((verdicts == name).mean()) for name in VERDICTS if (verdicts == name).any()}
    verdict = max(votes, key=lambda name: votes[name])
    reason = Counter(causes[verdicts == verdict].tolist()).most_common(1)[0][0]
    if cause:
        verdict, votes, reason = DIVERGED, {DIVERGED: 1.0}, cause
    elif reason != SOLVED and off_trend >= max(2, OFF_SHARE * np.isfinite(val_raw).sum()):
        verdict, votes, reason = UNSTABLE, {UNSTABLE: 1.0}, "off trend"
    elif verdict == UNDERFITTING and _at_chance(train_raw, history.train_accuracy if use_losses else None, num_classes):
        reason = CHANCE

    spread = LOSS_SPREAD / math.sqrt(validation_size) if validation_size and use_losses else 0.0
    scored = epochs[np.isfinite(val_raw)]
    onset = _onset(epochs, *losses, spread, scored) if verdict != DIVERGED else None
    turn = _turn(epochs, losses[1], scored) if verdict not in (DIVERGED, UNSTABLE) else None
    trends = epochs, train, validation, train_error, val_error
    return Judgement(verdict, votes, reason, *trends, onset, turn, off_trend)


def definitions(
    train: np.ndarray, validation: np.ndarray, train_error: np.ndarray | None, are_losses: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Apply the definitions that need no noise to curves, float (D, N): losses or else error rates, a curve a row.

    Returns:
        The verdict and its cause for each row.
    """
    rows, count = np.arange(len(train)), train.shape[1]
    solved = validation[:, -1] <= (SOLVED_LOSS if are_losses else SOLVED_ERROR)
    lowest = validation.argmin(1)
    rises = validation[:, -1] / validation[rows, lowest] - 1 >= RISE
    train_rises = train[:, -1] >= (1 + RISE) * train[rows, lowest]
    wide = 1 - train[:, -1] / validation[:, -1] >= WIDE
    falls = 1 - validation[:, -1] / validation[:, third(count)] >= FALL
    known, limit = (train, POOR_LOSS if are_losses else POOR) if train_error is None else (train_error, POOR)
    poor = (2 * known[:, -1] - known[:, half(count)] >= limit) & (known[:, -1] >= limit)
    conditions = [solved, rises & ~train_rises, rises, ~falls & wide, poor, falls]
    verdicts = [GOOD_FIT, OVERFITTING, UNSTABLE, OVERFITTING, UNDERFITTING, STILL_IMPROVING]
    causes = [SOLVED, "rise", "both rise", "gap", "", ""]
    return np.select(conditions, verdicts, GOOD_FIT), np.select(conditions, causes, "")


def third(count: int) -> int:
    """Return the index of the epoch before the last third of `count` epochs."""
    return count - 1 - max(1, count // 3)


def half(count: int) -> int:
    """Return the index of the epoch in the middle of `count` epochs."""
    return (count + 1) // 2 - 1


def _onset(
    epochs: np.ndarray, train: np.ndarray, validation: np.ndarray, spread: float, scored: np.ndarray
) -> tuple[int, int, int] | None:
    """Return when the gap opens; None if in most draws it is not open at the end. Scores are known at some epochs."""
    # The validation images are a sample: all their losses may be too high or too low together.
    shift = np.exp(spread * np.random.default_rng(5).standard_normal((DRAWS, 1)))
    opens = _openings(train, validation * shift)
    if len(opens) <= DRAWS / 2:
        return None
    # The middle is that of the images at hand: their shift widens the interval and no more.
    middle = _openings(train, validation)
    found, low, high = _interval(epochs, middle if len(middle) else opens, opens)
    later = scored[scored >= high]
    return found, _after_score(scored, low), math.ceil(later[0]) if len(later) else high


def _openings(train: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Return the index of the epoch from which on the gap is open, for each row in which it is open at the end."""
    closed = 1 - train / validation < OPEN
    first = np.where(closed.any(1), closed.shape[1] - closed[:, ::-1].argmax(1), 0)
    return first[first < closed.shape[1]]


def _turn(epochs: np.ndarray, validation: np.ndarray, scored: np.ndarray) -> tuple[int, int, int] | None:
    """Return when the validation loss, known at the epochs `scored`, turns; None if in most draws it does not."""
    lowest = validation.argmin(1)
    turned = validation[:, -1] >= (1 + RISE) * validation.min(1)
    if turned.mean() <= 0.5:
        return None
    found, low, high = _interval(epochs, lowest[turned], lowest[turned])
    later = scored[scored > high]
    return found, _after_score(scored, low), math.ceil(later[0]) - 1 if len(later) else high


def _after_score(scored: np.ndarray, epoch: int) -> int:
    """Return the first epoch after the last score before this one: in between nobody looked."""
    return math.floor(scored[scored < epoch].max(initial=0)) + 1


def _interval(epochs: np.ndarray, middle: np.ndarray, places: np.ndarray) -> tuple[int, int, int]:
    low, high = np.quantile(places, [0.05, 0.95], method="nearest")
    found = round(float(epochs[int(np.median(middle))]))
    return found, min(found, round(float(epochs[int(low)]))), max(found, round(float(epochs[int(high)])))


def error_rate(accuracy: np.ndarray | float, images: int | None) -> np.ndarray:
    """Return error rates of so many images; none is below half an image's worth, since 0 has no logarithm."""
    return np.maximum(1 - accuracy, 0.5 / (images or 10_000))


def _count_off_trend(values: np.ndarray, trend: Trend, floor: float) -> int:
    """Return how many epochs lie off the curve's trend or off its running median (which no outlier can bend)."""
    if trend.noise < SMOOTH:
        return 0
    there = np.isfinite(values)
    logs, middle = (np.log(np.maximum(curve[there], floor)) for curve in (values, trend.middle))
    distances = [np.abs(logs - line) for line in (running_median(logs), middle)]
    return int((np.maximum(*distances) > math.log1p(OFF_TREND)).sum())


def _at_chance(train: np.ndarray, accuracy: np.ndarray | None, num_classes: int) -> bool:
    """Whether a training loss, or an error rate where `accuracy` is None, never came off what guessing scores.

    Guessing among classes that are equally frequent costs the logarithm of their number, or of one by the accuracy.
    """
    values = train[np.isfinite(train)][1:]  # the first may hold the way there from first weights that were worse
    if accuracy is None:
        return bool((values >= 1 - 1.2 / num_classes).all())
    share = float(np.nanmean(accuracy)) if np.isfinite(accuracy).any() else 1.0
    levels = (
        math.log(num_classes),
        -math.log(min(max(share, 1e-6), 0.7)),
    )  # of two classes one is guessed half the time
    return any((np.abs(values / level - 1) <= 1 - GUESSING).all() for level in levels)


def _diverged(history: History, train: np.ndarray, num_classes: int | None) -> str:
    """Return by which definition the run diverged, or an empty string."""
    if history.broken is not None:
        return "not finite"
    train = np.maximum(train[np.isfinite(train)], SOLVED_LOSS if num_classes else SOLVED_ERROR)
    if not len(train):
        return ""
    if num_classes:
        guessing = math.log(num_classes)
        if train[-1] >= GUESSING * guessing and history.highest_loss >= BLOWN_UP * guessing:
            return "guessing"
    first = max(history.first_loss, train[0]) if num_classes else train[0]
    lowest, last = train.min(), train[-2:].min()  # the better of the last two: one bad epoch is no end
    return "lost" if len(train) > 1 and last >= LOST * lowest and last - lowest > first - last else ""
