"""Makes `docs/results.md` and the README's table from the stored results.

python benchmarks/tables.py
"""

import math
import statistics

import documents
import ladder
import measured
import steps

from fmnist.text import plural

# The presets of the README's table, in its order; `accurate` has its runs from the measurement of whole times.
SHORT, LONG, ON_GPU = ("standard", "fast", "reference"), ("best", "tiny", "micro"), ("best-gpu",)


def mean_and_deviation(values: list[float], scale: float = 100, digits: int = 2) -> str:
    """Format the mean ± the standard deviation (n − 1) of a list; of one value, the value."""
    mean = f"{scale * statistics.mean(values):.{digits}f}"
    return f"{mean} ± {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def machine(environment: dict) -> str:
    """Describe where something was measured, in one line."""
    versions = ", ".join(
        f"{name} {environment[name]}" for name in ("python", "keras", "tensorflow", "jax") if name in environment
    )
    return f"{measured.machine(environment)}; {versions}"


def last_epochs(result: dict, column: str) -> list[float]:
    """Return a column of the last epoch of each run."""
    return [run["history"][-1][column] for run in result["runs"]]


def reference_section(result: dict) -> list[str]:
    """Write the reference recipe's table: what the published figures say and what ours are."""
    runs = result["runs"]
    rows = [
        ("training accuracy, running average, %", "98.84", mean_and_deviation(last_epochs(result, "accuracy"))),
        ("training accuracy, measured, %", "", mean_and_deviation(last_epochs(result, "train_accuracy"))),
        ("training loss, running average", "0.03", mean_and_deviation(last_epochs(result, "loss"), 1, 4)),
        ("training loss, measured", "", mean_and_deviation(last_epochs(result, "train_loss"), 1, 4)),
        ("validation accuracy, %", "91.76", mean_and_deviation(last_epochs(result, "val_accuracy"))),
        ("validation loss", "0.46", mean_and_deviation(last_epochs(result, "val_loss"), 1, 4)),
        ("test accuracy, %", "91.23", mean_and_deviation([run["test_accuracy"] for run in runs])),
        ("test loss", "", mean_and_deviation([run["test_loss"] for run in runs], 1, 4)),
    ]
    best = [min(run["history"], key=lambda row: row["val_loss"])["epoch"] for run in runs]
    lines = [
        "## The reference recipe",
        "",
        f"`{result['command']} --seed S`, {len(runs)} seeds ({', '.join(str(run['seed']) for run in runs)}),",
        f"last epoch, mean ± standard deviation over the seeds. {machine(runs[0]['environment'])}.",
        "",
        "| figure | published | ours |",
        "| --- | --- | --- |",
        *(f"| {name} | {published} | {ours} |" for name, published, ours in rows),
        "",
        *(
            [
                _compared("validation", 91.76, last_epochs(result, "val_accuracy")),
                _compared("test", 91.23, [run["test_accuracy"] for run in runs]),
            ]
            if len(runs) > 1
            else []
        ),
        "The published figures are those of the notebook project that the recipe comes from: one run, its own split.",
        "",
        f"The validation loss is lowest after epoch {min(best)} to {max(best)} (median {statistics.median(best):g}).",
        "",
        "| seed | train | validation | test | lowest validation loss |",
        "| --- | --- | --- | --- | --- |",
    ]
    for run, epoch in zip(runs, best, strict=True):
        last = run["history"][-1]
        lines.append(
            f"| {run['seed']} | {100 * last['train_accuracy']:.2f}% | {100 * last['val_accuracy']:.2f}% "
            f"| {100 * run['test_accuracy']:.2f}% | epoch {epoch} |"
        )
    return lines


def _compared(name: str, published: float, values: list[float]) -> str:
    """Say how far a published figure (%) lies from ours, in standard deviations of a single run."""
    distance = (100 * statistics.mean(values) - published) / (100 * statistics.stdev(values))
    side = "below" if distance > 0 else "above"
    return (
        f"The published {name} accuracy lies {abs(distance):.1f} standard deviations of a single run {side} our mean."
    )


