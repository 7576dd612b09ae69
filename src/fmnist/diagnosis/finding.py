"""Holds a diagnosis: the verdict, the numbers with their margins, the sentences, the advice."""

import dataclasses
import textwrap
from dataclasses import dataclass
from typing import Any

from fmnist.diagnosis.advice import Advice

WIDTH = 100  # columns of a terminal


@dataclass(frozen=True)
class Moment:
    """An epoch, with the 90% interval of where it may lie."""

    epoch: int
    low: int
    high: int


@dataclass(frozen=True)
class Estimate:
    """A value and the half-width of its 95% interval."""

    value: float
    margin: float


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What a history shows.

    Attributes:
        verdict: one of `VERDICTS`.
        cause: which of the verdict's definitions holds, e.g. "rise" or "gap"; may be empty.
        certainty: share (0 to 1) of the curves that fit the data for which the verdict holds.
        votes: the same for every verdict that got any.
        epochs: the last epoch.
        columns: by our names, which columns of the history were read.
        gap_opens: the first epoch from which on the training loss lies at least a quarter below the validation loss.
        turns: the epoch at which the validation loss is lowest, if it has risen by 10% since.
        final_gap: training minus validation accuracy as measured at the end, in percentage points.
        trend: (epoch, validation loss without its jitter), "the trend" of the sentences; empty without losses.
        noise: standard deviation of the validation loss from epoch to epoch, as a share of its value.
        best_epoch: where the trend of the validation loss is lowest.
        epochs_saved, seconds_saved: what stopping there would have saved; seconds only where they are known.
        accuracy_gained: what stopping there would have gained in validation accuracy, in percentage points.
        overconfident: whether the validation loss rose while the validation accuracy held.
        sentences: all of it in words, the verdict first.
        advice: what to try, most useful first.
        notes: how the file was read, and what was not known.
    """

    verdict: str
    cause: str
    certainty: float
    votes: dict[str, float]
    epochs: int
    columns: dict[str, str]
    gap_opens: Moment | None = None
    turns: Moment | None = None
    final_gap: Estimate | None = None
    trend: tuple[tuple[float, float], ...] = ()
    noise: float | None = None
    best_epoch: int | None = None
    epochs_saved: int | None = None
    seconds_saved: float | None = None
    accuracy_gained: Estimate | None = None
    overconfident: bool
    sentences: tuple[str, ...]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self, columns: int = WIDTH) -> str:
        """Return the diagnosis for a terminal, at most 100 columns wide: the sentences, the advice, the notes.

        Commands stay on one line, ready to be copied.
        """
        width = min(columns, WIDTH)
        lines = [textwrap.fill(" ".join(self.sentences[:1]), width), ""]
        lines += [_item("-", sentence, width) for sentence in self.sentences[1:]]
        if self.advice:
            lines += ["", "What to try, most useful first:"]
        for number, advice in enumerate(self.advice, 1):
            told = _item(f"{number}.", f"{advice.title}. {advice.reason} {advice.evidence}".rstrip(), width)
            lines += ["", told, f"   {advice.command}"]
        if self.notes:
            lines += ["", *(_item("Note:", note, width) for note in self.notes)]
        return "\n".join(lines)


def _item(mark: str, sentence: str, width: int) -> str:
    return textwrap.fill(sentence, width, initial_indent=f"{mark} ", subsequent_indent=" " * (len(mark) + 1))
