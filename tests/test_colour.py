"""Colour from a folder of pictures to every door that answers: shapes of which only the colour tells the class."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from support.phone_page import LOOK, Host
from support.web_client import Server

import fmnist
from fmnist.errors import RunError
from fmnist.export.exporter import export_run
from fmnist.images.decoding import decode
from fmnist.images.recipe import prepare
from fmnist.run.directory import read_json

# Of one brightness, so that nothing is left of the classes in grey.
COLOURS = {"blue": (50, 80, 245), "green": (20, 140, 15), "red": (220, 25, 82)}
HEIGHT, WIDTH = 20, 24
FORMATS = {"litert": "model.tflite", "onnx": "model.onnx", "litert-int8": "model-int8.tflite"}


def shape_of(colour, rng):
    """A square or a disc of any size, anywhere on a ground of any grey."""
    pixels = rng.normal(rng.integers(110, 240), 6, (HEIGHT, WIDTH, 1)).repeat(3, axis=2)
    radius = rng.integers(4, 7)
    y, x = rng.integers(radius, HEIGHT - radius), rng.integers(radius, WIDTH - radius)
    rows, columns = np.abs(np.arange(HEIGHT)[:, None] - y), np.abs(np.arange(WIDTH) - x)
    inside = rows**2 + columns**2 <= radius**2 if rng.random() < 0.5 else np.maximum(rows, columns) < radius
    pixels[inside] = np.array(colour) * rng.uniform(0.7, 1.0)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set, imported from a folder with nothing else said, and files of pictures of other sizes and modes."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("shapes")
    for name, colour in COLOURS.items():
        (folder / "in" / name).mkdir(parents=True)
        for number in range(140):
            shape_of(colour, rng).save(folder / "in" / name / f"{number}.png")
    facts = fmnist.import_data(folder / "in", folder / "data")
    assert facts["image_shape"] == [HEIGHT, WIDTH, 3] and facts["inverted"] is False
    (folder / "files").mkdir()
    for number, name in enumerate([*COLOURS] * 2):
        picture = shape_of(COLOURS[name], rng)
        larger = picture.resize((WIDTH * (3 + number), HEIGHT * 4), Image.Resampling.BICUBIC)
        kind = ("RGB", "RGBA", "P")[number % 3]
        larger.convert(kind).save(folder / "files" / f"{number} {name}.png")
    return folder


@pytest.fixture(scope="module")
def dataset(data):
    return fmnist.load_dataset(data / "data")


@pytest.fixture(scope="module")
def run(data, dataset):
    settings = {"epochs": 8, "batch_size": 32, "validation_fraction": 0.2, "flip": True, "shift": 1}
    return fmnist.train(fmnist.preset("fast", **settings), dataset, data / "runs" / "shapes")


@pytest.fixture(scope="module")
def files(data, dataset):
    """The contents of the files, and what a model is to see of them."""
    contents = [path.read_bytes() for path in sorted((data / "files").iterdir())]
    seen = [prepare(decode(content), dataset.image_shape, dataset.preparation) for content in contents]
    return contents, np.stack(seen)


@pytest.fixture(scope="module")
def expected(run, files):
    return fmnist.open_model(run.model).probabilities(files[1]), fmnist.open_model(run)


def test_a_run_tells_colours_apart_and_says_what_it_takes(run, dataset):
    assert read_json(run.metrics)["accuracy"] >= 0.99
    assert read_json(run.config)["dataset"]["image_shape"] == [HEIGHT, WIDTH, 3]
    assert dataset.image_shape == (HEIGHT, WIDTH, 3)
    assert 'id="samples-train' in run.report.read_text("utf-8")
    grey = dataset.train_images @ np.array([0.299, 0.587, 0.114])
    darkest = [grey[dataset.train_labels == label].min(axis=(1, 2)).mean() for label in range(3)]
    assert np.ptp(darkest) < 3  # nothing to tell them apart by


def test_files_become_the_same_pixels_and_answers_by_every_door(run, files, expected, data):
    contents, seen = files
    model = expected[1]
    probabilities = model.probabilities(seen)
    assert [model.class_names[label] for label in probabilities.argmax(axis=1)] == [*COLOURS] * 2
    found = model.predict(data / "files")
    np.testing.assert_array_equal(np.stack([one.picture for one in found]), seen)
    server = Server(predictor=model)
    requests = [
        {"files": [("image", (str(n), content)) for n, content in enumerate(contents)]},
        {"content": seen.tobytes(), "headers": {"content-type": "application/octet-stream"}},
        {"json": {"images": seen.tolist()}},
    ]
    for request in requests:
        answer = server.predict(**request)
        assert answer.status_code == 200, answer.text
        rows = [row["probabilities"] for row in answer.json()["predictions"]]
        np.testing.assert_allclose(rows, probabilities, atol=1e-5)
    refused = server.predict(json={"images": seen[..., 0].tolist()}).json()["error"]
    assert refused["code"] == "bad_array" and "lists of 3 numbers" in refused["message"]
    assert server.ask("GET", "/api/v1/model").json()["image_shape"] == [HEIGHT, WIDTH, 3]
    docs = server.ask("GET", "/docs").text
    assert "list of 20 × list of 24 × list of 3 × integer 0 to 255" in docs and "1440 bytes a picture" in docs


def test_the_page_shows_what_the_model_saw_in_its_colours(files, expected):
    import asyncio

    from fmnist.web.page import try_it

    contents, seen = files

    async def looks():
        address = "data:image/png;base64," + base64.b64encode(contents[0]).decode()
        return [html async for html in try_it.look_at(Server(predictor=expected[1]).service, address)]

    *_, html = asyncio.run(looks())
    shown, mattered = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(part))))
        for part in re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    )
    np.testing.assert_array_equal(shown, seen[0])
    assert mattered.shape == (8 * HEIGHT, 8 * WIDTH, 3)
    assert re.search(r'<th scope="row">(.*?)</th>', html)[1] == "blue"
    assert "20 × 24 pixels<" in html  # and nothing of light on black


def test_grey_files_are_answered_too(expected, run, tmp_path):
    Image.new("L", (60, 50), 90).save(tmp_path / "grey.png")
    picture = expected[1].predict(tmp_path / "grey.png").picture
    assert picture.shape == (HEIGHT, WIDTH, 3) and (picture == 90).all()


def test_commands_draw_and_describe_it(data, run, run_cli, tmp_path):
    code, out, err = run_cli("predict", run.path, data / "files", "--show", tmp_path / "seen.png", "--json")
    assert code == 0, err
    assert len(json.loads(out)["predictions"]) == 6
    sheet = np.asarray(Image.open(tmp_path / "seen.png")).astype(int)
    assert (np.ptp(sheet, axis=2) > 100).any()
    code, out, err = run_cli("data", "--data-dir", data / "data", "--samples", tmp_path / "samples.png")
    assert code == 0 and "20×24 pixels in colour, uint8" in out, err
    code, out, err = run_cli("doctor", run.path)
    assert code == 0 and "20×24 pixels in colour" in out, out + err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_exported_file_gives_the_same_answers(run, dataset, files, expected):
    result = export_run(run, dataset, tuple(FORMATS), calibrate=False)
    assert result["refused"] == []
    for name, file in FORMATS.items():
        model = fmnist.open_model(run.exports / file)
        answers = model.probabilities(files[1])
        assert model.image_shape == (HEIGHT, WIDTH, 3)
        assert model.metadata["input"]["shape"] == [None, HEIGHT, WIDTH, 3]
        np.testing.assert_array_equal(answers.argmax(axis=1), expected[0].argmax(axis=1))
        if name != "litert-int8":
            np.testing.assert_allclose(answers, expected[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_phone_page_sees_the_same_pixels_and_gives_the_same_answers(
    browser, run, dataset, files, expected, monkeypatch
):
    monkeypatch.delenv("FMNIST_OFFLINE")
    try:
        assert export_run(run, dataset, ("web",), calibrate=False)["written"] == ["web"]
    except RunError as error:
        pytest.skip(f"needs the runtime's package: {error}")
    for number, content in enumerate(files[0]):
        (run.exports / str(number)).write_bytes(content)
    host, page = Host(run.exports), browser.new_page()
    page.goto(f"{host.address}web/")
    found = page.evaluate(LOOK, [f"../{number}" for number in range(len(files[0]))])
    shown = "[...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 24, 20).data]"
    page.set_input_files("#pad input[type=file]", files=[{"name": "a", "mimeType": "", "buffer": files[0][0]}])
    page.locator("#found").wait_for()
    pixels = np.array(page.evaluate(shown)).reshape(HEIGHT, WIDTH, 4)[..., :3]
    page.context.close()
    host.stop()
    levels = np.array([row[0] for row in found]).reshape(files[1].shape)
    np.testing.assert_array_equal(levels, files[1])
    np.testing.assert_array_equal(pixels, files[1][0])
    np.testing.assert_allclose([row[1] for row in found], expected[0], atol=1e-4)
    strange = fmnist.open_model(run.exports / "web" / "model.onnx").unfamiliarity(files[1])
    np.testing.assert_allclose([row[2] for row in found], strange, rtol=1e-4, atol=1e-4)