def preset_section(result: dict) -> list[str]:
    """Write a preset's row of scores."""
    runs = result["runs"]
    scores = [run["test_accuracy"] for run in runs]
    half = 1.96 * statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else 0
    interval = f" (95% interval of the mean ± {100 * half:.2f})" if half else ""
    return [
        f"## Preset `{result['preset']}`",
        "",
        f"`{result['command']} --seed S`, {plural(len(runs), 'seed')}, last epoch. {machine(runs[0]['environment'])}.",
        "",
        "| figure | mean ± standard deviation |",
        "| --- | --- |",
        *_validation(result),
        f"| test accuracy, % | {mean_and_deviation(scores)}{interval} |",
        f"| test loss | {mean_and_deviation([run['test_loss'] for run in runs], 1, 4)} |",
        *_beside([run for run in runs if "beside" in run]),
    ]


def _validation(result: dict) -> list[str]:
    """Write a preset's validation accuracy, unless all images were learnt from."""
    if "val_accuracy" not in result["runs"][0]["history"][-1]:
        return []
    return [f"| validation accuracy, % | {mean_and_deviation(last_epochs(result, 'val_accuracy'))} |"]


def _beside(runs: list[dict]) -> list[str]:
    """Say how much longer runs took than those of another preset that followed each of them."""
    if not runs:
        return []
    training, whole = (
        statistics.median(run[key] / run["beside"][key] for run in runs) for key in ("training_seconds", "seconds")
    )
    return [
        "",
        f"The training takes {training:.1f} times as long as that of `{runs[0]['beside']['preset']}`, and the whole "
        f"command {whole:.1f} times: a run of each in turn on a busy machine, {plural(len(runs), 'pair')}.",
    ]


def gpu_section(result: dict) -> list[str]:
    """Write a preset's scores on a GPU, and what it took."""
    runs = result["runs"]
    training, whole = (max(run[key] for run in runs) / 60 for key in ("training_seconds", "seconds"))
    return [
        *preset_section(result),
        f"| training, minutes (longest) | {training:.1f} |",
        f"| whole command, minutes (longest) | {whole:.1f} |",
    ]


