"""A study's YAML: what it stands for, and what is said about each mistake, with its line."""

import jsonschema
import pytest
from support import study_schema

from fmnist.config import preset
from fmnist.errors import InputError
from fmnist.study import BASELINE, Study, builtin_studies, folder_name, read_study
from fmnist.study.yamlfile import read_yaml

GOOD = """\
description: Does it help?
preset: reference
settings:
  epochs: 3
seeds: 2
variants:
  flip and shift: {flip: true, shift: 1}
  slower:
    learning_rate: 1e-4
"""


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", builtin_studies())
def test_the_studies_of_the_package_are_valid(name):
    study = read_study(name)
    assert study.name == name and len(study.description) > 20
    # Fewer for a first look; and what was learnt elsewhere is worth most where there are few.
    least = 2_000 if name in ("kernels", "transfer") else 20_000
    assert len(study.seeds) >= 3 and study.config(BASELINE, 0).data.limit >= least


def test_remedies_has_enough_of_them():
    study = read_study("remedies")
    assert study.config(BASELINE, 0).training.epochs >= 15
    assert len(study.variants) >= 8 and sum("+" in name for name in study.variants) >= 2


def test_a_study_becomes_configurations(tmp_path):
    study = read_study(write(tmp_path, GOOD))
    assert (study.name, study.seeds, study.names()) == ("mine", (0, 1), [BASELINE, "flip and shift", "slower"])
    assert study.config(BASELINE, 1) == preset("reference", epochs=3, seed=1)
    assert study.config("flip and shift", 0) == preset("reference", epochs=3, flip=True, shift=1)
    assert study.config("slower", 0).training.learning_rate == 1e-4
    assert folder_name("flip and shift", 1) == "flip-and-shift-seed1"


