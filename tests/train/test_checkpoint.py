"""Checkpoints: what comes back, and what happens to broken files."""

import os

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError
from tinygrad_course.io import save_file
from tinygrad_course.train import load_checkpoint, save_checkpoint


def test_nested_state_comes_back_as_it_was(tmp_path):
    state = {"tensor": tgc.tensor([1.5, 2.5]), "array": np.arange(6).reshape(2, 3).T, "nothing": None, "yes": True,
             "text": "a\nb", "seed": 2**63 + 5, "value": 0.1 + 0.2, "infinite": float("inf"), "pair": (0.9, 0.999),
             "list": [1, [2, {"deep": tgc.tensor(3)}]], "numbered": {0: {"step": 1}, 10: {}}, "": {"": ""}}
    save_checkpoint(tmp_path / "c", state)
    back = load_checkpoint(tmp_path / "c")
    assert list(back) == list(state)
    np.testing.assert_array_equal(back["tensor"].numpy(), [1.5, 2.5])
    np.testing.assert_array_equal(back["array"].numpy(), state["array"])
    assert back["list"][1][1]["deep"].item() == 3
    for key in ("nothing", "yes", "text", "seed", "value", "infinite", "pair", "numbered", ""):
        assert back[key] == state[key]
        assert type(back[key]) is type(state[key])


def test_equal_states_give_equal_files(tmp_path):
    for name in "ab":
        save_checkpoint(tmp_path / name, {"x": tgc.ones(3), "y": {"z": tgc.zeros(2), "n": 1}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nan_comes_back(tmp_path):
    save_checkpoint(tmp_path / "c", {"loss": float("nan")})
    assert np.isnan(load_checkpoint(tmp_path / "c")["loss"])


@pytest.mark.parametrize(("state", "message"), [({"a": {"b": object()}}, r"state\.a\.b is of type object"),
                                                ({"a": {1.5: 0}}, r"state\.a has the key 1\.5")])
def test_other_things_are_refused(tmp_path, state, message):
    with pytest.raises(DataError, match=message):
        save_checkpoint(tmp_path / "c", state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch, moment):
    save_checkpoint(tmp_path / "c", {"epoch": 1})

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "c", {"epoch": 2})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "c") == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_broken_and_foreign_files(tmp_path):
    path = tmp_path / "c"
    with pytest.raises(DataError, match="does not exist"):
        load_checkpoint(path)
    save_checkpoint(path, {"weights": tgc.zeros(100)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(DataError, match="not a readable safetensors file"):
        load_checkpoint(path)
    save_file({"weights": tgc.zeros(3)}, path)
    with pytest.raises(DataError, match="not the state of a run"):
        load_checkpoint(path)
    for tree in ('{"tensor": "gone"}', '["a", ', "1"):
        save_file({}, path, {"tinygrad_course.checkpoint.v1": tree})
        with pytest.raises(DataError, match="damaged checkpoint"):
            load_checkpoint(path)
