"""Photos as they come: fake ones of the data set's own images keep the class that the image itself is given."""

import io
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.photos import KINDS, fake_photo, garment, photographed, same_class

import fmnist
from fmnist.errors import RunError
from fmnist.images.decoding import decode
from fmnist.images.recipe import prepare


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_becomes_the_image_that_it_shows(kind):
    image = garment()
    for seed in range(3):
        seen = prepare(decode(fake_photo(image, kind, np.random.default_rng(seed)), kind), (28, 28, 1))[..., 0]
        away = np.abs(seen.astype(int) - image)
        assert away.mean() < 20 and np.median(away) < 6, (kind, seed)


def test_the_fakes_differ_in_size_format_and_orientation():
    rng = np.random.default_rng(0)
    pictures = [Image.open(io.BytesIO(fake_photo(garment(), kind, rng))) for kind in KINDS for _ in range(3)]
    assert {picture.format for picture in pictures} == {"PNG", "JPEG", "WEBP"}
    assert {picture.mode for picture in pictures} >= {"RGB", "RGBA", "P"}
    assert {picture.getexif().get(0x0112, 1) for picture in pictures} >= {1, 6}
    assert len({picture.size for picture in pictures}) > 15


def contents(width, height):
    """Four pictures of a size: an object on dark, on light and on transparency, and noise."""
    for mode, ground, colour in (("L", 20, 128), ("RGB", "white", "navy"), ("RGBA", (0, 0, 0, 0), (200, 30, 30, 255))):
        picture = Image.new(mode, (width, height), ground)
        ImageDraw.Draw(picture).ellipse((width // 4, height // 4, 3 * width // 4, 3 * height // 4), fill=colour)
        yield picture
    noise = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), np.uint8)
    yield Image.fromarray(noise)


def prepared(width, heights):
    """Return the shapes of all the pictures made from those of a width; runs in a process that may be killed."""
    return {prepare(one, (28, 28, 1)).shape for height in heights for one in contents(width, height)}


def test_no_size_of_picture_ends_the_process():
    """A window of one pixel once divided by zero inside Pillow: in cut-outs of 25 pixels and less."""
    with ProcessPoolExecutor(1) as processes:
        for width in (1, 2, 3, 20, 25, 26, 64, 100):
            assert processes.submit(prepared, width, (1, 2, 7, 20, 25, 61, 62)).result() == {(28, 28, 1)}, width


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_size_up_to_130_ends_the_process():
    with ProcessPoolExecutor(2) as processes:
        for shapes in processes.map(prepared, range(1, 131), [range(1, 131)] * 130):
            assert shapes == {(28, 28, 1)}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fake_photos_of_500_test_images_keep_their_class(tmp_path, monkeypatch):
    """The whole way, with the network of the default preset: on plain white, and on everything."""
    monkeypatch.delenv("FMNIST_OFFLINE")
    try:
        dataset = fmnist.load_dataset()
    except RunError as error:
        pytest.skip(f"needs Fashion-MNIST: {error}")
    model = fmnist.open_model(fmnist.train(fmnist.preset("fast"), dataset, tmp_path / "fast"))
    images = dataset.test_images[np.random.default_rng(0).choice(len(dataset.test_images), 500, replace=False)]
    others = [KINDS[1:][number % (len(KINDS) - 1)] for number in range(500)]
    seen = photographed(images, ["white"] * 500), photographed(images, others)
    white, mixed = (same_class(model, images, photos) for photos in seen)
    unfamiliar = [(model.unfamiliarity(photos) > model.threshold).mean() for photos in seen]
    # 96.0% and about 93% were measured, with a standard error of 1 point; what is aimed at is 97 and 94.
    assert white.mean() >= 0.94
    assert (white.mean() + (len(KINDS) - 1) * mixed.mean()) / len(KINDS) >= 0.90
    assert (unfamiliar[0] + (len(KINDS) - 1) * unfamiliar[1]) / len(KINDS) <= 0.10
