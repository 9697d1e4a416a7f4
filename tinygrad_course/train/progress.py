"""Progress of a training run: a table with one line per epoch, and in a terminal a bar for the running epoch."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from tinygrad_course.errors import DependencyError
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer

_TITLES = {"train": "train", "train_eval": "eval", "val": "val"}


class TextProgress(Callback):
    """One plain line per epoch, below a heading, no control characters: losses, metrics, samples per second.

    A metric called accuracy is shown in percent.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file if file is not None else sys.stdout
        self._headed = False
        self._samples = 0
        self._start = 0.0

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        if not self._headed:
            parts = ["".join([f"{_TITLES[split] + ' loss':>10}", *(f"  {name:>{_width(name)}}" for name in trainer.metrics)])
                     for split in trainer.splits]
            self._print(f"{'epoch':<7} {'   '.join(parts)}    samples/s")
            self._headed = True
        self._samples, self._start = trainer.samples, time.perf_counter()

    def on_epoch_end(self, trainer: "Trainer") -> None:
        row = trainer.row()
        parts = [_cells(trainer, {name: row[f"{split}_{name}"] for name in ("loss", *trainer.metrics)})
                 for split in trainer.splits]
        rate = (trainer.epoch_samples - self._samples) / max(time.perf_counter() - self._start, 1e-9)
        self._print(f"{_place(trainer, trainer.epoch)} {'   '.join(parts)}  {rate:>11,.0f}"
                    f"{'  best' if trainer.improved else ''}")

    def _print(self, line: str) -> None:
        print(line, file=self.file, flush=True)


class BarProgress(TextProgress):
    """The same lines, and while an epoch runs a bar with loss, metrics and samples per second.  Needs tqdm."""

    def __init__(self, file: TextIO | None = None, seconds: float = 0.2) -> None:
        super().__init__(file)
        self.seconds = seconds  # between two looks at the metrics
        self._bar: Any = None
        self._shown = 0.0

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise DependencyError("BarProgress needs the package tqdm: pip install tqdm. TextProgress needs none") from error
        super().on_epoch_begin(trainer)
        width = len(_cells(trainer, dict.fromkeys(("loss", *trainer.metrics), 0.0)))
        # Loss and metrics stand in the columns of the table, the bar where the validation will.
        self._bar = tqdm(desc=f"{_place(trainer, trainer.epoch + 1)} {'':{width + 3}}", total=_size(trainer.train_loader),
                         initial=trainer.samples, unit=" samples", unit_scale=True, leave=False, ncols=79, file=self.file,
                         bar_format="{desc}{bar:20}  {rate_noinv_fmt}")

    def on_step_end(self, trainer: "Trainer") -> None:
        now = time.perf_counter()
        if now - self._shown < self.seconds:
            return
        self._shown = now
        # Some measures cannot be had of the first batches: an area under the curve needs samples of both classes.
        with suppress(ValueError):
            cells = _cells(trainer, trainer.running())
            self._bar.set_description_str(f"{_place(trainer, trainer.epoch + 1)} {cells}   ", refresh=False)
        self._bar.update(trainer.samples - self._bar.n)

    def on_epoch_end(self, trainer: "Trainer") -> None:
        self._close()
        super().on_epoch_end(trainer)

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _width(name: str) -> int:
    return max(8, len(name))


def _cells(trainer: "Trainer", values: Mapping[str, float]) -> str:
    """Loss and metrics of one split in their columns."""
    cells = [f"{values['loss']:>10.4f}"]
    for name in trainer.metrics:
        text = f"{100 * values[name]:.1f} %" if name == "accuracy" else f"{values[name]:.4g}"
        cells.append(f"  {text:>{_width(name)}}")
    return "".join(cells)


def _place(trainer: "Trainer", epoch: int) -> str:
    place = f"{epoch}/{trainer.epochs}"
    return f"{place:<7}"


def _size(loader: Any) -> int | None:
    """Number of samples of an epoch, None for a stream without a length."""
    try:
        return len(loader.dataset)
    except TypeError:
        return None
