"""Reads pictures of the model's size from a request's body. Names of fields and files in it are not used."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fmnist.errors import InputError
from fmnist.web.problems import CLOSE, Problem

RAW, JSON, FORM = "application/octet-stream", "application/json", "multipart/form-data"
# What is smaller than this is read where it is; the rest in a thread.
QUICK_BYTES = 64 * 1024
_MAX_JSON_BYTES = 2_000_000  # 64 pictures of 28 × 28 take 250,000
_HEADERS_PER_PART, _HEADER_BYTES = 8, 1024
# In which other programs keep pixels; pictures of one byte a pixel hardly ever make sense as such.
_WIDE = [np.dtype(name) for name in ("<f4", "<f8", "<i4", "<i8")]
Receive = Callable[[], Awaitable[Any]]
Read = Callable[[bytes, str], np.ndarray]
"""Turns a picture file, which messages call by a name, into uint8 (H, W), or raises `InputError`."""


class Gone(Exception):
    """The client went away."""


def path_of(scope: MutableMapping[str, Any]) -> str:
    """Return a request's path, without that under which a proxy offers the server."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def media_type(headers: list[tuple[bytes, bytes]]) -> str:
    """Return a request's content type with its parameters; a `Problem` if it is none that is taken."""
    value = next((value for name, value in headers if name == b"content-type"), b"").decode("latin-1")
    kind = value.partition(";")[0].strip().lower()
    if kind in (RAW, JSON, FORM) or (kind.startswith("image/") and kind != "image/svg+xml"):
        return value
    raise Problem(
        "unsupported_media_type", f"got the content type '{kind[:100]}'; expected {FORM}, {RAW}, {JSON} or image/*"
    )


def announced(headers: list[tuple[bytes, bytes]], limit: int) -> int:
    """Return the bytes that a body is going to have, `limit` if nothing is said; a `Problem` if too many."""
    value = next((value for name, value in headers if name == b"content-length"), None)
    if value is None:
        return limit
    if not value.isdigit():
        raise Problem("bad_parameter", "Content-Length is no number")
    if len(value) > 15 or int(value) > limit:
        raise too_large(limit)
    return int(value)


def too_large(limit: int) -> Problem:
    """Return the problem of a body that is too large; the connection ends with it, since its rest is never read."""
    return Problem("body_too_large", f"the body has more than {limit:,} bytes", CLOSE)


async def read_body(receive: Receive, limit: int, count: Callable[[int], None]) -> bytes:
    """Read a request's body; `count` is told the bytes of each piece, and what it raises ends the reading.

    Raises:
        Problem: it is larger than `limit`.
        Gone: the client went away meanwhile.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        count(len(part))
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def pictures(content_type: str, body: bytes, shape: tuple[int, int], most: int, read: Read) -> np.ndarray:
    """Return the pictures in a body, uint8 (N, H, W) of height and width `shape`: arrays as they are, files as `read`.

    The content type is one that `media_type` returned. A `Problem` is raised if there is no picture, or more than
    `most`, or one cannot be read.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == RAW:
        return _raw(body, shape, most)
    if kind == JSON:
        return _json(body, shape, most)
    files = _form(content_type, body, most) if kind == FORM else [("", body)]
    if not body or not files:
        raise Problem("no_picture", f"the body holds no picture; send one, or up to {most} parts of a form")
    names = [f"picture {number}" + (f" (field '{field}')" if field else "") for number, (field, _) in enumerate(files)]
    try:
        return np.stack([read(content, name) for name, (_, content) in zip(names, files, strict=True)])
    except InputError as error:
        raise Problem("not_a_picture", str(error)) from error


