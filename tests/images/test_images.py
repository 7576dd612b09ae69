"""From pictures to the model's form: hand-worked cases, colour modes, hostile files, arrays."""

import gzip
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import PIL
import pytest
from PIL import Image, PngImagePlugin

from fmnist.data.idx import write_idx
from fmnist.data.preparation import PHOTO, WHOLE
from fmnist.errors import InputError
from fmnist.images.decoding import FORMATS, decode
from fmnist.images.reading import find_pictures, read_pictures
from fmnist.images.recipe import prepare
from fmnist.images.sheet import contact_sheet

SHAPE = (28, 28)
PILLOW_13 = pytest.mark.skipif(PIL.__version__ < "13", reason="Pillow reads a TIFF in YCbCr from 13.0 on")
WHITE, RED = (255, 255, 255), (200, 30, 30)


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(ground, ink, size=(400, 300), box=(100, 50, 240, 190), mode="RGB"):
    """A square on an even ground."""
    image = Image.new(mode, size, ground)
    image.paste(ink, box)
    return image


def prepared(image, shape=SHAPE):
    """The grey levels of a picture in a model's form."""
    return prepare(image, (*shape, 1))[..., 0]


def square(value):
    return np.full(SHAPE, value, np.uint8)


class TestRecipe:
    @pytest.mark.parametrize(
        ("ground", "ink", "level"),
        [
            (WHITE, (55, 55, 55), 200),
            (WHITE, (0, 0, 0), 255),
            ((225, 225, 225), (55, 55, 55), 200),
            ((90, 120, 170), (20, 20, 20), 235),
            ((0, 128, 0), (76, 76, 76), 179),  # of the ground's own grey: told apart by its colour
        ],
    )
    def test_a_square_is_cut_out_enlarged_and_negated(self, ground, ink, level):
        np.testing.assert_allclose(prepared(photo(ground, ink), SHAPE).astype(int), square(level), atol=2)

    def test_the_longest_side_fits_and_the_other_is_centred(self):
        upright = prepared(photo(WHITE, (5, 5, 5), box=(100, 50, 170, 190)), SHAPE)  # 70 × 140
        assert (upright[:, 9:19] > 200).all() and not upright[:, :7].any() and not upright[:, 21:].any()
        assert upright[[0, -1], 9:19].min() > 200
        wide = prepared(photo(WHITE, (5, 5, 5), box=(100, 50, 240, 120)), SHAPE)
        np.testing.assert_array_equal(wide, upright.T)

    def test_another_image_shape(self):
        result = prepared(photo(WHITE, (5, 5, 5), box=(100, 50, 240, 120)), (16, 32))
        assert result.shape == (16, 32) and (result > 200).all()
        assert prepared(photo(WHITE, (5, 5, 5)), (96, 96)).shape == (96, 96)

    def test_a_picture_of_the_size_is_untouched(self):
        pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
        np.testing.assert_array_equal(prepared(decode(encoded(Image.fromarray(pixels))), SHAPE), pixels)

    def test_a_picture_on_black_is_not_negated(self):
        """The data set's own form, enlarged: light for dark, rising out of the ground."""
        small = np.zeros(SHAPE, np.uint8)
        small[:, 6:22], small[2:26, 8:20] = 120, 230
        enlarged = Image.fromarray(small).resize((448, 448), Image.Resampling.BICUBIC)
        assert np.abs(prepared(enlarged, SHAPE).astype(int) - small).mean() < 14

    def test_a_light_photo_on_a_dark_ground_is_negated_with_its_ground_taken_away(self):
        image = photo((30, 30, 30), (230, 230, 230))
        image.paste((130, 130, 130), (120, 70, 220, 170))  # darker inside than at its outline
        result = prepared(image, SHAPE)
        assert 100 < result[14, 14] < 150 and result[14, 1] < 60

    def test_shading_and_noise_of_the_ground_are_background(self):
        pixels = np.asarray(photo((235, 235, 235), (60, 60, 60)), np.float32)
        pixels = pixels * np.linspace(1, 0.75, pixels.shape[1])[:, None]
        pixels += np.random.default_rng(0).normal(0, 3, pixels.shape)
        result = prepared(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), SHAPE)
        assert result.min() > 170  # the square fills the picture: nothing of the ground is left

    def test_transparency_is_background_whatever_colour_it_hides(self):
        image = Image.new("RGBA", (200, 200), (*RED, 0))
        image.paste((40, 40, 40, 255), (50, 50, 150, 150))
        np.testing.assert_allclose(prepared(image, SHAPE).astype(int), square(215), atol=2)
        image.paste((255, 255, 255, 255), (50, 50, 150, 150))  # white on nothing: shown light, rather than not at all
        assert prepared(image, SHAPE).min() > 250

    def test_in_colour_an_object_keeps_its_own_on_black(self):
        seen = prepare(photo((225, 225, 225), RED, box=(100, 50, 170, 190)), (28, 28, 3), PHOTO)
        np.testing.assert_allclose(seen[4:24, 11:17], np.broadcast_to(RED, (20, 6, 3)), atol=2)
        assert not seen[:, :7].any() and not seen[:, 21:].any()

    def test_a_whole_picture_in_colour_stands_on_the_colour_of_its_border(self):
        picture = photo((10, 120, 240), RED, (400, 200))
        seen = prepare(picture, (28, 28, 3), WHOLE)
        np.testing.assert_array_equal(seen[:7], np.broadcast_to((10, 120, 240), (7, 28, 3)))
        np.testing.assert_array_equal(seen, prepare(picture, (28, 28, 3)))  # where nothing is known

    def test_colour_becomes_grey_for_a_grey_model_and_grey_three_channels_for_one_in_colour(self):
        picture = photo((10, 120, 240), RED)
        for how in (PHOTO, WHOLE):
            grey = prepare(picture.convert("L"), (28, 28, 3), how)
            np.testing.assert_array_equal(grey, np.repeat(grey[..., :1], 3, axis=2))
        expected = prepare(picture.convert("L"), (28, 28, 1), WHOLE)
        np.testing.assert_array_equal(prepare(picture, (28, 28, 1), WHOLE), expected)

    @pytest.mark.parametrize("ground", [0, 90, 255])
    def test_nothing_but_background_is_black(self, ground):
        assert not prepared(Image.new("L", (300, 200), ground), SHAPE).any()

    @pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 5), (27, 28), (56, 56)])
    def test_any_size(self, size):
        noise = np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8)
        assert prepared(Image.fromarray(noise), SHAPE).shape == SHAPE


