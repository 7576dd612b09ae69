"""Predictions from files: the same numbers as worked by hand, whatever the format; broken and hostile files."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from support.onnx_models import IMAGES, NAMES, SHAPE, WEIGHTS, onnx_model

from fmnist.errors import InputError, RunError
from fmnist.evaluation.calibration import at_temperature
from fmnist.predictor import process, trial
from fmnist.predictor.opening import MODEL_SUFFIXES, open_model
from fmnist.predictor.predictor import Predictor
from fmnist.run.directory import RunDirectory, read_json, write_json


def by_hand(images):
    logits = images.reshape(len(images), 24) / 255 @ WEIGHTS
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def keras_model(extra=()):
    import keras

    model = keras.Sequential(
        [
            keras.Input((*SHAPE, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            *extra,
            keras.layers.Dense(3, activation="softmax", name="thirds"),
        ]
    )
    model.get_layer("thirds").set_weights([WEIGHTS, np.zeros(3, np.float32)])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same network as .onnx, .keras and .tflite."""
    from fmnist import backend

    folder = tmp_path_factory.mktemp("models")
    facts = {"class_names": NAMES, "image_shape": SHAPE, "run": "thirds"}
    (folder / "thirds.onnx").write_bytes(onnx_model(facts=facts))
    backend.prepare()
    import tensorflow as tf

    from fmnist.export import litert

    model = keras_model()
    model.save(folder / "thirds.keras")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "thirds.tflite").write_bytes(converter.convert())
    ends = {"input": {"name": "image"}, "output": {"name": "probabilities"}}
    litert.embed(folder / "thirds.tflite", facts | ends)
    return folder


@pytest.mark.parametrize("suffix", MODEL_SUFFIXES)
def test_the_numbers_are_those_worked_by_hand(suffix, files):
    model = open_model(files / f"thirds{suffix}")
    for count in (70, 1, 0, 33):  # also with a batch that is not full, and sizes in any order
        probabilities = model.probabilities(IMAGES[:count])
        assert probabilities.dtype == np.float32 and probabilities.shape == (count, 3)
        np.testing.assert_allclose(probabilities, by_hand(IMAGES[:count]), atol=1e-6)
    assert model.image_shape == (*SHAPE, 1)
    if suffix != ".keras":  # which has no place for facts
        assert model.class_names == NAMES and model.metadata["run"] == "thirds"
    assert model.format == {".tflite": "litert"}.get(suffix, suffix[1:])


def test_pictures_that_do_not_fit(files):
    model = open_model(files / "thirds.onnx")
    for images in (IMAGES.astype(np.float32), IMAGES[..., None].repeat(3, axis=-1), IMAGES[:, :3]):
        with pytest.raises(InputError, match=r"expected uint8 \(N, 4, 6\)"):
            model.probabilities(images)


def test_a_fixed_batch_is_filled_up(tmp_path):
    (tmp_path / "fixed.onnx").write_bytes(onnx_model(batch=16))
    model = open_model(tmp_path / "fixed.onnx")
    np.testing.assert_allclose(model.probabilities(IMAGES), by_hand(IMAGES), atol=1e-6)
    assert model.class_names == ("0", "1", "2")


