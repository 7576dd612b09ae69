"""How often the diagnosis is right: fresh synthetic histories with a known truth, rates by kind, length, noise.

    python benchmarks/diagnosis_check.py                      # 2,000 histories, about a minute
    python benchmarks/diagnosis_check.py --count 500 --seed 1

Without `--seed` the seeds come from the clock: nobody has seen these histories before. With `--write` the tables
replace those in docs/overfitting.md.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

# Many small matrices: several threads would only wait for each other (ten times as long, measured on two busy cores).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import histories  # noqa: E402

from fmnist.diagnosis import Diagnosis, diagnose  # noqa: E402

DOCS = ROOT / "docs" / "overfitting.md"
MARKS = ("<!-- rates: made by benchmarks/diagnosis_check.py -->", "<!-- end of rates -->")
Pair = tuple[histories.Case, Diagnosis]


def run(cases: Iterable[histories.Case]) -> list[Pair]:
    return [(case, diagnose(case.columns, validation_size=case.validation_size)) for case in cases]


def right(pair: Pair) -> bool:
    return pair[0].verdict == pair[1].verdict


def onset_near(pair: Pair) -> bool:
    """Whether the epoch at which the gap opens is right to two epochs; where it does not open, none must be named."""
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


def rate(pairs: list[Pair], test: Callable[[Pair], bool]) -> str:
    return f"{100 * sum(map(test, pairs)) / len(pairs):.1f}% of {len(pairs):,}" if pairs else "–"


def tables(decidable: list[Pair], natural: list[Pair]) -> str:
    overfit = [pair for pair in decidable if pair[0].verdict == "overfitting"]
    groups: list[tuple[str, Callable[[histories.Case], bool]]] = [
        *((kind, lambda case, kind=kind: case.verdict == kind) for kind in histories.KINDS),
        *(
            (f"{low} to {high} epochs", lambda case, low=low, high=high: low <= case.epochs <= high)
            for low, high in ((5, 9), (10, 19), (20, 49), (50, 200))
        ),
        *((f"noise {noise:.0%}", lambda case, noise=noise: case.noise == noise) for noise in histories.NOISES),
        *((f"written down as: {form}", lambda case, form=form: case.form == form) for form in histories.FORMS),
    ]
    lines = ["| histories | verdict right | gap opens within ±2 epochs |", "| --- | --- | --- |"]
    lines.append(f"| all | **{rate(decidable, right)}** | **{rate(overfit, onset_near)}** |")
    for name, belongs in groups:
        part = [pair for pair in decidable if belongs(pair[0])]
        lines.append(f"| {name} | {rate(part, right)} | {rate([p for p in part if p in overfit], onset_near)} |")
    border = [pair for pair in natural if not pair[0].decidable]
    named = [pair for pair in overfit if pair[0].onset is not None]
    sure = [pair for pair in natural if pair[1].certainty >= 0.9]
    lines += [
        "",
        "The interval of the epoch at which the gap opens, meant to hold in 90%, holds in "
        f"{rate(named, onset_covered)}.",
        "",
        f"Drawn as they come, {100 * len(border) / max(1, len(natural)):.0f}% of the histories lie near a limit. "
        "There the "
        f"verdict is right in {rate(border, right)}; over everything that comes it is right in "
        f"{rate(natural, right)}, and "
        f"where it calls itself at least 90% certain, in {rate(sure, right)}.",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2_000, help="histories [default: 2000]")
    parser.add_argument("--seed", type=int, default=None, help="first seed [default: from the clock]")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/overfitting.md")
    parser.add_argument("--misses", action="store_true", help="name each history that came out wrong")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else time.time_ns() // 1_000 % 10**12 + 10**9
    started = time.perf_counter()
    decidable = run(histories.decidable_cases(seed, arguments.count))
    natural = run(histories.make(seed + arguments.count + number) for number in range(arguments.count))
    text = tables(decidable, natural)
    print(f"{arguments.count:,} histories from seed {seed} on, {time.perf_counter() - started:.0f} s\n\n{text}")
    if arguments.misses:
        for case, found in decidable:
            if not right((case, found)):
                print(case.seed, case.form, case.epochs, case.noise, case.verdict, "->", found.verdict, found.votes)
    if arguments.write:
        block = f"{MARKS[0]}\n{arguments.count:,} fresh histories, from seed {seed} on.\n\n{text}\n{MARKS[1]}"
        old = DOCS.read_text("utf-8")
        DOCS.write_text(re.sub(f"{MARKS[0]}.*?{MARKS[1]}", lambda _: block, old, flags=re.DOTALL), encoding="utf-8")
    overfit = [pair for pair in decidable if pair[0].verdict == "overfitting"]
    good = sum(map(right, decidable)) >= 0.95 * len(decidable) and sum(map(onset_near, overfit)) >= 0.9 * len(overfit)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
