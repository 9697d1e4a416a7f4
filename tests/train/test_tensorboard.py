"""Event files, read by Google's protocol buffers with the messages of TensorFlow's event.proto and summary.proto."""

import struct

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError
from tinygrad_course.optim import SGD
from tinygrad_course.train import TensorBoard, Trainer
from tinygrad_course.train.tensorboard import crc32c, scalars_event

DOUBLE, FLOAT, INT64, MESSAGE, TEXT = 1, 2, 3, 11, 9  # of FieldDescriptorProto


@pytest.fixture(scope="module")
def event_message():
    """The class of the message Event, as far as scalars need it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # a part of what onnx needs
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto3")
    messages = {
        "Value": [("tag", 1, TEXT, ""), ("simple_value", 2, FLOAT, "")],
        "Summary": [("value", 1, MESSAGE, ".t.Value")],
        "SessionLog": [("status", 1, INT64, "")],
        "Event": [("wall_time", 1, DOUBLE, ""), ("step", 2, INT64, ""), ("file_version", 3, TEXT, ""),
                  ("summary", 5, MESSAGE, ".t.Summary"), ("session_log", 7, MESSAGE, ".t.SessionLog")]}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            message.field.add(name=field, number=number, type=kind, label=3 if field == "value" else 1,
                              **({"type_name": of} if of else {}))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


def crc_bit_by_bit(content):
    """Long division by the polynomial, one bit at a time."""
    crc = 0xFFFFFFFF
    for byte in content:
        for bit in range(8):
            out = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x82F63B78 if out else 0)
    return crc ^ 0xFFFFFFFF


def masked(content):
    crc = crc_bit_by_bit(content)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def read_events(path, message):
    content = path.read_bytes()
    while content:
        (size,), (length_crc,) = struct.unpack("<Q", content[:8]), struct.unpack("<I", content[8:12])
        data, (data_crc,) = content[12:12 + size], struct.unpack("<I", content[12 + size:16 + size])
        assert length_crc == masked(content[:8])
        assert data_crc == masked(data)
        yield message.FromString(data)
        content = content[16 + size:]


def make_trainer(folder):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3)).astype(np.float32)
    data = TensorDataset(x, x.sum(1, keepdims=True))
    tgc.manual_seed(0)
    model = nn.Linear(3, 1)
    return Trainer(model, SGD(model.parameters(), 0.1), nn.MSELoss(), DataLoader(data, 8), DataLoader(data, 8), epochs=3,
                   metrics={"worst": lambda output, target: np.abs(output - target).max()}, callbacks=[TensorBoard(folder)])


def test_checksum_of_the_standard():
    assert crc32c(b"123456789") == crc_bit_by_bit(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_a_protocol_buffer_reads_what_was_written(event_message):
    scalars = {"loss/train": 0.1, "ü" * 100: -3e38, "": float("inf")}
    event = event_message.FromString(scalars_event(scalars, 2**40 + 300))
    assert event.step == 2**40 + 300
    assert [(value.tag, value.simple_value) for value in event.summary.value] == [
        (tag, np.float32(value)) for tag, value in scalars.items()]


def test_the_history_of_a_run_and_of_its_continuation(tmp_path, event_message):
    trainer = make_trainer(tmp_path / "run")
    trainer.fit(max_steps=7)
    trainer.fit()
    first, second = (list(read_events(path, event_message)) for path in sorted((tmp_path / "run").iterdir()))
    assert all("tfevents" in path.name for path in (tmp_path / "run").iterdir())
    assert first[0].file_version == second[0].file_version == "brain.Event:2"
    assert first[0].wall_time > 1.7e9
    assert second[1].session_log.status == 1
    assert second[1].step == 8  # what the first file would say of step 8 and later is void
    rows = first[1:] + second[2:]
    assert [event.step for event in rows] == [5, 10, 15]
    for number, event in enumerate(rows):
        read = {value.tag: value.simple_value for value in event.summary.value}
        assert list(read) == ["learning_rate", "loss/train", "worst/train", "loss/val", "worst/val"]
        for tag, column in (("loss/train", "train_loss"), ("worst/val", "val_worst"), ("learning_rate", "learning_rate")):
            assert read[tag] == np.float32(trainer.history[column][number])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        make_trainer(tmp_path / "file").fit()
