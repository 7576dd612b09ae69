"""The report: what it says, that it needs nothing else, and what it does about parts that are missing."""

import json
import os
import re
import shlex

import numpy as np
import pytest
from support.pages import Page, make_history, write_run

from fmnist.config import leaf_fields, preset
from fmnist.data import sources
from fmnist.errors import InputError
from fmnist.evaluation.metrics import frequent_confusions
from fmnist.report import plots, rendering, run_page
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.run.history import write_history


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_dataset):
    """A run with its plots and its report; read it, do not change it."""
    run = write_run(tmp_path_factory.mktemp("runs") / "first", tiny_dataset, seed=7)
    plots.draw_all(run, tiny_dataset)
    assert run_page.write_report(run) == run.report
    return run


@pytest.fixture(scope="module")
def page(run):
    return Page(run.report)


@pytest.fixture
def bare(tmp_path, tiny_dataset):
    """A run without plots, to be changed at will."""
    return write_run(tmp_path / "bare", tiny_dataset)


def test_headline_figures(page):
    for part in (
        "first Preset reference · here",
        "Test accuracy 80.00% 95% interval 73.91% to 84.95%, n = 200",
        "Parameters 356,234 reference network",
        "Epochs 4 batches of 64, adam",
        "Training time 75 s (2 cores)",
    ):
        assert part in page.text


def test_results_in_words(page):
    assert "160 of 200 test images are classified correctly." in page.text
    assert "The most confident of 40 mistakes" in page.text
    assert re.search(r"\w+ predicted as \w+ : \d+ times \( \d+\.\d% of its images\)", page.text.replace("(", "( "))


def test_the_confusion_matrix_is_a_table(page):
    heads = [attributes for attributes in page.all("th") if attributes.get("scope") == "col"]
    cells = [
        attributes for attributes in page.all("td") if "style" in attributes or attributes.get("class") == "correct"
    ]
    assert len(heads) >= 10 and len(cells) == 20  # of each class the correct ones, and one kind of mistake
    strengths = [float(cell["style"].partition(":")[2]) for cell in page.all("td") if "style" in cell]
    assert len(strengths) == 10 and max(strengths) == 1 and min(strengths) > 0  # a kind of mistake in each class


def test_it_needs_nothing_else(page):
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe", "object")]
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:image/png;base64,")), f"{tag} {name}={address[:60]}"
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_it_is_accessible(page):
    assert page.all("html") == [{"lang": "en"}]
    pictures = [attributes for attributes in page.all("div") if attributes.get("role") == "img"]
    assert len(pictures) == 5
    assert all(picture["aria-label"] for picture in pictures)
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    labelled = {attributes["aria-labelledby"] for attributes in page.all("section")}
    assert labelled <= set(identities)


def test_pictures_take_the_pages_colours(page):
    drawings = page.source[page.source.index("<main>") :]
    assert "var(--training)" in drawings
    assert not re.search("|".join(rendering._THEME), drawings)


def test_references_inside_the_pictures_lead_somewhere(page):
    identities = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page.source))
    assert {first or second for first, second in used} <= identities


def test_parts_come_in_order(page):
    parts = ["Test accuracy", "Learning curves", "Test results", "Samples of the data", "Train this again", "History"]
    parts += ["Configuration", "Environment and data"]
    places = [page.text.index(part) for part in parts]
    assert places == sorted(places)


def test_writing_it_again_changes_nothing(run, page):
    run_page.write_report(run)
    assert run.report.read_text("utf-8") == page.source


def test_what_is_missing_names_the_command_that_makes_it(bare):
    for path in (bare.metrics, bare.predictions, bare.environment, bare.status):
        path.unlink()
    page = Page(run_page.write_report(bare))
    assert f"The model has not been scored on the test set yet: fmnist evaluate {bare.path}" in page.text
    assert f"This picture is not drawn yet: fmnist report {bare.path}" in page.text
    assert "Validation accuracy 90.00% after the last epoch" in page.text
    assert "Environment and data" not in page.text
    bare.history.unlink()
    assert f"No epoch is done yet: fmnist train --resume {bare.path}" in Page(run_page.write_report(bare)).text


def test_an_unfinished_run_says_so(bare):
    write_json(bare.status, {"state": "failed", "epoch": 1, "seconds": 5, "message": "the loss became nan"})
    text = Page(run_page.write_report(bare)).text
    assert "Its state is diverged , after 4 whole epochs: the loss became nan." in text and "--resume" not in text
    write_json(bare.status, {"state": "failed", "epoch": 1, "seconds": 5, "message": "the disk is full"})
    text = Page(run_page.write_report(bare)).text
    assert "Its state is failed , after 4 whole epochs: the disk is full. fmnist train --resume" in text
    assert f"--resume {bare.path} continues it" in text


