"""Counts of what happened, for Prometheus. All processes of a server write into one file, each its own row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fmnist.web.problems import KINDS

ROUTES = ("predict", "model", "page", "other")
STATUSES = tuple(sorted({200, 204, 304, *(kind.status for kind in KINDS.values())}))
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = [
    *(("requests", route, status) for route in ROUTES for status in (*STATUSES, "other")),
    *(("refused", code) for code in KINDS),
    *(("seconds", bound) for bound in (*SECONDS, "more", "sum")),
    *(("batch", bound) for bound in (*BATCHES, "more", "sum")),
    *((name,) for name in ("in_flight", "ready", "starts", "pictures", "compute_seconds", "dropped")),
]
_PLACE = {column: place for place, column in enumerate(_COLUMNS)}


class Counters:
    """The counts of one process, and the sums over all.

    A process that is started again goes on in its row, so that no count ever falls.
    """

    def __init__(self, path: Path | None = None, worker: int = 0, workers: int = 1) -> None:
        """Open the common file, or count alone where there is none.

        Args:
            path: of the file; made where it is missing.
            worker: this process's row, from 0.
            workers: number of rows.
        """
        shape = (workers, len(_COLUMNS))
        if path is None:
            self.rows: np.ndarray = np.zeros(shape)
        else:
            self.rows = np.memmap(path, np.float64, "r+" if path.exists() else "w+", shape=shape)
        self._row = self.rows[worker]
        self.clear(worker)

    def add(self, *column: object, amount: float = 1) -> None:
        """Add to a count."""
        self._row[_PLACE[column]] += amount

    def put(self, name: str, value: float) -> None:
        """Set what can also fall: `in_flight`, `ready`."""
        self._row[_PLACE[name,]] = value

    def request(self, route: str, status: int) -> None:
        """Count an answered request."""
        self._row[_PLACE.get(("requests", route, status), _PLACE["requests", route, "other"])] += 1

    def took(self, seconds: float) -> None:
        """Count the time that an answered prediction took, in seconds."""
        self._observe("seconds", SECONDS, seconds)

    def batch(self, pictures: int, seconds: float) -> None:
        """Count a batch that was computed, and its seconds."""
        self._observe("batch", BATCHES, pictures)
        self.add("compute_seconds", amount=seconds)

    def _observe(self, name: str, bounds: tuple[float, ...], value: float) -> None:
        self.add(name, next((bound for bound in bounds if value <= bound), "more"))
        self.add(name, "sum", amount=value)

    def total(self, name: str) -> float:
        """Return the sum of a single column over all processes."""
        return float(self.rows[:, _PLACE[name,]].sum())

    def clear(self, worker: int) -> None:
        """Note that a process has ended: it neither takes nor holds requests."""
        self.rows[worker, [_PLACE["in_flight",], _PLACE["ready",]]] = 0

    def text(self) -> str:
        """Return the sums over all processes in Prometheus's text format."""
        total = dict(zip(_COLUMNS, self.rows.sum(axis=0).tolist(), strict=True))
        lines: list[str] = []

        def head(name: str, kind: str, help_text: str) -> None:
            lines.extend([f"# HELP fmnist_{name} {help_text}", f"# TYPE fmnist_{name} {kind}"])

        head("requests_total", "counter", "Answered requests.")
        for route in ROUTES:
            for status in (*STATUSES, "other"):
                if count := total["requests", route, status]:
                    lines.append(f'fmnist_requests_total{{route="{route}",status="{status}"}} {count:.0f}')
        head("refused_total", "counter", "Requests that got no answer, by code.")
        lines += [f'fmnist_refused_total{{code="{code}"}} {total["refused", code]:.0f}' for code in KINDS]
        head("request_seconds", "histogram", "Time from a prediction's headers to its answer.")
        lines += _histogram("request_seconds", SECONDS, [total["seconds", key] for key in (*SECONDS, "more", "sum")])
        head("batch_pictures", "histogram", "Pictures that were computed together.")
        lines += _histogram("batch_pictures", BATCHES, [total["batch", key] for key in (*BATCHES, "more", "sum")])
        for name, kind, help_text in (
            ("pictures_total", "counter", "Pictures that were answered."),
            ("compute_seconds_total", "counter", "Time in the model's runtime."),
            ("dropped_total", "counter", "Connections ended by us: too slow, silent or too many."),
            ("worker_starts_total", "counter", "Starts of answering processes; more than there are means restarts."),
            ("in_flight", "gauge", "Predictions under way."),
            ("workers_ready", "gauge", "Processes that take requests."),
        ):
            head(name, kind, help_text)
            column = {"worker_starts_total": "starts", "workers_ready": "ready"}.get(name, name.removesuffix("_total"))
            lines.append(f"fmnist_{name} {total[column,]:.10g}")
        return "\n".join(lines) + "\n"


def _histogram(name: str, bounds: tuple[float, ...], counts: list[float]) -> list[str]:
    *parts, total = counts
    sums = np.cumsum(parts)
    lines = [f'fmnist_{name}_bucket{{le="{bound:g}"}} {count:.0f}' for bound, count in zip(bounds, sums, strict=False)]
    lines.append(f'fmnist_{name}_bucket{{le="+Inf"}} {sums[-1]:.0f}')
    return [*lines, f"fmnist_{name}_sum {total:.10g}", f"fmnist_{name}_count {sums[-1]:.0f}"]
