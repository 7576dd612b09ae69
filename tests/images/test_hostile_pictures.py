"""Odd and hostile files, all at once, through a whole `fmnist predict`: which are answered, and what they cost."""

import gzip
import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SQUARE = Image.new("RGB", (300, 200), "white")
SQUARE.paste((40, 40, 40), (100, 50, 200, 150))
# The peak of a process is asked of the kernel at its end.
CODE = """
import re, sys
from fmnist.cli import main
code = main()
print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth=8, colour=0, data=b"\0" * 1000, **chunks):
    """A PNG put together by hand, so that it may lie."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    parts += [chunk(name.encode(), content) for name, content in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")])


GOOD = {
    "plain.png": encoded(SQUARE),
    "one-bit.png": encoded(SQUARE.convert("1")),
    "two-bit.png": png(8, 8, 2, 0, b"\0\x1b\xe4" * 8),
    "grey-alpha.png": encoded(SQUARE.convert("LA")),
    "palette.png": encoded(SQUARE.quantize(4)),
    "palette-without-colours.gif": b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
    "sixteen.png": encoded(Image.fromarray(np.asarray(SQUARE.convert("L")).astype(np.uint16) * 257)),
    "odd-gamma.png": png(8, 8, 8, 0, b"\0" * 72, gAMA=struct.pack(">I", 1)),
    "one-pixel.png": encoded(Image.new("L", (1, 1), 77)),
    "line.png": encoded(Image.new("L", (4000, 1), 77)),
    "cmyk.jpg": encoded(SQUARE.convert("CMYK"), "JPEG"),
    "named-wrongly.png": encoded(SQUARE, "JPEG"),
    "text-after-it.jpg": encoded(SQUARE, "JPEG") + b"hello" * 99,
    "broken-exif.jpg": encoded(SQUARE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "animated.gif": encoded(SQUARE, "GIF", save_all=True, append_images=[Image.new("RGB", (300, 200))]),
    "large.png": encoded(Image.new("RGBA", (5000, 4000), (9, 9, 9, 9)), compress_level=1),
    "large.webp": encoded(Image.new("RGB", (3000, 3000), (9, 9, 9)), "WEBP", quality=0, method=0),
    "large.jpg": encoded(Image.new("L", (12000, 12000), 200), "JPEG"),
}
BAD = {
    "empty.png": b"",
    "text.png": b"hello, world\n",
    "drawing.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "signature-only.png": b"\x89PNG\r\n\x1a\n",
    "truncated.png": encoded(SQUARE)[:300],
    "truncated.jpg": encoded(SQUARE, "JPEG")[:900],
    "truncated.webp": encoded(SQUARE, "WEBP")[:200],
    "truncated.tif": encoded(SQUARE, "TIFF")[:2000],
    "wrong-checksum.png": encoded(SQUARE)[:20] + b"\x07" + encoded(SQUARE)[21:],
    "no-pixels.png": png(0, 0),
    "bomb.png": png(20_000, 20_000, 8, 2),
    "bomb-in-a-line.png": png(2_000_000_000, 1),
    "bomb.gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
    "bomb.ppm": b"P6 65000 65000 255\n" + b"\0" * 99,
    "bomb.bmp": b"BM"
    + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0)
    + b"\0" * 40,
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "promises.npy.png": b"\x93NUMPY\x01\0v\0"
    + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 4, 6), }".ljust(117)
    + b"\n",
    "promises.idx.png": b"\0\0\x08\x03" + struct.pack(">III", 10**8, 4, 6) + b"\0" * 99,
    "bomb.idx.png": gzip.compress(b"\0\0\x08\x03" + struct.pack(">III", 10**7, 4, 6) + bytes(10**7), 1),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code, JSON, the words for people, and by how many MiB the peak is above that of a small picture alone."""
    from support.onnx_models import onnx_model

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "thirds.onnx").write_bytes(onnx_model())
    (folder / "all").mkdir()
    for name, content in (GOOD | BAD).items():
        (folder / "all" / name).write_bytes(content)

    def predict(*names):
        command = [sys.executable, "-c", CODE, "predict", "thirds.onnx", *names, "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr, int(done.stderr.split()[-1]) / 1024

    code, out, err, peak = predict("all")
    return code, json.loads(out), err, peak - predict("all/palette.png")[-1]


def test_the_good_ones_are_answered_and_the_bad_ones_named(answers):
    code, result, err, _ = answers
    assert code == 0 and "Traceback" not in err
    assert sorted(Path(row["image"]).name for row in result["predictions"]) == sorted(GOOD)
    assert sorted(Path(row["image"]).name for row in result["unreadable"]) == sorted(BAD)
    for row in result["unreadable"]:
        assert row["problem"].startswith(f"{row['image']}: ") and f"Left out  {row['problem']}\n" in err


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_no_file_costs_more_than_200_megabytes(answers):
    assert answers[-1] < 200
