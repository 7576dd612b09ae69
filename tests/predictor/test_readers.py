"""Pictures are read in processes of their own: what breaks there is named, and costs nobody else."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from support import breaking
from support.onnx_models import SHAPE, onnx_model

from fmnist.data.preparation import Preparation
from fmnist.errors import InputError, RunError
from fmnist.images.decoding import decode
from fmnist.images.recipe import examine
from fmnist.predictor.opening import open_model
from fmnist.predictor.readers import Readers


def photo(level=30):
    file = io.BytesIO()
    image = Image.new("RGB", (60, 40), "white")
    image.paste((level, level, level), (20, 10, 40, 30))
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("how", [None, Preparation("whole", negate=True)])
def test_a_picture_is_what_it_would_be_here(how):
    with Readers() as readers:
        for level in (10, 90):
            read, found = readers.read(photo(level), "x", (28, 28, 1), how)
            expected, facts = examine(decode(photo(level)), (28, 28, 1), how)
            assert read.dtype == np.uint8 and np.array_equal(read, expected) and found == facts
        assert len(readers._running) == 1
        with pytest.raises(InputError, match="^a name: is no picture of a known kind"):
            readers.read(b"hello", "a name", (28, 28, 1))


def test_what_breaks_the_decoder_is_named_and_the_next_picture_read(monkeypatch):
    breaking.break_readers(monkeypatch)
    with Readers(seconds=1) as readers:
        for content, told in (
            (b"crash", r"ended its process \(SIGFPE\)"),
            (b"endless", "takes more than 1 s"),
            (b"flood", "is no picture"),
            (b"memory", "MemoryError"),
        ):
            with pytest.raises(InputError, match=f"^a name: .*{told}"):
                readers.read(content, "a name", (28, 28, 1))
            assert readers.read(photo(), "x", (28, 28, 1))[0].shape == (28, 28, 1)
            assert len(readers._running) == 1


@pytest.mark.parametrize("made", [breaking.jpeg_of_many_scans, breaking.gif_with_a_long_comment])
def test_a_file_that_takes_minutes_is_given_up(made):
    with Readers() as readers, pytest.raises(InputError, match="takes more than 0.5 s"):
        readers.read(made(), "x", (28, 28, 1), seconds=0.5)


def test_a_file_that_fills_the_log_writes_nothing(capfd):
    with Readers() as readers:
        try:
            readers.read(breaking.loud_tiff(), "x", (28, 28, 1))
        except InputError as error:
            assert "damaged" in str(error)
    assert capfd.readouterr() == ("", "")


def test_processes_that_were_ended_are_replaced_and_bounded():
    with Readers(count=2) as readers:
        readers.start()
        assert len(readers._running) == 2
        for process in readers._running:
            process.kill()
            process.wait()
        threads = [threading.Thread(target=readers.read, args=(photo(), "x", (28, 28, 1))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(readers._running) == 2
        running = list(readers._running)
    assert [process.returncode for process in running] == [-signal.SIGKILL] * 2
    with pytest.raises(RunError):
        readers.read(photo(), "x", (28, 28, 1))


def test_signals_of_a_terminal_do_not_end_them():
    with Readers() as readers:
        readers.read(photo(), "x", (28, 28, 1))
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(readers._running[0].pid, number)
        time.sleep(0.2)
        readers.read(photo(), "x", (28, 28, 1))
        assert readers._running[0].poll() is None


def test_among_many_files_the_one_that_crashes_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    breaking.break_readers(monkeypatch)
    (tmp_path / "thirds.onnx").write_bytes(onnx_model())
    for name, content in {"a.png": photo(), "b.png": b"crash", "c.png": photo(90)}.items():
        (tmp_path / name).write_bytes(content)
    found, unreadable = open_model(tmp_path / "thirds.onnx").read_and_predict([str(tmp_path)])
    assert [os.path.basename(one.image) for one in found] == ["a.png", "c.png"]
    assert found[0].picture.shape == (*SHAPE, 1)
    name = str(tmp_path / "b.png")
    assert unreadable == {name: f"{name}: cannot be read: decoding it ended its process (SIGFPE)"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("cli.predict", {"numpy", "PIL"}),
        ("predictor.readers", {"numpy", "PIL"}),
        ("predictor.decoder", {"fmnist.backend", "fmnist.data.dataset", "fmnist.predictor.opening"}),
    ],
)
def test_a_start_imports_no_more_than_it_needs(module, unwanted):
    """`fmnist predict` waits for all of it."""
    code = f"import sys, fmnist.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not unwanted & set(loaded)