def test_what_is_no_number_is_no_probability():
    model = Predictor(lambda batch: np.full((len(batch), 3), np.nan), "onnx", NAMES, (*SHAPE, 1))
    with pytest.raises(RunError, match="no numbers, for 70 of the pictures"):
        model.probabilities(IMAGES)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lambda: b"", "cannot open it"),
        (lambda: b"hello", "cannot open it"),
        (lambda: onnx_model()[:100], "cannot open it"),
        (lambda: onnx_model(kind="float"), "expected one of tensor\\(uint8\\)"),
        (lambda: onnx_model(activation="Relu"), "no probabilities; expected uint8 pictures"),
        (lambda: onnx_model(facts={"class_names": ["a"]}), "has 1 class names for 3 classes"),
        (lambda: onnx_model(facts={"class_names": ["a\x1b[2J", "b", "c"]}), "or names that cannot be shown"),
        (lambda: onnx_model(facts="no json"), "its metadata 'fmnist' is no JSON"),
        (lambda: onnx_model(batch=2**24), "more than 256 MiB"),
    ],
)
def test_an_onnx_file_that_breaks_the_contract(content, problem, tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(content())
    with pytest.raises(InputError, match=f"x.onnx: .*{problem}"):
        open_model(path)


def test_a_damaged_litert_file_is_one_error_and_harms_nobody(files, tmp_path):
    """Some of these kill the process that opens them: that is the child."""
    whole = (files / "thirds.tflite").read_bytes()
    path = tmp_path / "x.tflite"
    wild = bytearray(whole)
    for place in range(0x40, len(wild) - 4, 64):
        wild[place : place + 4] = b"\xff\xff\xff\x7f"
    for content in (b"", b"hello, world", whole[:200], bytes(wild)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="x.tflite: "):
            open_model(path)


def test_a_file_that_kills_takes_too_long_or_too_much_is_told(monkeypatch):
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(process, "_START", killed)
    with pytest.raises(InputError, match=r"x: opening it failed: the process was ended \(SIGSEGV\); it is damaged"):
        trial.try_model(b"", ".onnx", "x")
    monkeypatch.setattr(process, "_START", "import time; time.sleep(60)")
    monkeypatch.setattr(trial, "BOUNDS", process.Bounds(2**32, 0.2))
    with pytest.raises(InputError, match="took longer than 0.2 seconds; it is damaged or hostile"):
        trial.try_model(b"", ".onnx", "x")


BOUNDED_JOB = """
import os, resource

def look():
    found = {"files": os.listdir(), "seconds": resource.getrlimit(resource.RLIMIT_CPU)[0], "memory": "free"}
    try:
        bytearray(MEMORY)
    except MemoryError:
        found["memory"] = "bounded"
    try:
        with open("left", "w") as file:
            file.write("x")
    except OSError as error:
        found["writing"] = error.strerror
    print("what a runtime prints is no answer", flush=True)
    return found, {}
"""


def test_the_trial_is_bounded(tmp_path, monkeypatch):
    (tmp_path / "bounded_job.py").write_text(BOUNDED_JOB.replace("MEMORY", str(trial.BOUNDS.memory)))
    monkeypatch.syspath_prepend(tmp_path)
    found, _ = process.call("bounded_job:look", "looking", bounds=trial.BOUNDS)
    assert found == {"files": [], "seconds": 60, "memory": "bounded", "writing": "File too large"}


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"arrays": []}', '{"values": {}, "arrays": ["x"]}', "\\x93NUMPY"])
def test_what_is_no_answer_is_not_believed(answer, monkeypatch):
    """Whatever a child writes and however it ends: without a whole answer the file has not passed."""
    monkeypatch.setattr(process, "_START", f"print({answer!r})")
    with pytest.raises(InputError, match="x: opening it failed: the process was ended"):
        trial.try_model(b"", ".onnx", "x")


class TestRuns:
    @pytest.fixture
    def run(self, files, tmp_path):
        """A run with a LiteRT file; its Keras model cannot be opened, so that it is seen which one answers."""
        run = RunDirectory(tmp_path / "first")
        run.exports.mkdir(parents=True)
        write_json(run.config, {"dataset": {"class_names": NAMES}})
        run.model.write_bytes(b"no model")
        content = (files / "thirds.tflite").read_bytes()
        (run.exports / "model.tflite").write_bytes(content)
        self.row = {"format": "litert", "file": "model.tflite", "passed": True}
        self.row["sha256"] = hashlib.sha256(content).hexdigest()
        self.write(run, self.row)
        return run

    def write(self, run, row, model=b"no model"):
        write_json(run.exports_index, {"model_sha256": hashlib.sha256(model).hexdigest(), "files": [row]})

    def test_a_run_answers_through_its_export(self, run):
        for model in (open_model(run), open_model(run.path), open_model("first", run.path.parent)):
            assert (model.format, model.class_names) == ("litert", NAMES)

    @pytest.mark.parametrize("fault", ["refused", "another model's", "damaged", "gone", "no runtime"])
    def test_otherwise_through_keras(self, fault, run, monkeypatch):
        if fault == "refused":
            self.write(run, self.row | {"passed": False})
        elif fault == "another model's":
            self.write(run, self.row, model=b"older")
        elif fault == "damaged":
            (run.exports / "model.tflite").write_bytes(b"xxxxTFL3")
        elif fault == "gone":
            (run.exports / "model.tflite").unlink()
        else:
            monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(InputError, match="model.keras: is no readable Keras file"):
            open_model(run)

    def test_a_trained_run(self, tiny_run, tiny_dataset):
        model = open_model(tiny_run)
        raw = np.load(tiny_run.predictions)["probabilities"]
        stored = at_temperature(raw, read_json(tiny_run.calibration)["temperature"])
        np.testing.assert_allclose(model.probabilities(tiny_dataset.test_images), stored, atol=1e-5)
        assert (model.format, model.class_names) == ("keras", tiny_dataset.class_names)


