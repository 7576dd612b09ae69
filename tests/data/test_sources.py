"""The official files: fetched from whichever source has them, verified, cached, repaired. All servers are local."""

import contextlib
import errno
import gzip
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import fmnist
from fmnist.data import cache as cache_module
from fmnist.data import sources
from fmnist.data.cache import Cache, KnownFile, default_cache_dir
from fmnist.data.download import DebianPackage, Folder, Mirror
from fmnist.errors import RunError

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals, locks or shell scripts")


def idx_labels(count: int, seed: int) -> bytes:
    values = b"".join(hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(count // 32 + 1))
    return bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + values[:count]


CONTENTS = {"first": idx_labels(60_000, 1), "second": idx_labels(500, 2), "third": idx_labels(80, 3)}
PACKED = {name: gzip.compress(content) for name, content in CONTENTS.items()}
FILES = tuple(KnownFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENTS.items())


class Server:
    """A web server on 127.0.0.1; `answers` maps a file's name to bytes, a status or a function of the handler."""

    def __init__(self):
        self.answers = {f"{name}.gz": content for name, content in PACKED.items()}
        self.requests = Counter()
        self.started = threading.Event()
        self.stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                outer.requests[name] += 1
                answer = outer.answers.get(name, 404)
                with contextlib.suppress(OSError):  # the client may have gone
                    if callable(answer):
                        answer(self)
                    elif isinstance(answer, int):
                        self.send_error(answer)
                    else:
                        self.begin(len(answer))
                        self.wfile.write(answer)

            def begin(self, length):
                self.send_response(200)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/data"

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def drip(self, handler, data, seconds=0.02, piece=1):
        """Send data slowly until the test ends or the client goes."""
        handler.begin(len(data))
        for start in range(0, len(data), piece):
            handler.wfile.write(data[start : start + piece])
            self.started.set()
            if self.stopping.wait(seconds):
                return


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("FMNIST_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache" / "files")


@pytest.fixture
def folder(tmp_path):
    """A folder source with all files, half of them gzipped."""
    path = tmp_path / "package"
    path.mkdir()
    for name, content in PACKED.items():
        (path / f"{name}.gz").write_bytes(content)
    (path / "second.gz").unlink()
    (path / "second").write_bytes(CONTENTS["second"])
    return Folder(path)


def obtain(cache, *sources_in_order, progress=None):
    data = sources.obtain(files=FILES, cache=cache, sources=sources_in_order, progress=progress)
    assert data.contents == CONTENTS
    return data.source


def cached(cache):
    return {path.name: path.read_bytes() for path in cache.folder.iterdir() if not path.name.startswith(".")}


def leftovers(cache):
    return [path.name for path in cache.folder.iterdir() if path.name not in (*CONTENTS, ".lock")]


# --- what a mirror may do -------------------------------------------------------------------------------------------


def test_a_mirror_fills_the_cache_and_then_nothing_is_fetched(server, cache):
    seen = []
    source = obtain(cache, Mirror(server.address), progress=lambda *args: seen.append(args))
    assert server.address in source
    assert cached(cache) == CONTENTS
    assert leftovers(cache) == []
    size = len(PACKED["first"])
    assert (size, size, "first.gz") in seen
    assert str(cache.folder) in obtain(cache)
    assert obtain(Cache(cache.folder), Mirror(server.address)) == obtain(cache)
    assert server.requests == {"first.gz": 1, "second.gz": 1, "third.gz": 1}


def cut_short(handler):
    handler.begin(len(PACKED["first"]))
    handler.wfile.write(PACKED["first"][:20_000])


def cut_short_unannounced(handler):
    handler.begin(None)
    handler.wfile.write(PACKED["first"][:20_000])


def hang(handler):
    handler.server.hung.wait(10)


def hang_halfway(handler):
    handler.begin(len(PACKED["first"]))
    handler.wfile.write(PACKED["first"][:20_000])
    handler.wfile.flush()
    handler.server.hung.wait(10)


def no_http(handler):
    handler.wfile.write(b"SSH-2.0-nothing\r\n\r\n")


def endless(handler):
    handler.begin(None)
    for _ in range(100):
        handler.wfile.write(bytes(10_000))


WRONG = bytearray(CONTENTS["first"])
WRONG[-1] ^= 1
BAD_ANSWERS = {
    "404": (404, "the server answered 404"),
    "500": (500, "the server answered 500"),
    "truncated": (cut_short, r"the connection ended after 20,000 of 60,\d+ bytes"),
    "truncated, no length": (cut_short_unannounced, "damaged or truncated gzip"),
    "hangs": (hang, "no answer for 0.3 seconds"),
    "hangs halfway": (hang_halfway, "no answer for 0.3 seconds"),
    "one bit wrong": (gzip.compress(WRONG), "first has SHA-256 .* expected"),
    "another file": (PACKED["second"], "first has 508 bytes, expected 60,008"),
    "larger file": (gzip.compress(idx_labels(70_000, 1)), "more than the 60,008 bytes accepted"),
    "bomb": (gzip.compress(CONTENTS["first"] + bytes(30_000_000)), "but there is more"),
    "web page": (b"<html>Please log in</html>", "begins 3c 68 74 6d; expected an IDX file"),
    "empty": (b"", "is empty"),
    "endless": (endless, "longer than the 125,544 bytes expected at most"),
    "no web server": (no_http, "SSH-2.0-nothing"),
}


@pytest.mark.parametrize(("answer", "reason"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_is_told_and_the_next_source_serves(server, cache, folder, answer, reason):
    server.server.hung = server.stopping
    server.answers["first.gz"] = answer
    mirror = Mirror(server.address, timeout=0.3 if "no answer" in reason else 30)
    with pytest.raises(RunError, match=reason) as caught:
        obtain(cache, mirror)
    assert f"  - {server.address}: first" in str(caught.value)
    assert cached(cache).keys() == set()
    assert str(folder.path) in obtain(cache, mirror, folder)
    assert cached(cache) == CONTENTS


def test_a_server_that_drips_is_given_up(server, cache):
    server.answers["first.gz"] = lambda handler: server.drip(handler, PACKED["first"])
    start = time.monotonic()
    with pytest.raises(RunError, match=r"first.gz: too slow, \d+ bytes in \d seconds"):
        obtain(cache, Mirror(server.address, timeout=30, patience=0.3))
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:9/", "Connection refused"),
        ("no-address", "unknown url type"),
    ],
)
def test_an_address_without_a_server(server, cache, address, reason):
    with pytest.raises(RunError, match=reason):
        obtain(cache, Mirror(address))


def test_what_one_mirror_lacks_the_next_gives(server, cache):
    other = Server()
    try:
        other.answers["third.gz"] = 404
        source = obtain(cache, Mirror(other.address), Mirror(server.address))
        assert other.requests == {"first.gz": 1, "second.gz": 1, "third.gz": 1}
        assert server.requests == {"third.gz": 1}
        assert other.address in source
        assert server.address in source
    finally:
        other.close()


# --- folders, the distribution's package, offline -------------------------------------------------------------------


def test_a_folder_source(cache, folder):
    assert obtain(cache, Folder(folder.path / "nowhere"), folder) == f"official Fashion-MNIST from {folder.path}"
    (folder.path / "third.gz").unlink()
    (cache.folder / "third").unlink()
    with pytest.raises(RunError, match=r"cache/files: lacks third\n  - .*package: third is missing"):
        obtain(cache, folder)
    (folder.path / "third").write_bytes(CONTENTS["third"] + bytes(70_000))
    with pytest.raises(RunError, match="package: third is larger than the 88 bytes expected"):
        obtain(cache, folder)


FAKE_APT = """#!/bin/sh
echo "$@" >> "$FAKE_LOG"
case "$*" in
  *update*) echo "E: a third-party repository is down" >&2; exit 100;;
  *download*) {download};;
esac
"""
FAKE_DPKG = """#!/bin/sh
test "$1" = -x && mkdir -p "$3/usr/share" && cp -r "$FAKE_FOLDER" "$3/usr/share/files"
"""


@pytest.fixture
def fake_apt(tmp_path, monkeypatch, folder):
    """Put an apt-get and a dpkg-deb on the path that act as if; returns a function that sets what download does."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.delenv("FMNIST_OFFLINE", raising=False)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_FOLDER", str(folder.path))

    def install(download):
        for name, text in (("apt-get", FAKE_APT.format(download=download)), ("dpkg-deb", FAKE_DPKG)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        return tmp_path / "log"

    return install


@posix
def test_the_distributions_package(cache, fake_apt):
    log = fake_apt("echo package > data_1.0_all.deb")
    labels = []
    package = DebianPackage("data", "usr/share/files", cache)
    source = obtain(cache, package, progress=lambda received, total, label: labels.append(label))
    assert source == "official Fashion-MNIST from the distribution's package data"
    assert [label.split()[0] for label in labels] == ["reading", "downloading", "unpacking"]
    assert leftovers(cache) == []
    update, download = log.read_text().splitlines()
    assert update.endswith(" update")
    assert download.endswith(" download data")
    for line in (update, download):  # nothing of the system's is written
        assert f"-o Dir::State={cache.folder / cache_module.SCRATCH_PREFIX}" in line
        assert f"-o Dir::Cache={cache.folder / cache_module.SCRATCH_PREFIX}" in line


@posix
@pytest.mark.parametrize(
    ("download", "reason"),
    [
        ("echo 'E: Unable to locate package data' >&2; exit 100", "download failed: E: Unable to locate package data"),
        ("exit 7", "apt-get download failed: exit code 7"),
        ("true", "left no .deb file"),
    ],
)
def test_a_package_that_cannot_be_had(cache, fake_apt, download, reason):
    fake_apt(download)
    with pytest.raises(RunError, match=reason):
        obtain(cache, DebianPackage("data", "usr/share/files", cache))
    assert leftovers(cache) == []


def test_a_system_without_packages(cache, monkeypatch, tmp_path):
    monkeypatch.delenv("FMNIST_OFFLINE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="needs Debian or Ubuntu; apt-get and dpkg-deb not found"):
        obtain(cache, DebianPackage("data", "usr/share/files", cache))


def test_offline_leaves_out_the_network(server, cache, folder, monkeypatch):
    monkeypatch.setenv("FMNIST_OFFLINE", "1")
    obtain(cache, Mirror(server.address), folder)
    assert not server.requests


def test_no_source_names_each_and_the_way_out(server, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_OFFLINE", "1")
    with pytest.raises(RunError) as caught:
        obtain(cache, Folder(tmp_path / "nowhere"), Mirror(server.address), DebianPackage("data", "x", cache))
    text = str(caught.value)
    assert f"  - the cache {cache.folder}: lacks first, second, third\n" in text
    assert f"  - {tmp_path / 'nowhere'}: no such folder\n" in text
    assert f"  - {server.address}: not tried, since FMNIST_OFFLINE is set\n" in text
    assert "  - the distribution's package data: not tried" in text
    assert "  train-images-idx3-ubyte.gz\n" in text
    assert "`data_dir` or in the environment's FMNIST_DATA" in text


def test_the_official_list():
    assert [file.name for file in sources.OFFICIAL_FILES] == list(sources.FILE_NAMES)
    sizes = [16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000]
    assert [file.size for file in sources.OFFICIAL_FILES] == sizes
    kinds = [type(source) for source in sources.default_sources(Cache(Path("x")))]
    assert kinds == [Folder, Mirror, Mirror, DebianPackage]


# --- the cache ------------------------------------------------------------------------------------------------------


def flip_last_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 30_000),
    "one bit wrong": flip_last_bit,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "far too long": lambda path: os.truncate(path, 1 << 33),  # a file with a hole: no disk space
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_cache_file_is_repaired(server, cache, caplog, damage):
    obtain(cache, Mirror(server.address))
    damage(cache.folder / "first")
    source = obtain(cache, Mirror(server.address))
    assert server.requests == {"first.gz": 2, "second.gz": 1, "third.gz": 1}
    assert source == f"official Fashion-MNIST from the cache {cache.folder} and {server.address}"
    assert cached(cache) == CONTENTS
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (0 if damage is Path.unlink else 1)
    assert all("first" in text and str(cache.folder) in text for text in warnings)


def test_a_damaged_cache_file_is_never_used(cache, folder):
    obtain(cache, folder)
    flip_last_bit(cache.folder / "first")
    with pytest.raises(RunError, match=r"the cache .*: first has SHA-256 .*, expected"):
        obtain(cache)


def test_a_cache_that_cannot_be_made(tmp_path, folder, caplog):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    for _ in range(2):
        caplog.clear()
        assert obtain(cache, folder) == f"official Fashion-MNIST from {folder.path}"
        (warning,) = [record.getMessage() for record in caplog.records]
        assert warning.endswith("going on without the cache, so the next start has to fetch the data again")


def test_a_damaged_file_in_a_cache_that_cannot_be_written(cache, folder, caplog):
    obtain(cache, folder)
    (cache.folder / "first").unlink()
    (cache.folder / "first").mkdir()  # nothing can be renamed to it, even by root
    assert str(folder.path) in obtain(cache, folder)
    assert "cannot write" in caplog.text
    assert leftovers(cache) == []


def test_a_full_disk_leaves_nothing_behind(cache, folder, monkeypatch, caplog):
    def fail(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    obtain(cache, folder)
    assert "No space left on device" in caplog.text
    assert cached(cache) == {}
    assert leftovers(cache) == []


def test_leftovers_go_after_an_hour(cache, folder):
    cache.folder.mkdir(parents=True)
    for age, kind in ((0, "new"), (3700, "old")):
        scratch = cache.folder / f"{cache_module.SCRATCH_PREFIX}{kind}"
        scratch.mkdir()
        (scratch / "package.deb").touch()
        for path in (cache.folder / f".writing-first-{kind}", cache.folder / f"notes-{kind}.txt", scratch):
            path.is_dir() or path.touch()
            os.utime(path, (time.time() - age, time.time() - age))
    obtain(cache, folder)
    kept = {".writing-first-new", f"{cache_module.SCRATCH_PREFIX}new", "notes-new.txt", "notes-old.txt"}
    assert set(leftovers(cache)) == kept


def test_temporary_files_are_found_as_leftovers(cache, monkeypatch):
    """The pattern of leftovers follows the names that the atomic write gives."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda number: seen.extend(leftovers(cache)))
    cache.store(FILES[0], CONTENTS["first"])
    (name,) = set(seen)
    monkeypatch.setattr(cache_module, "LEFTOVER_SECONDS", -1.0)
    (cache.folder / name).touch()
    cache.remove_leftovers()
    assert leftovers(cache) == []


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("FMNIST_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if os.name == "posix":
        assert default_cache_dir() == tmp_path / "home" / ".cache" / "fmnist"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache_dir().parts[-2:] == (".cache", "fmnist")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "fmnist"
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"


@posix
def test_a_user_without_a_home_has_a_cache_too(monkeypatch):
    def nobody(*_):
        raise KeyError("no such user")

    for name in ("FMNIST_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert default_cache_dir() == Path(tempfile.gettempdir()) / "fmnist-cache"


@posix
def test_where_there_are_no_locks_the_data_is_fetched_without(cache, folder, monkeypatch):
    """No marker file takes the lock's place: a killed process would leave it behind."""

    def no_locks(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    obtain(cache, folder)
    assert cached(cache) == CONTENTS
    assert leftovers(cache) == []


# --- several processes ----------------------------------------------------------------------------------------------

CHILD = """
import hashlib, json, sys
from pathlib import Path
from fmnist.data import sources
from fmnist.data.cache import Cache, KnownFile
from fmnist.data.download import Mirror
files = tuple(KnownFile(*entry) for entry in json.loads(sys.argv[1]))
data = sources.obtain(files=files, cache=Cache(Path(sys.argv[2])), sources=[Mirror(sys.argv[3])])
print(*(hashlib.sha256(data.contents[file.name]).hexdigest() for file in files))
"""


def start_child(cache, address):
    entries = json.dumps([(file.name, file.size, file.sha256) for file in FILES])
    environment = {**os.environ, "PYTHONPATH": str(Path(fmnist.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, entries, str(cache.folder), address],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@posix
def test_eight_processes_fetch_each_file_once(server, cache):
    answers = dict(server.answers)

    def slowly(handler):
        data = answers["first.gz"]
        server.drip(handler, data, seconds=0.1, piece=len(data) // 4)

    server.answers["first.gz"] = slowly
    children = [start_child(cache, server.address) for _ in range(8)]
    outputs = [child.communicate(timeout=60) for child in children]
    expected = " ".join(file.sha256 for file in FILES) + "\n"
    assert outputs == [(expected, "")] * 8
    assert server.requests == {"first.gz": 1, "second.gz": 1, "third.gz": 1}
    assert cached(cache) == CONTENTS
    assert leftovers(cache) == []


@posix
def test_a_process_killed_in_a_download_harms_nobody(server, cache):
    server.answers["second.gz"] = lambda handler: server.drip(handler, PACKED["second"], seconds=0.2)
    child = start_child(cache, server.address)
    assert server.started.wait(30)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert cached(cache) == {"first": CONTENTS["first"]}  # what had come whole is kept
    server.answers["second.gz"] = PACKED["second"]
    start = time.monotonic()
    obtain(cache, Mirror(server.address))
    assert time.monotonic() - start < 10  # the killed one's lock went with it
    assert server.requests == {"first.gz": 1, "second.gz": 2, "third.gz": 1}
    assert cached(cache) == CONTENTS


@posix
def test_one_that_waits_says_so_and_takes_what_the_other_fetched(cache, folder):
    waiting = threading.Event()
    results = []

    def wait():
        results.append(obtain(cache, progress=lambda received, total, label: waiting.set()))

    with cache.lock():
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(10)
        for file in FILES:
            cache.store(file, CONTENTS[file.name])
    thread.join(10)
    assert results == [f"official Fashion-MNIST from the cache {cache.folder}"]


@posix
def test_a_lock_held_for_too_long_is_passed_by(cache, folder, monkeypatch):
    monkeypatch.setattr(cache_module, "LOCK_SECONDS", 0.1)
    with cache.lock():
        obtain(cache, folder)
    assert cached(cache) == CONTENTS
