"""Event files for TensorBoard: what stands in them is the history of the run."""

import struct
import sys

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError, DependencyError
from tinygrad_course.optim import SGD
from tinygrad_course.train import TensorBoard, Trainer


def read_events(path):
    """A record is the length of a message (uint64), its CRC, the message, its CRC."""
    from tensorboardX.proto.event_pb2 import Event

    content = path.read_bytes()
    while content:
        size, = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12:12 + size])
        content = content[16 + size:]


def make_trainer(folder):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    data = TensorDataset(x, x.sum(1, keepdims=True))
    tgc.manual_seed(0)
    model = nn.Linear(3, 1)
    return Trainer(model, SGD(model.parameters(), 0.1), nn.MSELoss(), DataLoader(data, 8), DataLoader(data, 8), epochs=3,
                   metrics={"worst": lambda output, target: np.abs(output - target).max()}, callbacks=[TensorBoard(folder)])


def test_the_history_of_a_run_and_of_its_continuation(tmp_path):
    trainer = make_trainer(tmp_path / "run")
    trainer.fit(max_steps=7)
    trainer.fit()  # within the same second, and yet in a file of its own
    first, second = (list(read_events(path)) for path in sorted((tmp_path / "run").iterdir()))
    assert all("tfevents" in path.name for path in (tmp_path / "run").iterdir())
    assert first[0].file_version == second[0].file_version == "brain.Event:2"
    assert not any(event.session_log.status for event in first)
    assert [event.step for event in second if event.session_log.status == 1] == [8]  # what the first says of 8 on is void
    rows = {step: {} for step in (5, 10, 15)}
    for event in first + second:
        for value in event.summary.value:
            rows[event.step][value.tag] = value.simple_value
    for number, read in enumerate(rows.values()):
        assert list(read) == ["learning_rate", "loss/train", "worst/train", "loss/val", "worst/val"]
        for tag, column in (("loss/train", "train_loss"), ("worst/val", "val_worst"), ("learning_rate", "learning_rate")):
            assert read[tag] == np.float32(trainer.history[column][number])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        make_trainer(tmp_path / "file").fit()


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DependencyError, match="pip install tensorboardX"):
        make_trainer(tmp_path / "run").fit()
