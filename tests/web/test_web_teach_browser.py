"""Teach in a real Chromium with a camera: two things are recorded, taught, and told apart."""

import pytest
from support import chromium
from support.axe import findings
from support.scenes import write_video
from support.web_client import listening, write_onnx

from fmnist.run.directory import find_run
from fmnist.web import Settings

# Gradio leaves an event loop open.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]
COUNT = 20
VERDICT = "#teach .live .name"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("teach")


@pytest.fixture(scope="module")
def address(folder):
    with listening(Settings(str(write_onnx(folder / "model.onnx")), folder / "runs")) as found:
        yield found


@pytest.fixture
def watched(address):
    """Open the tab in a browser, at a width; what goes wrong there fails the test."""
    wrong = []

    def open_tab(browser, width, scheme):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.add_init_script(chromium.COUNTED)
        page.on("request", lambda sent: sent.url.startswith((address, "data:", "blob:")) or wrong.append(sent.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type != "error" or wrong.append(message.text))
        chromium.open_teach(page, address)
        return page

    yield open_tab
    assert wrong == []


@pytest.mark.timeout(600)
def test_two_things_are_recorded_taught_and_told_apart(launch, watched, folder, axe):
    cups, books = (launch(write_video(folder / f"{thing}.mjpeg", thing)) for thing in ("cup", "book"))
    page = watched(cups, 390, "dark")
    assert findings(page, axe) == []
    chromium.record(page, "cup", COUNT)
    page.get_by_role("button", name="Hold to record cup").press("Enter")
    page.wait_for_function(f"counted('cup') > {COUNT}")
    shown = page.evaluate("counted('cup')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()  # and nothing is lost
    page = watched(books, 1280, "light")
    assert page.evaluate("counted('cup')") == len([*(folder / "teach" / "first" / "cup").iterdir()]) >= shown
    assert page.get_by_role("button", name="Train").is_disabled()
    chromium.record(page, "book", COUNT)
    page.get_by_role("button", name="Train").click()
    page.locator("#teach progress").wait_for()
    page.locator(VERDICT, has_text="book").wait_for(timeout=480_000)
    assert page.locator("#teach .live .bars tr").count() == 2 and findings(page, axe) == []
    assert "export --format web" in page.locator("#teach .lesson details").text_content()
    run = find_run("first-1", folder / "runs")
    assert run.state() == "finished" and run.report.is_file()
    page.close()
    page = watched(cups, 390, "light")
    page.get_by_role("button", name="Start the camera").click()
    page.locator(VERDICT, has_text="cup").wait_for(timeout=60_000)
    for browser in (cups, books):
        browser.close()
