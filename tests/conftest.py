"""What many tests share: a small data set of ten drawn patterns, a finished run, a way to run commands, a browser."""

import functools
import os

import pytest
from support import chromium
from support.small_data import pattern_images, write_idx_folder

os.environ["FMNIST_OFFLINE"] = "1"
# As `backend.prepare` sets it, in whatever order the tests' files import Keras: training gives other bits without it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the user's cache as it is."""
    os.environ["FMNIST_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_data_dir(tmp_path_factory):
    """A folder of four IDX files: 600 training and 200 test images in 10 classes."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return write_idx_folder(folder, pattern_images(600, seed=1), pattern_images(200, seed=2))


@pytest.fixture(scope="session")
def tiny_dataset(tiny_data_dir):
    from fmnist import load_dataset

    return load_dataset(tiny_data_dir)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_dataset):
    """A finished run of the reference network, two epochs on the tiny data; read it, do not change it."""
    import fmnist

    config = fmnist.preset("reference", epochs=2, filters=(4, 8, 8), segment_steps=4)
    return fmnist.train(config, tiny_dataset, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def run_cli(capsys):
    """Run `fmnist` in this process: returns exit code, stdout and stderr."""
    from fmnist.cli import main

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, which finds what keeps people from using a page."""
    from support.axe import load

    return load(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def launch():
    """Start a Chromium with a camera, which shows the video that is given, if any."""
    if chromium.find() is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield functools.partial(chromium.start, playwright)


@pytest.fixture(scope="module")
def browser(launch):
    """A Chromium with a camera of its own."""
    started = launch()
    yield started
    started.close()