def _raw(body: bytes, shape: tuple[int, int], most: int) -> np.ndarray:
    height, width = shape
    count, rest = divmod(len(body), height * width)
    expected = f"expected {height * width} a picture ({height} × {width}, one byte a pixel)"
    if rest or not count:
        raise Problem("bad_array" if body else "no_picture", f"got {len(body):,} bytes; {expected}")
    for dtype in _WIDE:
        if count % dtype.itemsize == 0 and _are_levels(np.frombuffer(body, dtype)):
            raise Problem("bad_array", f"got numbers of type {dtype}; {expected}, 0 to 255 as uint8")
    _check_count(count, most)
    return np.frombuffer(body, np.uint8).reshape(count, height, width)


def _are_levels(numbers: np.ndarray) -> bool:
    """Whether bytes make sense as an array of pixels of this type: nearly all bytes of pictures make none."""
    if numbers.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            sizes = np.abs(numbers)
        if not ((sizes == 0) | ((sizes > 1e-6) & (sizes <= 255))).all():  # NaN is neither
            return False
    elif numbers.min() < 0 or numbers.max() > 255:
        return False
    return len(np.unique(numbers)) > 2  # a picture of one colour or two can be anything


def _json(body: bytes, shape: tuple[int, int], most: int) -> np.ndarray:
    height, width = shape
    wanted = f'expected {{"images": [...]}} with up to {most} pictures of {height} rows of {width} numbers, 0 to 255'
    if len(body) > _MAX_JSON_BYTES:
        raise too_large(_MAX_JSON_BYTES)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem("bad_form", f"the body is no JSON; {wanted}") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise Problem("bad_form", f"the body has no list 'images'; {wanted}")
    if not images:
        raise Problem("no_picture", f"'images' is empty; {wanted}")
    _check_count(len(images), most)
    for number, image in enumerate(images):
        rows_fit = isinstance(image, list) and len(image) == height
        if not rows_fit or not all(isinstance(row, list) and len(row) == width for row in image):
            raise Problem("bad_array", f"picture {number} has not {height} rows of {width} numbers; {wanted}")
        if not all(type(value) is int and 0 <= value <= 255 for row in image for value in row):
            raise Problem("bad_array", f"picture {number} holds something else than whole numbers; {wanted}")
    return np.array(images, np.uint8)


def _form(content_type: str, body: bytes, most: int) -> list[tuple[str, bytes]]:
    """Return field and content of a form's parts, without those that are empty, or texts that are no files."""
    files: list[tuple[str, bytes]] = []
    left_out: list[str] = []
    header, disposition, parts = [b"", b""], [b""], [b""]
    ended: list[bool] = []

    def begin() -> None:
        _check_count(len(files) + 1, most)
        parts.clear()
        disposition.clear()

    def collect(place: int) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            header[place] += data[start:end]

        return add

    def end_header() -> None:
        if header[0].lower() == b"content-disposition":
            disposition.append(header[1])
        header[:] = b"", b""

    def end() -> None:
        content, options = b"".join(parts), parse_options_header(b"".join(disposition))[1]
        field = options.get(b"name", b"").decode(errors="replace")
        if content and (b"filename" in options or not _is_text(content)):
            files.append((field, content))
        elif len(left_out) < most:
            left_out.append(field)
        else:
            raise Problem("bad_form", f"the form has more than {most} parts without a picture")

    try:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Problem("bad_form", "the content type names no boundary")
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_header_field": collect(0),
                "on_header_value": collect(1),
                "on_header_end": end_header,
                "on_part_data": lambda data, start, end: parts.append(data[start:end]),
                "on_part_end": end,
                "on_end": lambda: ended.append(True),
            },
            max_header_count=_HEADERS_PER_PART,
            max_header_size=_HEADER_BYTES,
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError, UnicodeError) as error:
        raise Problem("bad_form", f"the form cannot be read: {str(error)[:200]}") from error
    if body and not ended:
        raise Problem("bad_form", "the form ends before its last boundary")
    if left_out and not files:
        fields = ", ".join(f"'{field[:100]}'" for field in left_out[:5])
        raise Problem("no_picture", f"the form has no picture: {fields} is empty or a text; send a file, with its name")
    return files


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise Problem("too_many_pictures", f"got more than {most} pictures; send them in several requests")
