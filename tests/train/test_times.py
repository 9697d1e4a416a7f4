"""TimeLog: times.json."""

import json

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError
from tinygrad_course.train import Checkpoint, TimeLog, Trainer


def make(folder):
    tgc.manual_seed(0)
    model = nn.Linear(2, 1)
    data = TensorDataset(np.ones((10, 2), np.float32), np.ones((10, 1), np.float32))
    return Trainer(model, optim.SGD(model.parameters(), lr=0.01), nn.MSELoss(), DataLoader(data, 2), epochs=3,
                   callbacks=[Checkpoint(folder), TimeLog(folder / "times.json")])


def test_parts_of_a_run_add_up(tmp_path):
    first = make(tmp_path)
    first.fit(max_steps=7)  # within the second epoch
    second = make(tmp_path)
    assert second.callbacks[0].restore(second)
    second.fit()
    second.fit()  # nothing is left to do: no third entry
    found = json.loads((tmp_path / "times.json").read_text())
    assert [[(entry["epoch"], entry["samples"]) for entry in session["epochs"]] for session in found] == \
        [[(1, 10)], [(2, 6), (3, 10)]]
    assert all(session["seconds"] >= sum(entry["seconds"] for entry in session["epochs"]) > 0 for session in found)
    assert found[0]["numpy"] == np.__version__
    make(tmp_path).fit(max_steps=1)
    assert len(json.loads((tmp_path / "times.json").read_text())) == 1, "a new run starts a new file"


def test_a_broken_file_is_replaced_and_a_missing_folder_is_named(tmp_path):
    first = make(tmp_path)
    first.fit(max_steps=5)
    (tmp_path / "times.json").write_text("{")
    first.fit()
    assert len(json.loads((tmp_path / "times.json").read_text())) == 1
    trainer = make(tmp_path)
    trainer.callbacks = [TimeLog(tmp_path / "missing" / "times.json")]
    with pytest.raises(DataError, match="missing does not exist"):
        trainer.fit()
