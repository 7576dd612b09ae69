"""Synthetic training histories with a known truth, made of simple learning-curve physics; knows no diagnosis code.

A history is drawn from a seed: noise-free curves of the losses, noise on top, and a form in which it is written down.
The training loss falls by a power law or exponentially towards its floor. The validation loss is the training loss,
plus a floor, plus, from some epoch on, a growth. Losses get multiplicative noise (optimisation), accuracies binomial
noise (a sample of images). The truth comes from the noise-free curves by the definitions in docs/overfitting.md,
written here a second time; only how far the epochs lie off the trend is counted with the noise, which is what that
definition is about.

A history near the limit between two definitions can be told by nobody: `decidable` says that each limit that matters is
further away than what averaging the noise over a third of the epochs leaves.
"""

import math
from dataclasses import dataclass

import numpy as np

NOISES = (0.01, 0.02, 0.04, 0.08)
FORMS = ("ours", "running averages", "keras", "no accuracies", "holes", "no epochs")
SIZES = (500, 1_000, 3_000, 12_000)
GUESS = math.log(10)
KINDS = ("overfitting", "underfitting", "good fit", "still improving", "unstable", "diverged", "too short to tell")


@dataclass(frozen=True)
class Case:
    """A history and its truth."""

    seed: int
    columns: dict[str, list]
    verdict: str
    onset: int | None
    turn: int | None
    decidable: bool
    validation_size: int
    noise: float
    form: str
    train: np.ndarray
    validation: np.ndarray

    @property
    def epochs(self) -> int:
        return len(self.train)


def make(seed: int, kind: str | None = None) -> Case:
    """Draw a history; with a kind, the first one of that kind that follows from the seed and is decidable."""
    rng = np.random.default_rng(seed)
    while True:
        case = _draw(rng, seed, kind or KINDS[rng.choice(len(KINDS), p=(0.3, 0.13, 0.13, 0.13, 0.12, 0.12, 0.07))])
        if kind is None or (case.verdict == kind and case.decidable):
            return case


