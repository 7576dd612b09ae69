"""Decodes picture files of a few named formats, in every colour mode, with bounds on what a file may unpack to."""

import importlib.util
import io
import math
import os
import re
import warnings
from typing import IO

import numpy as np
from PIL import (  # noqa: F401 (importing a plugin is what lets Pillow open its format)
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from fmnist.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""Pillow's names of the formats that are opened; of its readers, only theirs are loaded."""
SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
})  # fmt: skip
"""Endings of these formats. What a file is, its content tells."""
OTHER_SUFFIXES = frozenset({".svg", ".heic", ".heif", ".jxl", ".jp2", ".tga", ".ico", ".psd", ".eps", ".dng"})
"""Endings of pictures that are not opened: found in a folder as well, so that they are named, not passed over."""

MAX_FILE_BYTES = 100 * 2**20
# Pillow takes 4 bytes a pixel; with its copies, and the file, this stays below 200 MB in every format.
MAX_PIXELS = 20_000_000
MAX_WEBP_PIXELS = 10_000_000  # WebP is unpacked several times over: 17 bytes a pixel; AVIF likewise
MAX_JPEG_PIXELS = 170_000_000  # a baseline JPEG is unpacked at a half to an eighth of its size, strip by strip
WORKING_SIDE = 1024  # the longest side that the recipe works with: 36 times the data set's

# EXIF's number of how the camera was held, from 1 for upright to 8, to how the picture is turned back.
_TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"
_UPRIGHT = {number: Image.Transpose[turn] for number, turn in enumerate(_TURNS.split(), 2)}

# What is not opened, by how it begins: from which byte on, with what, what it is.
_OTHERS = (
    (4, rb"ftyp(hei[cfmsx]|hev[cx]|mi1f|mif1|msf1)", "HEIC"),
    (0, rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (0, rb"\0\0\0\x0cJXL |\xff\x0a", "JPEG XL"),
    (0, rb"\0\0[\1\2]\0", "ICO"),
    (0, rb"\s*<(svg|[?!].*<svg)", "SVG"),  # behind declarations and comments; nothing that could match in many ways
    (0, rb"8BPS", "Photoshop"),
    (0, rb"%PDF|%!PS", "PDF or PostScript"),
)
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # parts of a PNG that show nothing, and that Pillow has bounds for

Source = str | os.PathLike[str] | bytes


def decode(source: Source, name: str | None = None, keep_below: int = WORKING_SIDE) -> Image.Image:
    """Return a picture file's first frame, the right way up, as 8-bit grey or colour, with alpha where it has any.

    Args:
        source: a path, or the file's bytes.
        name: what messages call it; by default its path.
        keep_below: pictures whose longest side is larger are reduced by a whole factor, to this size or just above.

    Returns:
        A picture of mode L, LA, RGB or RGBA.

    Raises:
        InputError: the file cannot be read, is none of `FORMATS`, is damaged, or has too many pixels.
    """
    name = name or ("the given bytes" if isinstance(source, bytes) else os.fspath(source))
    content = source if isinstance(source, bytes) else _read(source, name)
    if not content:
        raise InputError(f"{name}: is empty; expected a picture ({', '.join(FORMATS)})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on oddities that it copes with
            return _decode(content, name, keep_below)
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own bound, 179 million, comes before ours
        raise InputError(f"{name}: has more than {MAX_PIXELS:,} pixels; make it smaller first") from error
    except UnidentifiedImageError as error:
        expected = f"expected {', '.join(FORMATS)}"
        if not (other := _other(content)):
            raise InputError(f"{name}: is no picture of a known kind; {expected}") from error
        mend = "save it as PNG or JPEG" + (", or pip install pillow-heif" if other == "HEIC" else "")
        raise InputError(
            f"{name}: is a picture in the form {other}, which is not opened; {expected}; {mend}"
        ) from error
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise InputError(f"{name}: is damaged: {str(error) or type(error).__name__}") from error


def _read(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return read_rest(handle, name)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def read_rest(handle: IO[bytes], name: str, start: bytes = b"") -> bytes:
    """Return a picture file's bytes, of which `start` has been read, or raise `InputError` if they are too many."""
    content = start + handle.read(MAX_FILE_BYTES + 1 - len(start))
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{name}: is larger than {MAX_FILE_BYTES // 2**20} MiB; expected a picture")
    return content


def _other(content: bytes) -> str | None:
    """Return the form of a picture that is not opened, or None."""
    return next((form for at, start, form in _OTHERS if re.match(start, content[at : at + 2000], re.DOTALL)), None)


def _without_texts(content: bytes) -> bytes:
    """Return a file without the texts and the profile of a PNG, which may be large: only Pillow minds."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    view, at = memoryview(content), 8  # parts of it are no copies
    parts = [view[:at]]
    while at < len(content):
        end = at + 12 + int.from_bytes(view[at : at + 4])
        if view[at + 4 : at + 8] not in _TEXTS:
            parts.append(view[at:end])
        at = end
    return b"".join(parts)


def _decode(content: bytes, name: str, keep_below: int) -> Image.Image:
    formats: tuple[str, ...] = FORMATS
    if _other(content) == "HEIC" and importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    with Image.open(io.BytesIO(_without_texts(content)), formats=formats) as image:
        strips = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
        limit = MAX_JPEG_PIXELS if strips else MAX_WEBP_PIXELS if image.format in ("WEBP", "AVIF") else MAX_PIXELS
        if math.prod(image.size) > limit:
            size = f"{image.width:,} × {image.height:,} pixels"
            raise InputError(f"{name}: has {size}, more than {limit:,}; make it smaller first")
        if image.format in ("JPEG", "MPO") and max(image.size) > keep_below:
            image.draft(None, (keep_below, keep_below))
            if math.prod(image.size) > MAX_PIXELS:
                raise InputError(f"{name}: is too long and thin to be unpacked in parts; make it smaller first")
        image.load()
        picture = _eight_bit(image, max(1, max(image.size) // keep_below))
        orientation = _orientation(image)
    return picture if orientation is None else picture.transpose(orientation)


def _eight_bit(image: Image.Image, factor: int) -> Image.Image:
    """Return L, LA, RGB or RGBA for whatever mode Pillow chose, reduced by a factor early, since copies cost memory."""
    mode = image.mode
    sixteen = mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM"))
    if mode.startswith("I;16"):
        image = image.convert("I")
    elif "transparency" in image.info or mode == "PA":
        image = image.convert("RGBA")
    elif mode in ("1", "P"):
        image = image.convert("L" if mode == "1" else "RGB")
    image = image.reduce(factor)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
        # Nothing says where white lies, and cameras write 12 bits as 16: the next usual bound is taken.
        bounds = [2.0**bits - 1 for bits in ((8, 10, 12, 14, 16) if sixteen else (1, 8, 16))]
        white = next((bound for bound in bounds if values.max() <= bound), float(values.max()))
        return Image.fromarray((values.clip(0, white) * (255.0 / white) + 0.5).astype(np.uint8))
    if image.mode == "LAB":
        return image.getchannel("L")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return how to turn the picture upright, from its EXIF; a damaged EXIF turns nothing."""
    try:
        return _UPRIGHT.get(int(image.getexif().get(0x0112, 1)))
    except Exception:  # EXIF is a TIFF within the file, with all its ways to be broken
        return None
