"""Exported files: the gate's limits, the facts inside, what a failure leaves behind; the conversions are slow tests."""

import hashlib
import json
import os
import pkgutil
import shutil
import zipfile

import numpy as np
import pytest
from support.fake_export import Fake

from fmnist.errors import InputError, RunError
from fmnist.evaluation.calibration import at_temperature
from fmnist.export import exporter, litert, network
from fmnist.export.benchmark import benchmark_run
from fmnist.export.exporter import export_run
from fmnist.export.formats import DEFAULT_FORMATS, EXACT, FORMATS, HALF, INTEGER, Format
from fmnist.export.gate import compare
from fmnist.predictor import process
from fmnist.predictor.opening import open_model
from fmnist.predictor.predictor import METADATA_KEY
from fmnist.run import results
from fmnist.run.directory import TEMPORARY, RunDirectory, read_json, write_json

# Format web has tests of its own: test_export_web.py and test_export_web_browser.py.
# The folders that hold one of these files and more (web, hub) have tests of their own.
FILES = tuple(name for name, form in FORMATS.items() if not form.model)
LABELS = np.arange(1000) % 10
KERAS = (0.9 * np.eye(10) + 0.01)[LABELS].astype(np.float32)


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the finished run, to be changed at will."""
    return RunDirectory(shutil.copytree(tiny_run.path, tmp_path / "tiny"))


class TestGate:
    def test_the_same_answers_pass(self):
        parity = compare(KERAS, KERAS, LABELS)
        assert (parity.accuracy, parity.agreement, parity.largest_difference, parity.num_images) == (1, 1, 0, 1000)
        assert not any(parity.problems(form.limits) for form in FORMATS.values())

    @pytest.mark.parametrize(("limits", "bound"), [(EXACT, 1e-4), (HALF, 2e-2)])
    def test_one_probability_too_far_off_is_refused(self, limits, bound):
        for factor, refused in ((0.9, False), (1.1, True)):
            changed = KERAS.copy()
            changed[7, 3] += factor * bound
            assert bool(compare(changed, KERAS, LABELS).problems(limits)) is refused

    def test_half_precision_keeps_the_top_class_of_all_but_one_in_a_thousand(self):
        close = KERAS.copy()
        close[:, :2] = 0.455
        for wrong, refused in ((1, False), (2, True)):
            changed = close.copy()
            changed[:wrong, 1] += 0.01
            found = compare(changed, close, LABELS).problems(HALF)
            assert bool(found) is refused and all("99.80% of the images" in text for text in found)

    def test_integers_may_lose_three_images_in_a_thousand(self):
        for wrong, refused in ((3, False), (4, True)):
            changed = KERAS.copy()
            changed[:wrong] = np.roll(changed[:wrong], 1, axis=1)
            found = compare(changed, KERAS, LABELS).problems(INTEGER)
            assert bool(found) is refused and all("99.60%, 0.40 points below" in text for text in found)
        assert not compare(KERAS, np.roll(KERAS, 1, axis=1), LABELS).problems(INTEGER)  # better than Keras is no fault

    def test_what_is_no_number_is_refused(self):
        changed = KERAS.copy()
        changed[5, 5] = np.nan
        assert compare(changed, KERAS, LABELS).problems(EXACT)


JOBS = """
import os, tempfile
from fmnist.errors import InputError

def double(*, images, word):
    return {"word": 2 * word}, {"images": 2 * images}

def leave():
    return {"path": tempfile.mkstemp()[1]}, {}

def fail(*, way):
    if way == "input":
        raise InputError("not this")
    if way == "bug":
        raise KeyError("x")
    os.kill(os.getpid(), 9)
