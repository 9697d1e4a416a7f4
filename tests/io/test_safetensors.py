"""Weights on disk: round trips, what other readers see, atomic writes, broken files."""

import contextlib
import json
import mmap
import os

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError
from tinygrad_course.io import load_file, load_metadata, safe_open, save_file

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
        with pytest.raises(DataError, match=r"'x' is of the type .*, which a safetensors file cannot hold"):
            save_file({"x": values}, tmp_path / "w")
    for name in (3, "__metadata__"):
        with pytest.raises(DataError, match="a tensor cannot be named"):
            save_file({name: np.ones(1)}, tmp_path / "w")
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


# ---- types ----------------------------------------------------------------------------------------------------------


def write(path, header, data=b""):
    """A file with any header, a dict or text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_bfloat16_and_float8_become_float32(tmp_path, torch):
    """Every pattern there is, against PyTorch's own conversion."""
    for name, form in (("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"), ("float8_e4m3fnuz", "F8_E4M3FNUZ"),
                       ("float8_e5m2fnuz", "F8_E5M2FNUZ"), ("float8_e8m0fnu", "F8_E8M0"), ("bfloat16", "BF16")):
        raw = np.arange(65536, dtype=np.uint16) if form == "BF16" else np.arange(256, dtype=np.uint8)
        write(tmp_path / "w", {"x": {"dtype": form, "shape": [raw.size], "data_offsets": [0, raw.nbytes]}}, raw.tobytes())
        ours = load_file(tmp_path / "w")["x"].numpy()
        theirs = torch.from_numpy(raw.copy()).view(getattr(torch, name)).float().numpy()
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs, err_msg=form)
        numbers = ~np.isnan(theirs)
        np.testing.assert_array_equal(np.signbit(ours[numbers]), np.signbit(theirs[numbers]), err_msg=form)


def test_files_of_the_package_with_types_that_tensors_lack(tmp_path, torch):
    save = pytest.importorskip("safetensors.torch", exc_type=ImportError).save_file
    save({"a": torch.tensor([1.5, -3.0]).bfloat16(), "b": torch.tensor([0.5]).to(torch.float8_e5m2),
          "c": torch.tensor([65535], dtype=torch.uint16), "d": torch.tensor([2**32 - 1], dtype=torch.uint32),
          "e": torch.tensor([2**63 - 1], dtype=torch.uint64)}, tmp_path / "w", {"made by": "torch"})
    read = load_file(tmp_path / "w")
    assert {name: (str(x.dtype), x.tolist()) for name, x in read.items()} == {
        "a": ("float32", [1.5, -3.0]), "b": ("float32", [0.5]), "c": ("int32", [65535]), "d": ("int64", [2**32 - 1]),
        "e": ("int64", [2**63 - 1])}
    assert load_metadata(tmp_path / "w") == {"made by": "torch"}


