"""Checkpoints: what comes back, and what happens to broken files."""

import csv
import os

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError
from tinygrad_course.io import load_file, save_file
from tinygrad_course.optim import SGD
from tinygrad_course.train import Callback, Checkpoint, CsvHistory, Trainer, load_checkpoint, save_checkpoint, write_history


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


# ---- the callback --------------------------------------------------------------------------------------------------------


def make_trainer(folder, seed=0, **options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3)).astype(np.float32)
    tgc.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))
    keep = Checkpoint(folder, **options)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdims=True)), 16, shuffle=True)
    return Trainer(model, SGD(model.parameters(), 0.2), nn.MSELoss(), loader, epochs=6,
                   callbacks=[keep, CsvHistory(folder / "history.csv")]), keep


@pytest.mark.parametrize("options", [{}, {"every": 3}, {"every_steps": 3}], ids=str)
def test_a_run_that_is_killed_goes_on_from_its_folder_to_the_same_bits(tmp_path, options):
    whole, keep = make_trainer(tmp_path / "whole", **options)
    assert not keep.restore(whole)
    whole.fit()

    class Killed(Exception):
        pass

    def kill():
        if first.steps == 15:
            raise Killed
        return False

    first, _ = make_trainer(tmp_path / "pieces", **options)
    with pytest.raises(Killed):
        first.fit(stop=kill)
    second, keep = make_trainer(tmp_path / "pieces", seed=99, **options)
    assert keep.restore(second)
    assert second.steps == {(): 12, ("every",): 12, ("every_steps",): 15}[tuple(options)]
    second.fit()
    names = ["best.safetensors", "checkpoint.safetensors", "history.csv"]
    assert sorted(path.name for path in (tmp_path / "pieces").iterdir()) == names
    for name in names:
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_best_weights_are_a_plain_file(tmp_path):
    trainer, _ = make_trainer(tmp_path)
    trainer.fit()
    best = load_file(tmp_path / "best.safetensors")
    trainer.model.load_state_dict(best)
    assert {name: value.numpy().tobytes() for name, value in best.items()} == {
        name: value.numpy().tobytes() for name, value in trainer.best_weights.items()}


def test_the_history_can_be_read_back_to_the_last_digit(tmp_path):
    trainer, _ = make_trainer(tmp_path)
    trainer.fit()
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name: [float(row[name]) for row in rows] for name in rows[0]} == trainer.history


def test_wrong_intervals_and_folders(tmp_path):
    for options in ({"every": 0}, {"every_steps": 0}):
        with pytest.raises(ValueError, match="whole numbers of at least 1"):
            Checkpoint(tmp_path, **options)
    (tmp_path / "file").write_text("")
    trainer, _ = make_trainer(tmp_path / "file")
    with pytest.raises(DataError, match=r"cannot be made: .* Give another folder"):
        trainer.fit()


def test_numbers_of_numpy_are_written_as_numbers(tmp_path):
    write_history(tmp_path / "h.csv", {"epoch": [1, 2], "val_loss": [np.float64(0.1), np.float32(0.1)]})
    assert (tmp_path / "h.csv").read_text() == "epoch,val_loss\n1,0.1\n2,0.10000000149011612\n"


def test_a_checkpoint_every_second_epoch(tmp_path):
    class Look(Callback):
        def on_epoch_end(self, trainer):
            path = tmp_path / "checkpoint.safetensors"
            seen.append(load_checkpoint(path)["steps"] if path.exists() else None)

    seen = []
    model = nn.Linear(2, 1).double()
    loader = DataLoader(TensorDataset(np.ones((4, 2)), np.ones((4, 1))), 4)
    Trainer(model, SGD(model.parameters(), 0.1), nn.MSELoss(), loader, epochs=3,
            callbacks=[Checkpoint(tmp_path, every=2), Look()]).fit()
    assert seen == [None, 2, 2]
