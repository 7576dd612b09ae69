"""What is searched: read from a file, chosen for a preset, and every way to get it wrong."""

import pytest

from fmnist.config import PRESETS, Range, leaf_fields, leaf_type, leaves, preset
from fmnist.config.fields import problem
from fmnist.errors import InputError
from fmnist.study.tuning.sweep import DEFAULT, Sweep, read_sweep, spelled

FILE = """\
description: Which learning rate?
preset: fast
settings: {epochs: 2, filters: [4, 8]}
search:
  learning_rate:
  dropout: {low: 0, high: 0.5}
  weight_decay: {low: 1e-6, high: 0.01, log: true}
  optimizer: [sgd, muon]
  kernel_size: [3, 5]
  flip:
"""


def read(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    return read_sweep(str(path))


def test_a_file_says_what_is_searched(tmp_path):
    sweep = read(tmp_path, FILE)
    assert sweep.name == "mine" and sweep.base() == preset("fast", epochs=2, filters=(4, 8))
    assert sweep.space() == {
        "learning_rate": Range(0.1 * 0.1, 10 * 0.1, log=True),
        "dropout": Range(0, 0.5),
        "weight_decay": Range(1e-6, 0.01, log=True),
        "optimizer": ("sgd", "muon"),
        "kernel_size": (3, 5),
        "flip": (False, True),
    }
    config = sweep.config({"optimizer": "sgd", "dropout": 0.1})
    assert (config.training.optimizer, config.model.dropout, config.training.epochs) == ("sgd", 0.1, 2)


def test_a_space_is_read_back_as_it_is_written(tmp_path):
    sweep = Sweep("mine", search={"filters": ((4, 8), (8, 8)), "learning_rate": Range(0.1, 1, log=True)})
    text = f"search: {spelled(sweep.space())}".replace("True", "true").replace("'", "")
    assert read(tmp_path, text).space() == sweep.space()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("serach: {}", 1, "a sweep has no field 'serach'; did you mean 'search'?"),
        ("preset: fats", 1, "no preset is named 'fats'"),
        ("settings:\n  epochs: 0", 2, "got 0, expected 1 to 100000"),
        ("settings: {folds: 5}", 1, "scored on the test set, which folds leave alone"),
        ("search: [dropout]", 1, "expected settings such as 'dropout: {low: 0, high: 0.5}'"),
        ("search:\n  dropot:", 2, "no setting is named 'dropot'; did you mean 'dropout'?"),
        ("search:\n  seed: [1, 2]", 2, "would change the images for validation between trials"),
        ("settings: {dropout: 0.1}\nsearch:\n  dropout:", 3, "both searched and fixed"),
        ("search:\n  dropout: 0.3", 2, "got 0.3, expected {low: …, high: …}"),
        ("search:\n  dropout: {low: 0}", 2, "expected {low: …, high: …}"),
        ("search:\n  dropout: {low: 0, high: 1, step: 2}", 2, "expected {low: …, high: …}"),
        ("search:\n  dropout: {low: 0.5, high: 0.1}", 2, "got 0.5 to 0.1, expected low below high"),
        ("search:\n  dropout: {low: 0, high: 0.5, log: true}", 2, "with log both above 0"),
        ("search:\n  dropout: {low: 0, high: 2}", 2, "got 2, expected 0.0 to 0.95"),
        ("search:\n  shift: {low: 0, high: 2.5}", 2, "got 2.5, expected a whole number"),
        ("search:\n  optimizer: {low: 0, high: 1}", 2, "'optimizer' is no number; expected a list"),
        ("search:\n  optimizer: [sgd]", 2, "got ['sgd'], expected two values or more"),
        ("search:\n  optimizer: [sgd, sgd]", 2, "expected two values or more, each once"),
        ("search:\n  optimizer: [sgd, sdg]", 2, "got 'sdg', expected one of"),
        ("search:\n  epochs:", 2, "'epochs' has no usual range"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, line, told):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert f"mine.yaml, line {line}: " in str(caught.value) and told in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(InputError, match="the sweep is not valid:\n.*dropot.*\n.*sdg"):
        Sweep("x", search={"dropot": None, "optimizer": ("sgd", "sdg")})


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_has_a_usual_space_that_it_takes(name):
    sweep = Sweep("usual", preset=name)
    space, own = sweep.space(), leaves(sweep.base())
    assert {"learning_rate", "batch_size", "dropout"} <= space.keys() <= set(DEFAULT)
    assert ("weight_decay" in space) == (own["optimizer"] != "adam")
    assert space["learning_rate"].low < own["learning_rate"] < space["learning_rate"].high
    for end in ("low", "high"):
        sweep.config({key: getattr(one, end) for key, one in space.items() if isinstance(one, Range)})


def test_what_is_fixed_is_not_searched():
    assert "dropout" not in Sweep("x").changed({"dropout": 0.2}).space()
    with pytest.raises(InputError, match="both searched and fixed"):
        Sweep("x", search={"dropout": None}).changed({"dropout": 0.2})


def test_declared_ranges_keep_to_what_the_settings_allow():
    searched = {name: spec for name, (_, spec) in leaf_fields().items() if spec.metadata["search"]}
    assert len(searched) > 15
    for name, spec in searched.items():
        search = spec.metadata["search"]
        values = (search.low, search.high) if isinstance(search, Range) else search
        if not (isinstance(search, Range) and search.relative):
            assert [problem(spec, leaf_type(name), value) for value in values] == [None] * len(values), name
