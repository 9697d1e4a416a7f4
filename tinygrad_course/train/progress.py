"""Progress of a training run: a table with one line per epoch, and in a terminal a bar for the running epoch."""

import sys
import time
from typing import Any, TextIO


class Progress:
    """What a Trainer tells while it works.  This one is silent; subclasses print."""

    def begin_epoch(self, epoch: int, epochs: int, samples: int, done: int) -> None:
        """Epoch number `epoch` (from 1) of at most `epochs` starts; `done` of its `samples` are behind it already."""

    def step(self, samples: int, loss: float, accuracy: float) -> None:
        """`samples` more are done; `loss` and `accuracy` (0 to 1) are means over the epoch so far."""

    def end_epoch(self, row: dict[str, float], best: bool) -> None:
        """The epoch is over; `row` is its line of the history, `best` whether its weights are the best so far."""

    def close(self) -> None:
        """The run ends or pauses."""


class TextProgress(Progress):
    """One plain line per epoch, below a heading; at most 70 columns, no control characters."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file if file is not None else sys.stdout
        self._headed = False
        self._epochs = self._seen = 0
        self._start = 0.0

    def begin_epoch(self, epoch: int, epochs: int, samples: int, done: int) -> None:
        if not self._headed:
            self._print("epoch   train loss  accuracy     val loss  accuracy    samples/s")
            self._headed = True
        self._epochs, self._seen, self._start = epochs, 0, time.perf_counter()

    def step(self, samples: int, loss: float, accuracy: float) -> None:
        self._seen += samples

    def end_epoch(self, row: dict[str, float], best: bool) -> None:
        rate = self._seen / max(time.perf_counter() - self._start, 1e-9)
        place = f"{row['epoch']:.0f}/{self._epochs}"
        self._print(f"{place:<7} {row['train_loss']:>10.4f}  {100 * row['train_accuracy']:>6.1f} %   "
                    f"{row['val_loss']:>10.4f}  {100 * row['val_accuracy']:>6.1f} %  {rate:>11,.0f}"
                    f"{'  best' if best else ''}")

    def _print(self, line: str) -> None:
        print(line, file=self.file, flush=True)


class BarProgress(TextProgress):
    """The same lines, and while an epoch runs a bar with loss, accuracy and samples per second.  Needs tqdm."""

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__(file)
        self._bar: Any = None
        self._place = ""

    def begin_epoch(self, epoch: int, epochs: int, samples: int, done: int) -> None:
        from tqdm import tqdm
        super().begin_epoch(epoch, epochs, samples, done)
        self._place = f"{epoch}/{epochs}"
        # Loss and accuracy stand in the columns of the table, the bar where the validation will.
        self._bar = tqdm(desc=f"{self._place:<31}", total=samples, initial=done, unit=" samples", unit_scale=True,
                         leave=False, ncols=79, file=self.file, bar_format="{desc}{bar:20}  {rate_noinv_fmt}")

    def step(self, samples: int, loss: float, accuracy: float) -> None:
        super().step(samples, loss, accuracy)
        self._bar.set_description_str(f"{self._place:<7} {loss:>10.4f}  {100 * accuracy:>6.1f} %   ", refresh=False)
        self._bar.update(samples)

    def end_epoch(self, row: dict[str, float], best: bool) -> None:
        self.close()
        super().end_epoch(row, best)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
