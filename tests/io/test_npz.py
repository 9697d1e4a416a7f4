"""Arrays in .npz files."""

import io
import zipfile

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError
from tinygrad_course.io import load_npz, save_npz

ARRAYS = {"file": np.arange(6.0).reshape(2, 3).T, "a/b.c": np.array(3), "text": np.array(["ä", "b"]),
          "empty": np.zeros((0, 2), np.uint8), "x.npy": np.array([True])}


def test_round_trip(tmp_path):
    save_npz({**ARRAYS, "tensor": tgc.ones(3)}, tmp_path / "a.npz")
    loaded = load_npz(tmp_path / "a.npz")
    assert set(loaded) == {*ARRAYS, "tensor"}
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_numpy_reads_it_and_we_read_numpys(tmp_path):
    save_npz({"x": np.arange(3)}, tmp_path / "ours.npz")
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["x"], [0, 1, 2])
    np.savez(tmp_path / "theirs.npz", y=np.arange(4))
    np.testing.assert_array_equal(load_npz(tmp_path / "theirs.npz")["y"], [0, 1, 2, 3])


def test_same_arrays_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_npz(ARRAYS, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(DataError, match="'x' is an array of Python objects"):
        save_npz({"x": np.array([{}])}, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"not a readable .npz file"):
        load_npz(tmp_path / "b.npz")


def test_headers_that_claim_more_than_there_is(tmp_path):
    """NumPy takes memory for what the header says before it looks at what is there."""
    for shape in ((10**13,), (2**40, 2**40), (3,)):
        npy = io.BytesIO()
        np.lib.format.write_array_header_1_0(npy, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", npy.getvalue() + bytes(8))
        with pytest.raises(DataError, match=r"an array of shape .* takes [\d,]+ bytes, 8 are there"):
            load_npz(tmp_path / "a.npz")


def test_broken(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(DataError, match="does not exist"):
        load_npz(path)
    save_npz({"x": np.arange(1000)}, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 0xFF
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x.npy", b"no array")
    plain = io.BytesIO()
    np.save(plain, np.arange(3))
    for content in (whole[:-30], bytes(flipped), other.getvalue(), plain.getvalue(), b"\x80\x04pickle"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not a readable .npz file") as caught:
            load_npz(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        load_npz(path)
