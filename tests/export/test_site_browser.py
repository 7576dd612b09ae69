"""Format web in a real Chromium: the same pixels and answers as in Python, and an answer with the network off."""

import io
import itertools
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.axe import findings
from support.phone_page import LOOK, Host
from support.photos import KINDS, fake_photo, garment

from fmnist.errors import RunError
from fmnist.export.exporter import export_run
from fmnist.images.decoding import decode
from fmnist.images.recipe import prepare
from fmnist.predictor.opening import open_model
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.text import percent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PHOTOS = 100


@pytest.fixture(scope="module")
def folder(tiny_run, tiny_dataset, tmp_path_factory):
    """The folder that a host would serve, with the exported one in it."""
    run = RunDirectory(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("runs") / "tiny"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FMNIST_OFFLINE")
        try:
            result = export_run(run, tiny_dataset, ("web",))
        except RunError as error:
            pytest.skip(f"needs the runtime's package: {error}")
    assert result["written"] == ["web"], result["refused"]
    return run.exports


@pytest.fixture
def host(folder):
    host = Host(folder)
    yield host
    host.stop()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desk", "phone"])
def page(browser, host, request):
    """The page, at two widths; fails the test if anything goes elsewhere or complains."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, permissions=["camera"], reduced_motion="reduce"
    )
    context.set_default_timeout(120_000)  # 11 MB are read, hashed and compiled, on a machine that may be busy
    page, wrong = context.new_page(), []
    context.on("request", lambda sent: sent.url.startswith((host.address, "blob:")) or wrong.append(sent.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type not in ("error", "warning") or wrong.append(message.text))
    page.goto(f"{host.address}web/")
    page.locator("#status", has_text="Ready.").wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    assert wrong == []


def picture(seed):
    """A fake photo of a garment of some width and brightness: its file, of a kind that is drawn too."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray((garment() * rng.uniform(0.5, 1.4)).astype(np.uint8))
    image = image.resize((int(rng.integers(8, 29)), 28), Image.Resampling.BICUBIC)
    wide = Image.new("L", (28, 28))
    wide.paste(image, ((28 - image.width) // 2, 0))
    return fake_photo(np.asarray(wide), KINDS[seed % len(KINDS)], rng)


def large_picture():
    """A picture that is read in strips and reduced, by 2, before the recipe: 7 million pixels."""
    sheet, file = Image.new("L", (3001, 2399), 240), io.BytesIO()
    sheet.paste(Image.fromarray(255 - garment()).resize((1501, 1999), Image.Resampling.BICUBIC), (700, 211))
    sheet.save(file, "PNG", compress_level=1)
    return file.getvalue()


def is_turned_webp(content):
    """Whether a file is one that Chromium shows as it is stored: it heeds the orientation of JPEG and PNG alone."""
    photo = Image.open(io.BytesIO(content))
    return photo.format == "WEBP" and photo.getexif().get(0x0112, 1) != 1


def test_the_same_pixels_and_answers_as_in_python(browser, host, folder):
    upright = (photo for photo in map(picture, itertools.count()) if not is_turned_webp(photo))
    photos = [*itertools.islice(upright, PHOTOS), large_picture()]
    for number, photo in enumerate(photos):
        (folder / f"{number}").write_bytes(photo)
    page = browser.new_page()
    page.goto(f"{host.address}web/")
    found = page.evaluate(LOOK, [f"../{number}" for number in range(len(photos))])
    page.context.close()

    expected = np.stack([prepare(decode(photo), (28, 28, 1)) for photo in photos])
    levels = np.array([row[0] for row in found], np.uint8).reshape(expected.shape)
    away = np.abs(levels.astype(int) - expected).mean(axis=(1, 2, 3))
    assert away.mean() <= 1 and np.median(away) == 0 and away[-1] <= 0.1, away.round(2).tolist()
    model = open_model(folder / "web" / "model.onnx")
    answers = np.array([row[1] for row in found])
    np.testing.assert_allclose(answers, model.probabilities(levels), atol=1e-5)
    same = answers.argmax(axis=1) == model.probabilities(expected).argmax(axis=1)
    assert same.mean() >= 0.97
    strange = np.array([row[2] for row in found])
    np.testing.assert_allclose(strange, model.unfamiliarity(levels), rtol=1e-4, atol=1e-4)


def choose(page, content):
    page.set_input_files("#pad input[type=file]", files=[{"name": "a", "mimeType": "", "buffer": content}])


def test_it_answers_with_the_network_off(page, host, folder):
    page.locator("#offline", has_text="without a network").wait_for()
    host.stop()
    page.context.set_offline(True)
    page.reload()
    page.locator("#status", has_text="Ready.").wait_for()
    photo = picture(4)
    choose(page, photo)
    page.locator("#found").wait_for()
    model = open_model(folder / "web" / "model.onnx")
    (expected,) = model.probabilities(prepare(decode(photo), (28, 28, 1))[np.newaxis])
    assert page.locator("#name").inner_text() == model.class_names[expected.argmax()]
    assert float(page.locator("#share").inner_text().strip("<>%")) == pytest.approx(100 * expected.max(), abs=0.2)
    assert page.locator("#bars tr").count() == 10
    seen = "[...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    assert page.evaluate(seen)[::4] == prepare(decode(photo), (28, 28, 1)).ravel().tolist()


def test_a_share_is_told_as_in_python(page):
    shares = [0, 2e-4, 5e-4, 0.123, 0.9994, 0.9996, 1]
    tell = '(shares) => import(new URL("page.js", document.baseURI)).then((page) => shares.map(page.percent))'
    assert page.evaluate(tell, shares) == [percent(share) for share in shares]


def test_a_drawing_is_answered_and_undone(page):
    page.get_by_role("button", name="Draw").click()
    box = page.locator("#pad canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.85, steps=5)
    page.mouse.up()
    page.locator("#found").wait_for()
    seen = "[...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    levels = np.array(page.evaluate(seen))[::4].reshape(28, 28)
    assert levels[:, 14].min() > 100 and levels[:, :8].max() == 0  # a bar, as tall as the picture
    page.get_by_role("button", name="Undo").click()
    drawn = "[...document.querySelector('#pad canvas').getContext('2d').getImageData(0, 0, 448, 448).data]"
    assert page.evaluate(f"{drawn}.every((level) => level === 255)")


def test_the_camera_is_answered_and_a_strange_picture_is_called_strange(page):
    page.get_by_role("button", name="Camera").click()
    page.locator("#status", has_text="plain ground").wait_for()
    page.get_by_role("button", name="Take the picture").click()
    page.locator("#found").wait_for()
    page.locator("#stranger", has_text="Perhaps none of these").wait_for()
    assert "this one fits best" in page.locator("#mood").inner_text()  # whatever its probability
    assert page.locator("#untold").is_hidden()


def test_a_model_that_cannot_tell_the_strange_says_so(browser, host, folder):
    shutil.copytree(folder / "web", folder / "untold", dirs_exist_ok=True)
    facts = read_json(folder / "untold" / "model.json")
    write_json(folder / "untold" / "model.json", {name: facts[name] for name in facts if name != "familiarity"})
    page = browser.new_page(service_workers="block")
    page.goto(f"{host.address}untold/")
    choose(page, picture(4))
    page.locator("#untold", has_text="cannot tell whether a picture is unlike").wait_for()
    assert page.locator("#stranger").is_hidden()
    page.context.close()


def test_an_answer_goes_away_with_its_picture(page):
    found, empty = page.locator("#found"), page.locator("#empty")
    choose(page, picture(4))
    found.wait_for()
    page.get_by_role("button", name="Draw").click()
    assert empty.is_visible() and not found.is_visible()
    page.get_by_role("button", name="Photo").click()
    assert not page.get_by_alt_text("Your picture").is_visible()
    choose(page, picture(4))
    found.wait_for()
    choose(page, b"no picture")
    page.locator("#status", has_text="cannot open that as a picture").wait_for()
    assert empty.is_visible() and not found.is_visible()


def test_the_page_draws_examples_of_the_classes_that_it_can(browser, host, folder):
    context = browser.new_context(viewport={"width": 390, "height": 844}, service_workers="block")
    context.set_default_timeout(120_000)
    facts = json.loads((folder / "web" / "model.json").read_text("utf-8"))
    names = ["Trouser", "Bag", "T-shirt/top", *facts["class_names"][3:]]
    context.route("**/model.json", lambda route: route.fulfill(json=facts | {"class_names": names}))
    page = context.new_page()
    page.goto(f"{host.address}web/")
    page.locator("#status", has_text="Ready.").wait_for()
    examples = page.locator("#examples button")
    assert [one.get_attribute("aria-label") for one in examples.all()] == ["T-shirt/top", "Trouser", "Bag"]
    seen = []
    for number in range(3):
        # What was answered goes at once, not with the next answer.
        script = "(one) => { one.click(); return document.querySelector('#found').hidden; }"
        assert examples.nth(number).evaluate(script)
        page.locator("#found").wait_for()
        seen.append(
            page.evaluate("[...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 28, 28).data]")
        )
    levels = np.array(seen)[:, ::4].reshape(3, 28, 28)
    assert (levels.max(axis=(1, 2)) > 100).all() and (levels[:, 0, 0] == 0).all()  # light on black
    shirt, trouser, bag = (levels > 50).mean(axis=(1, 2))
    assert trouser < shirt and trouser < bag
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_using_it(browser, host, axe, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{host.address}web/")
    page.locator("#status", has_text="Ready.").wait_for()
    assert findings(page, axe) == []
    page.get_by_role("button", name="Draw").click()
    assert findings(page, axe) == []
    choose(page, picture(4))
    page.locator("#found").wait_for()
    assert findings(page, axe) == []
    context.close()


def test_what_is_no_picture_is_told(page):
    choose(page, b"no picture")
    page.locator("#status", has_text="cannot open that as a picture").wait_for()


def test_the_tab_key_reaches_what_can_be_done(page):
    page.get_by_role("button", name="Draw").focus()
    page.keyboard.press("Enter")
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.tagName"))
    assert reached == ["CANVAS", "INPUT", "Eraser", "Undo", "Clear", reached[-1]]
