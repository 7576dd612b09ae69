"""The report and a study's page in a real Chromium: on a phone and a desk, light and dark."""

import numpy as np
import pytest
from support.axe import findings
from support.pages import write_run
from support.study_runs import write_run as write_study_run

from fmnist.report import plots, run_page
from fmnist.run.directory import RunDirectory
from fmnist.study import Study, folder_name, write_results

pytestmark = pytest.mark.slow

SCREENS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]


@pytest.fixture(scope="module")
def report(tmp_path_factory, tiny_dataset):
    run = write_run(tmp_path_factory.mktemp("runs") / "first", tiny_dataset)
    plots.draw_all(run, tiny_dataset)
    return run_page.write_report(run)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "made-up"
    made = Study("made-up", "", settings={"epochs": 12}, variants={f"shift {n}": {"shift": n} for n in range(1, 5)})
    for number, name in enumerate(("baseline", *made.variants)):
        for seed in made.seeds:
            right = np.random.default_rng(10 * number + seed).random(400) < 0.85 + 0.02 * number
            write_study_run(RunDirectory(folder / folder_name(name, seed)), made.config(name, seed), right)
    write_results(made, folder)
    return folder / "report.html"


@pytest.fixture(params=SCREENS, ids=lambda screen: "-".join(map(str, screen)))
def show(browser, request):
    """Show a page on a screen of a width, in light or dark colours; nothing may stick out at its side."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()

    def show(path):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        return page

    yield show
    context.close()


def boxes(page, selector="main .panels svg"):
    """The parts of the pictures: the place of each on the page, and its place in the drawing."""
    script = """(parts) => parts.map((part) => {
        const { x, y, width } = part.getBoundingClientRect(), box = part.viewBox.baseVal;
        return [y, x, width, box.y, box.x, box.width];
    })"""
    return np.array(page.locator(selector).evaluate_all(script))


def test_letters_are_of_one_size(show, report, study):
    for path in (report, study):
        parts = boxes(show(path))
        scale = parts[:, 2] / parts[:, 5]
        assert scale.max() / scale.min() < 1.05


def test_a_flag_is_not_broken_after_its_dashes(show, report):
    flags = show(report).locator("pre span").filter(has_text="--")
    heights = flags.evaluate_all("(words) => words.map((word) => word.getBoundingClientRect().height)")
    assert heights and max(heights) < 30


def test_images_are_in_their_order(show, report):
    page = show(report)
    for sheet in page.locator("#samples ~ figure .panels").all():
        parts = boxes(sheet, "svg").round()
        assert len(parts) == 10
        on_page = np.lexsort((parts[:, 1], parts[:, 0]))
        assert (on_page == np.lexsort((parts[:, 4], parts[:, 3]))).all()


def test_the_confusion_matrix_of_ten_classes_fits(show, report):
    matrix = show(report).locator(".scroll:has(.matrix)")
    assert matrix.evaluate("(box) => box.scrollWidth <= box.clientWidth")


def test_what_keeps_people_from_using_a_page_is_found(browser, axe):
    page = browser.new_page()
    page.set_content("<html lang='en'><title>A page</title><p style='color: #ccc; background: #fff'>Too pale</p>")
    assert [name for name, *_ in findings(page, axe)] == ["color-contrast"]
    page.close()


def test_nothing_keeps_people_from_using_it(show, axe, report, study):
    for path in (report, study):
        page = show(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert findings(page, axe) == []
