"""The history of a run as a table in a file."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer


def write_history(path: str | os.PathLike[str], history: Mapping[str, Sequence[float]]) -> None:
    """Columns as CSV: a line of names, a line per epoch.  Every digit is there: float() gives the number back.

    An old file is replaced only by a complete new one.  Raises DataError if it cannot be written.
    """
    lines = [",".join(history), *(",".join(map(_digits, row)) for row in zip(*history.values(), strict=True))]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def _digits(value: float) -> str:
    # The repr of a NumPy number is no number: np.float64(0.5).
    return repr(value if isinstance(value, int) else float(value))


class CsvHistory(Callback):
    """Writes the history to `path` after each epoch, the whole table: a resumed run has one as if it had not stopped."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_epoch_end(self, trainer: "Trainer") -> None:
        write_history(self.path, trainer.history)