"""


class TestProcess:
    @pytest.fixture(autouse=True)
    def jobs(self, tmp_path, monkeypatch):
        (tmp_path / "jobs.py").write_text(JOBS)
        monkeypatch.syspath_prepend(tmp_path)

    def test_arguments_and_results_travel(self):
        values, arrays = process.call("jobs:double", "doubling", {"images": LABELS}, word="a")
        assert values == {"word": "aa"}
        np.testing.assert_array_equal(arrays["images"], 2 * LABELS)

    def test_temporary_files_of_a_child_go_with_it(self):
        """A child ends without clearing up, and TensorFlow writes functions into temporary files."""
        values, _ = process.call("jobs:leave", "leaving")
        assert values["path"] and not os.path.exists(values["path"])

    @pytest.mark.parametrize(
        ("way", "error", "message"),
        [
            ("input", InputError, "^trying: not this\n"),
            ("bug", RunError, "^trying: KeyError: 'x'\n"),
            ("killed", RunError, r"trying: the process was ended \(SIGKILL, as when memory runs out\)"),
        ],
    )
    def test_failures_are_told(self, way, error, message):
        with pytest.raises(error, match=message):
            process.call("jobs:fail", "trying", way=way)


class TestExport:
    """What happens around the conversion; that itself is `TestFormats`."""

    def test_a_file_that_passes_is_put_in_place_with_its_hash(self, run, tiny_dataset, monkeypatch):
        fake = Fake(monkeypatch, tiny_dataset)
        result = export_run(run, tiny_dataset, ("litert",))
        assert sorted(os.listdir(run.exports)) == ["exports.json", "model.tflite"]
        (row,) = read_json(run.exports_index)["files"]
        content = (run.exports / "model.tflite").read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest() and row["bytes"] == len(content)
        assert row["passed"] and not row["forced"] and row["num_images"] == 200 and row["agreement"] == 1
        assert result["written"] == ["litert"] and result["refused"] == []
        (facts,) = [values["facts"] for function, values in fake.calls if function.endswith("convert")]
        assert facts["class_names"] == list(tiny_dataset.class_names) and facts["run"] == "tiny"
        assert facts["run_id"] == hashlib.sha256(run.model.read_bytes()).hexdigest()[:16]

    @pytest.mark.parametrize("calibrate", [True, False])
    def test_files_and_keras_have_the_temperature_that_is_written_down(self, run, tiny_dataset, monkeypatch, calibrate):
        fake = Fake(monkeypatch, tiny_dataset)
        (row,) = export_run(run, tiny_dataset, ("litert",), calibrate=calibrate)["files"]
        temperature = read_json(run.calibration)["temperature"] if calibrate else 1.0
        assert (row["calibrated"], row["temperature"]) == (calibrate, temperature)
        calls = {function.split(":")[1]: values for function, values in reversed(fake.calls)}
        if calibrate:
            assert calls["fold"]["temperature"] == temperature and calls["fold"]["source"] == str(run.model)
        source = calls["fold"]["target"] if calibrate else str(run.model)
        assert calls["answer"]["path"] == calls["convert"]["source"] == source
        facts = calls["convert"]["facts"]
        assert (facts["calibrated"], facts["temperature"]) == (calibrate, temperature)
        assert facts["familiarity"] == read_json(run.familiarity)

    @pytest.mark.parametrize("force", [False, True])
    def test_a_file_that_fails_is_written_by_force_only(self, run, tiny_dataset, monkeypatch, force):
        Fake(monkeypatch, tiny_dataset, wrong=20)
        result = export_run(run, tiny_dataset, ("litert", "litert-int8"), force=force)
        assert [row["format"] for row in result["refused"]] == ["litert", "litert-int8"]
        assert result["written"] == (["litert", "litert-int8"] if force else [])
        assert "10.00 points below" in result["refused"][1]["problems"][0]
        assert all(row["forced"] and not row["passed"] for row in results.exports(run).get("files", []))
        assert (run.exports / "model.tflite").exists() is force

    def test_a_refused_file_leaves_the_one_before(self, run, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        export_run(run, tiny_dataset, ("litert",))
        before = run.exports_index.read_bytes()
        Fake(monkeypatch, tiny_dataset, wrong=20)
        export_run(run, tiny_dataset, ("litert",))
        assert run.exports_index.read_bytes() == before

    @pytest.mark.parametrize("fail", [RunError("the process was ended"), KeyboardInterrupt()])
    def test_an_ended_conversion_leaves_nothing_half_written(self, run, tiny_dataset, monkeypatch, fail):
        Fake(monkeypatch, tiny_dataset, fail=fail)
        if isinstance(fail, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                export_run(run, tiny_dataset, ("litert", "onnx"))
        else:
            assert len(export_run(run, tiny_dataset, ("litert", "onnx"))["refused"]) == 2
        assert os.listdir(run.exports) == []

    def test_what_a_killed_export_left_is_cleared_away(self, run, tiny_dataset, monkeypatch):
        (run.exports / f"{TEMPORARY}x").mkdir(parents=True)
        Fake(monkeypatch, tiny_dataset)
        with run.lock():
            export_run(run, tiny_dataset, ("onnx",))
        assert sorted(os.listdir(run.exports)) == ["exports.json", "model.onnx"]

    def test_files_of_an_earlier_model_are_not_listed(self, run, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        export_run(run, tiny_dataset, ("litert",))
        write_json(run.exports_index, read_json(run.exports_index) | {"model_sha256": "another"})
        export_run(run, tiny_dataset, ("onnx",))
        assert [row["format"] for row in results.exports(run)["files"]] == ["onnx"]

    @pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs a file system with rights")
    def test_a_folder_that_cannot_be_written(self, run, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        run.exports.write_text("a file where the folder should be")  # root may write into any folder, but not here
        with pytest.raises(RunError, match=r"cannot write .*exports"):
            export_run(run, tiny_dataset, ("litert",))

    def test_examples_are_drawn_from_the_training_images_alone(self, run, tiny_dataset):
        from fmnist.data.split import split_indices

        config = read_json(run.config)
        _, validation = split_indices(tiny_dataset.train_labels, config["data"]["validation_fraction"], 0)
        examples = exporter._examples(config, tiny_dataset)
        rows = {image.tobytes() for image in examples}
        assert len(rows) == len(examples) == min(exporter.EXAMPLES, 600 - len(validation))
        assert not rows & {tiny_dataset.train_images[index].tobytes() for index in validation}

    def test_the_hash_of_a_folder_covers_names_and_contents(self, tmp_path):
        (tmp_path / "a").write_text("1")
        before = exporter.sha256(tmp_path)
        (tmp_path / "a").rename(tmp_path / "b")
        renamed = exporter.sha256(tmp_path)
        (tmp_path / "b").write_text("2")
        assert len({before, renamed, exporter.sha256(tmp_path)}) == 3 and exporter.size(tmp_path) == 1


TOY = """
import json, shutil, zipfile
from fmnist.predictor.keras_file import open_keras

