"""The IDX reader: all types, both packings, and one clear sentence for each way a file can be broken."""

import gzip
import struct

import numpy as np
import pytest

from tinygrad_course.data import find_idx_files, load_images, read_idx
from tinygrad_course.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(values, code="u1"):
    values = np.asarray(values)
    header = bytes([0, 0, CODES[code], values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(code).tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small data set: 6 + 4 images of 5 x 3 pixels."""
    rng = np.random.default_rng(0)
    for name, n in zip(NAMES, (6, 6, 4, 4), strict=True):
        values = rng.integers(0, 256, (n, 5, 3)) if "images" in name else rng.integers(0, 10, n)
        (tmp_path / name).write_bytes(idx(values))
    return tmp_path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", CODES)
def test_reads_every_type(tmp_path, code, pack):
    values = np.array([[-3, 0, 7], [1, 100, -128]]) if code != "u1" else np.array([[3, 0, 255], [1, 2, 3]])
    path = tmp_path / "file"  # the packing is told by content, not by name
    path.write_bytes(pack(idx(values, code)))
    read = read_idx(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.dtype(code).newbyteorder("=")
    assert read.dtype.isnative


def test_reads_empty_and_one_value(tmp_path):
    for shape in [(0,), (1,), (0, 28, 28), (1, 1, 1)]:
        path = tmp_path / "file"
        path.write_bytes(idx(np.zeros(shape)))
        assert read_idx(path).shape == shape


@pytest.mark.parametrize(("content", "says"), [
    (b"", "is empty"),
    (b"\0\0", "not an IDX file"),
    (b"\x89PNG\r\n\x1a\n", "not an IDX file.*89 50 4e 47"),
    (b"\0\0\x08\0", "not an IDX file"),
    (b"\0\0\x07\1\0\0\0\1\0", "not an IDX file"),
    (b"\0\0\x08\x50" + b"\0\0\0\1" * 80 + b"x", "its header says 80 axes"),
    (b"\0\0\x08\3\0\0\0\1", "ends inside its header of 3 axes"),
    (idx(np.zeros((4, 5)))[:-1], "4 x 5 values, 20 bytes, but the file has only 19"),
    (idx(np.zeros((4, 5))) + b"x", "goes on after them"),
    (b"\0\0\x0e\4" + b"\xff" * 16, "has only 0"),
    (gzip.compress(idx(np.zeros((400, 5))))[:-20], "truncated or damaged gzip"),
    (gzip.compress(b"") + b"\x1f\x8bjunk", "truncated or damaged gzip"),
    (b"\x1f\x8b", "truncated or damaged gzip"),
    (gzip.compress(b""), "not an IDX file.*none"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_broken_file(tmp_path, content, says):
    path = tmp_path / "broken-file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_gzip_body(tmp_path):
    content = bytearray(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (100, 50)))))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged gzip"):
        read_idx(tmp_path / "file.gz")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)
    with pytest.raises(DataError, match=r"does not exist.*train-images-idx3-ubyte"):
        load_images(tmp_path / "none")
    with pytest.raises(DataError, match=r"is a file. Give the folder"):
        load_images(__file__)
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte"):
        load_images(tmp_path)


def test_load_images(folder):
    images = load_images(folder)
    assert [part.shape for part in images] == [(6, 5, 3), (6,), (4, 5, 3), (4,)]
    assert [part.dtype for part in images] == [np.uint8, np.int64, np.uint8, np.int64]
    np.testing.assert_array_equal(images.test_labels, read_idx(folder / NAMES[3]))


def test_other_names(folder):
    (folder / NAMES[0]).rename(folder / "train-images.idx3-ubyte")
    path = folder / NAMES[3]
    (folder / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    found = find_idx_files(folder)
    assert {part: file.name for part, file in found.items()} == {
        "train_images": "train-images.idx3-ubyte", "train_labels": NAMES[1],
        "test_images": NAMES[2], "test_labels": "t10k-labels.idx1-ubyte.gz"}
    assert len(load_images(folder).test_labels) == 4


@pytest.mark.parametrize(("name", "content", "says"), [
    (NAMES[1], idx(np.zeros(5)), "6 images, train-labels-idx1-ubyte 5 labels"),
    (NAMES[0], idx(np.zeros((6, 5, 3)), ">f4"), "holds float32 values of shape .6, 5, 3.; images are uint8"),
    (NAMES[0], idx(np.zeros(6)), "images are uint8 .N, H, W."),
    (NAMES[3], idx(np.zeros((4, 5, 3))), "labels are uint8 .N,."),
    (NAMES[2], idx(np.zeros((4, 3, 5))), "training images are 5 x 3 pixels, test images 3 x 5"),
])
def test_files_that_do_not_belong_together(folder, name, content, says):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        load_images(folder)


def test_no_pixels(folder):
    (folder / NAMES[0]).write_bytes(idx(np.zeros((0, 5, 3))))
    (folder / NAMES[1]).write_bytes(idx(np.zeros(0)))
    with pytest.raises(DataError, match="holds no pixels"):
        load_images(folder)
