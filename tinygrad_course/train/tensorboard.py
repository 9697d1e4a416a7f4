"""The history of a run for TensorBoard: tensorboardX writes the files, `pip install tensorboard` is for looking at them."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_course.errors import DataError, DependencyError
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer


class TensorBoard(Callback):
    """Writes learning rate, losses and metrics after each epoch, as a function of the step.

    folder  one per run; TensorBoard is pointed at the folder above it

    Tags are loss/train, loss/val, accuracy/val ... : what belongs together stands together.  A run that goes on in its
    folder writes a new file, which says from which step on the older ones do not count.
    Raises DependencyError without tensorboardX, DataError for a folder that cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise DependencyError("TensorBoard needs the package tensorboardX: pip install tensorboardX") from error
        try:
            # The name of a file has the second only: without the rest a run continued at once would replace its own file.
            self._writer = SummaryWriter(str(self.folder), purge_step=trainer.steps + 1 if trainer.steps else None,
                                         filename_suffix=f".{time.time_ns() % 10**9:09d}")
        except OSError as error:
            raise DataError(f"{self.folder} cannot be written: {error.strerror}. Give another folder.") from error

    def on_epoch_end(self, trainer: "Trainer") -> None:
        if self._writer is None:
            return
        row = trainer.row()
        self._writer.add_scalar("learning_rate", row["learning_rate"], trainer.steps)
        for split in trainer.splits:
            for name in ("loss", *trainer.metrics):
                self._writer.add_scalar(f"{name}/{split}", row[f"{split}_{name}"], trainer.steps)
        self._writer.flush()

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
