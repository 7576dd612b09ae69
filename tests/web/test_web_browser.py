"""The page in a real Chromium: what a person does, and that nothing leaves this machine."""

import base64
import gc
import os
import shutil
import time
from pathlib import Path

import httpx
import pytest
from support.axe import findings
from support.web_client import bright, listening, made_up_run, png

from fmnist.web import Settings

# Gradio leaves an event loop open.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

PICTURE = png(bright(3))
ANSWER = "#result .views figure:nth-child(2) img"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def address(folder, tiny_data_dir, tiny_dataset):
    """The address of a server with a made-up run of the tiny data."""
    run = made_up_run(folder, "one", tiny_dataset.test_labels.astype(int), 0.8, tiny_dataset.class_names)
    with listening(Settings(str(run.exports / "model.onnx"), folder, tiny_data_dir)) as address:
        yield address


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desk", "phone"])
def page(browser, address, request):
    """The page, at two widths; fails the test if anything goes elsewhere, is not found, or complains."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, permissions=["camera"], reduced_motion="reduce"
    )
    page, wrong = context.new_page(), []
    page.on("request", lambda sent: sent.url.startswith((address, "data:", "blob:")) or wrong.append(sent.url))
    page.on("response", lambda got: got.status < 400 or wrong.append(f"{got.status} {got.url}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type != "error" or wrong.append(message.text))
    page.goto(address)
    page.wait_for_selector("#pad canvas", state="attached", timeout=60_000)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    assert wrong == []


def test_nothing_keeps_people_from_using_it(page, axe):
    page.set_input_files("#pad input[type=file]", files=[{"name": "a.png", "mimeType": "image/png", "buffer": PICTURE}])
    page.wait_for_selector(ANSWER)
    for tab, shown in (("Try it", ANSWER), ("Training", "#matrix button"), ("Models", "table")):
        page.get_by_role("tab", name=tab).click()
        page.locator(shown).first.wait_for(state="attached")
        assert findings(page, axe) == [], tab


def test_a_name_ends_before_the_arrow(page):
    page.get_by_role("tab", name="Training").click()
    page.wait_for_selector("#training .cards")
    ends = """(names) => names.map((name) => [
        name.getBoundingClientRect().right - parseFloat(getComputedStyle(name).paddingRight),
        name.parentElement.querySelector("svg").getBoundingClientRect().left])"""
    places = page.locator("input[role=combobox]").locator("visible=true").evaluate_all(ends)
    assert len(places) == 2 and all(end <= arrow for end, arrow in places)


def test_a_cell_of_the_matrix_is_large_enough_for_a_thumb(page):
    page.get_by_role("tab", name="Training").click()
    page.wait_for_selector("#matrix button")
    boxes = [cell.bounding_box() for cell in page.locator("#matrix button").all()[:11]]
    assert min(min(box["width"], box["height"]) for box in boxes) >= 44
    page.locator("#matrix .scroll").evaluate("(box) => { box.scrollLeft = 1000; }")
    name = page.locator("#matrix tbody th").first
    assert name.bounding_box()["x"] >= 0, "a row's name stays in sight"
    name.evaluate("(name) => { name.textContent = 'Ankle boot'; }")
    assert name.bounding_box()["height"] < 60, "it is not broken after each letter"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation_of_the_api_needs_no_network(browser, address, axe, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("console", lambda message: message.type not in ("error", "warning") or wrong.append(message.text))
    page.goto(address + "docs")
    context.set_offline(True)
    assert [url for url in asked if not url.endswith("favicon.ico")] == [address + "docs"] and wrong == []
    assert page.locator("article:has-text('/api/v1/predict')").first.locator("pre").count() == 2
    page.locator("summary").nth(1).click()
    assert page.locator("text=The model that answers.").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "896px", "the style is there"
    assert findings(page, axe) == []
    context.close()


def test_a_chosen_picture_is_answered(page, tiny_dataset):
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": png(tiny_dataset.test_images[0])}
    page.set_input_files("#pad input[type=file]", files=[picture])
    page.wait_for_selector(ANSWER)
    assert page.locator("#result .bars tr").count() == 10
    assert page.locator("#result .verdict .share").inner_text().endswith("%")


def test_a_pasted_picture_is_answered(page, tiny_dataset):
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        list(png(tiny_dataset.test_images[1])),
    )
    page.wait_for_selector(ANSWER)


def test_a_drawing_is_answered_and_survives_the_shrinking(page):
    page.get_by_role("button", name="Draw").click()
    box = page.locator("#pad canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.85, steps=5)
    page.mouse.up()
    page.wait_for_selector(ANSWER)
    seen = page.evaluate(
        """async () => {
            const picture = document.querySelector("#result .views img");
            await picture.decode();
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 28;
            canvas.getContext("2d").drawImage(picture, 0, 0);
            return [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data].filter((value, n) => n % 4 === 0);
        }"""
    )
    assert max(seen) > 150
    assert sum(value > 100 for value in seen) > 40
    assert seen[0] == 0


def test_the_camera_is_answered(page):
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('#pad video').videoWidth > 0")
    page.get_by_role("button", name="Take the picture").click()
    page.wait_for_selector("#result .verdict, #result .problem")


def test_a_cell_of_the_matrix_shows_its_pictures_by_keyboard_too(page):
    page.get_by_role("tab", name="Training").click()
    page.locator('#matrix button[data-row="0"][data-column="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pictures h3")
    assert page.locator("#matrix button[aria-current]").get_attribute("data-row") == "1"
    title = page.locator("#pictures h3").inner_text()
    cell = page.locator('#matrix button[data-row="1"][data-column="1"]').inner_text()
    count = 0 if cell == "·" else int(cell)
    assert title.endswith(", recognised")
    page.wait_for_function(f"document.querySelectorAll('#pictures .tiles img').length === {min(count, 60)}")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/assets/nothing.js", "not_found"), ("GET", "/static//etc/passwd", "not_found"),
     ("GET", "/api/v1/predict", "method_not_allowed"), ("POST", "/healthz", "method_not_allowed"),
     ("OPTIONS", "/api/v1/predict", "method_not_allowed"), ("PUT", "/", "method_not_allowed"),
     ("POST", "/gradio_api/reset", "bad_form"), ("POST", "/gradio_api/queue/join", "bad_form")],
)  # fmt: skip
def test_errors_have_one_form_with_the_page_too(address, method, path, code):
    answer = httpx.request(method, address.rstrip("/") + path, json=[] if method == "POST" else None)
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (code, answer.status_code)


@pytest.mark.parametrize("number", [100_000, -1])
def test_an_event_that_is_none_of_the_page_s(address, number, caplog):
    event = {"data": [], "fn_index": number, "session_hash": "someone"}
    answer = httpx.post(address + "gradio_api/queue/join", json=event)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_form")
    assert "Traceback" not in caplog.text


def test_a_picture_is_forgotten(address):
    """At the latest with the next one, though nobody waits for the answer: clients could fill the memory."""
    dependencies = httpx.get(address + "config").json()["dependencies"]
    submit = next(one["id"] for one in dependencies if one["targets"][0][1] == "submit")
    picture = "data:image/png;base64," + base64.b64encode(os.urandom(500_000)).decode()
    for content in (picture, "x"):
        event = {"data": [content], "fn_index": submit, "session_hash": f"page{len(content)}"}
        assert httpx.post(address + "gradio_api/queue/join", json=event, timeout=60).status_code == 200
    del event, content

    def held():
        gc.collect()
        texts = (text for one in gc.get_objects() if type(one) in (dict, list) and one
                 for text in (one.values() if type(one) is dict else one))  # fmt: skip
        return sum(type(text) is str and text is not picture and text == picture for text in texts)

    until = time.monotonic() + 30
    while held() and time.monotonic() < until:
        time.sleep(1)
    assert held() == 0


def test_a_new_run_appears_is_compared_and_hands_out_its_file(page, folder, tiny_dataset):
    new = made_up_run(folder, "new", tiny_dataset.test_labels.astype(int), 0.4, tiny_dataset.class_names)
    try:
        # A page that is left while it still loads complains of that.
        page.get_by_role("tab", name="Training").click()
        page.wait_for_selector("#training .cards")
        page.reload()
        page.get_by_role("tab", name="Training").click()
        page.wait_for_selector("#training .cards")
        page.get_by_label("Compared with").click()
        page.get_by_role("option", name="new").click()
        page.wait_for_selector("#training >> text=one is better on these pictures")
        assert page.locator("#training .charts svg").count() == 2
        page.get_by_role("tab", name="Models").click()
        page.get_by_label("Run", exact=True).locator("visible=true").click()
        page.get_by_role("option", name="new").locator("visible=true").click()
        link = page.get_by_role("link", name="Download model.onnx")
        page.wait_for_function("document.querySelector('#models code, #models a')")
        box = link.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        with page.expect_download() as download:
            link.click()
        assert Path(download.value.path()).read_bytes() == (new.exports / "model.onnx").read_bytes()
        shutil.rmtree(new.path)
        page.get_by_role("tab", name="Training").click()
        page.get_by_label("Run", exact=True).locator("visible=true").click()
        page.get_by_role("option", name="new").locator("visible=true").click()
        page.wait_for_selector("#training >> text=not there any more")
    finally:
        shutil.rmtree(new.path, ignore_errors=True)


def test_the_tab_key_reaches_what_can_be_done(page):
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.type || ''"))
    for name in ("Try it", "Photo", "Camera", "Draw", "file"):
        assert any(name in text for text in reached), reached