class TestKerasFiles:
    def changed(self, files, tmp_path, change=None, members=None):
        """A copy of the file with a changed configuration, or other members."""
        path = tmp_path / "x.keras"
        with zipfile.ZipFile(files / "thirds.keras") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json" and change:
                    config = json.loads(content)
                    change(config)
                    content = json.dumps(config)
                new.writestr(name, (members or {}).get(name, content))
            if members and "other.txt" in members:
                new.writestr("other.txt", members["other.txt"])
        return path

    def test_foreign_layers_are_refused(self, files, tmp_path):
        def foreign(**fields):
            return lambda config: config["config"]["layers"][2].update(fields)

        for change, name in (
            (foreign(class_name="Lambda"), "keras.layers.Lambda"),
            (foreign(class_name="TFSMLayer"), "keras.layers.TFSMLayer"),
            (foreign(class_name="get_file", module="keras.utils"), "keras.utils.get_file"),
            (foreign(class_name="Flatten", module="os"), "os.Flatten"),
            (foreign(class_name="Flatten", module=["os"]), r"\['os'\].Flatten"),
            (foreign(registered_name="mine>Flatten"), "keras.layers.Flatten"),
            (lambda config: config["config"].update(x=[{"class_name": "function", "config": "f"}]), "function"),
        ):
            with pytest.raises(InputError, match=f"x.keras: holds {name}; only stock Keras layers"):
                open_model(self.changed(files, tmp_path, change))

    def test_a_model_of_floats_is_told_the_lines_that_make_it_open(self, files, tmp_path, monkeypatch):
        import keras

        layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
        model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
        model.save(tmp_path / "floats.keras")
        with pytest.raises(InputError, match=r"takes float32 \(None, 28, 28, 1\)") as refused:
            open_model(tmp_path / "floats.keras")
        lines = str(refused.value).splitlines()[1:]
        assert len(lines) == 3
        monkeypatch.chdir(tmp_path)
        exec("\n".join(line.strip() for line in lines), {"keras": keras, "model": model})
        assert open_model(tmp_path / "model.keras").probabilities(np.zeros((2, 28, 28), np.uint8)).shape == (2, 3)

    def test_archives_that_are_no_keras_file(self, files, tmp_path, monkeypatch):
        monkeypatch.setattr("fmnist.predictor.keras_file.MAX_BYTES", 10**6)
        for members, problem in (
            ({"other.txt": b"x"}, "holds .*; expected config.json"),
            ({"model.weights.h5": bytes(2 * 10**6)}, "unpacks to .* bytes; expected 1,000,000 at most"),
            ({"model.weights.h5": b"no HDF5"}, "its weights cannot be read"),
            ({"config.json": b"{"}, "is no readable Keras file"),
        ):
            with pytest.raises(InputError, match=problem):
                open_model(self.changed(files, tmp_path, members=members))
        broken = bytearray(self.changed(files, tmp_path).read_bytes())
        at = broken.index(b"config.json") + len("config.json")
        broken[at : at + 20] = b"\xff" * 20  # no Deflate
        for content in (b"PK\3\4", bytes(broken)):
            (tmp_path / "x.keras").write_bytes(content)
            with pytest.raises(InputError, match="is no readable Keras file"):
                open_model(tmp_path / "x.keras")

    def test_weights_elsewhere_or_too_large_are_refused(self, files, tmp_path, monkeypatch):
        import h5py

        def weights(fill):
            file = io.BytesIO()
            with h5py.File(file, "w") as content:
                fill(content)
            return file.getvalue()

        def outside(content):
            content.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)])

        for fill, problem in (
            (lambda content: content.__setitem__("x", h5py.ExternalLink("other.h5", "/x")), "a link to somewhere else"),
            (lambda content: content.__setitem__("x", h5py.SoftLink("/y")), "a link to somewhere else"),
            (outside, "lie in another file"),
            (lambda content: content.create_dataset("x", (2**30,), "f4", chunks=(2**20,)), "take more than"),
        ):
            with pytest.raises(InputError, match=problem):
                open_model(self.changed(files, tmp_path, members={"model.weights.h5": weights(fill)}))


@pytest.mark.parametrize("name", ["x.h5", "x.pkl", "x.pth"])
def test_formats_that_can_carry_code_are_refused(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="files are not opened: .* can carry code"):
        open_model(tmp_path / name)


def test_what_is_no_model(tmp_path):
    (tmp_path / "x.txt").touch()
    with pytest.raises(InputError, match=r"is no model; expected a run, or a file .tflite, .onnx, .keras"):
        open_model(tmp_path / "x.txt")
    with pytest.raises(InputError, match="cannot read the model .*: No such file"):
        open_model(tmp_path / "x.onnx")
    with pytest.raises(InputError, match="neither a run directory nor the name of a run"):
        open_model("nowhere", tmp_path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_an_exported_file_needs_no_tensorflow(suffix, files):
    code = f"""
import sys
import numpy as np
from fmnist.predictor.opening import open_model
print(open_model({str(files / "thirds") + suffix!r}).probabilities(np.zeros((2, 4, 6), np.uint8)).shape)
assert not {{"tensorflow", "keras", "jax", "torch", "onnx"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("(2, 3)\n", "", 0)