def test_types_that_are_refused(tmp_path):
    for form, size, message in (("C64", 8, "complex numbers"), ("F4", 1, "4-bit floats"), ("F99", 1, "is unknown"),
                                (["F32"], 4, "is unknown")):
        write(tmp_path / "w", {"x": {"dtype": form, "shape": [1], "data_offsets": [0, size]}}, bytes(size))
        with pytest.raises(DataError, match=message):
            load_file(tmp_path / "w")
    write(tmp_path / "w", {"x": {"dtype": "U64", "shape": [1], "data_offsets": [0, 8]}}, b"\xff" * 8)
    with pytest.raises(DataError, match="'x' has the type uint64 and values of 2\\^63 and more"):
        load_file(tmp_path / "w")
    write(tmp_path / "w", {"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\0\2")
    with pytest.raises(DataError, match="a bool is neither 0 nor 1"):
        load_file(tmp_path / "w")


# ---- interchange and mapping ----------------------------------------------------------------------------------------


def test_interchange_with_the_package(tmp_path, weights):
    package = pytest.importorskip("safetensors.numpy", exc_type=ImportError)
    arrays = {name: tensor.detach().numpy() if isinstance(tensor, tgc.Tensor) else tensor for name, tensor in weights.items()}
    arrays |= {f"{dtype}": np.arange(5).astype(dtype) for dtype in (*DTYPES, "uint16", "uint32", "uint64")}
    save_file(arrays, tmp_path / "ours")
    theirs = package.load_file(tmp_path / "ours")
    package.save_file({name: array.copy() for name, array in arrays.items()}, tmp_path / "theirs")
    ours = load_file(tmp_path / "theirs")
    assert set(theirs) == set(ours) == set(arrays)
    for name, array in arrays.items():
        assert theirs[name].dtype == array.dtype
        np.testing.assert_array_equal(theirs[name], array)
        assert ours[name].shape == array.shape
        np.testing.assert_array_equal(ours[name].numpy(), array)


def test_the_file_is_mapped_and_never_changed(tmp_path):
    path = tmp_path / "w"
    save_file({"x": np.arange(6.0), "y": np.ones(3, np.float32)}, path)
    before = path.read_bytes()
    loaded = load_file(path)
    base = loaded["x"].numpy()
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    loaded["x"].mul_(2.0)
    assert path.read_bytes() == before
    save_file({"x": np.zeros(1000)}, path)  # replaced while tensors look at the old file
    assert loaded["x"].tolist() == [0, 2, 4, 6, 8, 10]
    assert loaded["y"].tolist() == [1, 1, 1]


def test_some_keys(tmp_path, weights):
    save_file(weights, tmp_path / "w")
    assert list(load_file(tmp_path / "w", keys=["steps", "a.bias"])) == ["steps", "a.bias"]
    with pytest.raises(DataError, match=r"has no tensor 'a.wieght'. Near names: a.weight"):
        load_file(tmp_path / "w", keys=["a.wieght"])


def test_safe_open(tmp_path, weights):
    save_file(weights, tmp_path / "w", {"a": "b"})
    with safe_open(tmp_path / "w") as file:
        assert sorted(file.keys()) == sorted(weights)
        assert file.metadata() == {"a": "b"}
        assert file.shape("a.weight") == (3, 4)
        assert file.dtype("a.bias") == "F64"
        first, second = file.get_tensor("a.bias"), file.get_tensor("a.bias")
        first.zero_()
        np.testing.assert_array_equal(second.numpy(), weights["a.bias"])
        with pytest.raises(DataError, match="has no tensor 'b'"):
            file.get_tensor("b")


def test_misaligned_tensors_are_copied(tmp_path):
    data = b"\1" + np.array([1.5, 2.5], "<f8").tobytes()
    write(tmp_path / "w", {"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]},
                           "b": {"dtype": "F64", "shape": [2], "data_offsets": [1, 17]}}, data)
    read = load_file(tmp_path / "w")
    assert read["b"].numpy().flags.aligned
    assert read["b"].tolist() == [1.5, 2.5]


def test_loaded_weights_can_be_trained_on(tmp_path):
    save_file({"w": np.array([1.0, 2.0])}, tmp_path / "w")
    w = load_file(tmp_path / "w")["w"].requires_grad_()
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]


# ---- hostile headers ------------------------------------------------------------------------------------------------

F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(("header", "message"), [
    (b"[1]", "no JSON object"),
    (b"{", "Expecting property name"),
    (b"\xff{}", "codec can't decode"),
    (b"[" * 100_000, "nests too deeply"),
    (b'{"x":' + b'{"x":' * 50_000, "nests too deeply"),
    (b'{"x":{"dtype":"U8","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', "Exceeds the limit"),
    ({"__metadata__": {"a": 1}}, "something other than texts"),
    ({"x" * 100_000: 3}, "'x+' needs exactly dtype, shape and data_offsets"),
    ({"x": {**F32, "more": 1}}, "needs exactly"),
    ({"x": {**F32, "shape": [-1]}}, "whole numbers"),
    ({"x": {**F32, "shape": [1.0]}}, "whole numbers"),
    ({"x": {**F32, "shape": [True]}}, "whole numbers"),
    ({"x": {**F32, "shape": [1] * 40}}, "at most 32"),
    ({"x": {**F32, "shape": [2**40, 2**40]}}, "takes 4,835,703,278,458,516,698,824,704 bytes"),
    ({"x": {**F32, "shape": [0, 2**62], "data_offsets": [0, 0]}}, "the tensors end at byte"),
    ({"x": {**F32, "data_offsets": [0, 8]}}, "takes 4 bytes, data_offsets .* are 8"),
    ({"x": {**F32, "data_offsets": [4, 0]}}, "are -4"),
    ({"x": {**F32, "data_offsets": [2**62, 2**62 + 4]}}, "leaves a gap"),
    ({"x": F32, "y": F32}, "'y' overlaps the one before: it begins at 0, expected 4"),
    ({"x": {**F32, "data_offsets": [0, 4]}, "y": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, "overlaps"),
    ({"x": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, "leaves a gap before it"),
    ({"x": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, "the tensors end at byte"),
    (b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
     "'x' stands twice"),
])
def test_hostile_headers(tmp_path, header, message):
    write(tmp_path / "w", header, bytes(4))
    with pytest.raises(DataError, match=message) as caught:
        load_file(tmp_path / "w")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("length", [2**64 - 1, 2**62, 100_000_001, 30])
def test_absurd_lengths_of_the_header(tmp_path, length):
    (tmp_path / "w").write_bytes(length.to_bytes(8, "little") + b"{}" + b" " * 20)
    with pytest.raises(DataError, match=f"the header would be {length:,} bytes long; the file has 30"):
        load_file(tmp_path / "w")


def test_every_truncation_and_every_flipped_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "w"
    save_file({"a": np.arange(3.0), "b": np.array([True])}, path, {"k": "v"})
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load_file(path)
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 0x15
        path.write_bytes(broken)
        with contextlib.suppress(DataError):
            load_file(path)
