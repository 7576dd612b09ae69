"""What the tab Teach may do and for whom: its one path, without a browser and without training."""

import asyncio
import base64
import signal
import time

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from support.breaking import break_readers
from support.web_client import Server, png

from fmnist.images import collection
from fmnist.web import Limits, Settings, hosts
from fmnist.web.page.teach import Teacher

PICTURE = png(np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3))


def address(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


class Teaching(Server):
    """A server whose page is the tab's path alone."""

    def __init__(self, folder, limits=None, **settings):
        super().__init__(limits or Limits(), runs_dir=folder / "runs", **settings)
        self.restart()

    def restart(self):
        app = FastAPI(openapi_url=None)
        self.teacher = Teacher(self.service, self.settings)
        self.teacher.offer(app)
        self.guard._page = app

    def teach(self, do, name="things", label="", picture=None):
        asked = {"do": do, "name": name, "label": label}
        answer = self.ask("POST", "/teach", json=asked | ({"picture": address(picture)} if picture else {}))
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def server(tmp_path):
    return Teaching(tmp_path)


def test_a_picture_is_a_file_at_once_and_is_there_when_the_page_opens_again(server, tmp_path):
    first = server.teach("show", name="")
    assert (first["name"], first["names"], first["ready"], first["running"]) == ("first", [], False, False)
    assert "Name two things" in first["classes"] and "disabled" in first["lesson"]
    assert 'data-label="a &#34;cup&#34;' not in server.teach("class", label="cup")["classes"]
    assert [server.teach("picture", label="cup", picture=PICTURE) for _ in range(2)] == [{"count": 1}, {"count": 2}]
    (kept, _) = sorted((tmp_path / "teach" / "things" / "cup").iterdir())
    with Image.open(kept) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (224, 224))
    server.restart()
    again = server.teach("show", name="")
    assert again["name"] == "things" and again["classes"].count("data:image/png") == 2
    assert '<span class="count">2</span>' in again["classes"] and str(tmp_path / "teach" / "things") in again["classes"]
    assert '<span class="count">1</span>' in server.teach("undo", label="cup")["classes"]
    assert "cup" not in server.teach("remove", label="cup")["classes"].replace("a cup", "")


def test_a_picture_that_somebody_put_into_the_folder_does_no_harm(server, tmp_path, monkeypatch):
    break_readers(monkeypatch)
    server.teach("class", label="cup")
    for name in ("crash", "flood"):
        (tmp_path / "teach" / "things" / "cup" / f"{name}.png").write_bytes(name.encode())
    shown = server.teach("show")["classes"]
    assert '<span class="count">2</span>' in shown and "<img" not in shown


@pytest.mark.parametrize("name", ["", "..", "../../runs", "/etc", ".hidden", "a\0b", "\u202egnp", "x" * 41])
def test_a_hostile_name_makes_no_folder(server, tmp_path, name):
    for asked in ({"name": name or " "}, {"label": name}):
        assert "nothing can be named" in server.teach("class", **asked)["problem"]
    assert list(tmp_path.rglob("*")) == []


def test_a_name_is_text_on_the_page(server):
    shown = server.teach("class", label="R&D's ${alert(1)} {{ 1 }}")["classes"]
    assert shown.count("R&amp;D&#39;s ${alert(1)} {{ 1 }}") > 3 and "R&D" not in shown


def test_what_is_too_much_is_refused(tmp_path, monkeypatch):
    server = Teaching(tmp_path, Limits(body_bytes=100_000))
    monkeypatch.setattr(collection, "MAX_PICTURES", 1)
    server.teach("class", label="cup")
    assert "this is no picture" in server.teach("picture", label="cup")["problem"]
    assert "is no picture" in server.teach("picture", label="cup", picture=b"no picture")["problem"]
    assert "more than 0 MB" in server.teach("picture", label="cup", picture=bytes(100_001))["problem"]
    assert "there is no class 'book'" in server.teach("picture", label="book", picture=PICTURE)["problem"]
    assert server.teach("picture", label="cup", picture=PICTURE) == {"count": 1}
    assert "no more are taken" in server.teach("picture", label="cup", picture=PICTURE)["problem"]
    body = {"do": "picture", "name": "things", "label": "cup", "picture": address(bytes(200_000))}
    assert server.ask("POST", "/teach", json=body).json()["error"]["code"] == "body_too_large"
    assert "nothing was trained" in server.teach("look", picture=PICTURE)["problem"]


