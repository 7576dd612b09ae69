"""What the page says and draws, without a browser and without Gradio."""

import asyncio
import base64
import io
import os
import re
from html import escape
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.breaking import break_readers
from support.web_client import RAW, Server, bright, made_up_run, png

from fmnist.run.directory import read_json, write_json
from fmnist.web import events
from fmnist.web.page import heat, models, sessions, training, try_it
from fmnist.web.page.chart import Line, chart
from fmnist.web.page.runs import Runs
from fmnist.web.problems import Problem


def address(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def looks(server, content):
    async def collect():
        return [html async for html in try_it.look_at(server.service, content)]

    return asyncio.run(collect())


@pytest.fixture(scope="module")
def server():
    return Server()


def test_the_answer_comes_first_and_then_what_mattered(server):
    first, second = looks(server, address(png(bright(4))))
    names = re.findall(r'<th scope="row">(.*?)</th>', second)
    assert names[0] == "class 4"
    assert len(names) == 10
    assert first.count("data:image/png") == 1
    assert second.count("data:image/png") == 2


def test_a_picture_of_nothing_mattering_says_so(server):
    assert "no single place" in looks(server, address(png(np.zeros((28, 28), np.uint8))))[-1]


@pytest.mark.parametrize(
    "content",
    [None, "", "hello", "data:image/png;base64,@@", "data:text/html;base64,AAAA", address(b"x"), "/etc/passwd",
     "data:image/svg+xml;base64,PHN2Zy8+"],
)  # fmt: skip
def test_what_is_no_picture_is_told_on_the_page(server, content):
    (html,) = looks(server, content)
    assert 'role="alert"' in html


def test_a_picture_that_is_too_large_is_told():
    from fmnist.web import Limits

    (html,) = looks(Server(Limits(body_bytes=1_000_000)), address(bytes(1_000_001)))
    assert "1 MB" in html


def test_a_picture_that_breaks_its_decoder_is_told_on_the_page(monkeypatch):
    break_readers(monkeypatch)
    server = Server()
    (html,) = looks(server, address(b"crash"))
    assert 'role="alert"' in html and "ended its process" in html
    assert "class 4" in looks(server, address(png(bright(4))))[0]


def test_an_unfamiliar_picture_is_marked():
    server = Server()
    assert "Perhaps not" not in looks(server, address(png(bright(1))))[0]
    object.__setattr__(server.predictor, "unfamiliarity", lambda images: np.full(len(images), 1.5, np.float32))
    server.service.threshold = 1.0
    told = looks(server, address(png(bright(1))))[0]
    assert "Perhaps not a garment" in told and "this one fits best" in told and "is sure" not in told
    assert "cannot tell whether a picture is unlike" not in told
    row = server.predict(files={"image": png(bright(1))}).json()["predictions"][0]
    assert (row["unfamiliarity"], row["familiar"]) == (1.5, False)


def test_what_the_recipe_doubts_is_told(server):
    """On the page and by the API: several objects beside the answer, no object instead of one."""
    two = np.full((60, 120), 255, np.uint8)
    two[10:50, 10:50] = two[10:50, 70:110] = 40
    blank = np.full((60, 120), 255, np.uint8)
    told, nothing = looks(server, address(png(two)))[0], looks(server, address(png(blank)))[0]
    assert "<strong>Several objects.</strong> The model sees them as one" in told and "The model is" in told
    assert "<strong>No object found.</strong>" in nothing and "class" not in re.sub("class=", "", nothing)
    files = [("image", png(picture)) for picture in (bright(1), two, blank)]
    rows = server.predict(files=files).json()["predictions"]
    assert [row["doubts"] for row in rows] == [[], ["several objects"], ["no object found"]]
    assert server.predict(content=bytes(28 * 28), headers=RAW).json()["predictions"][0]["doubts"] == []


def test_a_model_without_novelty_says_so(server):
    told = looks(server, address(png(bright(1))))[0]
    assert "The model is sure. This model cannot tell whether a picture is unlike" in told


def test_heat_has_one_scale_in_probability():
    """The same loss has the same colour in every picture; where nothing mattered, the picture stays grey."""
    image = np.full((28, 28), 200, np.uint8)

    def colour(loss):  # how far red and blue are apart
        drawn = heat.overlay(image, np.full(image.shape, loss)).astype(int)
        return int((drawn[..., 0] - drawn[..., 2]).max())

    assert colour(0) == 0 and colour(0.019) < 20 < 60 < colour(0.1) < colour(0.3) == colour(0.9)
    values = np.full(image.shape, 0.1)
    values[5, 5] = 0.9  # what mattered more elsewhere changes nothing here
    assert (heat.overlay(image, values)[-1, -1] == heat.overlay(image, np.full(image.shape, 0.1))[-1, -1]).all()


def test_heat_lies_where_covering_costs_most():
    image = np.full((28, 28), 200, np.uint8)
    covered, masks = heat.covers(image)
    assert covered.shape == masks.shape
    assert masks.any(axis=0).all()
    assert (covered[masks] == 0).all()
    assert (covered[~masks] == 200).all()
    # A model that looks at one spot alone.
    values = heat.heat(0.9, np.where(masks[:, 5, 20], 0.1, 0.9), masks)
    assert values[5, 20] == values.max() == pytest.approx(0.8)
    assert values[20, 5] == 0


def test_heat_leaves_out_places_that_are_black_and_gains():
    image = np.zeros((28, 28), np.uint8)
    image[14, 14] = 255
    covered, masks = heat.covers(image)
    assert masks[:, 14, 14].all()
    assert heat.heat(0.5, np.full(len(covered), 0.9), masks).max() == 0
    assert heat.overlay(image, np.zeros((28, 28))).shape == (224, 224, 3)
    assert len(heat.covers(np.zeros((28, 28), np.uint8))[0]) == 0


def test_a_chart_has_its_points_in_place_and_its_text_escaped():
    lines = [Line("a<b", "single train", [(1, 0.5), (2, 0.25), (3, float("nan"))]), Line("c", "single val", [(1, 0.4)])]
    svg = str(chart("Loss", lines))
    assert "a&lt;b" in svg
    assert "a<b" not in svg
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', svg)[1].split()]
    assert len(points) == 2  # what is no number is left out
    assert points[0][0] < points[1][0]
    assert points[0][1] < points[1][1]  # a lower loss lies lower
    assert chart("Loss", [Line("a", "x", [])]) == ""


def test_a_chart_tells_its_values_to_who_cannot_see_it():
    svg = str(chart("Accuracy", [Line("training", "single train", [(1, 0.5), (2, 0.75)])], percent=True))
    assert 'aria-label="Accuracy: training ends at 75.00%"' in svg
    assert "<title>training, epoch 1: 50.00%</title>" in svg
    assert re.findall(r'text-anchor="middle">([^<]+)<', svg) == ["1", "2", "epoch"]  # epochs are whole numbers


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two runs, whose classes have names that need escaping, and a damaged one."""
    folder = tmp_path_factory.mktemp("runs")
    for name, accuracy in (("one", 0.9), ("two", 0.8)):
        made_up_run(folder, name, np.arange(200) % 10, accuracy, [f"<{number}>" for number in range(10)])
    (folder / "bad").mkdir()
    (folder / "bad" / "config.json").write_text("{")
    return Runs(folder, None)


def test_a_run_is_shown_alone_and_beside_another(runs):
    alone = training._overview(runs, "one", None)
    assert alone.count("<svg") == 2
    assert "Test accuracy" in alone
    both = training._overview(runs, "one", "two")
    assert "Side by side" in both
    assert re.search(r"one is better on these pictures, by \d+\.\d\d ± \d+\.\d\d points of test accuracy\.", both)
    assert both.count("\N{MINUS SIGN}") and "by \N{MINUS SIGN}" not in both
    backwards = training._overview(runs, "two", "one")
    assert "one is better on these pictures, by" in backwards
    assert "Side by side" not in training._overview(runs, "one", "one")
    assert "JSON" in training._overview(runs, "bad", None)
    assert "not there any more" in training._overview(runs, "../one", None)
    assert "No runs yet" in training._overview(runs, None, None)


def test_the_page_draws_the_trend_that_the_diagnosis_tells(runs):
    run = runs.facts("one").run
    facts = {"verdict": "too short", "gap_opens": None, "turns": None, "notes": []}
    write_json(run.diagnosis, facts | {"sentences": ["Short."], "advice": [], "trend": [[1, 0.6], [2, 0.5]]})
    try:
        assert "trend of the validation loss ends at 0.5000" in training._overview(runs, "one", None)
        assert "trend of" not in training._overview(runs, "one", "two")
    finally:
        run.diagnosis.unlink()


def test_what_the_page_leaves_out_is_told_and_what_it_suggests_can_be_run(tmp_path):
    runs = Runs(tmp_path / "my runs", None)
    run = made_up_run(tmp_path / "my runs", "one", np.arange(200) % 10, 0.9)
    assert runs.left_out() == ""
    (tmp_path / "my runs" / "remedies").mkdir()
    write_json(tmp_path / "my runs" / "remedies" / "study.json", {})
    assert runs.left_out() == "The runs of studies are left out: remedies."
    run.metrics.unlink()
    run.exports_index.unlink()
    shown = training._overview(runs, "one", None) + training._matrix(runs, "one") + models._table(runs, "one")
    for name in ("diagnose", "evaluate", "export"):
        assert f"<code>{escape(run.command(name))}</code>".replace("&#x27;", "&#39;") in shown


def test_a_benchmark_that_is_older_than_an_export_is_called_older(tmp_path):
    run = made_up_run(tmp_path, "one", np.arange(200) % 10, 0.9)
    speeds = {"latency_median_ms": 1.0, "images_per_second": 5.0}
    rows = [
        {"format": name, "accuracy": 0.9, "agreement": 1.0, "bytes": 1, **speeds} for name in ("model.keras", "onnx")
    ]
    write_json(run.benchmark, {"environment": {"processor": "P"}, "rows": rows})
    assert "Speeds were measured on P." in models._table(Runs(tmp_path, None), "one")
    index = read_json(run.exports_index)
    write_json(run.exports_index, index | {"files": [*index["files"], index["files"][0] | {"format": "litert"}]})
    assert "The benchmark is older than litert: <code>fmnist benchmark" in models._table(Runs(tmp_path, None), "one")


def test_the_matrix_names_its_cells_and_escapes_them(runs):
    html = training._matrix(runs, "one")
    counts = runs.facts("one").metrics["confusion_matrix"]
    assert f'aria-label="&lt;3&gt; predicted as &lt;4&gt;: {counts[3][4]}"' in html
    assert html.count("<button") == 100
    assert html.count('tabindex="0"') == 1
    assert "<3>" not in html


@pytest.mark.parametrize("cell", [(10, 0), (-1, 0), ("0", 0), (None, 1), (True, 0), (0.0, 1)])
def test_a_cell_that_is_none_shows_nothing(runs, cell):
    assert "no such cell" in training._pictures(runs, "one", *cell)


def test_pictures_of_a_cell_are_the_right_ones(tmp_path, tiny_data_dir, tiny_dataset):
    labels = tiny_dataset.test_labels.astype(np.int64)
    run = made_up_run(tmp_path, "one", labels, 0.7, tiny_dataset.class_names)
    runs = Runs(tmp_path, tiny_data_dir)
    with np.load(run.predictions) as arrays:
        inside = np.flatnonzero((labels == 3) & (arrays["probabilities"].argmax(axis=1) == 4))
    images, shares, count = runs.pictures("one", 3, 4)
    assert count == len(inside) == len(shares) > 1
    assert np.array_equal(images, tiny_dataset.test_images[inside])
    html = training._pictures(runs, "one", 3, 4)
    shown = [base64.b64decode(part) for part in re.findall(r"data:image/png;base64,([^\"]+)", html)]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown[0]))), images[0])
    assert "cannot be shown" in training._pictures(Runs(tmp_path, tmp_path / "nowhere"), "one", 3, 4)
    made_up_run(tmp_path, "other", labels[::-1], 0.7, tiny_dataset.class_names)
    assert "another test set" in training._pictures(runs, "other", 3, 4)


def test_an_exported_file_is_found_by_its_digest_alone(runs):
    folder = runs._folder / "one" / "exports"
    row = read_json(folder / "exports.json")["files"][0]
    digest = row["sha256"]
    evil = row | {"format": "evil", "file": "../../two/config.json", "sha256": "b" * 64}
    write_json(folder / "exports.json", {"files": [row, evil]})
    path, name = runs.export(digest)
    assert path.read_bytes() == (folder / "model.onnx").read_bytes()
    assert name.endswith("-model.onnx")
    assert runs.export("b" * 64) is None
    assert runs.export("c" * 64) is None
    write_json(folder / "exports.json", {"model_sha256": "0", "files": [row, row | {"sha256": "b" * 64}]})
    html = models._table(runs, "one")
    assert f"/exports/{digest}" in html
    assert "b" * 64 not in html


def test_an_exported_file_is_handed_out_only_as_it_was_written(tmp_path):
    """A run may come from somebody else: a link in it leads to any file of whoever serves it."""
    run = made_up_run(tmp_path / "runs", "one", np.arange(200) % 10, 0.9)
    runs, model = Runs(tmp_path / "runs", None), run.exports / "model.onnx"
    digest, content = read_json(run.exports_index)["files"][0]["sha256"], model.read_bytes()
    assert runs.export(digest)[0] == model
    model.write_bytes(b"other")
    assert runs.export(digest) is None and "/exports/" not in models._table(runs, "one")
    (tmp_path / "secret").write_bytes(content)
    model.unlink()
    model.symlink_to(tmp_path / "secret")
    assert runs.export(digest) is None
    model.unlink()
    model.write_bytes(content)
    (tmp_path / "exports").mkdir()
    run.exports.rename(tmp_path / "exports" / "one")
    run.exports.symlink_to(tmp_path / "exports" / "one")
    assert runs.export(digest) is None


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        ("metrics", {"accuracy_interval": "x"}),
        ("metrics", {"per_class": None}),
        ("config", {"parameters": "many"}),
        ("exports_index", {"files": [{"format": "onnx", "file": "model.onnx", "accuracy": []}]}),
        ("diagnosis", {"sentences": 3}),
    ],
)
def test_a_run_with_wrong_types_is_shown_as_damaged_and_hides_no_other(file, harm, tmp_path):
    for name in ("one", "two"):
        made_up_run(tmp_path, name, np.arange(200) % 10, 0.9)
    runs = Runs(tmp_path, None)
    path = getattr(runs.facts("one").run, file)
    write_json(path, (read_json(path) if path.is_file() else {}) | harm)
    for shown in (training._overview(runs, "one", None), training._overview(runs, "two", "one")):
        assert "has damaged files" in shown and path.name in shown
    assert "No exported files" in models._table(runs, "one")
    assert "Test accuracy" in training._overview(runs, "two", None) and runs.choices("one")[1] == "one"


def test_a_name_that_is_no_utf_8_is_shown(tmp_path):
    made_up_run(tmp_path, "one", np.arange(200) % 10, 0.9).path.rename(tmp_path / os.fsdecode(b"caf\xe9\x1b[31m"))
    runs = Runs(tmp_path, None)
    (shown,), first = runs.choices("")
    assert shown == first == r"caf\udce9\x1b[31m"
    html = training._overview(runs, shown, None) + models._table(runs, shown)
    assert html.encode() and r"caf\udce9" in html


class Waiting:
    """Stands for Gradio's queue, and its application: each event leaves messages, which streams take."""

    def __init__(self):
        self.pending_messages_per_session, self.pending_event_ids_session = {}, {}
        self.event_ids_to_events, self.cleaned = {}, []

    async def clean_events(self, session_hash):
        self.cleaned.append(session_hash)

    async def __call__(self, scope, receive, send):
        if scope["path"] == events.JOIN:
            session = scope["session"]
            messages = self.pending_messages_per_session.setdefault(session, asyncio.Queue())
            for _ in range(5):
                messages.put_nowait("message")
            number = f"{session}-{len(self.event_ids_to_events)}"
            self.pending_event_ids_session.setdefault(session, set()).add(number)
            self.event_ids_to_events[number] = SimpleNamespace(data=SimpleNamespace(data=["x" * scope["size"], 1]))
        else:
            await receive()


class Asked:
    """The bounds around it."""

    def __init__(self):
        self.queue = Waiting()
        self.sessions = sessions.Sessions(self.queue, self.queue, 1000)

    async def join(self, session, size=0):
        await self.sessions({"path": events.JOIN, "session": session, "size": size}, None, None)

    def stream(self, session, receive):
        query = f"session_hash={session}".encode()
        return self.sessions({"path": "/gradio_api/queue/data", "query_string": query}, receive, None)


def test_answers_that_nobody_reads_are_forgotten():
    async def work():
        asked, reading = Asked(), asyncio.Event()
        await asked.join("read")
        stream = asyncio.create_task(asked.stream("read", reading.wait))
        await asyncio.sleep(0)
        for number in range(200):
            await asked.join(f"unread{number}")
        kept = set(asked.queue.pending_messages_per_session)
        assert kept == {"read", *(f"unread{number}" for number in range(150, 200))}
        assert set(asked.queue.pending_event_ids_session) == kept and len(asked.queue.event_ids_to_events) == 51
        assert asked.queue.cleaned == [f"unread{number}" for number in range(150)]
        reading.set()
        await stream
        await asked.join("another")
        assert "read" in asked.queue.pending_messages_per_session
        with pytest.raises(Problem) as refused:
            await asked.stream("unread0", None)
        assert refused.value.code == "not_found"

    asyncio.run(work())


def test_and_so_they_are_after_a_while(monkeypatch):
    async def work():
        asked = Asked()
        await asked.join("one")
        monkeypatch.setattr(sessions, "_UNREAD_SECONDS", -1.0)
        await asked.join("two")
        assert asked.queue.pending_messages_per_session == {}

    asyncio.run(work())


def test_a_page_that_reads_nothing_and_events_of_many_bytes_are_refused():
    async def work():
        asked = Asked()
        for _ in range(11):
            await asked.join("one")
        for session, size in (("one", 0), ("two", 1001)):
            with pytest.raises(Problem) as refused:
                await asked.join(session, size)
                await asked.join(session, size)
            assert (refused.value.status, refused.value.code) == (503, "overloaded")

    asyncio.run(work())
