"""The documentation as a site: every public name is described, no warning, and nothing is loaded from outside."""

import functools
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.pages import Page

import fmnist

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"(https?:)?//", re.IGNORECASE)


def test_each_public_name_is_described():
    named = re.findall(r"^::: fmnist\.(\w+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == fmnist.__all__


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a link or an anchor that leads nowhere fails the build."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_it_refers_to_no_file_outside(site):
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 15 and styles
    for path in pages:
        loaded = [
            attributes.get(name) or ""
            for tag, attributes in Page(path).elements
            for name in ("src", "srcset", "href", "poster", "data")
            if tag not in ("a", "area")  # where a reader may go on a click
        ]
        assert not [address for address in loaded if OUTSIDE.match(address)], path.name
    for path in styles:
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", path.read_text("utf-8")), path.name
    assert {f"fmnist.{name}" for name in fmnist.__all__} <= set(Page(site / "api.html").text.split())


@pytest.mark.slow
def test_a_browser_asks_nobody_else(site, browser):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    context, wrong = browser.new_context(), []
    context.on("request", lambda sent: sent.url.startswith((address, "data:", "blob:")) or wrong.append(sent.url))
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in site.rglob("*.html"):
        page.goto(address + path.relative_to(site).as_posix())
    page.goto(f"{address}index.html?q=dropout")
    page.locator(".md-search-result__item").first.wait_for(timeout=60_000)
    context.close()
    server.shutdown()
    server.server_close()
    assert not wrong
