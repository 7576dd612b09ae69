"""Scores finished runs on corrupted test images: the figures and pictures of docs/robustness.md.

    fmnist train --preset fast --name fast
    python benchmarks/robustness.py runs/fast ...

Stores what each run reached as `benchmarks/results/robustness.json`, by preset; a preset that is not given keeps what
is stored. Draws the sheet of all corruptions (Fashion-MNIST's first test images) and the heat map of `fast` into
`docs/pictures/`. Without a run only document and heat map are made again.
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import documents
import measured
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fmnist import load_dataset
from fmnist.evaluation import robustness
from fmnist.evaluation.corruptions import CORRUPTIONS, corrupt
from fmnist.evaluation.slices import sentence
from fmnist.report.plots.robustness import draw_robustness
from fmnist.run import results
from fmnist.run.directory import RunDirectory, read_json, write_bytes
from fmnist.text import number, percent

PICTURES = measured.ROOT / "docs" / "pictures"
SHOWN = (1, 3, 5)  # strengths on the sheet
PRESETS = ("fast", "reference", "standard", "accurate", "best")


def store(paths: list[Path]) -> None:
    """Store what runs reached; those that have no `robustness.json` are scored first."""
    result, dataset = measured.stored("robustness"), load_dataset()
    for path in paths:
        run = RunDirectory(path)
        if not (found := results.robustness(run)):
            with run.lock():
                found = robustness.measure(run, dataset)
        config = read_json(run.config)
        environment = measured.public(read_json(run.environment))
        result[config["preset"]] = found | {"train_seed": config["training"]["seed"], "environment": environment}
        print(config["preset"], percent(found["clean"]["accuracy"]), percent(found["accuracy"]), flush=True)
    measured.store("robustness", result)


def draw_sheet() -> None:
    """Draw a row of three strengths for each corruption, in four columns, of another test image each."""
    tile, gap, left, label = 84, 4, 12, 22
    images, font = load_dataset().test_images, ImageFont.load_default(15)
    across = len(SHOWN) * (tile + gap) + 16
    sheet = Image.new("L", (left + 4 * across, 8 + 4 * (tile + label + 8)), 255)
    draw = ImageDraw.Draw(sheet)
    for place, row in enumerate(CORRUPTIONS):
        x, y = left + place % 4 * across, 8 + place // 4 * (tile + label + 8)
        draw.text((x, y), row.name, fill=40, font=font)
        for column, strength in enumerate(SHOWN):
            image = corrupt(images[place : place + 1], row.name, strength)[0, ..., 0]
            sheet.paste(Image.fromarray(image).resize((tile, tile), 0), (x + column * (tile + gap), y + label))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    write_bytes(PICTURES / "corruptions.png", file.getvalue())


def draw_heat_map() -> None:
    """Draw the stored scores of `fast`."""
    with tempfile.TemporaryDirectory() as folder:
        draw_robustness(measured.stored("robustness")["fast"], Path(folder) / "robustness", "Preset fast")
        shutil.copyfile(Path(folder) / "robustness.svg", PICTURES / "robustness.svg")


def table() -> list[str]:
    """Write the accuracy of each preset for each corruption, and the slices on which it fails."""
    stored: dict[str, Any] = measured.stored("robustness")
    known = [name for name in PRESETS if name in stored]
    lines = ["", f"| corruption | {' | '.join(f'`{name}`' for name in known)} |", f"| --- |{' ---: |' * len(known)}"]
    rows = {"none": [percent(stored[name]["clean"]["accuracy"]) for name in known]}
    rows["**mean of all**"] = [f"**{percent(stored[name]['accuracy'])}**" for name in known]
    for place, row in enumerate(CORRUPTIONS):
        shares = [stored[name]["kinds"][place]["accuracy"] for name in known]
        rows[row.name] = [f"{percent(float(np.mean(each)))} ({number(100 * each[4])})" for each in shares]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    for name in known:
        found = stored[name]["slices"]
        told = [f"- {sentence(row, found['accuracy'])}" for row in found["failing"]] or ["- none"]
        lines += ["", f"Where `{name}` fails most, of all {found['num_images']:,} test images:", "", *told]
    return [*lines, ""]


def kinds() -> list[str]:
    """Write what each corruption's amounts are."""
    rows = [f"| `{row.name}` | {row.unit} | {', '.join(f'{one:g}' for one in row.amounts)} |" for row in CORRUPTIONS]
    return ["", "| corruption | amount | at strengths 1 to 5 |", "| --- | --- | --- |", *rows, ""]


PARTS = (
    documents.Part("docs/robustness.md", "kinds: made by benchmarks/robustness.py", kinds),
    documents.Part("docs/robustness.md", "accuracies: made by benchmarks/robustness.py", table),
)


def main() -> None:
    """Store the runs that are named, then draw the pictures and write the document's parts."""
    parser = measured.parser(__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="finished runs")
    if runs := parser.parse_args().runs:
        store(runs)
        draw_sheet()
    draw_heat_map()
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