class TestDecoding:
    @pytest.mark.parametrize(
        "mode",
        ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "I", "F", pytest.param("YCbCr", marks=PILLOW_13), "LAB"],
    )
    def test_every_mode_shows_the_same_square(self, mode):
        image = photo(255, 0, mode="L")
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        elif mode in ("I", "F"):
            image = Image.fromarray(np.asarray(image).astype({"I": np.int32, "F": np.float32}[mode]))
        elif mode == "LAB":
            image = Image.merge("LAB", (image, Image.new("L", image.size, 128), Image.new("L", image.size, 128)))
        else:
            image = image.convert("RGB").convert(mode)
        kind = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "TIFF"
        picture = decode(encoded(image, kind))
        assert picture.mode in ("L", "LA", "RGB", "RGBA")
        assert prepared(picture, SHAPE).min() > 250

    def test_a_palette_with_a_transparent_colour(self):
        image = photo(0, 1, mode="P")
        image.putpalette([255, 0, 0, 40, 40, 40])
        np.testing.assert_allclose(prepared(decode(encoded(image, transparency=0)), SHAPE).astype(int), 215, atol=2)

    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format(self, kind):
        assert prepared(decode(encoded(photo(WHITE, (10, 10, 10)), kind)), SHAPE).min() > 235

    @pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
    def test_exif_turns_the_picture(self, orientation, corner):
        image = Image.new("L", (40, 20), 255)
        image.paste(0, (0, 0, 10, 10))
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = np.asarray(decode(encoded(image, exif=exif)))
        assert turned[corner] == 0 and (turned == 0).sum() == 100
        assert turned.shape == ((20, 40) if orientation < 5 else (40, 20))

    def test_the_first_frame_of_an_animation(self):
        frames = [photo(WHITE, RED), Image.new("RGB", (400, 300), "black")]
        for kind in ("GIF", "WEBP", "TIFF", "PNG"):
            content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
            assert decode(content).convert("L").getpixel((5, 5)) > 250, kind

    def test_a_large_picture_is_reduced(self):
        assert max(decode(encoded(Image.new("L", (5000, 100)))).size) < 2048
        assert max(decode(encoded(Image.new("RGB", (5000, 3000)), "JPEG")).size) < 2048

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "is empty"),
            (b"hello, world", "is no picture of a known kind"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is a picture in the form SVG, .*save it as PNG"),
            (b'<?xml version="1.0"?>\n<!-- a -->\n<svg/>', "is a picture in the form SVG"),
            (b"<!---->" * 5000 + b"x", "is no picture of a known kind"),  # once looked at in 2 to the power of n ways
            (b"<?xml ?>" + b"<!" * 5000, "is no picture of a known kind"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a picture in the form HEIC, .*pip install pillow-heif"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "is a picture in the form JPEG 2000"),
            (b"\0\0\1\0\1\0\x10\x10", "is a picture in the form ICO"),
            (b"8BPS\0\1", "is a picture in the form Photoshop"),
            (encoded(photo(WHITE, RED))[:600], "is damaged"),
            (encoded(photo(WHITE, RED), "JPEG")[:900], "is damaged"),
            (encoded(photo(WHITE, RED), "GIF")[:100], "is damaged"),
            (b"icns\0\0\0\x08", "is no picture of a known kind"),
        ],
    )
    def test_what_cannot_be_read_is_told(self, content, problem):
        with pytest.raises(InputError, match=f"^x.png: .*{problem}"):
            decode(content, "x.png")

    def test_large_texts_and_profiles_of_a_png_are_no_damage(self):
        info = PngImagePlugin.PngInfo()
        info.add_text("story", "x" * 2_000_000, zip=True)
        info.add_itxt("story", "é" * 2_000_000, zip=True)
        plain = photo(WHITE, RED)
        content = encoded(plain, "PNG", pnginfo=info, icc_profile=bytes(3_000_000))
        np.testing.assert_array_equal(np.asarray(decode(content)), np.asarray(plain))

    @pytest.mark.parametrize("side", [20_000, 6_000])
    def test_a_bomb_is_refused_by_its_header(self, side):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
        with pytest.raises(InputError, match="^bomb.png: has .*more than 20,000,000"):
            decode(bomb, "bomb.png")

    def test_damage_anywhere_is_one_error(self):
        """Bytes changed at random either leave a picture or give our error, never another."""
        rng = np.random.default_rng(0)
        for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
            whole = encoded(photo(WHITE, RED, size=(60, 50), box=(10, 10, 40, 40)), kind)
            for _ in range(40):
                content = bytearray(whole)
                for place in rng.integers(0, len(content), 4):
                    content[place] = rng.integers(0, 256)
                try:
                    picture = decode(bytes(content))
                except InputError:
                    continue
                assert prepared(picture, SHAPE).shape == SHAPE


