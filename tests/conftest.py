"""What many tests share: a small data set of ten drawn patterns, a finished run, a way to run commands, a browser."""

import gzip
import os
import shutil

import numpy as np
import pytest

os.environ["FMNIST_OFFLINE"] = "1"

CLASSES = 10


class StopAfter:
    """Asks training to stop at the n-th question."""

    def __init__(self, questions):
        self.left = questions

    def __call__(self):
        self.left -= 1
        return self.left <= 0


def pattern_images(count: int, seed: int, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy bars, one position and direction for each class: uint8 (count, size, size) and labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % CLASSES
    rng.shuffle(labels)
    images = rng.integers(0, 90, (count, size, size))
    width = size // 6
    for image, label in zip(images, labels, strict=True):
        start = (label % 5) * size // 5
        if label < 5:
            image[start : start + width] += 120
        else:
            image[:, start : start + width] += 120
    return images.clip(0, 255).astype(np.uint8), labels


def write_idx_folder(folder, train, test):
    """Write two (images, labels) pairs as the four IDX files, half of them gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, (images, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = header + array.tobytes()
            if kind == "images-idx3":
                (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, 1))
            else:
                (folder / f"{prefix}-{kind}-ubyte").write_bytes(content)
    return folder


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
    from fmnist.data import load_dataset

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


@pytest.fixture(scope="module")
def browser():
    """A Chromium with a camera of its own, such as Debian has it."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        started = playwright.chromium.launch(executable_path=chromium, args=options)
        yield started
        started.close()
