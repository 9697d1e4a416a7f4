"""Stopping a training run from outside without losing it."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignals:
    """Inside the `with` block the first SIGINT (Ctrl-C) or SIGTERM only asks to stop; a second one acts as ever.

        with StopSignals() as stop:
            for batch in loader:
                ...
                if stop():
                    break

    Signals that the program was started to ignore stay ignored.  Outside the main thread, where Python allows no signal
    handlers, `stop()` is always False.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self._received

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
