"""Puts a study's result into tables, and its numbers into cells. Reads no files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fmnist.study.result import BY_NAME, Metric, shown
from fmnist.text import number, percent, plural

Row = Mapping[str, Any]
_MARGIN = "difference to the baseline ± half of its 95% interval"


def titled(result: Row) -> list[tuple[str, list[list[str]]]]:
    """Return each table of a result with its title."""
    mean = f"Mean ± standard deviation over {plural(len(result['seeds']), 'seed')}"
    tables = [(mean, value_table(result)), (_MARGIN.capitalize(), difference_table(result))]
    corruptions = corruption_table(result)
    return tables + ([(f"Accuracy on corrupted images, points: {_MARGIN}", corruptions)] if corruptions[1:] else [])


def _verdicts(row: Row) -> str:
    """Return the diagnoses of a variant's runs: `overfitting`, or `overfitting 2, good fit 1`; or how many failed."""
    counts = Counter(run.get("verdict", "failed" if run["state"] != "finished" else "–") for run in row["runs"])
    return ", ".join(f"{name} {count}" if len(counts) > 1 else name for name, count in counts.most_common())


def value_table(result: Row) -> list[list[str]]:
    """Return the table of means, its header first."""
    metrics = shown(result)
    table = [["variant", *(metric.title for metric in metrics), "diagnosis"]]
    for row in result["variants"]:
        table.append([row["name"], *(_value_cell(row, metric) for metric in metrics), _verdicts(row)])
    return table


def difference_table(result: Row) -> list[list[str]]:
    """Return the table of differences to the baseline, its header first."""
    metrics = shown(result)
    table = [["variant", *(metric.title.replace(", %", ", points") for metric in metrics), "gap closed"]]
    for row in result["variants"][1:]:
        closed = "–" if row["gap_closed"] is None else percent(row["gap_closed"], 0)
        table.append([row["name"], *(_difference_cell(row, metric) for metric in metrics), closed])
    return table


def corruption_table(result: Row) -> list[list[str]]:
    """Return the differences in accuracy for each corruption, its header first; nothing else where none were met."""
    base, *others = result["variants"]
    metric = BY_NAME["corrupted"]
    table = [["corruption", "baseline, %", *(row["name"] for row in others)]]
    for kind in others[0].get("corruptions", {}):
        values = [run["corruptions"][kind] for run in base["runs"] if run.get("corruptions")]
        found = (row["corruptions"].get(kind) for row in others)
        cells = (with_margin(one, metric, 1) if one else "–" for one in found)
        table.append([kind, number(metric.scale * sum(values) / len(values), 1), *cells])
    return table


def _difference_cell(row: Row, metric: Metric) -> str:
    # Those on the test set hold for other images too.
    difference = row["test_difference"].get(metric.name) or row["difference"][metric.name]
    if difference is None:
        return "–"
    if metric.name == "parameters":
        return _signed(difference, metric)
    return with_margin(difference, metric, metric.digits)


def _value_cell(row: Row, metric: Metric) -> str:
    """Return one cell of the table of means; an onset says in how many runs the gap opens at all."""
    summary, runs = row["summary"][metric.name], [run for run in row["runs"] if run["state"] == "finished"]
    if summary is None:
        judged = [run for run in runs if run.get("verdict", "too short to tell") != "too short to tell"]
        return "never" if metric.name == "onset" and judged else "–"
    text = mean_cell(summary, metric)
    return f"{text} ({summary['n']} of {len(runs)})" if metric.name == "onset" and summary["n"] < len(runs) else text


def mean_cell(summary: Row, metric: Metric) -> str:
    """Return `91.52 ± 0.20`: mean and standard deviation over seeds, as far as there are several."""
    mean = number(metric.scale * summary["mean"], metric.digits)
    if summary["sd"] is None or (metric.name == "parameters" and not summary["sd"]):
        return mean
    return f"{mean} ± {number(metric.scale * summary['sd'], metric.digits)}"


def margin(difference: Row) -> float | None:
    """Return the half-width of a difference's 95% interval, or None where it has none."""
    return None if difference["interval"] is None else (difference["interval"][1] - difference["interval"][0]) / 2


def with_margin(difference: Row, metric: Metric, digits: int, sign: bool = True) -> str:
    """Return `+0.9 ± 0.2`; with a digit more where the margin would round to nothing."""
    half, mean = margin(difference), metric.scale * difference["mean"]
    if half is not None and 0 < metric.scale * half < 0.5 * 10**-digits:
        digits += 1
    told = number(mean if sign else abs(mean), digits, sign=sign)
    return told if half is None else f"{told} ± {number(metric.scale * half, digits)}"


def _signed(difference: Row, metric: Metric) -> str:
    return number(metric.scale * difference["mean"], metric.digits, sign=True)


def pipes(table: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first lean to the right."""
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(table[0]) - 1), *lines[1:]])
