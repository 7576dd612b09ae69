"""Measures how often the diagnosis is correct, on fresh synthetic histories whose truth is known.

    python benchmarks/diagnosis_check.py                      # 2,000 histories, about a minute
    python benchmarks/diagnosis_check.py --count 500 --seed 1

Without `--seed` the seeds come from the clock, so that nobody has seen these histories before. With `--write` the rates
are stored in `benchmarks/results/diagnosis.json`, and their tables replace those in docs/overfitting.md.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

# Many small matrices: several threads would only wait for each other (ten times as long, measured on two busy cores).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import documents
import measured

measured.use_tests()

from support import histories  # noqa: E402

from fmnist.diagnosis import Diagnosis, diagnose  # noqa: E402

Pair = tuple[histories.Case, Diagnosis]


def run(cases: Iterable[histories.Case]) -> list[Pair]:
    return [(case, diagnose(case.columns, validation_size=case.validation_size)) for case in cases]


def correct(pair: Pair) -> bool:
    return pair[0].verdict == pair[1].verdict


def onset_near(pair: Pair) -> bool:
    """Whether the epoch at which the gap opens is found to within two epochs; where it stays closed, none is."""
    case, found = pair
    if case.onset is None or found.gap_opens is None:
        return case.onset is None and found.gap_opens is None
    return abs(case.onset - found.gap_opens.epoch) <= 2


def onset_covered(pair: Pair) -> bool:
    case, found = pair
    return (
        case.onset is not None
        and found.gap_opens is not None
        and (found.gap_opens.low <= case.onset <= found.gap_opens.high)
    )


def count(pairs: list[Pair], test: Callable[[Pair], bool]) -> list[int]:
    """Return of how many pairs something holds, and how many there are."""
    return [sum(map(test, pairs)), len(pairs)]


def rates(decidable: list[Pair], natural: list[Pair]) -> dict[str, Any]:
    """Return each rate as two counts: how many histories it holds for, and of how many.

    Args:
        decidable: histories that are not near a limit, each verdict equally often.
        natural: histories as they come.
    """
    overfit = [pair for pair in decidable if pair[0].verdict == "overfitting"]
    groups: list[tuple[str, Callable[[histories.Case], bool]]] = [
        ("all", lambda case: True),
        *((kind, lambda case, kind=kind: case.verdict == kind) for kind in histories.KINDS),
        *(
            (f"{low} to {high} epochs", lambda case, low=low, high=high: low <= case.epochs <= high)
            for low, high in ((5, 9), (10, 19), (20, 49), (50, 200))
        ),
        *((f"noise {noise:.0%}", lambda case, noise=noise: case.noise == noise) for noise in histories.NOISES),
        *((f"written down as: {form}", lambda case, form=form: case.form == form) for form in histories.FORMS),
    ]
    rows = {}
    for name, belongs in groups:
        part = [pair for pair in decidable if belongs(pair[0])]
        rows[name] = {
            "verdict": count(part, correct),
            "onset": count([pair for pair in part if pair[0].verdict == "overfitting"], onset_near),
        }
    return {
        "groups": rows,
        "interval": count([pair for pair in overfit if pair[0].onset is not None], onset_covered),
        "near_a_limit": count([pair for pair in natural if not pair[0].decidable], correct),
        "natural": count(natural, correct),
        "certain": count([pair for pair in natural if pair[1].certainty >= 0.9], correct),
    }


def tables(result: dict[str, Any]) -> list[str]:
    """Write the rates as the document has them."""

    def percent(held: int, number: int) -> str:
        return f"{100 * held / number:.1f}% of {number:,}" if number else "–"

    lines = ["| histories | verdict correct | gap opens within ±2 epochs |", "| --- | --- | --- |"]
    for name, row in result["groups"].items():
        bold = "**" if name == "all" else ""
        cells = [f"{bold}{percent(*row[column])}{bold}" for column in ("verdict", "onset")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    border, everything = result["near_a_limit"], result["natural"]
    return [
        *lines,
        "",
        "The interval of the epoch at which the gap opens, meant to hold in 90%, holds in "
        f"{percent(*result['interval'])}.",
        "",
        f"Drawn as they come, {100 * border[1] / max(1, everything[1]):.0f}% of the histories lie near a limit. There "
        f"the verdict is correct in {percent(*border)}; over everything that comes it is correct in "
        f"{percent(*everything)}, and where it calls itself at least 90% certain, in {percent(*result['certain'])}.",
    ]


def figures() -> list[str]:
    """Write the stored rates as the document has them."""
    result = measured.stored("diagnosis")
    return [f"{result['count']:,} fresh histories, from seed {result['seed']} on.", "", *tables(result)]


PARTS = (documents.Part("docs/overfitting.md", "rates: made by benchmarks/diagnosis_check.py", figures),)


def main() -> int:
    parser = measured.parser(__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="histories [default: 2000]")
    parser.add_argument("--seed", type=int, default=None, help="first seed [default: from the clock]")
    parser.add_argument("--write", action="store_true", help="store the rates and write docs/overfitting.md")
    parser.add_argument("--misses", action="store_true", help="name each history that came out wrong")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else time.time_ns() // 1_000 % 10**12 + 10**9
    started = time.perf_counter()
    decidable = run(histories.decidable_cases(seed, arguments.count))
    natural = run(histories.make(seed + arguments.count + number) for number in range(arguments.count))
    result = {"count": arguments.count, "seed": seed, **rates(decidable, natural)}
    took = time.perf_counter() - started
    print(f"{arguments.count:,} histories from seed {seed} on, {took:.0f} s", "", *tables(result), sep="\n")
    if arguments.misses:
        for case, found in decidable:
            if not correct((case, found)):
                print(case.seed, case.form, case.epochs, case.noise, case.verdict, "->", found.verdict, found.votes)
    if arguments.write:
        measured.store("diagnosis", result)
        documents.write(*PARTS)
    every = result["groups"]["all"]
    good = every["verdict"][0] >= 0.95 * every["verdict"][1] and every["onset"][0] >= 0.9 * every["onset"][1]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
