"""What an addition touches: in a copy of the package, toys of five kinds are added and used.

`docs/architecture.md` tells of the same additions. A network family has its test in `models/test_families.py`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fmnist"

# For each kind: new files, and lines that go behind a line (the first that holds the text) of existing files.
FAMILY_FILE = '''"""A toy network."""

from keras import layers

from fmnist.models import parts


def build(config, image_shape, num_classes, activation):
    """Build it."""
    logits = parts.logits(config, num_classes)
    return parts.sequence("toy", image_shape, [layers.Flatten(), *parts.scaled(logits, activation)])
'''
FORMAT_FILE = '''"""A toy format: the Keras file, with its facts in the archive's comment."""

import json
import shutil
import zipfile


def write(source, path, quantization, examples):
    """Copy it."""
    shutil.copyfile(source, path)


def embed(path, facts):
    """Put the facts in."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = json.dumps(facts).encode()


def open_file(path):
    """Open it."""
    from fmnist.predictor.keras_file import open_keras

    return open_keras(path).probabilities
'''
PLOT_FILE = '''"""Draws a toy: one bar."""

from matplotlib.figure import Figure

from fmnist.report.plots.style import save, styled


@styled()
def bar(run, dataset, stem):
    """Draw it."""
    figure = Figure(figsize=(3, 3))
    figure.add_subplot().bar([0], [len(dataset.test_labels)])
    return save(figure, stem)
'''
METRIC = '''
def top_two(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share (0 to 1) of images whose true class is among the two most probable."""
    return float((probabilities.argsort(axis=1)[:, -2:] == labels[:, None]).any(axis=1).mean())

'''
ADDITIONS = {
    "family": (
        {"models/toy.py": FAMILY_FILE},
        {"config/families.py": ("FAMILIES = {", '    "toy": Family(settings=()),\n')},
    ),
    "setting": (
        {},
        {
            "config/tree.py": (
                "class AugmentationConfig",
                '    dim: bool = setting(False, "Halve the brightness of every training image.")\n',
            ),
            "training/augmentation.py": (
                "    batch = images[order]",
                "    batch = batch // 2 if config.dim else batch\n",
            ),
        },
    ),
    "format": (
        {"export/toy.py": FORMAT_FILE},
        {"export/formats.py": ("_ROWS = (", '    Format("toy", "toy.keras", "a test", EXACT, "fmnist.export.toy"),\n')},
    ),
    "metric": (
        {},
        {
            "evaluation/metrics.py": ("EPSILON = ", METRIC),
            "evaluation/calibration.py": ("SCORES", '    "top_two": metrics.top_two,\n'),
        },
    ),
    "plot": (
        {"report/plots/toy.py": PLOT_FILE},
        {
            "report/plots/__init__.py": [
                ("from fmnist.report.plots.tiles import", "from fmnist.report.plots.toy import bar\n"),
                (
                    "PLOTS = (",
                    '    Plot("toy", bar, "", "How many test images there are.", heading="A toy plot"),\n',
                ),
            ]
        },
    ),
}
SCRIPT = """
import json, sys
import fmnist
from fmnist.cli import main

data = fmnist.load_dataset(sys.argv[1])
config = fmnist.preset("reference", family="toy", epochs=1, dim=True)
run = fmnist.train(config, data, "runs/toy")
exported = fmnist.export_run(run, data, ("toy",))
assert exported["written"] == ["toy"], exported
assert fmnist.read_json(run.config)["augmentation"]["dim"] is True
assert main(["export", "--help"]) == 0 and main(["train", "--help-all"]) == 0
metrics = fmnist.read_json(run.metrics)
page = run.report.read_text("utf-8")
there = ["A toy plot" in page, (run.plots / "toy.png").is_file()]
print("\\n" + json.dumps([metrics["top_two"], metrics["accuracy"], *there]))
"""


def add(package: Path, files: dict[str, str], edits: dict) -> set[str]:
    """Make an addition to a copy of the package; return the existing files that it changed."""
    for name, text in files.items():
        assert not (package / name).exists()
        (package / name).write_text(text, "utf-8")
    for name, lines in edits.items():
        text = (package / name).read_text("utf-8")
        for place, line in lines if isinstance(lines, list) else [lines]:
            found = re.search(rf"^.*{re.escape(place)}.*\n", text, re.MULTILINE)
            assert found, f"{name} has no line with {place!r}"
            end = found.end()
            if place.startswith("class "):  # behind its docstring
                end = text.index('"""\n', text.index('"""', end) + 3) + 4
            text = text[:end] + line + text[end:]
        (package / name).write_text(text, "utf-8")
    return set(edits)


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A folder with a copy of the package that has all five."""
    folder = tmp_path_factory.mktemp("additions")
    package = copytree(SOURCE, folder / "fmnist", ignore=ignore_patterns("__pycache__"))
    return folder, {kind: add(package, *addition) for kind, addition in ADDITIONS.items()}


def test_each_touches_two_files_at_most_and_works(added, tiny_data_dir):
    folder, touched = added
    assert {kind: len(files) <= 2 for kind, files in touched.items()} == dict.fromkeys(ADDITIONS, True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tiny_data_dir],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--dim / --no-dim" in done.stdout and "Halve the brightness" in done.stdout
    top_two, accuracy, *there = json.loads(done.stdout.splitlines()[-1])
    assert accuracy < top_two <= 1 and there == [True, True]


def test_the_documentation_names_these_files(added):
    """What `docs/architecture.md` tells to touch is what was touched."""
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text("utf-8")
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| a")}
    kinds = {
        "family": "a network family",
        "setting": "a setting",
        "format": "an export format",
        "metric": "a metric",
        "plot": "a plot",
    }
    for kind, files in added[1].items():
        for file in files - {"training/augmentation.py"}:  # the toy's own use
            assert f"`{file}`" in rows[kinds[kind]], (kind, file)