class TestReading:
    @pytest.mark.parametrize("start", [b"\0\0\1\0\1\0", b"\0\0\0\x18ftypheic"])
    def test_two_zeros_are_no_idx_file_yet(self, start, tmp_path):
        (tmp_path / "x").write_bytes(start + bytes(50))
        with pytest.raises(InputError, match="is a picture in the form (ICO|HEIC)"):
            read_pictures(str(tmp_path / "x"), SHAPE)

    def test_find(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("b.png", "a.JPG", "note.txt", "d.svg", ".hidden.png", "deep/c.webp", "deep/._c.webp", "[1].png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        assert find_pictures(".") == ["[1].png", "a.JPG", "b.png", "d.svg", "deep/c.webp"]
        assert find_pictures("*.png") == ["[1].png", "b.png"]
        assert find_pictures("**/*.webp") == ["deep/c.webp"]
        for name in ("[1].png", "note.txt", "-", "missing.png"):
            assert find_pictures(name) == [name]
        with pytest.raises(InputError, match=r"\*.gif: no file matches the pattern"):
            find_pictures("*.gif")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="empty: the folder holds no picture"):
            find_pictures("empty")

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_idx(self, suffix, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
        path = tmp_path / f"images-idx3-ubyte{suffix}"
        write_idx(path, images)
        result, many = read_pictures(str(path), SHAPE)
        assert many
        np.testing.assert_array_equal(result[..., 0], images)
        result, _ = read_pictures("-", SHAPE, io.BytesIO(path.read_bytes()))
        np.testing.assert_array_equal(result[..., 0], images)

    @pytest.mark.parametrize("shape", [(3, 28, 28), (3, 28, 28, 1), (28, 28), (28, 28, 1)])
    def test_npy(self, shape, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.save(tmp_path / "x.npy", images)
        for name, stdin in ((str(tmp_path / "x.npy"), None), ("-", io.BytesIO((tmp_path / "x.npy").read_bytes()))):
            result, many = read_pictures(name, SHAPE, stdin)
            assert many
            np.testing.assert_array_equal(result, images.reshape(-1, 28, 28, 1))

    def test_arrays_in_colour(self, tmp_path):
        images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), dtype=np.uint8)
        np.save(tmp_path / "x.npy", images)
        np.save(tmp_path / "one.npy", images[0])
        write_idx(tmp_path / "images-idx4-ubyte", images)
        for name in ("x.npy", "images-idx4-ubyte"):
            result, many = read_pictures(str(tmp_path / name), (28, 28, 3))
            assert many
            np.testing.assert_array_equal(result, images)
            with pytest.raises(InputError, match=r"holds uint8 \(5, 28, 28, 3\); expected uint8 \(N, 28, 28\)"):
                read_pictures(str(tmp_path / name), SHAPE)
        np.testing.assert_array_equal(read_pictures(str(tmp_path / "one.npy"), (28, 28, 3))[0], images[:1])

    def test_arrays_that_do_not_fit(self, tmp_path):
        def refused(content, problem):
            (tmp_path / "x.npy").write_bytes(content)
            for name, stdin in ((str(tmp_path / "x.npy"), None), ("-", io.BytesIO(content))):
                with pytest.raises(InputError, match=problem):
                    read_pictures(name, SHAPE, stdin)

        def npy(array, **options):
            file = io.BytesIO()
            np.save(file, array, **options)
            return file.getvalue()

        refused(npy(np.zeros((2, 28, 28))), r"holds float64 \(2, 28, 28\); expected uint8 \(N, 28, 28\)")
        refused(npy(np.zeros((2, 32, 32), np.uint8)), "expected uint8")
        refused(npy(np.uint8(3)), "expected uint8")
        refused(npy(np.zeros((0, 28, 28), np.uint8)), "holds no picture|cannot mmap an empty file")
        refused(npy(np.array([{}]), allow_pickle=True), "no readable .npy array")
        refused(npy(np.zeros((50, 28, 28), np.uint8))[:500], "no readable .npy array")
        whole = npy(np.zeros((9, 28, 28), np.uint8))
        refused(whole.replace(b"(9, 28, 28), }" + 9 * b" ", b"(9999999999, 28, 28), }"), "no readable .npy array")
        refused(whole.replace(b"28), }", b"28,   "), "no readable .npy array")
        write_idx(tmp_path / "labels", np.zeros(9, np.uint8))
        refused((tmp_path / "labels").read_bytes(), "holds labels")
        refused(gzip.compress(b"hello"), "expected an IDX file|ends inside its header|begins")

    def test_a_pipe_with_a_name(self):
        """As `<(command)` gives one: it can be opened and read once only."""
        reading, writing = os.pipe()
        os.write(writing, encoded(photo(WHITE, (10, 10, 10))))
        os.close(writing)
        image, many = read_pictures(f"/dev/fd/{reading}", SHAPE)
        os.close(reading)
        assert image.min() > 235 and not many

    def test_a_packed_array_has_a_bound(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fmnist.images.reading.MAX_PACKED_BYTES", 1000)
        write_idx(tmp_path / "x.gz", np.zeros((5, 28, 28), np.uint8))
        with pytest.raises(InputError, match="x.gz: .* more than the 1,000 bytes accepted"):
            read_pictures(str(tmp_path / "x.gz"), SHAPE)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read: No such file"):
            read_pictures(str(tmp_path / "x.png"), SHAPE)


def test_contact_sheet_shows_the_pixels():
    images = np.zeros((3, 28, 28, 1), np.uint8)
    images[1, 0, 0], images[2] = 77, 255
    sheet = Image.open(
        io.BytesIO(contact_sheet(images, [("a.png", "Shirt 90%", ""), ("b", "T-shirt ☃", ""), ("x" * 99,) * 3]))
    )
    pixels = np.asarray(sheet.convert("L"))
    assert pixels[13, 13] == 0 and (pixels == 77).sum() >= 16  # enlarged four times
    assert sheet.width == 3 * (112 + 12) + 12


def test_contact_sheet_shows_the_original_beside_it_and_warns_in_colour():
    red = Image.new("RGBA", (40, 20), (255, 0, 0, 255))
    captions = [("shoe.jpg", "Sneaker 90%", "unfamiliar"), ("array", "Bag 80%", "")]
    sheet = Image.open(io.BytesIO(contact_sheet(np.zeros((2, 28, 28, 1), np.uint8), captions, [red, None])))
    pixels = np.asarray(sheet)
    assert sheet.width == 2 * (2 * 112 + 12) + 12
    assert tuple(pixels[12 + 56, 12 + 56]) == (255, 0, 0) and tuple(pixels[12, 12 + 56]) == (255, 255, 255)
    assert tuple(pixels[12 + 56, 12 + 112 + 56]) == (0, 0, 0)
    warning = pixels[12 + 112 + 2 + 2 * 14 :, : 12 + 224]
    assert (warning[..., 0].astype(int) - warning[..., 2] > 100).any()
    assert not (pixels[:, 12 + 224 + 12 :, 0].astype(int) - pixels[:, 12 + 224 + 12 :, 2] > 100).any()


def test_an_unknown_file_makes_pillow_load_no_other_reader():
    code = """
from PIL import Image
from fmnist.images import decoding
try:
    decoding.decode(b"GIF7 or so")
except ValueError:
    print(*Image.OPEN)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {"PNG", "JPEG"} <= set(done.stdout.split()) <= {*FORMATS, "DIB", "MPO"}
