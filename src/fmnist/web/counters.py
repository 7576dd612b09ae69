"""Counts what happened, for Prometheus. All processes of a server write into one file, each into its own row.

`prometheus_client` was measured in its multiprocess mode: it takes 40 to 50 µs more of a request than this array
does, a fifth of all its processor time, and cannot read a file that another process is about to make.
"""

import itertools
from pathlib import Path

import numpy as np

from fmnist.web.problems import KINDS

ROUTES = ("predict", "model", "page", "other")
STATUSES = (*sorted({200, 204, 304, *(kind.status for kind in KINDS.values())}), "other")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
# Name in the code: name for Prometheus, type, meaning.
_SINGLE = {
    "pictures": ("pictures_total", "counter", "Pictures that were answered."),
    "compute_seconds": ("compute_seconds_total", "counter", "Time in the model's runtime."),
    "dropped": ("dropped_total", "counter", "Connections ended by us: too slow, silent or too many."),
    "starts": ("worker_starts_total", "counter", "Starts of answering processes; more than there are means restarts."),
    "in_flight": ("in_flight", "gauge", "Predictions under way."),
    "ready": ("workers_ready", "gauge", "Processes that take requests."),
}
_COLUMNS = [
    *(("requests", route, status) for route in ROUTES for status in STATUSES),
    *(("refused", code) for code in KINDS),
    *(("seconds", bound) for bound in (*SECONDS, "more", "sum")),
    *(("batch", bound) for bound in (*BATCHES, "more", "sum")),
    *((name,) for name in _SINGLE),
]
_PLACE = {column: place for place, column in enumerate(_COLUMNS)}


class Counters:
    """The counts of one process, and the sums over all.

    The rows of the common file `path` are the processes'; without one, this process counts alone. A process that is
    started again goes on in its row, so that no count ever falls.
    """

    def __init__(self, path: Path | None = None, worker: int = 0, workers: int = 1) -> None:
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

        def tell(name: str, kind: str, meaning: str, counts: dict[str, float]) -> None:
            lines.extend([f"# HELP fmnist_{name} {meaning}", f"# TYPE fmnist_{name} {kind}"])
            for ending, count in counts.items():
                lines.append(f"fmnist_{name}{ending} {count:{'.0f' if count.is_integer() else '.10g'}}")

        def histogram(name: str, bounds: tuple[float, ...]) -> dict[str, float]:
            sums = itertools.accumulate(total[name, bound] for bound in (*bounds, "more"))
            counts = {f'_bucket{{le="{bound}"}}': count for bound, count in zip((*bounds, "+Inf"), sums, strict=True)}
            return counts | {"_sum": total[name, "sum"], "_count": counts['_bucket{le="+Inf"}']}

        answered = {column: count for column, count in total.items() if column[0] == "requests" and count}
        requests = {f'{{route="{route}",status="{status}"}}': count for (_, route, status), count in answered.items()}
        tell("requests_total", "counter", "Answered requests.", requests)
        refused = {f'{{code="{code}"}}': total["refused", code] for code in KINDS}
        tell("refused_total", "counter", "Requests that got no answer, by code.", refused)
        meaning = "Time from a prediction's headers to its answer."
        tell("request_seconds", "histogram", meaning, histogram("seconds", SECONDS))
        tell("batch_pictures", "histogram", "Pictures that were computed together.", histogram("batch", BATCHES))
        for column, (name, kind, meaning) in _SINGLE.items():
            tell(name, kind, meaning, {"": total[column,]})
        return "\n".join(lines) + "\n"
