"""What every row of the course is: what it shows, on which data, and the facts that a run has to reproduce."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Fact:
    """One statement of the course, what was measured, what was expected, and whether it holds."""

    text: str
    measured: str
    expected: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'FAILS'}  {self.text}: {self.measured} (expected {self.expected})"


def equal(text: str, measured: Any, expected: Any) -> Fact:
    """The measured value is the expected one, to the digit: counts, shapes, small integer arrays as nested lists."""
    return Fact(text, str(measured), str(expected), bool(measured == expected))


def within(text: str, measured: float, low: float = -math.inf, high: float = math.inf) -> Fact:
    """low <= measured <= high; NaN is outside."""
    if math.isinf(low) and math.isinf(high):
        raise ValueError(f"within({text!r}) has no bound: give low or high")
    expected = f"{low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else \
        f"at least {low:g}" if math.isfinite(low) else f"at most {high:g}"
    return Fact(text, f"{measured:g}", expected, bool(low <= measured <= high))


@dataclass(frozen=True)
class Settings:
    """What the caller of a row decides.

    steps   training steps of each network in the row; None: as many as the facts need.  With fewer the run is a look at
            the machinery: its facts need not hold
    seed    of every random draw
    say     is called with lines of progress
    """

    steps: int | None = None
    seed: int = 0
    say: Callable[[str], None] = lambda line: None


@dataclass
class Outcome:
    """What a run of a row found: its facts, and its figures by name, drawn when they are asked for."""

    facts: list[Fact]
    figures: dict[str, Callable[[], Figure]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every fact holds."""
        return all(fact.holds for fact in self.facts)


@dataclass(frozen=True)
class Row:
    """A row of the course.

    id, title   "E1", "Convolution and cross-correlation"
    data        what it runs on, in a few words
    expected    the outcome, in one sentence
    seconds     usual time of a whole run on two cores
    parts       what the row is about, importable: "nn.Conv2d", "models.resnet18"
    """

    id: str
    title: str
    data: str
    expected: str
    seconds: float
    run: Callable[[Settings], Outcome]
    parts: Sequence[str] = ()
