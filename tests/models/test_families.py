"""The table of families: each row fits its file, and a new family is a row and a file."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from fmnist import backend, models
from fmnist.config import FAMILIES, ModelConfig, leaf_fields

backend.prepare()
SOURCE = Path(__file__).parents[2] / "src" / "fmnist"

TOY = '''
"""A toy network."""

from keras import layers

from fmnist.models import parts


def build(config, image_shape, num_classes, activation):
    """Build it."""
    blocks = parts.convolution(config, config.filters[0], "1", strides=4)
    logits = parts.logits(config, num_classes)
    return parts.sequence("toy", image_shape, [*blocks, layers.Flatten(), *parts.scaled(logits, activation)])
'''
ROW = '    "toy": Family(settings=("filters", "activation", "batch_normalization"), activation="gelu"),\n'
SCRIPT = """
import sys
import fmnist
from fmnist.config import preset
from fmnist.errors import InputError
for settings, expected in (
    ({"kernel_size": 5}, "kernel_size: only for the family reference or fast or vgg or residual; got toy"),
    ({"blocks": 2}, "blocks: only for the family residual; got toy"),
    ({"dropout": (0.1, 0.1)}, "expected one for all, or 1 for the blocks"),
):
    try:
        preset("reference", family="toy", filters=(4,), **settings)
    except InputError as error:
        if expected not in str(error):
            sys.exit(f"got {error}, expected {expected}")
    else:
        sys.exit(f"{settings} was taken")
config = preset("reference", family="toy", filters=(4,), epochs=1, dropout=0.1)
run = fmnist.train(config, fmnist.load_dataset(sys.argv[1]), "run", train_only=True)
answers = fmnist.open_model(run).probabilities(fmnist.load_dataset(sys.argv[1]).test_images)
print(answers.shape, fmnist.build(config.model).layers[3].name)
"""


def test_a_new_family_is_a_row_and_a_file(tmp_path, tiny_data_dir):
    """In a copy of the package, of which one existing file is changed, by one line."""
    copy = copytree(SOURCE, tmp_path / "fmnist", ignore=ignore_patterns("__pycache__"))
    (copy / "models" / "toy.py").write_text(TOY, "utf-8")
    table, start = copy / "config" / "families.py", "\nFAMILIES = {\n"
    before, after = table.read_text("utf-8").split(start)
    table.write_text(before + start + ROW + after, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tiny_data_dir],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(200, 10) gelu_1\n"


def test_no_other_file_knows_a_family_by_name():
    """Presets and remedies name the family of a recipe; a test of the family is what is refused."""
    allowed = {"families.py", "presets.py", "remedies.py", *(f"{family}.py" for family in FAMILIES)}
    names = [f'"{family}"' for family in FAMILIES if family not in ("fast", "reference")]  # which are presets too
    found = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("*.py")
        if path.name not in allowed
        for name in names
        if name in path.read_text("utf-8")
    ]
    assert not found, f"{found}; let it be told by a field of the row in config/families.py"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_fits_its_file(family):
    row, module = FAMILIES[family], import_module(f"fmnist.models.{family}")
    assert set(row.settings) <= leaf_fields().keys() and callable(module.build)
    assert hasattr(module, "convert") == row.pretrained
    assert bool(row.package) == bool(row.file) == bool(row.sha256)
    assert row.activation in leaf_fields()["activation"][1].metadata["choices"]
    if not row.pretrained:
        model = models.build(ModelConfig(family=family, filters=(4, 4)))
        names = {layer.name for layer in model.layers}
        assert ("hidden" in names, "stem" in names) == (row.hidden_layer, row.whitened_stem)


def test_every_setting_of_a_network_is_in_a_row_or_had_by_all():
    """A setting that no row names is one that every family has: these three, and the family itself."""
    model = {name for name, (section, _) in leaf_fields().items() if section == "model"}
    assert model - {name for row in FAMILIES.values() for name in row.settings} == {
        "family",
        "dropout",
        "l2",
        "flip_average",
    }