def test_without_a_configuration_there_is_no_report(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*config\.json"):
        run_page.write_report(RunDirectory(tmp_path / "nothing"))


def test_names_cannot_inject_markup(tmp_path, tiny_dataset):
    run = write_run(tmp_path / "a <b> & 'c'", tiny_dataset)
    metrics = read_json(run.metrics)
    metrics["class_names"][0] = metrics["per_class"][0]["name"] = "<script>alert(1)</script>"
    write_json(run.metrics, metrics)
    page = Page(run_page.write_report(run))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.text
    assert "a <b> & 'c' Preset" in page.text


def test_a_broken_picture_counts_as_missing(bare):
    bare.plots.mkdir()
    (bare.plots / "curves.svg").write_text("<html>no drawing</html>")
    page = Page(run_page.write_report(bare))
    assert "no drawing" not in page.text
    assert page.text.count("This picture is not drawn yet") == 5


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (
            make_history(3),
            "The run has 3 epochs; after the last one the model is correct on 95.0% of the training images and 90.0% "
            "of the validation images.",
        ),
        (
            make_history(1, without=("val_loss", "val_accuracy")),
            "The run has 1 epoch; after the last one the model is correct on 95.0% of the training images; no images "
            "were kept for validation.",
        ),
        (
            make_history(2, without=("val_loss", "val_accuracy", "train_loss", "train_accuracy")),
            "The run has 2 epochs; no images were kept for validation.",
        ),
    ],
)
def test_what_the_curves_show_in_words(history, sentence):
    assert run_page.curve_sentence(history, {}) == sentence
    assert run_page.curve_sentence(history, {"sentences": ["Good fit: 1.", "2."]}) == "Good fit: 1."


def test_without_a_diagnosis_the_curves_have_their_own_sentence(bare):
    own = "The run has 4 epochs; after the last one the model is correct on"
    assert own in Page(run_page.write_report(bare)).text
    write_json(bare.diagnosis, {"sentences": ["Good fit: 1."], "advice": [], "notes": []})
    plots.curves(make_history(4), bare.plots / "curves", "A run")
    page = Page(run_page.write_report(bare))
    assert own not in page.text and page.text.count("Good fit: 1.") == 1
    assert 'aria-label="Accuracy and loss after each epoch. Good fit: 1."' in page.source


def test_one_epoch_has_no_curve_but_its_loss_is_drawn(bare, tiny_dataset):
    """Runs of earlier versions have not kept it."""
    write_history(bare.history, make_history(1))
    names = {path.stem for path in plots.draw_all(bare, tiny_dataset)}
    assert not names & {"curves", "within-epoch"}
    page = Page(run_page.write_report(bare))
    assert "Learning curves" in page.text and "One epoch has no curve." in page.text
    assert "not drawn yet" not in page.text
    write_json(bare.first_epoch, {"segments": [[10, 2.1], [20, 0.9], [25, 0.7]]})
    names = {path.stem for path in plots.draw_all(bare, tiny_dataset)}
    assert "within-epoch" in names and "curves" not in names
    assert {"The one epoch of bare", "Training steps", "training 0.700"} <= set(
        re.findall("<!-- (.*) -->", (bare.plots / "within-epoch.svg").read_text("utf-8"))
    )
    page = Page(run_page.write_report(bare))
    assert "One epoch has no curve. This is the training loss within it" in page.text
    assert any(str(found.get("aria-label")).startswith("Training loss over the steps") for found in page.all("div"))


def test_a_plot_is_a_function_and_a_row(bare, tiny_dataset, monkeypatch):
    """The row alone brings it into `fmnist report`, its files and the page; without what it needs it is left out."""

    def draw(run, dataset, stem):
        return plots.sample_sheet(dataset.test_images[:2], [0, 1], ["a", "b"], stem, "Toy")

    toy = plots.Plot(
        "toy", draw, "", "Two images.", "A caption.", "A heading", drawable=lambda run: run.metrics.is_file()
    )
    monkeypatch.setattr(plots, "PLOTS", (*plots.PLOTS, toy))
    monkeypatch.setattr(run_page, "PLOTS", plots.PLOTS)
    assert bare.plots / "toy.svg" in plots.draw_all(bare, tiny_dataset)
    page = Page(run_page.write_report(bare))
    assert "More pictures A heading" in page.text and "A caption." in page.text
    assert "Two images." in [found.get("aria-label") for found in page.all("div")]
    for path in (bare.metrics, *bare.plots.glob("toy.*")):
        path.unlink()
    assert bare.plots / "toy.svg" not in plots.draw_all(bare, tiny_dataset)
    assert "A heading" not in Page(run_page.write_report(bare)).text


