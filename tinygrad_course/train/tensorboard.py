"""The history of a run for TensorBoard, written without it: `pip install tensorboard` is needed only to look.

An event file is a row of records: length (uint64), CRC of the length, content, CRC of the content (all little-endian).
The content is a protocol buffer `Event`, of which three kinds are written (tensorflow/core/util/event.proto):

    Event       double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7
    Summary     repeated Value value = 1
    Value       string tag = 1; float simple_value = 2
    SessionLog  enum status = 1
"""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tinygrad_course.errors import DataError
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer


class TensorBoard(Callback):
    """Writes learning rate, losses and metrics after each epoch, as a function of the step.

    folder  one per run; TensorBoard is pointed at the folder above it

    Tags are loss/train, loss/val, accuracy/val ... : what belongs together stands together.  A run that goes on in its
    folder writes a new file, which says from which step on the older ones do not count.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._file: BinaryIO | None = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        now = time.time_ns()
        path = self.folder / f"events.out.tfevents.{now // 10**9:010d}.{now % 10**9:09d}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}. Give another folder.") from error
        self._file.write(record(_wall_time() + _text(3, "brain.Event:2")))
        if trainer.steps:
            start = _varint_field(1, 1)  # SessionLog.START: what older files say of this step and later ones is void
            self._file.write(record(_wall_time() + _varint_field(2, trainer.steps + 1) + _bytes(7, start)))
        self._file.flush()

    def on_epoch_end(self, trainer: "Trainer") -> None:
        if self._file is not None:
            row = trainer.row()
            scalars = {"learning_rate": row["learning_rate"],
                       **{f"{name}/{split}": row[f"{split}_{name}"] for split in trainer.splits
                          for name in ("loss", *trainer.metrics)}}
            self._file.write(record(scalars_event(scalars, trainer.steps)))
            self._file.flush()

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def scalars_event(scalars: Mapping[str, float], step: int) -> bytes:
    """An Event with a Summary of {tag: value}."""
    summary = b"".join(_bytes(1, _text(1, tag) + b"\x15" + struct.pack("<f", value)) for tag, value in scalars.items())
    return _wall_time() + _varint_field(2, step) + _bytes(5, summary)


def record(content: bytes) -> bytes:
    """Length and content, each followed by its CRC."""
    length = struct.pack("<Q", len(content))
    return length + _masked_crc(length) + content + _masked_crc(content)


# ---- protocol buffers: key = field number * 8 + type; 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes -----------


def _wall_time() -> bytes:
    return b"\x09" + struct.pack("<d", time.time())


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the highest bit says that more follow."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _varint_field(field: int, value: int) -> bytes:
    return bytes([field * 8]) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return bytes([field * 8 + 2]) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


# ---- CRC-32C (Castagnoli): polynomial 0x1EDC6F41, here with its bits reversed ---------------------------------------------


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC_TABLE = _crc_table()


def crc32c(content: bytes) -> int:
    """The checksum of RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked_crc(content: bytes) -> bytes:
    """Rotated by 15 bits and shifted: a CRC of data that contain CRCs would be weak."""
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