def _draw(rng: np.random.Generator, seed: int, recipe: str) -> Case:
    """Draw curves by a recipe that tends towards a kind; what they are is for the definitions to say."""
    count = (
        int(rng.integers(1, 4))
        if recipe == "too short to tell"
        else round(math.exp(rng.uniform(math.log(5), math.log(200))))
    )
    noise = float(rng.uniform(0.3, 0.6)) if recipe == "unstable" else float(rng.choice(NOISES))
    size = int(rng.choice(SIZES))
    form = str(rng.choice(FORMS))
    time = np.arange(0, count + 1 / 8, 1 / 8)  # in epochs; eight points an epoch, for the running averages

    # How fast: the time constant is a matter of images and steps, so it does not grow with the length of the run.
    pace = math.exp(rng.uniform(math.log(1), math.log(max(2, min(12, count / 3)))))
    start, floor = rng.uniform(0.4, 1.2), math.exp(rng.uniform(math.log(0.005), math.log(0.1)))
    harder, growth, begin = rng.uniform(0.0, 0.03), 0.0, math.inf
    if recipe == "overfitting":
        begin = math.exp(rng.uniform(math.log(1.5), math.log(max(2, min(40, 0.6 * count)))))
        growth = rng.uniform(0.01, 0.06) * max(1.0, 6 / pace) / 2
    elif recipe == "underfitting":
        floor = rng.uniform(0.32, 1.6)
        if rng.random() < 0.4:
            pace, start = count * rng.uniform(0.5, 5), rng.uniform(0.8, 1.9)
    elif recipe == "good fit":
        floor, harder = rng.uniform(0.08, 0.23), rng.uniform(0.0, 0.08)
        pace = min(pace, max(1, count / rng.uniform(4, 12)))
    elif recipe == "still improving":
        floor, pace = rng.uniform(0.02, 0.12), count * rng.uniform(0.3, 0.8)
        start = rng.uniform(0.5, 1.5)
    falling = np.exp(-time / pace) if rng.random() < 0.5 else (1 + time / pace) ** -rng.uniform(0.8, 1.6)
    train = floor + start * falling
    if recipe == "underfitting" and pace > count:
        train = np.minimum(train, GUESS)
    grown = growth * np.maximum(time - begin, 0) ** rng.uniform(0.7, 1.1) if growth else np.zeros_like(time)
    validation = train + harder + grown
    shown = validation - 0.85 * grown  # accuracy suffers less than the loss: overconfidence

    at = slice(8, None, 8)
    ragged = np.exp(rng.standard_normal(count) * noise)
    val_noise = ragged.copy()
    train_noise = np.exp(rng.standard_normal(count) * noise * rng.uniform(0.7, 1.5))
    verdict, cause = None, ""
    if recipe == "diverged":
        cause = str(rng.choice(["not finite", "lost", "guessing"]))
        verdict = "diverged"
    running = train.copy()
    if cause == "lost":
        when = int(rng.integers(1, count - 1))  # two epochs at least remain
        peak = rng.uniform(1.9, 2.6)
        for curve in (train, validation, running, shown):
            curve[8 * when + 1 :] = peak
    elif cause == "guessing":
        level = rng.uniform(2.302, 2.34)
        for curve in (train, validation, running, shown):
            curve[:] = level
        running[:9] = math.exp(rng.uniform(math.log(6), math.log(1e5)))
        train_noise, val_noise = train_noise ** (0.003 / noise), val_noise ** (0.003 / noise)

    def error(loss: np.ndarray) -> np.ndarray:
        return 0.9 * (1 - np.exp(-0.4 * loss))  # 12% at 0.36, 3.5% at 0.1, as the reference recipe has them

    averages = running[:-1].reshape(count, 8).mean(1)
    sample = 5_000
    columns = {
        "epoch": list(range(1, count + 1)),
        "seconds": [round(float(second), 2) for second in rng.uniform(9, 11, count)],
        "learning_rate": [0.001] * count,
        "loss": averages * np.exp(rng.standard_normal(count) * 0.01),
        "accuracy": 1 - rng.binomial(48_000, error(averages)) / 48_000,
        "train_loss": train[at] * train_noise,
        "train_accuracy": 1 - rng.binomial(sample, error(train[at] * train_noise)) / sample,
        "val_loss": validation[at] * val_noise,
        "val_accuracy": 1 - rng.binomial(size, np.minimum(error(shown[at] * np.sqrt(val_noise)), 0.95)) / size,
    }
    columns = {
        name: [float(value) for value in values] if name != "epoch" else values for name, values in columns.items()
    }
    if cause == "not finite":
        when = int(rng.integers(1, count)) if count > 1 else 0
        for name in ("loss", "train_loss", "val_loss"):
            columns[name][when:] = [math.nan] * (count - when)
    clean, valid = (np.maximum(curve[at], 0.01) for curve in (train, validation))  # less counts as no less
    off = _off_trend(val_noise)
    if verdict is None:
        verdict = define(clean, valid, error(clean), off)
    onset, turn = (onset_of(clean, valid), turn_of(valid)) if verdict == "overfitting" else (None, None)
    decidable = cause != "" or _decidable(clean, valid, error(clean), off, noise, verdict)
    if recipe == "unstable" and verdict not in ("unstable", "too short to tell"):
        decidable = False
    return Case(seed, write_down(columns, form, rng), verdict, onset, turn, decidable, size, noise, form, clean, valid)


