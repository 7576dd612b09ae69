"""`fmnist evaluate`: scores a run on the test set."""

from typing import Any

from fmnist.cli import options
from fmnist.cli.terminal import print_table, say, tell
from fmnist.data.dataset import Dataset
from fmnist.errors import RunError
from fmnist.run.directory import RunDirectory
from fmnist.text import percent


@options.run_command("evaluate", "fmnist evaluate latest", "fmnist evaluate runs/first --json", reads=True)
def command(run: RunDirectory, dataset: Dataset, as_json: bool, refused: RunError | None) -> None:
    """Score the saved model of RUN (a path, a name or `latest`) on the whole test set.

    Writes metrics.json and predictions.npz into the run. If calibration.json or familiarity.json is missing, it is made
    first, from the run's own images. A run that is in use or cannot be written is scored all the same.
    """
    from fmnist.evaluation import evaluate

    if refused:
        say(f"{refused}. It is only read: nothing is written into it.")
    result = evaluate.evaluate(run, dataset, write=refused is None)
    if as_json:
        options.print_json({"run": str(run.path), **result})
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from fmnist.evaluation.metrics import frequent_confusions, uneven

    low, high = result["accuracy_interval"]
    tell(f"Test accuracy  {percent(result['accuracy'], 2)} ({result['correct']:,} of {result['num_images']:,})")
    tell(f"95% interval   {percent(low, 2)} to {percent(high, 2)}")
    if uneven([row["support"] for row in result["per_class"]]):
        tell(f"Balanced       {percent(result['balanced_accuracy'], 2)}, the mean of the classes' recalls")
    tell(f"Test loss      {result['loss']:.4f}")
    tell(f"Confidence     {_confidence(result)}\n")
    table = [["class", "precision", "recall", "F1", "images"]]
    for row in [*result["per_class"], {"name": "all classes", **result["macro"], "support": result["num_images"]}]:
        scores = (percent(row[key], 2) for key in ("precision", "recall", "f1"))
        table.append([row["name"], *scores, f"{row['support']:,}"])
    print_table(table)
    mistakes = frequent_confusions(result, 5)
    if mistakes:
        tell("\nMost frequent mistakes\n")
    for row in mistakes:
        tell(f"  {row['true']} predicted as {row['predicted']}: {row['count']} of {row['images']:,}")


def _confidence(result: dict[str, Any]) -> str:
    raw, calibrated = percent(result["ece"], 2), result["calibrated"]
    if not calibrated:
        return f"{raw} off the accuracy (ECE); not calibrated: too few validation images"
    after = f"{percent(calibrated['ece'], 2)} off, loss {calibrated['loss']:.4f}"
    return f"{raw} off the accuracy (ECE); calibrated with temperature {calibrated['temperature']:.3f}: {after}"
