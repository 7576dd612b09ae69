"""`fmnist evaluate`: test-set scores of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmnist.cli import options


@click.command("evaluate", epilog=options.examples("fmnist evaluate latest", "fmnist evaluate runs/first --json"))
@options.run_argument
@options.runs_dir_option
@options.data_dir_option
@options.json_option
def command(run_name: str, runs_dir: Path, data_dir: Path | None, as_json: bool) -> None:
    """Score the saved model of RUN (a path, a name or `latest`) on the whole test set.

    Writes metrics.json and predictions.npz into the run; before that, where they are missing, calibration.json and
    familiarity.json, fitted on its validation images.
    """
    run = options.open_run(run_name, runs_dir)
    dataset = options.load_data(data_dir)

    from fmnist.evaluation import evaluate

    with run.lock():
        result = evaluate.evaluate(run, dataset)
    if as_json:
        options.print_json({"run": str(run.path), **result})
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    low, high = result["accuracy_interval"]
    width = max(len(name) for name in (*result["class_names"], "all classes"))
    print(f"Test accuracy  {options.percent(result['accuracy'])} ({result['correct']:,} of {result['num_images']:,})")
    print(f"95% interval   {options.percent(low)} to {options.percent(high)}")
    print(f"Test loss      {result['loss']:.4f}")
    print(f"Confidence     {_confidence(result)}\n")
    print(f"{'class':{width}}  precision  recall      F1  images")
    rows = [*result["per_class"], {"name": "all classes", **result["macro"], "support": result["num_images"]}]
    for row in rows:
        scores = "  ".join(f"{options.percent(row[key]):>7}" for key in ("precision", "recall", "f1"))
        print(f"{row['name']:{width}}    {scores}  {row['support']:6,}")
    confusion = result["confusion_matrix"]
    names = result["class_names"]
    mistakes = sorted(
        ((confusion[t][p], names[t], names[p]) for t in range(len(names)) for p in range(len(names)) if t != p),
        reverse=True,
    )
    print("\nMost frequent mistakes")
    for count, true, predicted in mistakes[:5]:
        if count:
            print(f"  {true} taken for {predicted}: {count} of {sum(confusion[names.index(true)]):,}")


def _confidence(result: dict[str, Any]) -> str:
    raw, calibrated = options.percent(result["ece"]), result["calibrated"]
    if not calibrated:
        return f"{raw} off the accuracy (ECE); not calibrated, for want of validation images"
    after = f"{options.percent(calibrated['ece'])}, loss {calibrated['loss']:.4f}"
    return f"{raw} off the accuracy (ECE); divided by a temperature of {calibrated['temperature']:.3f}, {after}"
