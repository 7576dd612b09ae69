"""IDX files: what is written is read back, and whatever is wrong with a file is told in one error that names it."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from fmnist.data.idx import MAX_BYTES, find_idx, read_content, read_idx, write_idx
from fmnist.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
LABELS = np.arange(7, dtype=np.uint8)


def idx(*shape: int, values: bytes = b"", type_code: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, type_code, len(shape), *shape) + values


GOOD = idx(5, 4, 3, values=IMAGES.tobytes())


@pytest.mark.parametrize("array", [IMAGES, COLOURS, LABELS, np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)])
@pytest.mark.parametrize("name", ["data-idx", "data-idx.gz"])
def test_what_is_written_is_read_back(tmp_path, array, name):
    write_idx(tmp_path / name, array)
    again = read_idx(tmp_path / name)
    assert again.dtype == np.uint8
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)
    assert again.flags.writeable
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_idx(tmp_path / "labels", LABELS)
    assert (tmp_path / "labels").read_bytes() == bytes([0, 0, 8, 1, 0, 0, 0, 7, 0, 1, 2, 3, 4, 5, 6])
    write_idx(tmp_path / "images", np.asfortranarray(IMAGES)[::-1])
    assert (tmp_path / "images").read_bytes() == idx(5, 4, 3, values=IMAGES[::-1].tobytes())
    write_idx(tmp_path / "colours", COLOURS)
    assert (tmp_path / "colours").read_bytes() == idx(5, 4, 6, 3, values=COLOURS.tobytes())


def test_gzip_is_told_by_content_and_written_repeatably(tmp_path):
    write_idx(tmp_path / "a.gz", IMAGES)
    write_idx(tmp_path / "b.gz", IMAGES)
    packed = (tmp_path / "a.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    assert packed[4:8] == b"\0\0\0\0"  # the time stamp
    assert packed == (tmp_path / "b.gz").read_bytes()
    (tmp_path / "no-suffix").write_bytes(packed)
    (tmp_path / "plain.gz").write_bytes(GOOD)
    for source in (tmp_path / "no-suffix", tmp_path / "plain.gz", packed, GOOD, bytearray(packed), memoryview(GOOD)):
        np.testing.assert_array_equal(read_idx(source), IMAGES)
    assert read_content(packed) == GOOD


def test_a_gzip_file_of_several_members(tmp_path):
    (tmp_path / "two").write_bytes(gzip.compress(GOOD[:30]) + gzip.compress(GOOD[30:]))
    np.testing.assert_array_equal(read_idx(tmp_path / "two"), IMAGES)


DAMAGED = {
    "empty": (b"", "is empty; expected an IDX file"),
    "short magic": (b"\0\0\x08", "begins 00 00 08; expected an IDX file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "begins 89 50 4e 47; expected an IDX file"),
    "web page": (b"<!DOCTYPE html><html>", "begins 3c 21 44 4f"),
    "floats": (idx(2, 2, 2, values=bytes(32), type_code=0x0D), r"type code 0x0d \(float32\); expected .* unsigned"),
    "unknown type": (idx(2, values=bytes(2), type_code=0x07), r"type code 0x07 \(no known type\)"),
    "no dimension": (idx(values=b"1"), "has 0 dimensions"),
    "two dimensions": (idx(2, 2, values=bytes(4)), "has 2 dimensions"),
    "five dimensions": (idx(2, 2, 2, 3, 1, values=bytes(24)), "has 5 dimensions"),
    "four channels": (idx(2, 2, 2, 4, values=bytes(32)), "4 for each pixel; expected 3 in colour"),
    "header cut": (GOOD[:10], "ends inside its header, after 10 bytes"),
    "one byte short": (GOOD[:-1], "promises 5 x 4 x 3 values, 76 bytes in all, but it has 75: too short"),
    "header only": (GOOD[:16], "but it has 16: too short"),
    "one byte long": (GOOD + b"x", r"(but it has 77: too long|but there is more)"),
    "absurd": (idx(2**32 - 1, 2**32 - 1, 2**32 - 1), f"more than the {MAX_BYTES:,} bytes accepted"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_told_with_the_name(tmp_path, content, message, packed):
    path = tmp_path / "damaged-file"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError, match=f"^the given bytes: .*{message}"):
        read_idx(path.read_bytes())


def test_every_cut_of_a_gzip_file_is_noticed_and_no_flip_changes_a_value():
    packed = gzip.compress(GOOD, mtime=0)
    for end in range(len(packed)):
        with pytest.raises(InputError):
            read_idx(packed[:end])
    noticed = 0
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            np.testing.assert_array_equal(read_idx(flipped), IMAGES)  # some header and padding bits mean nothing
        except InputError:
            noticed += 1
    assert noticed > 7 * len(GOOD)


def test_garbage_after_a_gzip_file_is_noticed():
    with pytest.raises(InputError, match="damaged or truncated gzip"):
        read_idx(gzip.compress(GOOD) + b"garbage")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_nothing_is_allocated_for_what_a_header_promises(packed):
    content = idx(60_000, 200, 200, values=bytes(100))  # promises 2.4 GB
    source = gzip.compress(content) if packed else content
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="too short"):
            read_idx(source)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_stops_where_its_header_says():
    bomb = gzip.compress(idx(10, values=bytes(50_000_000)), 1)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="promises 10 values, 18 bytes in all, but there is more"):
            read_idx(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_the_limit_counts_decompressed_bytes():
    assert len(read_content(GOOD, limit=len(GOOD))) == len(GOOD)
    for source in (GOOD, gzip.compress(GOOD)):
        with pytest.raises(InputError, match="76 bytes in all, more than the 75 bytes accepted"):
            read_content(source, limit=75)


def test_the_kind_asked_for():
    assert read_idx(GOOD, ndim=3).ndim == 3
    with pytest.raises(InputError, match=r"holds images \(3 dimensions\), expected labels \(1 dimension\).*swapped"):
        read_idx(GOOD, ndim=1)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="nowhere: cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


@pytest.mark.parametrize("array", [np.zeros((2, 2), np.uint8), np.zeros(3, np.int64), np.zeros((1, 2, 2, 1), np.uint8)])
def test_writing_refuses_other_arrays(tmp_path, array):
    with pytest.raises(InputError, match="expected uint8 images"):
        write_idx(tmp_path / "file", array)
    assert not (tmp_path / "file").exists()


def test_names_that_files_may_have(tmp_path):
    name = "train-images-idx3-ubyte"
    assert find_idx(tmp_path, name) is None
    (tmp_path / name).mkdir()
    assert find_idx(tmp_path, name) is None
    (tmp_path / name).rmdir()
    for spelling in ("train-images.idx3-ubyte.gz", f"{name}.gz", "train-images.idx3-ubyte", name):
        (tmp_path / spelling).touch()
        assert find_idx(tmp_path, name) == tmp_path / spelling
