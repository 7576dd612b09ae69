"""Writes the folder of format `hub`: a model with a card, ready to be pushed to the Hugging Face Hub.

The card's head is the Hub's metadata (`model-index`: https://huggingface.co/docs/hub/model-cards), as `huggingface_hub`
writes it.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmnist.data import sources
from fmnist.evaluation.novelty import THRESHOLD
from fmnist.run import results
from fmnist.run.directory import RunDirectory, parts, read_json, sha256
from fmnist.text import percent, plain, size

PICTURES = {
    "curves.png": "Accuracy and loss of each epoch.",
    "confusion.png": "How often the images of each class are predicted as each class, on the test set.",
}


def prepare(run: RunDirectory, archive: Path | None, note: Callable[[str], None]) -> Callable[..., None]:
    """Return `build` for a run; nothing has to be fetched."""
    return functools.partial(build, run=run)


def build(folder: Path, facts: dict[str, Any], run: RunDirectory) -> None:
    """Write everything into the folder but the model, `model.tflite`, which is there already.

    The facts are what the model says of itself.
    """
    shutil.copyfile(run.model, folder / run.model.name)
    shutil.copyfile(run.config, folder / run.config.name)
    for name in PICTURES:
        if (run.plots / name).is_file():
            shutil.copyfile(run.plots / name, folder / name)
    files = [f"| `{part.name}` | {size(part.stat().st_size)} | `{sha256(part)}` |" for part in parts(folder)]
    lines = [_metadata(run), f"# {plain(run.name)}", "", *_body(folder, facts, run)]
    lines += ["## Files", "", "| file | size | SHA-256 |", "| --- | --- | --- |", *files]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _metadata(run: RunDirectory) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    metrics, (dataset, name) = results.metrics(run), _dataset(run)
    scores = {"accuracy": metrics.get("accuracy"), "f1": metrics.get("macro", {}).get("f1")}
    found = [
        EvalResult(
            task_type="image-classification", dataset_type=dataset, dataset_name=name, dataset_split="test",
            metric_type=kind, metric_value=round(value, 5),
        )
        for kind, value in scores.items() if value is not None
    ]  # fmt: skip
    card = ModelCardData(
        library_name="keras", pipeline_tag="image-classification", tags=["fmnist", "litert", "image-classification"],
        datasets=[dataset] if "/" in dataset else None, model_name=plain(run.name), eval_results=found or None,
    )  # fmt: skip
    return f"---\n{card.to_yaml()}\n---\n"


def _dataset(run: RunDirectory) -> tuple[str, str]:
    """Return the data set's identifier on the Hub and its name; data of one's own is not there."""
    if results.trained_on(results.environment(run), sources.official_sha256()):
        return "zalando-datasets/fashion_mnist", "Fashion-MNIST"
    return "own", "pictures of one's own"


def _body(folder: Path, facts: dict[str, Any], run: RunDirectory) -> list[str]:
    config, metrics, told = read_json(run.config), results.metrics(run), results.diagnosis(run)
    names, (height, width, channels) = [plain(name) for name in facts["class_names"]], facts["input"]["shape"][1:]
    kind = "grey" if channels == 1 else "colour"
    lines = [
        f"A classifier of {kind} images of {height} × {width} pixels in {len(names)} classes: {', '.join(names)}. It "
        f"has {config['parameters']:,} parameters and was trained on {_dataset(run)[1]} with the preset "
        f"`{plain(config['preset'])}` of fmnist {facts['fmnist']}; `config.json` has all settings.",
        "",
        "## How to load it",
        "",
        "```python",
        "import fmnist  # pip install 'fmnist[hub]'",
        "",
        'print(fmnist.open_model("hf://OWNER/NAME").predict("photo.jpg"))',
        "```",
        "",
        "On the command line: `fmnist predict hf://OWNER/NAME photo.jpg`. `model.tflite` takes raw pixels (uint8) and "
        "gives probabilities, so any LiteRT runtime can use it; `model.keras` is the same network for Keras, before "
        "calibration.",
        "",
    ]
    if metrics:
        low, high = metrics["accuracy_interval"]
        lines += [
            "## Scores",
            "",
            f"{percent(metrics['accuracy'], 2)} of {metrics['num_images']:,} test images are classified correctly (95% "
            f"interval {percent(low, 2)} to {percent(high, 2)}); the loss is {metrics['loss']:.4f}. Nothing was chosen "
            "by the test set; the scores are those of the last epoch's model, unless `config.json` asks for another.",
            "",
        ]
    lines += [
        line for name, text in PICTURES.items() if (folder / name).is_file() for line in (f"![{text}]({name})", "")
    ]
    lines += ["## What it cannot do", ""]
    lines += [
        f"- It knows these {len(names)} classes and answers with one of them for every picture. `fmnist predict` says "
        f"where a picture is unlike the training images (an unfamiliarity above {THRESHOLD:g}); LiteRT alone does not.",
        "- Pictures must be made like the training images (cut out, shrunk, on black where these are): fmnist does "
        "that to photos, LiteRT alone does not.",
        "- The probabilities are calibrated on images like those of the validation part, and are too sure elsewhere."
        if facts["calibrated"]
        else "- The probabilities are not calibrated.",
    ]
    lines += [f"- {text}" for text in told["sentences"][:1]] if told else []
    return [*lines, ""]
