"""The recipe's own doubts: blanks, low contrast, several objects, no ground; and none about plain photos."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from support.photos import KINDS, fake_photo, garment

from fmnist.data.preparation import PHOTO, WHOLE, Preparation
from fmnist.images.cutout import DOUBTS, NOTHING, CutOut
from fmnist.images.decoding import decode
from fmnist.images.recipe import examine, prepare

SHAPE = (28, 28, 1)


def doubts(picture, how=PHOTO):
    return examine(picture, SHAPE, how)[1].doubts


def shirt(size=(300, 300), ground=250, ink=60, at=(0, 0), scale=1.0):
    """A shirt of 200 pixels on an even ground."""
    outline = [(60, 50), (110, 40), (190, 40), (240, 50), (280, 130), (240, 150), (215, 115), (215, 260), (85, 260),
               (85, 115), (60, 150), (20, 130)]  # fmt: skip
    picture = Image.new("L", size, ground)
    ImageDraw.Draw(picture).polygon([(at[0] + x * scale, at[1] + y * scale) for x, y in outline], fill=ink)
    return picture


def grain():
    """Planks of wood: streaks along the picture, light and dark."""
    streaks = np.random.default_rng(0).normal(0, 1, (300, 20))
    streaks = np.asarray(Image.fromarray(streaks.astype(np.float32)).resize((300, 300)))
    picture = (150 + 45 * streaks + 30 * np.sin(np.arange(300) / 9)[:, np.newaxis]).clip(0, 255)
    return Image.fromarray(picture.astype(np.uint8))


@pytest.mark.parametrize("how", [None, PHOTO, WHOLE, Preparation(negate=True), Preparation("whole", True)])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (28, 28), (300, 200), (2000, 1500)])
def test_a_blank_picture_has_no_object(how, size):
    for level in (0, 90, 255):
        assert doubts(Image.new("L", size, level), how) == [NOTHING]
    assert doubts(Image.new("RGBA", size), how) == [NOTHING]


@pytest.mark.parametrize("how", [PHOTO, WHOLE])
def test_a_picture_of_one_colour_has_no_object(how):
    """Its channels differ from each other, and not from place to place."""
    assert examine(Image.new("RGB", (90, 60), (50, 80, 245)), (28, 28, 3), how)[1].doubts == [NOTHING]


def test_noise_that_hardly_shows_is_no_object():
    noise = np.random.default_rng(0).normal(200, 2, (300, 400)).round().astype(np.uint8)
    assert doubts(Image.fromarray(noise)) == [NOTHING]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_photos_raise_no_doubt(kind):
    for seed in range(6):
        assert doubts(decode(fake_photo(garment(), kind, np.random.default_rng(seed)), kind)) == [], seed
    assert doubts(shirt()) == doubts(shirt(ground=30, ink=220)) == []


def test_two_garments_are_several_objects():
    beside = shirt((600, 300))
    beside.paste(shirt(), (300, 0))
    above = shirt((300, 500))
    above.paste(shirt((150, 150), scale=0.5), (70, 320))
    assert doubts(beside) == doubts(above) == ["several objects"]
    assert examine(beside, SHAPE, PHOTO)[1].objects == 2


def test_a_speck_is_no_second_object():
    picture = shirt((500, 300))
    picture.paste(60, (400, 100, 425, 125))
    assert doubts(picture) == []


def test_a_screenshot_has_several_objects():
    picture = Image.new("L", (400, 300), 255)
    for top in range(20, 280, 40):
        picture.paste(90, (30, top, 370, top + 18))
    assert "several objects" in doubts(picture)


def test_a_picture_without_ground_is_doubted():
    framed = Image.new("L", (300, 300), 40)
    framed.paste(shirt((284, 284)), (8, 8))
    hand = shirt()
    ImageDraw.Draw(hand).polygon([(300, 120), (300, 260), (200, 230), (200, 160)], fill=170)
    assert "fills the frame" in doubts(framed)
    assert "uneven ground" in doubts(grain())
    assert "uneven ground" in doubts(hand)


def test_dark_on_dark_has_little_contrast():
    assert doubts(shirt(ground=20, ink=46)) == ["little contrast"]


def test_a_negative_of_the_models_own_size_is_told_and_negated():
    image = garment()
    for how, own in ((PHOTO, image), (Preparation(negate=True), 255 - image)):
        levels, found = examine(Image.fromarray(255 - own), SHAPE, how)
        assert found.doubts == ["looks negated"] and (levels[..., 0] == own).all()
        assert doubts(Image.fromarray(own), how) == []
    assert doubts(Image.fromarray(255 - image), None) == []  # nothing is known of the training pictures


def test_pictures_that_are_taken_as_a_whole_have_no_object_to_doubt():
    for picture in (shirt(), grain(), Image.fromarray(255 - garment())):
        assert doubts(picture, WHOLE) == []


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bits_of_which_fewer_are_used_look_the_same(bits):
    """Cameras and scanners write 10, 12 and 14 bits as 16."""
    levels = np.asarray(shirt().filter(ImageFilter.GaussianBlur(2)))
    most = 2**bits - 1
    for kind in ("PNG", "TIFF"):
        file = io.BytesIO()
        Image.fromarray((levels / levels.max() * most).round().astype(np.uint16)).save(file, kind)
        found, expected = prepare(decode(file.getvalue()), SHAPE), prepare(Image.fromarray(levels), SHAPE)
        assert np.abs(found.astype(int) - expected).max() <= 6


def test_each_doubt_has_a_fact_bounds_and_a_sentence():
    for words, (fact, low, high, sentence) in DOUBTS.items():
        assert words.islower() and sentence.endswith(".") and low <= high
        assert hasattr(CutOut(255.0), fact)
    assert CutOut(255.0).doubts == []
    assert CutOut(0.0, 3, 0.9, 1.0).doubts == [NOTHING]
