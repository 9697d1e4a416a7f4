"""Search for hyper-parameters: every combination, or random ones.

J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012): where only some of the settings
matter, random trials try more values of those than a grid of the same size.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_course.ops.creation import rand, randint
from tinygrad_course.ops.dtypes import float64
from tinygrad_course.ops.random import Generator, default_generator
from tinygrad_course.train.divergence import DivergenceError


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, evenly spread: themselves, or their logarithms."""

    low: float
    high: float
    logarithmic: bool

    def at(self, share: float) -> float:
        """The number that a share of the range, from 0 to 1, lies below."""
        if self.logarithmic:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


def uniform(low: float, high: float) -> Range:
    """Numbers evenly spread from low to high."""
    if not low < high:
        raise ValueError(f"uniform: low={low}, high={high}; give low < high")
    return Range(low, high, False)


def log_uniform(low: float, high: float) -> Range:
    """Numbers of which every decade holds as many: for learning rates, weight decay, sizes."""
    if not 0 < low < high:
        raise ValueError(f"log_uniform: low={low}, high={high}; give 0 < low < high")
    return Range(low, high, True)


@dataclass(frozen=True)
class Trial:
    """Settings, and the value that they gave; inf (or -inf, the worst) if training diverged."""

    settings: dict[str, Any]
    value: float


@dataclass(frozen=True)
class Search:
    """Trials, the best first; `print` shows them as a table."""

    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The first of the best ones that was tried."""
        return self.trials[0]

    def __str__(self) -> str:
        names = list(self.trials[0].settings)
        rows = [["value", *names], *([f"{trial.value:.6g}", *(_short(trial.settings[name]) for name in names)]
                                     for trial in self.trials)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


Objective = Callable[..., float]  # called with the settings as keyword arguments


def grid_search(objective: Objective, settings: Mapping[str, Iterable[Any]], *, mode: str = "min",
                generator: Generator | None = None) -> Search:
    """Call `objective(name=value, ...)` for every combination; the last name changes fastest.

    settings   {name: list of values}
    mode       "min" if small values are good, "max" if large ones are
    generator  gives the seed of the random numbers; the default one without it

    Each trial starts with the default generator at the start of one and the same stream, so that settings are compared
    and not luck; afterwards the generator stands as if there had been one draw.  DivergenceError counts as the worst value.
    """
    values = {}
    for name, choices in settings.items():
        if isinstance(choices, Range | str) or not isinstance(choices, Iterable):
            raise ValueError(f"grid_search: {name} is {choices!r}; give a list of values. random_search takes distributions")
        values[name] = list(choices)
    if not values or not all(values.values()):
        raise ValueError(f"grid_search: there is no combination of {values}; give each name at least one value")
    combinations = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    return _try_all("grid_search", objective, combinations, mode, _seed(generator))


def random_search(objective: Objective, settings: Mapping[str, Range | Sequence[Any]], trials: int, *, mode: str = "min",
                  generator: Generator | None = None) -> Search:
    """Call `objective(name=value, ...)` for `trials` random combinations; otherwise as `grid_search`.

    settings  {name: uniform(low, high), log_uniform(low, high), or a list, each of whose entries is as likely}
    """
    if trials < 1:
        raise ValueError(f"random_search: trials={trials}; give at least 1")
    for name, choices in settings.items():
        if not isinstance(choices, Range) and (isinstance(choices, str) or not isinstance(choices, Sequence) or not choices):
            raise ValueError(f"random_search: {name} is {choices!r}; give uniform(low, high), log_uniform(low, high) or a "
                             "list of values")
    if not settings:
        raise ValueError("random_search: there are no settings to draw; give at least one")
    seed = _seed(generator)
    draws = rand(trials, len(settings), generator=Generator().manual_seed(seed), dtype=float64).tolist()
    drawn = [{name: choices.at(share) if isinstance(choices, Range) else choices[int(share * len(choices))]
              for (name, choices), share in zip(settings.items(), row, strict=True)} for row in draws]
    return _try_all("random_search", objective, drawn, mode, seed + 1)


def _seed(generator: Generator | None) -> int:
    return int(randint(0, 2**62, (1,), generator=generator).item())


def _try_all(caller: str, objective: Objective, settings: list[dict[str, Any]], mode: str, seed: int) -> Search:
    if mode not in ("min", "max"):
        raise ValueError(f"{caller}: mode is 'min' or 'max', got {mode!r}")
    worst = math.inf if mode == "min" else -math.inf
    position = default_generator.get_state()
    trials = []
    try:
        for chosen in settings:
            default_generator.manual_seed(seed)
            try:
                value = float(objective(**chosen))
            except DivergenceError:
                value = worst
            trials.append(Trial(chosen, worst if math.isnan(value) else value))
    finally:
        default_generator.set_state(position)
    return Search(sorted(trials, key=lambda trial: trial.value, reverse=mode == "max"))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