def test_frequent_confusions():
    metrics = {"confusion_matrix": [[5, 3, 0], [4, 16, 0], [0, 1, 9]], "class_names": ["a", "b", "c"]}
    assert frequent_confusions(metrics, count=2) == [
        {"true": "b", "predicted": "a", "count": 4, "images": 20, "share": 0.2},
        {"true": "a", "predicted": "b", "count": 3, "images": 8, "share": 0.375},
    ]


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("fast", {}),
        ("fast", {"flip": True}),
        ("fast", {"flip": False, "filters": (8, 16), "learning_rate": 0.05, "validation_fraction": 0.1}),
        ("reference", {"flip": True, "limit": 500, "epochs": 3, "optimizer": "adamw", "weight_decay": 1e-05}),
    ],
)
def test_the_train_command_gives_the_same_configuration(name, overrides, tmp_path):
    from fmnist.cli.train import command

    config = preset(name, **overrides)
    stored = json.loads(json.dumps(config.to_dict()))
    line = run_page.train_command(RunDirectory(tmp_path / "my runs" / "my run"), stored)
    words = shlex.split(line.replace("\\\n", ""))
    assert words[:2] == ["fmnist", "train"]
    given = command.make_context("train", words[2:]).params
    assert (given["preset_name"], given["name"]) == (name, "my run")
    assert given["runs_dir"] == tmp_path / "my runs"
    flags = {key: value for key, value in given.items() if key in leaf_fields() and value is not None}
    assert preset(name, **flags) == config
    assert flags.keys() <= overrides.keys()


def test_the_train_command_names_the_folder_that_the_data_was_read_from(tmp_path):
    """Also of runs of earlier versions, which have it as their data's source."""
    stored, run = preset("fast").to_dict(), RunDirectory(tmp_path)
    digests = sources.official_sha256()
    other = {**digests, sources.FILE_NAMES[0]: "0"}
    for environment, named in (
        ({"data_source": "the cache", "data_dir": None, "data_sha256": digests}, False),
        ({"data_source": "my data", "data_dir": "/my data", "data_sha256": digests}, True),
        ({"data_source": "the cache", "data_sha256": digests}, False),
        ({"data_source": "/my data", "data_sha256": other}, True),
    ):
        write_json(run.environment, environment)
        assert ("--data-dir '/my data'" in run_page.train_command(run, stored)) == named
        assert ("--data-dir" in run_page.train_command(run, stored)) == named


def test_no_class_is_the_hardest_where_all_are_alike(bare):
    assert "The hardest class is" in Page(run_page.write_report(bare)).text
    metrics = read_json(bare.metrics)
    perfect = [row | {"precision": 1.0, "recall": 1.0, "f1": 1.0} for row in metrics["per_class"]]
    write_json(bare.metrics, metrics | {"per_class": perfect})
    assert "The hardest class" not in Page(run_page.write_report(bare)).text


def test_command(run_cli, bare, tiny_data_dir):
    arguments = ("report", "bare", "--runs-dir", bare.path.parent, "--data-dir", tiny_data_dir)
    code, out, _ = run_cli(*arguments)
    assert (code, out) == (0, f"{bare.report}\n")
    assert "not drawn yet" not in bare.report.read_text("utf-8")
    code, out, _ = run_cli(*arguments, "--json")
    result = json.loads(out)
    assert (code, result["report"], len(result["plots"])) == (0, str(bare.report), 12)
    assert all((bare.plots / f"curves.{kind}").is_file() for kind in ("png", "svg"))


def test_command_with_a_wrong_name(run_cli, bare, tiny_data_dir):
    code, out, err = run_cli("report", "bear", "--runs-dir", bare.path.parent, "--data-dir", tiny_data_dir)
    assert (code, out) == (2, "")
    assert "'bear' is neither a run directory nor the name of a run" in err
    assert "did you mean 'bare'?" in err


def test_help_ends_in_two_examples(run_cli):
    code, out, _ = run_cli("report", "--help")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["fmnist", "report"]] * 2