def define(train, validation, error, off: int) -> str:
    """The definitions, applied to noise-free curves."""
    count = len(train)
    if count < 4:
        return "too short to tell"
    if validation[-1] <= 0.01:
        return "good fit"
    if off >= max(2, count / 5):
        return "unstable"
    lowest = int(np.argmin(validation))
    end, last = validation[-1], train[-1]
    if end >= 1.1 * validation[lowest]:
        return "overfitting" if last < 1.1 * train[lowest] else "unstable"
    before_last_third = validation[count - 1 - max(1, count // 3)]
    falls = end <= 0.95 * before_last_third
    if not falls and last <= 0.5 * end:
        return "overfitting"
    if error[-1] >= 0.1 and error[-1] - (error[(count + 1) // 2 - 1] - error[-1]) >= 0.1:
        return "underfitting"
    return "still improving" if falls else "good fit"


def onset_of(train, validation) -> int | None:
    """The first epoch from which on the training loss lies at least a quarter below the validation loss."""
    closed = [epoch for epoch, (t, v) in enumerate(zip(train, validation, strict=True), 1) if t > 0.75 * v]
    after = max(closed, default=0) + 1
    return after if after <= len(train) else None


def turn_of(validation) -> int | None:
    """The epoch of the lowest validation loss, if at the end it is a tenth higher."""
    return int(np.argmin(validation)) + 1 if validation[-1] >= 1.1 * min(validation) else None


def _off_trend(noise: np.ndarray) -> int:
    return int((np.abs(np.log(noise)) > math.log(1.2)).sum())


def _decidable(train, validation, error, off: int, noise: float, verdict: str) -> bool:
    """Whether every limit that matters is further off than two standard errors of a mean over a third of the epochs."""
    count = len(train)
    if verdict == "too short to tell":
        return True
    limit = max(2, count / 5)
    if verdict == "unstable":
        return off >= 1.5 * limit
    if off > 0.5 * limit:
        return False
    # The difference of two such means, in the logarithm; a hundredth at least, for what no curve says.
    doubt = 2 * max(noise * math.sqrt(2 / max(1, count / 3)), 0.005)
    lowest = validation.min()
    rise = math.log(validation[-1] / lowest)
    fall = math.log(validation[count - 1 - max(1, count // 3)] / validation[-1])
    gap = math.log(validation[-1] / train[-1])
    gain = error[(count + 1) // 2 - 1] - error[-1]
    to_rise, to_fall = abs(rise - math.log(1.1)), abs(fall + math.log(0.95))
    to_gap = abs(gap - math.log(2))
    to_poor = abs(math.log(max(error[-1] - max(gain, 0), 1e-3) / 0.1)) / 2
    if verdict == "overfitting":
        return to_rise > doubt if rise >= math.log(1.1) else to_fall > doubt and to_gap > doubt and to_rise > doubt
    clear = to_rise > doubt and to_poor > doubt
    if verdict == "underfitting":
        return clear and (to_gap > doubt if fall < 0.1 else True)
    return clear and to_fall > doubt and (to_gap > doubt if verdict == "good fit" else True)


def write_down(columns: dict[str, list], form: str, rng: np.random.Generator) -> dict[str, list]:
    """Leave out and rename columns as other programs do."""
    columns = dict(columns)
    if form in ("running averages", "keras"):
        del columns["train_loss"], columns["train_accuracy"]
    if form == "keras":
        columns = {name: columns[name] for name in ("epoch", "accuracy", "loss", "val_accuracy", "val_loss")}
        columns["epoch"] = [epoch - 1 for epoch in columns["epoch"]]
    elif form == "no accuracies":
        columns = {name: values for name, values in columns.items() if "accuracy" not in name}
    elif form == "no epochs":
        del columns["epoch"], columns["seconds"], columns["learning_rate"]
    elif form == "holes":
        for name in ("loss", "train_loss", "val_loss", "train_accuracy", "val_accuracy"):
            missing = rng.random(len(columns[name])) < 0.1
            missing[[0, -1]] = False
            if len(missing) > 6:
                columns[name] = [
                    math.nan if gone else value for value, gone in zip(columns[name], missing, strict=True)
                ]
    return columns


def decidable_cases(first_seed: int, count: int) -> list[Case]:
    """`count` decidable histories, every kind in turn, from as many seeds."""
    return [make(first_seed + number, KINDS[number % len(KINDS)]) for number in range(count)]