def write(source, path, quantization, examples):
    assert quantization == "none at all" and examples.dtype == "uint8"
    shutil.copyfile(source, path)

def embed(path, facts):
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = json.dumps(facts).encode()

def open_file(path):
    return open_keras(path).probabilities
"""


def test_a_format_is_a_row_and_a_file(run, tiny_dataset, tmp_path, monkeypatch):
    """A toy format is written, judged, given its facts and listed, with nothing changed but the table."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    row = Format("toy", "toy.keras", "a test", EXACT, "toy", "none at all", hint="play with {path}")
    monkeypatch.setitem(FORMATS, "toy", row)

    def here(function, what, arrays, *, backend=None, **values):
        return pkgutil.resolve_name(function)(**arrays, **values)

    monkeypatch.setattr(exporter, "call", here)
    result = export_run(run, tiny_dataset, ("toy",), calibrate=False)
    assert result["refused"] == [] and result["written"] == ["toy"]
    (row,) = results.exports(run)["files"]
    assert (row["file"], row["agreement"], row["largest_difference"]) == ("toy.keras", 1, 0)
    facts = json.loads(zipfile.ZipFile(run.exports / "toy.keras").comment)
    assert facts["format"] == "toy" and facts["accuracy"] == row["accuracy"]
    monkeypatch.setattr("fmnist.export.benchmark.call", here)
    rows = benchmark_run(run, tiny_dataset, seconds=0.01)["rows"]
    assert [row["format"] for row in rows] == ["model.keras", "toy"]