def test_calibration_in_words(page, bare):
    """80% of answers of 91% are right: 11% off."""
    assert "confidence is 11.0% off its accuracy" in page.text and "too few validation images" in page.text
    write_json(bare.metrics, read_json(bare.metrics) | {"calibrated": {"temperature": 1.5, "ece": 0.012, "loss": 0.9}})
    text = Page(run_page.write_report(bare)).text
    assert "Divided by a temperature of 1.500 , fitted on the validation images, it is 1.20% off" in text
    assert "the loss goes from 0.9965 to 0.9000" in text
    write_json(bare.metrics, {key: value for key, value in read_json(bare.metrics).items() if key != "ece"})
    assert "confidence is" not in Page(run_page.write_report(bare)).text  # scores of an earlier version


def test_exported_files_and_their_speed(bare):
    row = {"format": "onnx", "bytes": 1_655_006, "accuracy": 0.8, "agreement": 0.99}
    bare.exports.mkdir()
    (bare.exports / "model.onnx").touch()
    write_json(bare.exports_index, {"files": [row | {"file": "model.onnx", "forced": True}]})
    run_page.write_report(bare)
    text = Page(bare.report).text
    assert "onnx (forced: it failed its check) 1,655 kB 80.00% 99.00% Their speed" in text
    assert f"Their speed has not been measured yet: fmnist benchmark {bare.path}" in text
    speed = {"latency_median_ms": 0.123, "latency_p99_ms": 0.5, "images_per_second": 5000.4, "start_seconds": 0.4}
    rows = [row | speed | {"format": name, "peak_bytes": 6e7} for name in ("model.keras", "onnx")]
    write_json(bare.benchmark, {"environment": {"cores": 2, "processor": "P"}, "rows": rows})
    run_page.write_report(bare)
    text = Page(bare.report).text
    assert "onnx (forced: it failed its check) 1,655 kB 80.00% 99.00% 0.12 ms 0.50 ms 5,000 0.40 s 60 MB" in text
    assert "model.keras 1,655 kB" in text and "fmnist benchmark" not in text
    # What was exported after the benchmark is told; a format that no benchmark measures is not missed.
    later = [row | {"format": name, "file": "model.onnx", "sha256": "2"} for name in ("onnx", "litert", "web")]
    write_json(bare.exports_index, {"files": later})
    text = Page(run_page.write_report(bare)).text
    assert (
        f"The benchmark is older than litert: fmnist benchmark {bare.path}" in text and "not been measured" not in text
    )
    assert "web 1,655 kB 80.00% 99.00% – – – – –" in text
    (bare.exports / "model.onnx").unlink()
    run_page.write_report(bare)
    assert "Exported files" not in Page(bare.report).text


def test_only_what_was_just_drawn_is_shown(bare, tiny_dataset):
    """A run of somebody else's may have a picture where there is nothing to draw: of mistakes where there are none."""
    labels = tiny_dataset.test_labels
    np.savez_compressed(bare.predictions, probabilities=np.eye(10, dtype=np.float32)[labels], labels=labels)
    bare.plots.mkdir()
    form = '<svg width="9pt" height="9pt" viewBox="0 0 9 9"><g id="columns-1-parts-1"/></svg><form action="//evil"/>'
    for name in ("mistakes", "within-epoch"):
        (bare.plots / f"{name}.svg").write_text(form)
    drawn = plots.draw_all(bare, tiny_dataset)
    page = Page(run_page.write_report(bare))
    assert not page.all("form") and {*bare.plots.iterdir()} == {*drawn}
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "form-action 'none'" in policy and "base-uri 'none'" in policy


def test_a_path_that_is_no_utf_8_is_written_out(tmp_path, tiny_dataset):
    run = write_run(tmp_path / os.fsdecode(b"caf\xe9"), tiny_dataset)
    assert r"caf\udce9" in Page(run_page.write_report(run)).text


@pytest.mark.parametrize(("counts", "told"), [((31, 10), True), ((30, 10), False)])
def test_where_the_test_set_is_uneven_the_balanced_accuracy_is_told(counts, told, capsys):
    from fmnist.cli import evaluate as command
    from fmnist.evaluation.evaluate import scores

    labels = np.repeat([0, 1], counts)
    probabilities = np.eye(2)[np.where(np.arange(len(labels)) % 2, labels, 0)]
    found = scores(probabilities, labels, ("a", "b"))
    _, _, note = run_page._cards({}, {}, {}, found, [])[0]
    assert ("balanced accuracy 75.00%" in note) is told
    command._print(found)
    assert ("Balanced       75.00%, the mean of the classes' recalls" in capsys.readouterr().out) is told
