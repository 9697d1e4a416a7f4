"""tgc.save and tgc.load, called as scripts call torch.save and torch.load."""

import io

import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DataError, OperandError


def checkpoint():
    model = nn.Linear(2, 3)
    optimizer = tgc.optim.Adam(model.parameters())
    model(tgc.ones(1, 2)).sum().backward()
    optimizer.step()
    return model, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "names": ["a", None]}


@pytest.mark.parametrize("name", ["c.tar", "c.pt", "c", "c.ckpt"])
def test_any_name_holds_a_checkpoint(tmp_path, name):
    model, state = checkpoint()
    tgc.save(state, tmp_path / name)
    found = tgc.load(str(tmp_path / name), map_location=tgc.device("cpu"), weights_only=False)
    assert found["epoch"] == 3
    assert found["names"] == ["a", None]
    fresh = nn.Linear(2, 3)
    fresh.load_state_dict(found["model"])
    assert tgc.equal(fresh.weight, model.weight)
    tgc.optim.Adam(fresh.parameters()).load_state_dict(found["optimizer"])


def test_open_files_as_with_pytorch(tmp_path):
    torch = torch_or_skip()
    ours, theirs = io.BytesIO(), io.BytesIO()
    tgc.save({"x": tgc.arange(3), "n": 1}, ours)
    torch.save({"x": torch.arange(3), "n": 1}, theirs)
    for buffer in (ours, theirs):
        buffer.seek(0)
        found = tgc.load(buffer, map_location=lambda storage, place: storage)
        assert found["x"].tolist() == [0, 1, 2]
    ours.seek(0)
    assert torch.load(ours, weights_only=True)["x"].tolist() == [0, 1, 2]
    with open(tmp_path / "f.pt", "wb") as file:
        tgc.save([tgc.ones(2)], file)
    with open(tmp_path / "f.pt", "rb") as file:
        assert tgc.load(file)[0].tolist() == [1, 1]


def test_other_formats_by_their_names(tmp_path):
    tgc.save({"x": tgc.ones(2)}, tmp_path / "w.safetensors")
    assert tgc.io.load_file(tmp_path / "w.safetensors")["x"].tolist() == [1, 1]
    assert tgc.load(tmp_path / "w.safetensors")["x"].tolist() == [1, 1]


def test_errors():
    with pytest.raises(OperandError, match=r"Save its state_dict\(\)"):
        tgc.save(nn.Linear(1, 1), io.BytesIO())
    with pytest.raises(DataError, match=r"file\.seek\(0\)"):
        tgc.load(io.BytesIO())
    with pytest.raises(DataError, match="the open file is no readable PyTorch file"):
        tgc.load(io.BytesIO(b"not a checkpoint"))
