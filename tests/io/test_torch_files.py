"""Files of torch.save: read and written without PyTorch, judged by PyTorch."""

import collections
import io
import os
import zipfile

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import DataError
from tinygrad_course.io import load, load_torch, save, save_torch

NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64")


def assert_same(torch, theirs, ours, place="obj"):
    """Equal values, types, strides and nesting."""
    if isinstance(theirs, torch.Tensor):
        name = str(theirs.dtype).removeprefix("torch.")
        expected = theirs.detach()
        expected = (expected.float() if "float8" in name or name == "bfloat16" else expected).numpy()
        values = ours.detach().numpy()
        assert isinstance(ours, nn.Parameter) == isinstance(theirs, torch.nn.Parameter), place
        assert ours.requires_grad == theirs.requires_grad, place
        assert values.shape == expected.shape, place
        assert name in NARROW or values.dtype == expected.dtype, place
        np.testing.assert_array_equal(values, expected, err_msg=place)
        if values.size:
            assert tuple(stride // values.itemsize for stride in values.strides) == theirs.stride(), place
    elif isinstance(theirs, dict):
        assert isinstance(ours, dict), place
        assert list(ours) == list(theirs), place
        for key, value in theirs.items():
            assert_same(torch, value, ours[key], f"{place}[{key!r}]")
    elif isinstance(theirs, list | tuple):
        assert type(ours) is (tuple if isinstance(theirs, tuple) else list), place
        assert len(ours) == len(theirs), place
        for number, value in enumerate(theirs):
            assert_same(torch, value, ours[number], f"{place}[{number}]")
    else:
        assert type(ours) is type(theirs), place
        assert ours == theirs, place


def checkpoint(torch):
    """What people save: nested, with an optimiser that has run."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.8, 0.9))
    model(torch.randn(4, 2, 4, 4)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "best": 0.75, "name": "é\n'",
            "flags": (True, False, None), "history": [1, -2, 2**40, -(2**40), 1e-300, float("inf"), [], {}, ()],
            "weight": model[0].weight, "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
            "rng": torch.get_rng_state(), "size": torch.zeros(2, 3).size(), 7: torch.ones(1, requires_grad=True)}


def odd_tensors(torch):
    """Layouts and types."""
    base = torch.arange(24.0).reshape(4, 6)
    types = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    return {"base": base, "transposed": base.t(), "every other": base[1:, ::2], "column": base[:, 1], "expanded":
            torch.ones(1, 3).expand(4, 3), "0-d": torch.tensor(5), "element": base[2, 3], "empty": torch.zeros(0, 3),
            "empty view": base[4:], "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
            **{name: torch.tensor([0, 1, 1, 0]).to(getattr(torch, name)) for name in types}}


@pytest.mark.parametrize(("zipped", "protocol"), [(True, 2), (True, 3), (True, 4), (True, 5), (False, 2)])
@pytest.mark.parametrize("make", [checkpoint, odd_tensors])
def test_what_torch_writes(tmp_path, torch, make, zipped, protocol):
    obj = make(torch)
    torch.save(obj, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert_same(torch, obj, load_torch(tmp_path / "a.pt"))


def test_types_without_a_storage_of_their_own(tmp_path, torch):
    obj = {name: torch.tensor([0.0, 1.0, 3.0]).to(getattr(torch, name)) for name in NARROW}
    torch.save(obj, tmp_path / "a.pt")
    read = load_torch(tmp_path / "a.pt")
    assert_same(torch, obj, read)
    assert [str(x.dtype) for x in read.values()] == ["float32"] * 3 + ["int32", "int64", "int64"]


@pytest.mark.parametrize("zipped", [True, False])
def test_shared_storages_stay_shared(tmp_path, torch, zipped):
    base = torch.arange(6.0)
    torch.save({"a": base[:4], "b": base[2:], "c": base.clone()}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    read = load_torch(tmp_path / "a.pt")
    with tgc.no_grad():
        read["a"].fill_(-1.0)
    assert read["b"].tolist() == [-1, -1, 4, 5]
    assert read["c"].tolist() == [0, 1, 2, 3, 4, 5]
    again = load_torch(tmp_path / "a.pt")
    assert again["a"].tolist() == [0, 1, 2, 3]  # the file has not changed


def test_a_graph_notices_writes_through_a_shared_storage(tmp_path, torch):
    base = torch.arange(3.0)
    torch.save([base, base.view(3)], tmp_path / "a.pt")
    x, y = load_torch(tmp_path / "a.pt")
    loss = (x.requires_grad_() ** 2).sum()
    with tgc.no_grad():
        y.zero_()
    with pytest.raises(tgc.errors.GraphError):
        loss.backward()


def test_big_endian(tmp_path, torch):
    buffer = io.BytesIO()
    torch.save({"x": torch.tensor([1.5, -2.0]), "n": torch.tensor([1, 2**40])}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(tmp_path / "a.pt", "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("byteorder"):
                content = b"big"
            elif "/data/" in entry.filename:
                width = 4 if len(content) == 8 else 8
                content = np.frombuffer(content, f"<u{width}").byteswap().tobytes()
            new.writestr(entry.filename, content)
    read = load_torch(tmp_path / "a.pt")
    assert read["x"].tolist() == [1.5, -2.0]
    assert read["n"].tolist() == [1, 2**40]


def test_state_dict_of_torch_loads_into_our_model(tmp_path, torch):
    def build(lib):
        return lib.Sequential(lib.Conv2d(2, 3, 3), lib.BatchNorm2d(3), lib.Flatten(), lib.Linear(12, 2))
    theirs, ours = build(torch.nn), build(nn)
    torch.save(theirs.state_dict(), tmp_path / "a.pt")
    ours.load_state_dict(load(tmp_path / "a.pt"))
    x = np.random.default_rng(0).standard_normal((4, 2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(ours.eval()(tgc.tensor(x)).detach().numpy(), theirs.eval()(torch.tensor(x)).detach().numpy(),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda torch: {"x": torch.ones(2, dtype=torch.complex64)},
                                  lambda torch: torch.ones(2, dtype=torch.complex128)])
def test_complex_is_refused(tmp_path, torch, make):
    torch.save(make(torch), tmp_path / "a.pt")
    with pytest.raises(DataError, match="complex numbers, which tensors here cannot be"):
        load_torch(tmp_path / "a.pt")


def test_what_is_no_data_is_refused_by_name(tmp_path, torch):
    import argparse
    path = tmp_path / "a.pt"
    for obj, name in ((torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"), (np.float64(3), "numpy.*scalar"),
                      (argparse.Namespace(lr=1), "argparse.Namespace"), ({1, 2}, "__builtin__.set"),
                      (torch.float32, "torch.float32"), (torch.device("cpu"), "torch.device"),
                      (torch.ones(2).to_sparse(), "torch._utils._rebuild_sparse_tensor"),
                      (collections.defaultdict(int), "collections.defaultdict")):
        torch.save({"ok": 1, "x": obj}, path)
        with pytest.raises(DataError, match=rf"is refused: it wants the global '{name}'. Only tensors.*can run any program"):
            load_torch(path)
    torch.save([torch.uint16], path)
    with pytest.raises(DataError, match=r"holds 'torch\.uint16', a name and not data"):
        load_torch(path)


def test_torchscript_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name in ("a/data.pkl", "a/constants.pkl", "a/code/__torch__.py"):
            archive.writestr(name, b"\x80\x02N.")
    with pytest.raises(DataError, match=r"is a TorchScript program.*state_dict"):
        load_torch(tmp_path / "a.pt")


# ---- writing --------------------------------------------------------------------------------------------------------


def test_torch_reads_what_we_write(tmp_path, torch):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    base = tgc.tensor(np.arange(6.0).reshape(2, 3))
    obj = {"model": model.state_dict(), "parameter": model[0].weight, "leaf": tgc.ones(2, requires_grad=True),
           "transposed": base.t(), "0-d": tgc.tensor(5), "empty": tgc.zeros(0, 3), "array": np.arange(3, dtype=">i4"),
           "numpy number": np.float64(0.5), "flags": (True, False, None), "texts": ["é\n", ""], 7: -(2**63), "big": 2**63 - 1,
           "small": [0, -1, 127, 128, 255, 256, -129], "float": 1e-300, "nothing": [(), [], {}],
           **{str(kind): tgc.tensor([0, 1]).to(kind) for kind in (tgc.float16, tgc.int8, tgc.uint8, tgc.int16, tgc.bool)}}
    save_torch(obj, tmp_path / "a.pt")
    for options in ({}, {"mmap": True}):
        read = torch.load(tmp_path / "a.pt", weights_only=True, **options)
        assert isinstance(read["parameter"], torch.nn.Parameter)
        assert read["leaf"].requires_grad
        assert list(read["model"]) == list(model.state_dict())
        np.testing.assert_array_equal(read["transposed"].numpy(), base.numpy().T)
        for name in ("flags", "texts", 7, "big", "small", "float", "nothing"):
            assert read[name] == obj[name]
        assert read["array"].tolist() == [0, 1, 2]
        assert read["numpy number"] == 0.5
        assert read["float16"].dtype == torch.float16
        assert read["bool"].tolist() == [False, True]
        assert read["empty"].shape == (0, 3)
        assert read["0-d"].shape == ()
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    theirs.load_state_dict(read["model"])
    assert_same(torch, read, load_torch(tmp_path / "a.pt"))  # and so do we


def test_tied_weights_are_written_once(tmp_path, torch):
    model = nn.Sequential(nn.Linear(50, 50, bias=False), nn.Linear(50, 50, bias=False))
    model[1].weight = model[0].weight
    save_torch(model.state_dict(), tmp_path / "a.pt")
    read = torch.load(tmp_path / "a.pt", weights_only=True)
    assert read["0.weight"].data_ptr() == read["1.weight"].data_ptr()
    assert (tmp_path / "a.pt").stat().st_size < 12_000


def test_equal_objects_equal_files_and_storages_are_aligned(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_torch({"x": tgc.ones(3), "y": np.arange(5)}, tmp_path / name)
    content = (tmp_path / "a.pt").read_bytes()
    assert content == (tmp_path / "b.pt").read_bytes()
    assert content.index(np.arange(5).tobytes()) % 64 == 0


def test_what_cannot_be_written(tmp_path):
    loop = []
    loop.append(loop)
    for obj, message in (({"a": [{1}]}, r"obj\['a'\]\[0\] is of type set"), (nn.Linear(1, 1), r"save its state_dict\(\)"),
                         ({(1, 2): 3}, r"has the key \(1, 2\)"), (np.array(["text"]), "has the type <U4"),
                         ([2**64], "an integer of 65 bits"), (loop, "contains itself")):
        with pytest.raises(DataError, match=message):
            save_torch(obj, tmp_path / "a.pt")
    assert os.listdir(tmp_path) == []


# ---- any format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pt", ".pth"])
def test_load_goes_by_content_and_save_by_ending(tmp_path, ending):
    weights = {"a.weight": tgc.tensor([[1.0, 2.0]]), "steps": tgc.tensor(3)}
    save(weights, tmp_path / f"w{ending}")
    (tmp_path / f"w{ending}").rename(tmp_path / "misleading.zip")
    read = load(tmp_path / "misleading.zip")
    assert set(read) == set(weights)
    for name, tensor in weights.items():
        assert isinstance(read[name], tgc.Tensor)
        assert read[name].dtype == tensor.dtype
        np.testing.assert_array_equal(read[name].numpy(), tensor.numpy())
    save({}, tmp_path / f"w{ending}")
    assert load(tmp_path / f"w{ending}") == {}


def test_load_says_what_a_file_is(tmp_path):
    path = tmp_path / "w"
    for start, message in ((b"\x89HDF\r\n\x1a\n", "an HDF5 file"), (b"\x93NUMPY\x01", "a single array"),
                           (b"\x1f\x8b", "gzip"),
                           (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"), (b"<!DOCTYPE", "a web page"),
                           (b"\x80\x04K\x01.", "a bare pickle, which is not opened"), (b"something", "no file of weights")):
        path.write_bytes(start + b" " * 20)
        with pytest.raises(DataError, match=message):
            load(path)
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "none")


def test_save_says_what_fits(tmp_path):
    with pytest.raises(DataError, match=r"'\.bin' is none of \.safetensors, \.npz, \.pt, \.pth"):
        save({}, tmp_path / "w.bin")
    with pytest.raises(DataError, match=r"a flat dict of tensors, got a dict; 'epoch' is a int"):
        save({"epoch": 3}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"got a Linear.*state_dict"):
        save(nn.Linear(1, 1), tmp_path / "w.npz")