def records_section(results: dict[str, dict]) -> list[str]:
    """Write the long recipes' tables: what each takes and reaches, and what is left of the small ones in int8."""
    lines = [
        "## The long recipes",
        "",
        "Whole commands: training, evaluation, diagnosis, plots and report. The accuracy is that of the saved model, "
        "after the last epoch.",
        "",
        "| preset | command | parameters | seeds | cores | minutes (longest) | peak memory, MiB | validation, % "
        "| test, % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    small, cores = [], set()
    for name, result in results.items():
        runs = result["runs"]
        lines.append(
            f"| `{name}` | `{result['command']} --seed S` | {runs[0]['parameters']:,} | {len(runs)} "
            f"| {' or '.join(map(str, sorted({run['environment']['cores'] for run in runs})))} "
            f"| {max(run['seconds'] for run in runs) / 60:.1f} "
            f"| {max(run['peak_mib'] for run in runs)} "
            f"| {mean_and_deviation(last_epochs(result, 'val_accuracy'))} "
            f"| **{mean_and_deviation([run['test_accuracy'] for run in runs])}** |"
        )
        if exported := [run for run in runs if "exports" in run]:
            small += _small_rows(name, exported)
            cores |= {str(run["benchmark_cores"]) for run in exported}
    on = machine(next(iter(results.values()))["runs"][0]["environment"]).split(" of ", 1)[1]
    lines += ["", f"Cores of {on}."]
    if any("--teacher" in result["command"] for result in results.values()):
        lines += [
            "`best-0` is `best` with seed 0. It has learnt from most of the validation images of a student with "
            "another seed, so that student's validation scores may be too good. No network has learnt from the test "
            "images.",
            "Each seed has its own 3,000 validation images, and some are easier: LOG.md has how much that is.",
        ]
    lines += [""]
    if small:
        lines += [
            "The exported files of the small ones, means over the seeds; `lost` is the largest loss of test accuracy "
            f"against Keras, in points. Cores: {' or '.join(sorted(cores))}.",
            "",
            "| preset | format | size, kB | test, % | lost, at most | latency of one image, ms | images a second |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *small,
            "",
        ]
    return lines[:-1]


def _small_rows(name: str, runs: list[dict]) -> list[str]:
    """Write a row for each format of the exported files of a preset's runs."""
    rows = []
    for place, first in enumerate(runs[0]["exports"]):
        if first["format"] == "web":
            continue  # a folder with a page, the ONNX model and its runtime
        files = [run["exports"][place] for run in runs]
        speeds = [next(row for row in run["benchmark"] if row["format"] == first["format"]) for run in runs]
        size, accuracy, latency, rate = (
            statistics.mean(row[key] for row in found)
            for found, key in (
                (files, "bytes"),
                (files, "accuracy"),
                (speeds, "latency_median_ms"),
                (speeds, "images_per_second"),
            )
        )
        lost = max(file["keras_accuracy"] - file["accuracy"] for file in files)
        rows.append(
            f"| `{name}` | `{first['format']}` | {size / 1000:.0f} | {100 * accuracy:.2f} | {100 * lost:.2f} "
            f"| {latency:.3f} | {rate:,.0f} |"
        )
    return rows


def speed_section(result: dict) -> list[str]:
    """Write the seconds an epoch, ours beside plain Keras."""
    medians, ratios = result["median_seconds"], result["ratios"]
    each = [statistics.median(row["plain"][1:]) / statistics.median(row["ours"][1:]) for row in result["rounds"]]
    theirs = [seconds for row in result["rounds"] for seconds in row["plain"][1:]]
    return [
        "## Seconds an epoch of the reference recipe",
        "",
        f"`{result['command']}`: all three in turn, without the first epochs; medians over all rounds. "
        f"{machine(result['environment'])}.",
        "",
        "| | seconds an epoch | ratio |",
        "| --- | --- | --- |",
        f"| plain Keras (`benchmarks/plain_keras.py`) | {medians['plain']:.2f} | 1 |",
        f"| `fmnist train --preset reference` | {medians['ours']:.2f} | **{ratios['ours']:.2f}** |",
        f"| the same with `--precision bfloat16` | {medians['bfloat16']:.2f} | {ratios['bfloat16']:.2f} |",
        "",
        f"Ratios of the rounds: {', '.join(f'{ratio:.2f}' for ratio in sorted(each))}. An epoch of plain Keras took "
        f"{min(theirs):.1f} to {max(theirs):.1f} s: its `fit` over arrays returns at 10 ms × 2ⁿ only (`LOG.md`).",
        "Seconds are medians over all rounds; the ratio is the median of the rounds' ratios, not their quotient.",
        "Ours measures 5,000 training images after each epoch as well. In float32 nearly all of an epoch is the",
        "convolutions' own arithmetic, near this processor's peak: only other arithmetic makes it much shorter.",
    ]


def whole_time_section(result: dict) -> list[str]:
    """Write the whole times, ours beside the tutorial's script."""
    rows = (
        ("plain Keras, 20 epochs and test evaluation (`benchmarks/plain_keras.py`)", "plain"),
        (f"`fmnist train --preset {result['preset']}`: evaluation, diagnosis, plots and report included", "ours"),
    )
    lines = [
        f"## Whole time: `{result['preset']}` beside the tutorial's script",
        "",
        f"`{result['command']}`: both in turn, from the start of the process to its end. "
        f"{machine(result['environment'])}.",
        "",
        "| | runs | seconds, median (lowest to highest) | peak memory, MiB | test accuracy, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, key in rows:
        runs = result[key]
        seconds = [run["seconds"] for run in runs]
        lines.append(
            f"| {name} | {len(runs)} | {statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) "
            f"| {max(run['peak_mib'] for run in runs)} "
            f"| {mean_and_deviation([run['test_accuracy'] for run in runs])} |"
        )
    share = 1 / result["ratio"]
    return [*lines, "", f"**{f'1/{1 / share:.1f}' if share < 0.5 else f'{100 * share:.0f}%'} of the time.**"]


def budget_section(result: dict) -> list[str]:
    """Write what each time budget bought, and whether it was kept."""
    lines = [
        "## Time budgets",
        "",
        f"`{result['command']}`. The budget covers the training alone; the whole command adds start-up, evaluation, "
        f"plots and report. {machine(result['environment'])}.",
        "",
        "| budget, s | seed | network | epochs | training, s | of the budget | whole command, s | peak memory, MiB "
        "| validation, % | test, % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in sorted(result["runs"], key=lambda run: (run["value"], run["seed"])):
        lines.append(
            f"| {run['value']} | {run['seed']} | {run['family']}, {run['parameters']:,} parameters | {run['epochs']} "
            f"| {run['training_seconds']:.1f} | {100 * run['training_seconds'] / run['value']:.1f}% "
            f"| {run['seconds']:.1f} | {run['peak_mib']} | {100 * run['val_accuracy']:.2f} "
            f"| {100 * run['test_accuracy']:.2f} |"
        )
    return lines


def images_section(result: dict) -> list[str]:
    """Write how the cost grows with the number of images."""
    lines = [
        "## Cost by the number of images",
        "",
        f"`{result['command']}`, preset `fast`, medians over the seeds, measured in another hour than the "
        f"whole times above: compare the rows only with each other. {machine(result['environment'])}.",
        "",
        "| images | training, s | ms an image | whole command, s | peak memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for value in sorted({run["value"] for run in result["runs"]}):
        runs = [run for run in result["runs"] if run["value"] == value]
        training, whole = (statistics.median(run[key] for run in runs) for key in ("training_seconds", "seconds"))
        peak = max(run["peak_mib"] for run in runs)
        lines.append(f"| {value:,} | {training:.2f} | {1000 * training / value:.3f} | {whole:.1f} | {peak} |")
    return lines


def summary() -> list[str]:
    """Write the README's table: a row a preset, and the time of the quickest."""
    results, accurate = accuracies(SHORT), stored("time-to-accuracy-accurate")
    results |= {"accurate": {"runs": accurate["ours"]}} if accurate else {}
    results |= accuracies(LONG) | accuracies(ON_GPU)
    lines = ["| preset | parameters | test accuracy, mean ± standard deviation | seeds |", "| --- | --- | --- | --- |"]
    for name, result in results.items():
        scores = mean_and_deviation([run["test_accuracy"] for run in result["runs"]])
        lines.append(f"| `{name}` | {result['runs'][0]['parameters']:,} | {scores}% | {len(result['runs'])} |")
    if whole_time := stored("time-to-accuracy-fast"):
        medians, cores = whole_time["medians"], whole_time["environment"]["cores"]
        lines += [
            "",
            f"`{whole_time['preset']}` takes {medians['ours']['seconds']:.1f} s on {cores} cores from the command to "
            f"the finished report; a tutorial's script {medians['plain']['seconds']:.0f} s.",
        ]
    return lines


def stored(name: str) -> dict | None:
    """Return a stored result, or None where it is not measured yet, or not to its end."""
    result = measured.stored(name)
    return result if result and ("plain" not in result or "medians" in result) else None


def accuracies(presets: tuple[str, ...]) -> dict[str, dict]:
    """Return the stored accuracies of those presets that have any."""
    return {name: result for name in presets if (result := stored(f"accuracy-{name}"))}


def results() -> list[str]:
    """Write the whole of docs/results.md."""
    lines = ["# Results", "", "Made by `python benchmarks/tables.py` from the files in `benchmarks/results/`.", ""]
    for name, result in accuracies(SHORT).items():
        lines += [*(reference_section(result) if name == "reference" else preset_section(result)), ""]
    if records := accuracies(LONG):
        lines += [*records_section(records), ""]
    for result in accuracies(ON_GPU).values():
        lines += [*gpu_section(result), ""]
    for name, section in (
        ("epoch-seconds", speed_section),
        ("steps", steps.section),
        ("ladder", ladder.section),
        ("time-to-accuracy-fast", whole_time_section),
        ("time-to-accuracy-accurate", whole_time_section),
        ("time-budget", budget_section),
        ("images", images_section),
    ):
        if result := stored(name):
            lines += [*section(result), ""]
    return lines[:-1]


PARTS = (
    documents.Part("docs/results.md", None, results),
    documents.Part("README.md", "results: made by benchmarks/tables.py", summary),
)

if __name__ == "__main__":
    measured.parser(__doc__).parse_args()
    documents.write(*PARTS)
