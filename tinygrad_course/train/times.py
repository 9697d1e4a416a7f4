"""How long a run took, and on what."""

import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer


class TimeLog(Callback):
    """Writes to `path` (JSON) when the run was at work, how long its epochs took, and on which machine.

    A list with one entry per call of `fit`; a run that goes on in its folder adds to what is there.

        [{"begun": "2026-03-01T12:00:00+00:00", "seconds": 12.3, "python": "3.12.1", "numpy": "2.3.0",
          "system": "Linux x86_64", "kernels": "compiled", "threads": 2,
          "epochs": [{"epoch": 1, "seconds": 1.2, "samples": 1294}, ...]}, ...]

    The first epoch of an entry may be the rest of one that was left; `samples` says how many samples it was.  Seconds
    include validation.  It is a file of its own because all others of a run are the same, to the byte, in every repetition.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.sessions: list[dict[str, Any]] = []
        self._start = self._epoch_start = 0.0
        self._samples = self._steps = 0

    def on_fit_begin(self, trainer: "Trainer") -> None:
        self.sessions = _sessions(self.path) if trainer.steps else []
        self.sessions.append({
            "begun": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": 0.0, "python": platform.python_version(),
            "numpy": np.__version__, "system": f"{platform.system()} {platform.machine()}",
            "kernels": backend.backend_name(), "threads": backend.get_num_threads(), "epochs": []})
        self._steps, self._start = trainer.steps, time.perf_counter()

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        self._epoch_start, self._samples = time.perf_counter(), trainer.samples

    def on_epoch_end(self, trainer: "Trainer") -> None:
        now = time.perf_counter()
        self.sessions[-1]["epochs"].append({"epoch": trainer.epoch, "seconds": round(now - self._epoch_start, 4),
                                            "samples": trainer.epoch_samples - self._samples})
        self._write(now)

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        if self.sessions and trainer.steps > self._steps:  # a finished run that is only looked at again took no time
            self._write(time.perf_counter())

    def _write(self, now: float) -> None:
        self.sessions[-1]["seconds"] = round(now - self._start, 4)
        write_atomic(self.path, (json.dumps(self.sessions, indent=1) + "\n").encode())


def _sessions(path: Path) -> list[dict[str, Any]]:
    """What is there already; nothing where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []
