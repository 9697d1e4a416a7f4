"""Timing several contestants against each other in one process.

- They take turns, round by round, in alternating order: a slow second of the machine hits all of them alike.
- A turn starts with one untimed call, so that caches, thread teams and memory pools are in the state of a running loop.
- A turn of a fast contestant repeats its call until some milliseconds have passed.
- Cyclic garbage is collected before, and the collector is off while the clock runs.
- The ratio is that of the medians; its quartiles are those of the ratios round by round.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Turn = Callable[[int], float]  # makes n calls and returns the seconds that they took
TURN_SECONDS = 0.02  # the least length of a turn
FEWEST_ROUNDS = 5


@dataclass
class Plan:
    """How long to measure: at most `repeats` rounds within about `seconds`, but no fewer than FEWEST_ROUNDS."""

    repeats: int = 15
    seconds: float = 8.0
    turn_seconds: float = TURN_SECONDS


@dataclass
class Timing:
    """Seconds per call, one value per round."""

    samples: list[float]

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def best(self) -> float:
        """The fastest sample."""
        return min(self.samples)


@dataclass
class Ratio:
    """How many times faster than another contestant; low and high are the quartiles of the rounds."""

    value: float
    low: float
    high: float


def ratio(of: Timing, to: Timing) -> Ratio:
    """Time of `to` over time of `of`: above 1 if `of` is faster."""
    rounds = sorted(b / a for a, b in zip(of.samples, to.samples, strict=True))
    low, _, high = statistics.quantiles(rounds, n=4) if len(rounds) > 1 else (rounds[0],) * 3
    return Ratio(to.median / of.median, low, high)


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """No cyclic garbage collection within the block; what is there before is collected, and then left out of sight."""
    gc.collect()
    gc.freeze()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        gc.unfreeze()


def repeat(call: Callable[[], Any]) -> Turn:
    """A turn that calls `call` n times."""
    def turn(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            call()
        return time.perf_counter() - start

    return turn


def repeat_second(first: Callable[[], Any], second: Callable[[Any], Any]) -> Turn:
    """A turn that calls `second(first())` n times, the clock running during `second` only: a backward pass, say."""
    def turn(n: int) -> float:
        seconds = 0.0
        for _ in range(n):
            value = first()
            start = time.perf_counter()
            second(value)
            seconds += time.perf_counter() - start
        return seconds

    return turn


def interleave(contestants: Mapping[str, Turn], plan: Plan, between: Callable[[], None] = lambda: None) -> dict[str, Timing]:
    """Time the contestants in turns.  `between` is called after every round."""
    with quiet_collector():
        calls = {name: _calls_per_turn(turn, plan.turn_seconds) for name, turn in contestants.items()}
        started = time.perf_counter()
        samples: dict[str, list[float]] = {name: [] for name in contestants}
        order = list(contestants)
        for number in range(plan.repeats):
            if number >= FEWEST_ROUNDS and time.perf_counter() - started > plan.seconds:
                break
            for name in order if number % 2 == 0 else reversed(order):
                turn = contestants[name]
                turn(1)
                samples[name].append(turn(calls[name]) / calls[name])
            between()
    return {name: Timing(values) for name, values in samples.items()}


def _calls_per_turn(turn: Turn, turn_seconds: float) -> int:
    """Warm up, and say how many calls fill a turn."""
    turn(1)
    fastest = min(turn(1) for _ in range(3))
    return max(1, min(100_000, round(turn_seconds / max(fastest, 1e-9))))
