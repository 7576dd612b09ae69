"""A decoder that breaks as files tell it to, and real pictures that make decoders slow or loud."""

import io
import struct
import sys

import numpy as np
from PIL import Image

_CODE = f"""
import os, signal, sys
sys.path[:] = {sys.path!r}
from fmnist.predictor import decoder
decode = decoder.decode
def hostile(content, name):
    if content == b"crash":
        os.kill(os.getpid(), signal.SIGFPE)
    while content == b"endless":
        pass
    if content == b"flood":
        for stream in (1, 2):
            os.write(stream, b"no answer" * 10**5)
    if content == b"memory":
        return bytes(2**33)
    return decode(content, name)
decoder.decode = hostile
decoder.main()
"""


def break_readers(monkeypatch):
    """Let the decoder crash, never end, flood its log or take memory, for a file of `crash`, `endless`, and so on."""
    from fmnist.predictor import readers

    monkeypatch.setattr(readers, "python", lambda function: [sys.executable, "-c", _CODE])


def jpeg_of_many_scans(scans=4000):
    """A progressive JPEG of 100 kB, whose decoder goes over all blocks of the picture for each of its empty scans."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000), 90).save(file, "JPEG", progressive=True)
    start, *parts = file.getvalue().removesuffix(b"\xff\xd9").split(b"\xff\xda")
    refining = [part for part in parts if part[-1:] and part[3 + 2 * part[2]] > 0]  # of others than the means
    return b"\xff\xda".join([start, *parts, *[min(refining, key=len)] * scans]) + b"\xff\xd9"


def gif_with_a_long_comment(size=9_700_000):
    block = b"\xff" + b"x" * 255
    head, rest = b"GIF89a\x01\0\x01\0\0\0\0", b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    return head + b"!\xfe" + block * (size // 256) + b"\0" + rest


def loud_tiff():
    """A TIFF of fax lines that are all damaged: libtiff writes a line on stderr for each."""
    file = io.BytesIO()
    Image.new("1", (2000, 2000)).save(file, "TIFF", compression="group4")
    content, noise = file.getvalue(), np.random.default_rng(0).bytes(200_000)
    for tag, value in ((273, len(content)), (279, len(noise))):  # where the lines lie, and how many bytes they have
        at = max(content.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
        content = content[:at] + struct.pack("<HHII", tag, 4, 1, value) + content[at + 12 :]
    return content + noise
