"""Robustness: a run on corrupted test images, what is stored, told, drawn and refused."""

import json
import shutil

import numpy as np
import pytest
from support.pages import Page

import fmnist
from fmnist.evaluation import calibration, robustness
from fmnist.evaluation.corruptions import CORRUPTIONS, corrupt
from fmnist.evaluation.evaluate import load_model
from fmnist.evaluation.novelty import Novelty
from fmnist.report import plots
from fmnist.run import results, schema
from fmnist.run.directory import read_json, write_json


@pytest.fixture(scope="module")
def measured(tiny_run, tiny_dataset, tmp_path_factory):
    """A run that was measured on 24 images, what came back, and what was told meanwhile."""
    run = fmnist.RunDirectory(tmp_path_factory.mktemp("runs") / "measured")
    shutil.copytree(tiny_run.path, run.path)
    told = []
    result = robustness.measure(run, tiny_dataset, num_images=24, seed=5, progress=lambda *step: told.append(step))
    return run, result, told


def test_the_scores_are_those_of_the_calibrated_answers_to_corrupted_images(measured, tiny_dataset):
    run, result, told = measured
    assert [row["name"] for row in result["kinds"]] == [row.name for row in CORRUPTIONS]
    sample = np.random.default_rng(5).permutation(200)[:24]
    images, labels = tiny_dataset.test_images[sample], tiny_dataset.test_labels[sample]
    model, known = load_model(run), Novelty.from_dict(read_json(run.familiarity))
    for place, strength in ((5, 4), (11, 1)):
        row, spoilt = result["kinds"][place], corrupt(images, CORRUPTIONS[place].name, strength, 5)
        probabilities = calibration.at_temperature(model(spoilt), results.temperature(run))
        expected = {
            "accuracy": (probabilities.argmax(axis=1) == labels).mean(),
            "ece": calibration.expected_calibration_error(probabilities, labels),
            "unfamiliar": (known.unfamiliarity(spoilt) > 1).mean(),
        }
        assert {name: row[name][strength - 1] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert result["accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in result["kinds"]]))
    assert result["slices"]["num_images"] == 200 and result["num_images"] == 24
    assert told[0] == (0, 16, "gaussian-noise") and told[-1] == (16, 16, "")


def test_it_is_stored_and_passes_the_check(measured):
    run, result, _ = measured
    assert results.robustness(run) == json.loads(json.dumps(result)) and schema.problems(run) == []


def test_a_part_is_returned_and_not_stored(measured, tiny_dataset):
    run, result, _ = measured
    before = run.robustness.read_bytes()
    part = robustness.measure(run, tiny_dataset, kinds=["shift"], num_images=24, seed=5)
    assert part["kinds"] == [result["kinds"][11]] and run.robustness.read_bytes() == before
    assert robustness.measure(run, tiny_dataset, kinds=["contrast"], num_images=0)["num_images"] == 200
    with pytest.raises(fmnist.InputError, match="there is no corruption 'shft'; did you mean 'shift'"):
        robustness.measure(run, tiny_dataset, kinds=["shft"])


def test_a_run_that_cannot_tell_what_is_unfamiliar(measured, tiny_dataset, tmp_path):
    run = fmnist.RunDirectory(tmp_path / "bare")
    shutil.copytree(measured[0].path, run.path)
    run.familiarity.unlink()
    found = robustness.measure(run, tiny_dataset, kinds=["jpeg"], num_images=9, write=False)
    assert found["clean"]["unfamiliar"] is None and found["kinds"][0]["unfamiliar"] == [None] * 5


def test_the_report_shows_it(measured, tiny_dataset, tmp_path):
    run = fmnist.RunDirectory(tmp_path / "drawn")
    shutil.copytree(measured[0].path, run.path)
    content = results.robustness(run)
    row = {"traits": ["class 3", "dark"], "accuracy": 0.25, "interval": [0.1, 0.4], "correct": 5, "num_images": 20}
    content["slices"]["failing"] = [row]
    write_json(run.robustness, content)
    assert schema.problems(run) == []
    (plot,) = [one for one in plots.PLOTS if one.name == "robustness"]
    assert plot.drawable(run)
    drawn = plot.draw(run, tiny_dataset, run.plots / plot.name)
    page = Page(fmnist.write_report(run))
    assert "Of 24 test images" in page.text and "class 3, dark: 25.0% of 20 images correct" in page.text
    for path in drawn:
        path.unlink()
    assert f"fmnist report {run.path}" in Page(fmnist.write_report(run)).text


def test_the_command(measured, tiny_data_dir, run_cli):
    run, result, _ = measured
    where = ("robustness", run.path, "--data-dir", tiny_data_dir, "--images", "24", "--seed", "5")
    code, out, _ = run_cli(*where, "--kinds", "fog, shift")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("Clean accuracy") and "2 kinds × 5 strengths" in lines[1]
    (fog,) = [line.split() for line in lines if line.startswith("fog")]
    assert fog[1:6] == [f"{100 * share:.0f}" for share in result["kinds"][5]["accuracy"]]
    code, out, _ = run_cli(*where, "--kinds", "fog", "--json")
    assert code == 0 and json.loads(out)["kinds"] == [result["kinds"][5]]
    code, out, err = run_cli(*where, "--kinds", "fogg")
    assert (code, out) == (2, "") and "did you mean 'fog'" in err
