"""Makes the tables of docs/serving.md from what `serve_load.py` stored, and tells which bars hold."""

import statistics

import measured

# Memory may rise by this factor during overload and still count as no growth: the measure itself wavers.
_GROWTH = 1.05


def verdicts(result: dict) -> list[tuple[bool, str]]:
    """Return for each bar whether it holds, and the figures."""
    bars, medians = [], result["medians"]
    for processes in (1, 2):
        one, two = medians[f"plain, {processes}"], medians[f"ours, {result['faster']}, {processes}"]
        times = two["requests_per_second"] / one["requests_per_second"]
        name = f"{processes} process{'es' if processes > 1 else ''}"
        bars.append((times >= 1.3, f"{name}: {times:.2f} times the plain endpoint's throughput (at least 1.3)"))
        late = f"p99 {two['p99_ms']:.1f} against {one['p99_ms']:.1f} ms (no worse)"
        bars.append((two["p99_ms"] <= one["p99_ms"], f"{name}: {late}"))
    load = result["overload"]
    before, over, later = load["before"], load["overload"], load["later"]
    counts = over["counts"]
    others = {key: count for key, count in counts.items() if key not in ("200", "503", "unsent") and count}
    bars.append(
        (
            counts.get("503", 0) > 0 and not others,
            f"overload: {counts.get('200', 0):,} answered, {counts.get('503', 0):,} refused with 503, "
            f"{counts.get('unsent', 0):,} never sent for want of a free connection; "
            f"{sum(others.values()):,} anything else (none)",
        )
    )
    one, two = _p99(before), _p99(over)
    bars.append(
        (two <= 5 * one, f"overload: p99 of what was accepted {two:.1f} ms, normally {one:.1f} (at most 5 times)")
    )
    early, late = growth(over["memory_bytes"])
    held = f"{early / 2**20:.0f} MiB in its second quarter, {late / 2**20:.0f} in its last"
    bars.append((late <= _GROWTH * early, f"overload: memory {held} (no growth)"))
    normal = set(filter(later["counts"].get, later["counts"])) == {"200"} and _p99(later) <= 2 * one
    bars.append((normal, f"5 s after: {later['counts'].get('200', 0):,} answered, p99 {_p99(later):.1f} ms (normal)"))
    stops = result["sigterm"]
    lost = sum(row["counts"].get("lost", 0) + row["counts"].get("unanswered", 0) for row in stops)
    clean = lost == 0 and len(stops) >= 10 and all(row["exit"] == 143 for row in stops)
    bars.append(
        (
            clean,
            f"{len(stops)} stops under load: accepted requests lost: {lost or 'none'} (10 stops, none)",
        )
    )
    return bars


def growth(samples: list[int]) -> tuple[float, float]:
    """Return the mean of the second quarter and of the last; in the first, connections and buffers are made."""
    quarter = max(1, len(samples) // 4)
    return statistics.mean(samples[quarter : 2 * quarter] or samples), statistics.mean(samples[-quarter:])


def figures() -> list[str]:
    """Write the stored figures as the document has them."""
    result = measured.stored("serving")
    lines = [
        f"On {measured.machine(result['environment'])}, which client and server share; medians of "
        f"{1 + max(row['round'] for row in result['single'])} rounds (`benchmarks/serve_load.py`). One picture a "
        "request, 16 connections; *plain* is FastAPI and ONNX Runtime in 20 lines:",
        "",
        "| server | processes | requests a second | p50, ms | p99, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, row in result["medians"].items():
        name, _, processes = key.rpartition(", ")
        figures = f"{row['requests_per_second']:,.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f}"
        lines.append(f"| {name} | {processes} | {figures} |")
    lines += ["", "64 pictures a request, 4 connections:", "", "| server | processes | pictures a second |"]
    lines.append("| --- | --- | --- |")
    for key in dict.fromkeys((row["server"], row["processes"]) for row in result["batch"]):
        rows = [row["pictures_per_second"] for row in result["batch"] if (row["server"], row["processes"]) == key]
        lines.append(f"| {key[0]} | {key[1]} | {statistics.median(rows):,.0f} |")
    lines += ["", f"One process with {result['faster']}, requests at a fixed rate, answered or not:", ""]
    head = (
        "",
        "wanted a second",
        "sent",
        "answered",
        "refused",
        "p99 of the answered, ms",
        "client's lag",
        "memory, MiB",
    )
    lines.append("| " + " | ".join(head) + " |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    names = {
        "before": "half of its throughput",
        "overload": "five times its throughput wanted",
        "later": "half, 5 s after",
    }
    for key, name in names.items():
        row = result["overload"][key]
        counts = f"{row['counts'].get('200', 0):,} | {row['counts'].get('503', 0):,}"
        figures = f"{_p99(row):.1f} | {row['lag_p99_ms']:.1f} | {growth(row['memory_bytes'])[1] / 2**20:.0f}"
        lines.append(f"| {name} | {row['rate']:,.0f} | {row['sent_per_second']:,.0f} | {counts} | {figures} |")
    return [*lines, "", *(f"- {'' if holds else '**Missed:** '}{text}" for holds, text in verdicts(result))]


def _p99(part: dict) -> float:
    return part["latencies"].get("200", {}).get("p99_ms", float("inf"))