def test_settings_from_outside_replace_the_baselines_and_not_a_variants(tmp_path):
    study = read_study(write(tmp_path, GOOD)).changed({"epochs": 9, "shift": 2}, (5, 6, 7))
    assert study.config(BASELINE, 5) == preset("reference", epochs=9, shift=2, seed=5)
    assert study.config("flip and shift", 6).augmentation.shift == 1
    with pytest.raises(InputError, match="'slower' has the same settings as 'baseline'"):
        study.changed({"learning_rate": 1e-4})


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("settings:", "setings:", 3, "a study has no field 'setings'; did you mean 'settings'?"),
        ("preset: reference", "preset: referense", 2, "no preset is named 'referense'.*did you mean 'reference'"),
        ("epochs: 3", "epohcs: 3", 4, "no setting is named 'epohcs'; did you mean 'epochs'?"),
        ("epochs: 3", "epochs: 0", 4, "epochs: got 0, expected 1 to"),
        ("epochs: 3", "epochs: three", 4, "epochs: got 'three', expected a whole number"),
        ("epochs: 3", "seed: 3", 4, "list them in its field 'seeds'"),
        ("epochs: 3", "epochs: 3\n  epochs: 4", 5, "'epochs' stands here a second time, after line 4"),
        ("  epochs: 3", "  - epochs", 3, r"got \['epochs'\], expected settings such as"),
        ("seeds: 2", "seeds: 0", 5, "got 0, expected how many seeds"),
        ("seeds: 2", "seeds: 2\ncorrupted_images: -1", 6, "got -1, expected a number of test images"),
        ("seeds: 2", "seeds: [1, two]", 5, "expected how many seeds"),
        ("seeds: 2", "seeds: [4, 1, 4]", 5, "seed 4 stands there twice"),
        ("flip: true,", "flip: 1,", 7, "flip: got 1, expected true or false"),
        ("learning_rate: 1e-4", "limit: 100", 9, "'limit' would change the split between variants"),
        ("    learning_rate: 1e-4", "    flip: true\n    shift: 1", 8, "'slower' has the same settings as 'flip and"),
        ("learning_rate: 1e-4", "learning_rate: 0.001", 8, "'slower' has the same settings as 'baseline'"),
        ("slower:", "Flip-and Shift:", 8, "would share its directories with 'flip and shift'"),
        ("slower:", "baseline:", 8, "would share its directories with 'baseline'"),
        ("slower:", "../up:", 8, r"got the name '../up', expected up to 40 letters"),
        ("slower:", "? [a, b]\n  :", 8, "a key must be a name"),
        ("epochs: 3", "epochs: &three 3", 4, "anchors"),
        ("epochs: 3", "epochs: !!python/name:os.system", 4, "tags .* are not read here"),
        ("epochs: 3", "epochs: [[[[[[[[[1]]]]]]]]]", 4, "nested more than 8 deep"),
        ("epochs: 3", "epochs: {", 6, "while parsing a flow mapping, expected"),
        ("epochs: 3", f"epochs: 0x{'f' * 5000}", 4, "a whole number of 20,000 bits; expected 10,000 at most"),
        ("description: Does", "description: 2026-02-31 #", 1, "day is out of range"),
        ("epochs: 3", "epochs: \x07", None, "special characters are not allowed"),
        ("variants:", "variants: {}\n---\nvariants:", None, "expected a single document"),
    ],
)
def test_a_mistake_is_told_with_its_line(old, new, line, expected, tmp_path):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=expected) as caught:
        read_study(path)
    assert f"{path}, line {line}: " in str(caught.value) if line else str(path) in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    path = write(tmp_path, GOOD.replace("epochs: 3", "epohcs: 3").replace("shift: 1", "shift: 99"))
    with pytest.raises(InputError) as caught:
        read_study(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 and "line 4: " in lines[1] and "line 7: shift: got 99, expected 0 to 8" in lines[2]


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_what_is_no_mapping_is_refused(text, tmp_path):
    with pytest.raises(InputError, match="expected the fields description"):
        read_study(write(tmp_path, text))


def test_a_file_is_bounded_and_must_be_there(tmp_path):
    with pytest.raises(InputError, match="has 70,000 bytes; expected at most 65,536"):
        read_study(write(tmp_path, "#" * 70_000))
    with pytest.raises(InputError, match="cannot read .*nowhere.yaml"):
        read_study("nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"description: \xe9")
    with pytest.raises(InputError, match="is no text in UTF-8"):
        read_study(tmp_path / "latin.yaml")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        InputError, match="no study is named 'remedy'; did you mean 'remedies'.*a file that ends in .yaml"
    ):
        read_study("remedy")


def test_a_study_made_in_python_is_checked_too():
    with pytest.raises(InputError, match="the study 'x', variants / a / drop: no setting is named 'drop'"):
        Study("x", variants={"a": {"drop": 1}})
    with pytest.raises(InputError, match="expected 1 to 50 variants"):
        Study("x")


def test_the_published_schema_is_current():
    published = builtin_studies()["remedies"].parent / "study.schema.json"
    assert published.read_text("utf-8") == study_schema.text(), "run `python tests/support/study_schema.py` as it says"
    jsonschema.Draft202012Validator.check_schema(study_schema.json_schema())


@pytest.mark.parametrize("name", builtin_studies())
def test_the_studies_of_the_package_name_the_schema_and_keep_to_it(name):
    path = builtin_studies()[name]
    first = path.read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=study.schema.json"
    content, _ = read_yaml(path)
    jsonschema.validate(content, study_schema.json_schema())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("settings:", "setings:", "'setings' was unexpected"),
        ("preset: reference", "preset: referense", "'referense' is not one of"),
        ("epochs: 3", "epohcs: 3", "'epohcs' was unexpected"),
        ("epochs: 3", "epochs: 0", "0 is less than the minimum of 1"),
        ("epochs: 3", "activation: tanh", "'tanh' is not one of"),
        ("epochs: 3", "dropout: [0.1, 2]", "2 is greater than the maximum"),
        ("epochs: 3", "seed: 3", "'seed' was unexpected"),
        ("seeds: 2", "seeds: [1, 1]", "has non-unique elements"),
        ("flip: true,", "flip: 1,", "1 is not of type 'boolean'"),
        ("learning_rate: 1e-4", "limit: 100", "'limit' was unexpected"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(old, new, expected, tmp_path):
    good, _ = read_yaml(write(tmp_path, GOOD))
    jsonschema.validate(good, study_schema.json_schema())
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError):
        read_study(path)
    bad, _ = read_yaml(path)
    with pytest.raises(jsonschema.ValidationError, match=expected):
        jsonschema.validate(bad, study_schema.json_schema())


@pytest.mark.parametrize(
    "text", ["filters: [8]", "dropout: 0.2", "dropout: [0.1, 0.2]", "limit: null", "activation: relu"]
)
def test_the_schema_takes_every_form_that_a_setting_has(text, tmp_path):
    content, _ = read_yaml(write(tmp_path, GOOD.replace("epochs: 3", text)))
    jsonschema.validate(content, study_schema.json_schema())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("preset: reference", "preset: {a: 1}", "no preset is named"),
        ("preset: reference", "preset: [a]", "no preset is named"),
        ("epochs: 3", f"learning_rate: {'9' * 310}", "learning_rate: got 9999.*, expected a finite number"),
        ("epochs: 3", f"epochs: {'9' * 310}", "epochs: got 9999.*, expected a finite number"),
    ],
)
def test_odd_values_are_one_error(old, new, problem, tmp_path):
    with pytest.raises(InputError, match=problem):
        read_study(write(tmp_path, GOOD.replace(old, new, 1)))