def test_a_benchmark_needs_the_model_and_files_that_are_no_links(run, tiny_dataset, tmp_path):
    run.exports.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"x")
    (run.exports / "model.tflite").symlink_to(tmp_path / "elsewhere")
    row = {"format": "litert", "file": "model.tflite", "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    write_json(run.exports_index, {"model_sha256": "0", "files": [row | {"passed": True}]})
    with pytest.raises(InputError, match=r"changed since the export: model.tflite; `fmnist export"):
        benchmark_run(run, tiny_dataset, seconds=0.01)
    run.model.unlink()
    with pytest.raises(InputError, match=r"has no model.keras; `fmnist train --resume .*` makes it"):
        benchmark_run(run, tiny_dataset, seconds=0.01)


class TestCommand:
    @pytest.mark.parametrize("wrong", [0, 20])
    def test_table_reasons_and_exit_code(self, run, run_cli, tiny_data_dir, tiny_dataset, monkeypatch, wrong):
        Fake(monkeypatch, tiny_dataset, wrong=wrong)
        formats = ("--format", "litert, ", "--format", "litert-int8")
        code, out, err = run_cli("export", run.path, *formats, "--data-dir", tiny_data_dir)
        if wrong:
            assert code == 1 and out == ""
            assert "litert-int8: accuracy is 90.00%, 10.00 points below Keras's 100.00%" in err and "not written" in err
        else:
            assert code == 0 and "model-int8.tflite" in out and "100.00%" in out

    def test_it_says_whether_they_are_calibrated(self, run, run_cli, tiny_data_dir, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        temperature = read_json(run.calibration)["temperature"]
        calibrated = f"calibrated with temperature {temperature:.3f}"
        for flags, words in (([], calibrated), (["--no-calibrate"], "not calibrated")):
            code, out, _ = run_cli("export", run.path, "--format", "onnx", "--data-dir", tiny_data_dir, *flags)
            assert code == 0 and f"Probabilities: {words}" in out

    def test_json(self, run, run_cli, tiny_data_dir, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        code, out, _ = run_cli("export", run.path, "--format", "onnx", "--data-dir", tiny_data_dir, "--json")
        assert code == 0 and json.loads(out)["written"] == ["onnx"]

    @pytest.mark.parametrize(
        ("formats", "expected"), [("litert,onx", "did you mean 'onnx'"), (",", "expected some of")]
    )
    def test_unknown_formats(self, run, run_cli, formats, expected):
        code, _, err = run_cli("export", run.path, "--format", formats)
        assert code == 2 and expected in err


@pytest.mark.parametrize("flip_average", [False, True])
@pytest.mark.parametrize(("family", "filters"), [("fast", (4, 8)), ("vgg", (4, 4, 4, 4)), ("reference", (4, 4, 4))])
def test_a_temperature_folded_in(family, filters, flip_average, tmp_path):
    from fmnist import backend, models
    from fmnist.config import ModelConfig
    from fmnist.export.network import fold, logits_layer

    backend.prepare()
    import keras

    keras.utils.set_random_seed(0)
    model = models.build(ModelConfig(family=family, filters=filters, flip_average=flip_average))
    logits_layer(model).bias.assign(np.linspace(-1, 1, 10))
    model.save(tmp_path / "raw.keras")
    fold(source=str(tmp_path / "raw.keras"), target=str(tmp_path / "folded.keras"), temperature=0.2)
    folded = keras.models.load_model(tmp_path / "folded.keras", compile=False)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)
    raw, found = backend.Predictor(model)(images), backend.Predictor(folded)(images)
    assert np.abs(found - raw).max() > 1e-3
    np.testing.assert_allclose(found, at_temperature(raw, 0.2), atol=2e-6)
    assert len(folded.layers) == len(model.layers)


def test_a_network_that_ends_in_something_else_is_not_folded():
    from fmnist import backend
    from fmnist.export.network import logits_layer

    backend.prepare()
    from keras import Input, Model, Sequential, layers

    for last, words in (
        (layers.ReLU(name="last"), "'last' stands where"),
        (layers.Rescaling(2.0, offset=1.0, name="last"), "'last' stands where"),
        (layers.Dense(2, activation="relu", name="last"), "'last' stands where"),
    ):
        with pytest.raises(RunError, match=words):
            logits_layer(Sequential([Input((3,)), layers.Dense(2), last]))
    features = Input((3,))
    mean = layers.Average(name="mean")([layers.Dense(2)(features), layers.Dense(2)(features)])
    with pytest.raises(RunError, match="'mean' stands where"):
        logits_layer(Model(features, mean))
    with pytest.raises(RunError, match="no Dense layer"):
        logits_layer(Sequential([Input((3,)), layers.Softmax()]))


def test_ops_outside_litert_are_refused():
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    plain, flex = schema.OperatorCodeT(), schema.OperatorCodeT()
    flex.customCode = b"FlexErfinv"
    model.operatorCodes = [plain]
    litert.check_ops(model)
    model.operatorCodes.append(flex)
    with pytest.raises(RunError, match="FlexErfinv"):
        litert.check_ops(model)


def _sabotage(path):
    """Change one weight of a LiteRT file: the largest one of its largest buffer."""
    model = litert._read(path)
    buffer = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
    weights = buffer.data.view(np.float32).copy()
    weights[np.abs(weights).argmax()] += 1.0
    content = path.read_bytes()
    at = content.index(buffer.data.tobytes())
    path.write_bytes(content[:at] + weights.tobytes() + content[at + buffer.data.nbytes :])


@pytest.fixture(scope="module")
def exported(tiny_dataset, tmp_path_factory):
    """A run that has learnt enough to be sure of itself, in all formats: a step of 1/256 is to cost it nothing."""
    import fmnist

    config = fmnist.preset("reference", epochs=8, batch_size=16, filters=(8, 16, 16))
    run = fmnist.train(config, tiny_dataset, tmp_path_factory.mktemp("runs") / "tiny", train_only=True)
    return run, export_run(run, tiny_dataset, FILES)


@pytest.mark.slow
class TestFormats:
    """Every format for real, from the tiny run, and from networks of another family, size and number of classes."""

    def test_files_made_here_are_opened_without_a_trial(self, exported, tmp_path, monkeypatch):
        run, _ = exported

        def refuse(*_, **__):
            raise AssertionError("a process was started")

        monkeypatch.setattr("fmnist.predictor.process.subprocess.run", refuse)
        for name in ("model.tflite", "model-int8.onnx"):
            assert open_model(run.exports / name).metadata["run"] == "tiny"
        changed = tmp_path / "changed.onnx"
        changed.write_bytes((run.exports / "model.onnx").read_bytes() + b"\0")
        with pytest.raises(AssertionError, match="a process was started"):
            open_model(changed)

    def test_all_pass(self, exported):
        _, result = exported
        assert result["refused"] == [] and result["written"] == [*FILES]

    def test_hashes_and_sizes_are_those_of_the_files(self, exported):
        run, result = exported
        assert read_json(run.exports_index)["files"] == result["files"]
        for row in result["files"]:
            path = run.exports / row["file"]
            assert (row["sha256"], row["bytes"]) == (exporter.sha256(path), exporter.size(path))

    @pytest.mark.parametrize("name", FILES)
    def test_facts_are_inside(self, exported, name):
        run, result = exported
        path = run.exports / FORMATS[name].file
        if path.is_dir():
            facts = read_json(path / "assets.extra" / "fmnist.json")
        elif path.suffix == ".keras":
            facts = json.loads(zipfile.ZipFile(path).read("metadata.json"))[METADATA_KEY]
        else:
            facts = open_model(path).metadata
        (row,) = [row for row in result["files"] if row["format"] == name]
        assert facts["format"] == name and facts["run"] == "tiny" and facts["accuracy"] == row["accuracy"]
        assert facts["calibrated"] and facts["temperature"] == read_json(run.calibration)["temperature"]
        assert facts["familiarity"] == read_json(run.familiarity)
        assert facts["class_names"] == list(open_model(run.exports / "model.tflite").class_names)
        assert facts["input"]["dtype"] == "uint8" and facts["input"]["shape"] == [None, 28, 28, 1]

    def test_calibrated_like_the_run_and_as_unfamiliar(self, exported, tiny_dataset):
        """A run answers the same through its LiteRT file and, without that, through Keras; its own file answers raw."""
        run, _ = exported
        images = tiny_dataset.test_images
        expected = [open_model(run.model).probabilities(images), open_model(run).unfamiliarity(images)]
        assert open_model(run).format == "litert" and open_model(run.model).format == "keras"
        expected[0] = at_temperature(expected[0], read_json(run.calibration)["temperature"])
        for name, tolerance in (("litert", 1e-4), ("onnx", 1e-4), ("keras", 1e-4), ("litert-int8", 0.2)):
            model = open_model(run.exports / FORMATS[name].file)
            np.testing.assert_allclose(model.probabilities(images), expected[0], atol=tolerance)
            np.testing.assert_array_equal(model.unfamiliarity(images), expected[1])
        exports = run.exports.rename(run.path / "elsewhere")
        try:
            model = open_model(run)
            assert model.format == "keras" and model.threshold == 1.0
            np.testing.assert_allclose(model.probabilities(images), expected[0], atol=1e-6)
            np.testing.assert_array_equal(model.unfamiliarity(images), expected[1])
        finally:
            exports.rename(run.exports)

    def test_any_number_of_images(self, exported, tiny_dataset):
        run, _ = exported
        for file in ("model.tflite", "model-int8.tflite", "model.onnx", "model-int8.onnx"):
            model = open_model(run.exports / file)
            for count in (1, 2, 33):
                assert model.probabilities(tiny_dataset.test_images[:count]).shape == (count, 10)

    def test_integers_all_the_way(self, exported):
        """Between the input and the last step every LiteRT tensor is of integers; a pixel is a step of 1/255."""
        run, _ = exported
        model = litert._read(run.exports / "model-int8.tflite")
        graph = model.subgraphs[0]
        floats = [graph.tensors[number] for op in graph.operators for number in op.outputs]
        floats = [tensor for tensor in floats if tensor.type == 0]
        assert len(floats) == 1 and floats[0].name in ("probabilities", b"probabilities")
        assert graph.tensors[graph.inputs[0]].quantization.scale[0] == np.float32(1 / 255)

    def test_one_changed_weight_is_refused(self, exported, tiny_dataset, monkeypatch):
        run, _ = exported
        original = exporter.call

        def sabotage(function, *arguments, **values):
            result = original(function, *arguments, **values)
            if function.endswith(":convert"):
                _sabotage(exporter.Path(values["target"]))
            return result

        monkeypatch.setattr(exporter, "call", sabotage)
        before = (run.exports / "model.tflite").read_bytes()
        (refused,) = export_run(run, tiny_dataset, ("litert",))["refused"]
        assert "off Keras's" in refused["problems"][0]
        assert (run.exports / "model.tflite").read_bytes() == before

    def test_benchmark(self, exported, run_cli, tiny_data_dir):
        run, _ = exported
        code, out, _ = run_cli("benchmark", run.path, "--data-dir", tiny_data_dir, "--seconds", "0.1", "--json")
        rows = json.loads(out)["rows"]
        assert code == 0 and [row["format"] for row in rows] == ["model.keras", *FILES]
        for row in rows:
            assert row["latency_p99_ms"] >= row["latency_median_ms"] > 0 and row["images_per_second"] > 0
            assert row["start_seconds"] > 0 and row["peak_bytes"] > 10e6 and 0 <= row["agreement"] <= 1
        assert read_json(run.benchmark)["rows"] == rows


RESIDUAL = {"family": "residual", "separable": True, "squeeze_excite": 4, "stem_pooling": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "settings", "size", "classes", "formats"),
    [
        ("fast", {}, 20, 4, (*DEFAULT_FORMATS, "onnx-int8")),
        ("reference", {}, 33, 3, (*DEFAULT_FORMATS, "onnx-int8")),
        ("fast", {"flip_average": True}, 28, 4, FILES),
        ("fast", {**RESIDUAL, "filters": (8, 8, 12)}, 28, 4, ("litert", "litert-int8", "onnx-int8")),
    ],
)
def test_other_networks_sizes_and_classes(preset, settings, size, classes, formats, tmp_path):
    from support.small_data import pattern_images, write_idx_folder

    import fmnist

    parts = []
    for count, seed in ((1200, 1), (300, 2)):
        images, labels = pattern_images(count, seed, size)
        parts.append((images[labels < classes] // 2, labels[labels < classes]))  # no white pixel in any image
    dataset = fmnist.load_dataset(write_idx_folder(tmp_path / "data", *parts))
    config = fmnist.preset(preset, epochs=8, batch_size=16, **settings)
    run = fmnist.train(config, dataset, tmp_path / "run", train_only=True)
    result = export_run(run, dataset, formats)
    assert result["refused"] == []
    assert open_model(run.exports / "model.tflite").image_shape == (size, size, 1)


def test_a_network_without_rescaling_has_no_integer_export():
    from fmnist import backend

    backend.prepare()
    import keras

    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(name="flat"), keras.layers.Dense(2)])
    with pytest.raises(RunError, match="the first layer is 'flat'"):
        network.without_rescaling(model)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), *model.layers])
    part, scale = network.without_rescaling(model)
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(part(images * scale), model(images), rtol=1e-6)