@pytest.mark.parametrize(
    "body",
    [{"do": "delete"}, {}, {"do": "show", "name": "x" * 201}, {"do": "show", "name": None}, {"do": "show", "path": "/"},
     {"do": "picture", "picture": "/etc/passwd"}, {"do": "picture", "picture": {"path": "/etc/passwd"}}, []],
)  # fmt: skip
def test_a_field_that_is_none_of_the_tab_s_is_refused(server, body):
    answer = server.ask("POST", "/teach", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_form")


@pytest.mark.parametrize(
    ("settings", "private"),
    [({}, True), ({"host": "localhost"}, True), ({"host": "::1"}, True), ({"host": "127.8.0.1"}, True),
     ({"host": "0.0.0.0"}, False), ({"host": "::"}, False), ({"host": "10.0.0.7"}, False), ({"host": "shop"}, False),
     ({"origins": ("https://shop.example",)}, False), ({"root_path": "/fmnist"}, False)],
)  # fmt: skip
def test_only_a_server_for_this_machine_alone_teaches(tmp_path, settings, private):
    assert hosts.private(Settings("tried", **settings)) == private
    server = Teaching(tmp_path, **settings)
    host = "[::1]" if settings.get("host") == "::1" else settings.get("host", "127.0.0.1")
    answer = server.ask("POST", "/teach", json={"do": "show"}, headers={"host": host})
    assert answer.status_code == (200 if private else 404)


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [("127.0.0.1", {}, 200), ("::1", {}, 200), ("10.0.0.5", {}, 404), ("2001:db8::1", {}, 404),
     ("127.0.0.1", {"x-forwarded-for": "10.0.0.5"}, 404), ("127.0.0.1", {"Forwarded": "for=10.0.0.5"}, 404),
     ("127.0.0.1", {"via": "1.1 proxy"}, 404), ("127.0.0.1", {"origin": "https://evil.example"}, 403),
     ("127.0.0.1", {"host": "evil.example"}, 421), ("127.0.0.1", {"origin": "http://127.0.0.1:7860"}, 200)],
)  # fmt: skip
def test_another_host_gets_nothing(server, client, headers, status):
    async def ask():
        transport = httpx.ASGITransport(server.guard, client=(client, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as asking:
            return await asking.post("/teach", json={"do": "show"}, headers=headers)

    assert asyncio.run(ask()).status_code == status
    assert server.ask("GET", "/teach").status_code == 404


def test_a_training_that_fails_is_told_and_another_one_may_begin(server, tmp_path):
    """In the process that imports the pictures: there is one class only."""
    server.teach("class", label="cup")
    server.teach("picture", label="cup", picture=PICTURE)
    begun = server.teach("train")
    assert begun["running"] and "Reading the pictures" in begun["lesson"]
    assert "is being trained" in server.teach("train")["problem"]
    until = time.monotonic() + 60
    while (told := server.teach("progress"))["running"] and time.monotonic() < until:
        time.sleep(0.1)
    assert "1 sub-folder with pictures" in told["lesson"] and not told["ready"]
    assert "being trained" not in server.teach("progress", name="other")["lesson"]
    assert not (tmp_path / "runs").exists()


def test_a_training_ends_with_the_server(server):
    async def work():
        async with server.teacher.life(FastAPI()):
            await asyncio.to_thread(server.teach, "train")
            lesson = server.teacher._lesson
            while lesson._process is None:
                await asyncio.sleep(0)
        return lesson

    lesson = asyncio.run(work())
    lesson._thread.join(20)
    assert not lesson.running and lesson._process.returncode == -signal.SIGTERM
