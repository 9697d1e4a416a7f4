"""Weights on disk: round trips, what other readers see, atomic writes, broken files."""

import os
import sys

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError, DependencyError
from tinygrad_course.io import load_file, load_metadata, save_file

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {"a.weight": tgc.tensor(rng.normal(size=(3, 4)).astype(np.float32), requires_grad=True),
            "a.bias": rng.normal(size=3), "steps": tgc.tensor(7), "none": np.zeros((0, 5), np.float32)}


def test_round_trip(tmp_path, weights):
    path = tmp_path / "w.safetensors"
    save_file(weights, path, {"model": "lenet", "note": "é"})
    loaded = load_file(path)
    assert sorted(loaded) == sorted(weights)
    for name, tensor in loaded.items():
        expected = weights[name].detach().numpy() if isinstance(weights[name], tgc.Tensor) else weights[name]
        assert isinstance(tensor, tgc.Tensor)
        assert (tensor.dtype, tensor.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(tensor.numpy(), expected)
    assert load_metadata(path) == {"model": "lenet", "note": "é"}
    loaded["a.weight"].zero_()  # own, writable memory


@pytest.mark.parametrize("dtype", DTYPES)
def test_types(tmp_path, dtype):
    values = np.arange(-3, 5).astype(dtype)
    save_file({"x": values}, tmp_path / "w")
    read = load_file(tmp_path / "w")["x"].numpy()
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_layouts(tmp_path):
    """The safetensors package reads raw memory: strided and big-endian arrays must not come out scrambled."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {"transposed": base.T, "every other": base[:, ::2], "backwards": base[::-1], "column": base[:, 1],
              "big endian": base.astype(">f4"), "0-d": np.array(5.0), "Fortran": np.asfortranarray(base)}
    save_file(arrays, tmp_path / "w")
    for name, tensor in load_file(tmp_path / "w").items():
        assert tensor.shape == arrays[name].shape
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


def test_torch_reads_it(tmp_path, weights):
    torch_files = pytest.importorskip("safetensors.torch", exc_type=ImportError)
    save_file(weights, tmp_path / "w")
    theirs = torch_files.load_file(tmp_path / "w")
    np.testing.assert_array_equal(theirs["a.weight"].numpy(), weights["a.weight"].detach().numpy())


def test_no_tensors_and_no_metadata(tmp_path):
    save_file({}, tmp_path / "w")
    assert load_file(tmp_path / "w") == {}
    assert load_metadata(tmp_path / "w") == {}


def test_interrupted_write_leaves_the_old_file(tmp_path, weights, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    before = path.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt
    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, interrupt)
            with pytest.raises(KeyboardInterrupt):
                save_file({"x": np.ones(1000)}, path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]


def test_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("real")
    save_file({"x": np.ones(2)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_file(tmp_path / "real")["x"].tolist() == [1, 1]


def test_unwritable(tmp_path):
    with pytest.raises(DataError, match=r"the folder .*none does not exist. Create it first"):
        save_file({}, tmp_path / "none" / "w")
    with pytest.raises(DataError, match="cannot be written: Is a directory"):
        save_file({}, tmp_path)


def test_what_the_format_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="of type int; names and values must be text"):
        save_file({}, tmp_path / "w", {"epoch": 3})
    for values in (np.array([{}]), np.array(["text"])):
        with pytest.raises(DataError, match="safetensors refuses tensors of the types"):
            save_file({"x": values}, tmp_path / "w")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("read", [load_file, load_metadata])
def test_broken(tmp_path, weights, read):
    path = tmp_path / "w"
    with pytest.raises(DataError, match="does not exist"):
        read(path)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read(tmp_path)
    save_file(weights, path, {"a": "b"})
    whole = path.read_bytes()
    for content in (b"\x80\x04pickle", whole[:-1], whole[:20], whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a readable safetensors file") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read(path)


def test_type_that_numpy_lacks(tmp_path):
    header = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(DataError, match=r"BF16.*Convert them to float32"):
        load_file(tmp_path / "w")


def test_type_that_tensors_lack(tmp_path):
    save_file({"x": np.ones(2, np.uint16)}, tmp_path / "w")
    with pytest.raises(DataError, match="'x' has the type uint16, which tensors do not have"):
        load_file(tmp_path / "w")


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: save_file({}, tmp_path / "w"), lambda: load_file("w"), lambda: load_metadata("w")):
        with pytest.raises(DependencyError, match="pip install safetensors"):
            call()
