"""Makes the table of `docs/reliability.md` from `benchmarks/results/torture.json`.

python benchmarks/torture_docs.py
"""

from collections import Counter

import documents
import measured

# What was done in a part, and what came of it.
WORDS = {
    "kills": lambda r: (
        f"{r['at_random']} SIGKILLs at random moments and {r['inside_saves']} inside saves, over {r['runs']} runs of "
        f"{r['recipes']} recipes",
        f"{r['equal']} of {r['runs']} runs ended in the same bits; {len(r['unreadable'])} unreadable checkpoints",
    ),
    "saves": lambda r: (f"{r['kills']} SIGKILLs inside saves of a process that only saves", "a whole one each time"),
    "damage": lambda r: (
        f"the newest checkpoint cut, or a bit flipped, at {r['places']} places",
        f"{r['noticed']} noticed and named, the one before used",
    ),
    "disk": lambda r: (
        f"the disk full at each of {r['while_training']} writes while training and {r['after_training']} after it"
        + (f", and {r['tmpfs']} times on a small tmpfs" if r["tmpfs"] else ""),
        "told each time, exit code 1; the last checkpoint whole; resumed to the same bits",
    ),
    "malformed": lambda r: (
        f"{sum(sum(one['refused'].values()) for one in r['sets'])} malformed IDX, gzip, CSV, JSON and YAML files",
        f"one error each, {sum(len(one['tracebacks']) for one in r['sets'])} tracebacks, "
        f"{max(one['grown_mib'] for one in r['sets']):.0f} MiB more memory at most",
    ),
    "hostile": lambda r: (
        f"hostile model files: {', '.join(f'{count} {kind}' for kind, count in r['files'].items())}",
        f"{len(r['opened'])} opened; {'SOMETHING' if r['ran'] else 'nothing'} ran or was written",
    ),
    "cache": lambda r: (
        f"data cache: {r['kills']} SIGKILLs in downloads, then 8 processes at once; its tests: {r['tests']}",
        f"{r['bad']} bad reads",
    ),
    "signals": lambda r: (
        f"SIGTERM at {len(r['sigterm'])} moments, {r['sigterm'][0]['after']} to {r['sigterm'][-1]['after']} s after "
        f"the start; {len(r['refused'])} second writers",
        f"exit code 143 within {max(one['seconds'] for one in r['sigterm']):.1f} s; refused within "
        f"{max(one['seconds'] for one in r['refused']):.1f} s",
    ),
    "memory": lambda r: (
        "200 epochs of a small run",
        f"{r['mib_after_epoch']['50']:.0f} MiB after epoch 50, {r['mib_after_epoch']['200']:.0f} MiB after epoch 200",
    ),
    "deterministic": lambda r: (
        f"the reference network with one seed {r['runs']} times, with and without `--deterministic` in turn",
        f"{r['same']} of {r['runs']} the bits of their kind; {r['ratio']:.2f} times the seconds with it (medians)",
    ),
    "stall": lambda r: (
        "a checkpoint of the reference network with Adam, 4.3 MB",
        f"{r['median_ms']:.0f} ms (median of 40): {100 * r['share']:.2f}% of the 30 s between two",
    ),
}


def figures() -> list[str]:
    """Write the stored figures as the document has them."""
    results = measured.stored("torture")
    lines = ["", "| done | outcome | |", "| --- | --- | --- |"]
    for name, result in results.items():
        if name in WORDS:
            what, outcome = WORDS[name](result)
            lines.append(f"| {what} | {outcome} | {'✓' if result['good'] else '✗'} |")
    lines += ["", "| what other people have | tried | outcome | |", "| --- | --- | --- | --- |"]
    for kinds in zip(*(one["kinds"].values() for one in results["strangers"]["sets"]), strict=True):
        outcomes = sum((Counter(kind["outcomes"]) for kind in kinds), Counter())
        wrong = sum(len(kind["wrong"]) for kind in kinds)
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
        tried = f"{outcomes.total() + wrong:,}"
        lines.append(f"| {kinds[0]['promise']} | {tried} | {told}, {wrong} otherwise | {'✗' if wrong else '✓'} |")
    facts = results["environment"]
    versions = f"Python {facts['python']}, Keras {facts['keras']}, TensorFlow {facts['tensorflow']}"
    days = sorted({result["date"] for result in results.values() if "date" in result})
    return [
        *lines,
        "",
        f"Measured on {measured.machine(facts)}; {versions}; {' to '.join(days[:: len(days) - 1 or 1])}.",
        "",
    ]


PARTS = (documents.Part("docs/reliability.md", "figures: made by benchmarks/torture_docs.py", figures),)

if __name__ == "__main__":
    measured.parser(__doc__).parse_args()
    documents.write(*PARTS)
