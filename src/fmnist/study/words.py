"""Tells a study's result in a plain sentence for each variant, and as a text with its tables. Reads no files."""

from typing import Any

from fmnist.study.definition import MAX_SEEDS
from fmnist.study.result import BY_NAME, CANNOT_TELL, HELPS, HURTS, SAME, outcome
from fmnist.study.tables import Row, mean_cell, pipes, titled, with_margin
from fmnist.text import number, percent, plural

# A run that takes this much more or less time than the baseline's is worth a word.
_SLOWER, _FASTER = 1.15, 0.87


def add_sentences(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result with a `sentence` for each variant and `notes` on how to read the table."""
    base, *others = result["variants"]
    variants = [{**base, "sentence": _about_baseline(base)}]
    variants += [{**row, "sentence": sentence(row, base, len(result["seeds"]))} for row in others]
    return {**result, "variants": variants, "notes": _notes(result)}


def sentence(row: Row, base: Row, seeds: int) -> str:
    """Say what a variant does to the gap and to the test accuracy, as far as the seeds can tell."""
    lost = [run for run in row["runs"] if run["state"] != "finished"]
    if len(lost) == len(row["runs"]):
        return f"{row['name']} failed with every seed: {lost[0]['message']}."
    does, unknown = [], []
    for what, difference, name, words_of in (
        ("the gap", row["difference"]["gap"], "gap", lambda found: _gap_words(found, row, base)),
        ("the test accuracy", row["test_difference"]["test_accuracy"], "test_accuracy", _accuracy_words),
    ):
        found = outcome(difference, BY_NAME[name]) if difference else None
        if found == CANNOT_TELL:
            unknown.append(f"{what} ({_points(difference, name)}{_enough_seeds(difference)})")
        elif found == SAME:
            does.append(f"makes no difference worth having to {what} ({_points(difference, name)})")
        elif found:
            does.append(words_of(difference))
    told, cannot = " and ".join(does) + _loss_words(row, bool(does)), " or ".join(unknown)
    time, with_seeds = _time_words(row, base), f"with {plural(seeds, 'seed')}"
    if told:
        told = f"{row['name']} {told}{time}."
        told += f" {with_seeds.capitalize()} it cannot be told whether it changes {cannot}." if cannot else ""
    else:
        told = f"{row['name']}: {with_seeds} it cannot be told whether it changes {cannot or 'anything'}{time}."
    told += _corrupted_words(row)
    if lost:
        told += f" Its loss stopped being a number with {len(lost)} of {seeds} seeds, which are left out here."
    return told


def _points(difference: Row, name: str) -> str:
    return f"{with_margin(difference, BY_NAME[name], 1)} points"


def _enough_seeds(difference: Row) -> str:
    """Say how many seeds would tell, where a result has it."""
    if "seeds_to_tell" not in difference:
        return ""
    seeds = difference["seeds_to_tell"]
    return f"; --seeds {seeds} would tell" if seeds else f"; not even {MAX_SEEDS} seeds would tell"


def _gap_words(difference: Row, row: Row, base: Row) -> str:
    """Say what became of a gap that changed measurably."""
    closed = row["gap_closed"]
    before, after = (number(100 * part["summary"]["gap"]["mean"], 1) for part in (base, row))
    if difference["mean"] < 0 and closed is not None:
        return f"closes {percent(closed, 0) if closed < 0.995 else 'all'} of the gap ({before} to {after} points)"
    verb, size = (
        "widens" if difference["mean"] > 0 else "lowers",
        with_margin(difference, BY_NAME["gap"], 1, sign=False),
    )
    return f"{verb} the gap by {size} points ({before} to {after} points)"


def _accuracy_words(difference: Row) -> str:
    """Say what became of a test accuracy that changed measurably."""
    verb = "gains" if difference["mean"] > 0 else "costs"
    return f"{verb} {with_margin(difference, BY_NAME['test_accuracy'], 1, sign=False)} points of test accuracy"


def _corrupted_words(row: Row) -> str:
    """Say what a variant does on corrupted images, on average and most with which; nothing where none were met."""
    whole, metric = row["difference"].get("corrupted"), BY_NAME["corrupted"]
    if not whole:
        return ""
    verbs = {HELPS: "gains", HURTS: "costs"}
    found, points = outcome(whole, metric), with_margin(whole, metric, 1)
    if found in verbs:
        told = f"On corrupted images it {verbs[found]} {with_margin(whole, metric, 1, sign=False)} points"
    elif found == SAME:
        told = f"On corrupted images it makes no difference worth having ({points} points)"
    else:
        told = f"On corrupted images it cannot be told whether it helps ({points} points)"
    for wanted, verb in verbs.items():
        kinds = [(kind, one) for kind, one in row["corruptions"].items() if one and outcome(one, metric) == wanted]
        kinds = sorted(kinds, key=lambda pair: -abs(pair[1]["mean"]))
        if kinds:
            told += f"; it {verb} most with " + " and ".join(
                f"{kind} ({with_margin(one, metric, 1)})" for kind, one in kinds[:2]
            )
    return f" {told}."


def _loss_words(row: Row, goes_on: bool) -> str:
    difference, metric = row["test_difference"]["test_loss"], BY_NAME["test_loss"]
    if difference is None or outcome(difference, metric) not in (HELPS, HURTS):
        return ""
    verb = "lowers" if difference["mean"] < 0 else "raises"
    return f"{'; it ' if goes_on else ''}{verb} the test loss by {with_margin(difference, metric, 3, sign=False)}"


def _time_words(row: Row, base: Row) -> str:
    mine, theirs = row["summary"]["seconds"], base["summary"]["seconds"]
    ratio = mine["mean"] / theirs["mean"] if mine and theirs and theirs["mean"] else 1.0
    return f"; it takes {ratio:.1f} times as long" if ratio > _SLOWER or ratio < _FASTER else ""


def _about_baseline(base: Row) -> str:
    found = base["summary"]
    if found["test_accuracy"] is None:
        return f"The baseline failed with every seed: {base['runs'][0]['message']}."
    told = f"The baseline reaches {mean_cell(found['test_accuracy'], BY_NAME['test_accuracy'])}% on the test set"
    if found["gap"]:
        told += f", with a gap of {mean_cell(found['gap'], BY_NAME['gap'])} points between training and validation"
    if found.get("corrupted"):
        told += f", and {mean_cell(found['corrupted'], BY_NAME['corrupted'])}% on corrupted images"
    return told + "."


def markdown(result: Row) -> str:
    """Return the contents of `table.md`."""
    parts = [f"# Study {result['name']}", result["description"], setup(result)]
    parts += ["## What it shows", "\n".join(f"- {row['sentence']}" for row in result["variants"])]
    for title, table in titled(result):
        parts += [f"## {title}", pipes(table)]
    parts += ["\n".join(f"- {note}" for note in result["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def setup(result: Row) -> str:
    """Say on what and for how long every run was trained."""
    images, seeds = result["dataset"], ", ".join(map(str, result["seeds"]))
    length = f"{result['time_budget']:g} s of training" if result.get("time_budget") else f"{result['epochs']} epochs"
    return (
        f"Preset {result['preset']}, {images['num_train']:,} training and {images['num_validation']:,} validation "
        f"images, {images['num_test']:,} test images, {length}, seeds {seeds}."
    )


def _notes(result: Row) -> list[str]:
    seeds, count = len(result["seeds"]), len(result["variants"]) - 1
    notes = ["Every variant has the same seeds and splits as the baseline, and differences are taken seed by seed."]
    if seeds > 1:
        notes.append(
            "Intervals of differences on the test set hold for other seeds and other test images (crossed random "
            "effects); the others hold for other seeds (Student's t)."
        )
    else:
        notes.append(
            "With one seed the intervals on the test set hold for other images only; another seed may turn a "
            "difference round, and nothing else has an interval."
        )
    accuracy, gap = (number(100 * BY_NAME[name].worth, 1) for name in ("test_accuracy", "gap"))
    notes.append(
        f"No difference worth having: the 95% interval lies within ±{accuracy} points of test accuracy, or ±{gap} "
        "points of the gap."
    )
    notes.append("Final gap: training minus validation accuracy at the epoch whose weights the model has.")
    if count > 1:
        notes.append(
            f"Each interval holds in 95% by itself: if none of the {count} variants changed anything, at least one "
            f"would still seem to, in about {percent(1 - 0.95**count, 0)} of such studies."
        )
    return notes
