"""`fmnist benchmark`: measures speed, size, memory and accuracy of a run's exported files, beside Keras."""

from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import print_table, say, tell
from fmnist.data.dataset import Dataset
from fmnist.run.directory import RunDirectory
from fmnist.text import percent, size


@options.run_command("benchmark", "fmnist benchmark latest", "fmnist benchmark runs/first --json")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Seconds for which each speed of each file is measured.",
)
def command(run: RunDirectory, dataset: Dataset, seconds: float, as_json: bool) -> None:
    """Measure the exported files of RUN (a path, a name or `latest`) beside its model in Keras.

    Each file is measured in a process of its own, on the test images: latency with one image, speed with 256 at a
    time, the time from the start of Python to the first answer, and peak memory. Writes benchmark.json; the report
    shows it.
    """
    from fmnist.export.benchmark import benchmark_run

    result = benchmark_run(run, dataset, seconds=seconds, note=say)
    if as_json:
        options.print_json({"run": str(run.path), **result})
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    table = [["format", "size", "accuracy", "as Keras", "latency, ms (p99)", "images/s", "start, s", "memory"]]
    for row in result["rows"]:
        speeds = (f"{row['images_per_second']:,.0f}", f"{row['start_seconds']:.2f}")
        latency = f"{row['latency_median_ms']:.2f} ({row['latency_p99_ms']:.2f})"
        scores = (percent(row[key], 2) for key in ("accuracy", "agreement"))
        memory = "-" if row["peak_bytes"] is None else size(row["peak_bytes"])
        table.append([row["format"], size(row["bytes"]), *scores, latency, *speeds, memory])
    print_table(table)
    machine = result["environment"]
    tell(
        f"{result['num_images']:,} test images; latency with one image, images/s with 256 at a time, "
        f"on {machine['cores']} cores ({machine['processor']})"
    )
