"""Random numbers: counter-based generators, and arrays drawn from them.

A Generator is a seed and a position in the stream of that seed (Philox4x32-10: Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3").  A draw depends on both alone, so it is the same for any number of threads.
"""

import math
import os
import threading
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.backend.reference.random import words
from tinygrad_course.errors import DTypeError

__all__ = [
    "Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
]

_DEFAULT_SEED = 67280421310721  # PyTorch's: an unseeded program is reproducible too


class Generator:
    """A stream of random numbers: `Generator().manual_seed(0)`."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._seed = _DEFAULT_SEED
        self._offset = 0
        self._lock = threading.Lock()

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream of `seed` from its beginning."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise TypeError(f"manual_seed: the seed must be an integer, got {seed!r}")
        self._seed, self._offset = seed.__index__() % 2**64, 0
        return self

    def seed(self) -> int:
        """Seed from the operating system's entropy; returns the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> Any:
        """Seed and position as a tensor of 24 bytes, for set_state."""
        state = bytearray(self._seed.to_bytes(8, "little") + self._offset.to_bytes(16, "little"))
        return new_tensor(np.frombuffer(state, np.uint8))

    def set_state(self, state: Any) -> "Generator":
        """Continue where get_state() was called."""
        raw = state.array
        if raw.dtype != np.uint8 or raw.shape != (24,):
            raise DTypeError(f"set_state: expected the 24 bytes of get_state(), got {raw.dtype} of shape {raw.shape}")
        data = raw.tobytes()
        self._seed, self._offset = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
        return self

    def place(self) -> tuple[int, int]:
        """Seed and position as plain numbers, for go_to: what a training loop notes before every step."""
        return self._seed, self._offset

    def go_to(self, place: tuple[int, int]) -> None:
        """Continue where place() was called."""
        self._seed, self._offset = place

    def take(self, kind: str, n: int, dtype: Any = np.float32) -> tuple[int, int]:
        """(seed, offset) for `n` values of kernel `kind`; moves the position behind them."""
        with self._lock:
            offset = self._offset
            self._offset += words(kind, n, dtype)
        return self._seed, offset

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, position={self._offset})"


class _DefaultGenerator(Generator):
    """The program's generator.  A thread may have a stream of its own in its place (a DataLoader's worker threads do), so
    that its draws neither hang on the other threads nor disturb them."""

    def __init__(self) -> None:
        self._own = threading.local()
        super().__init__()

    def use_in_this_thread(self, generator: Generator | None) -> Generator | None:
        """From now on this thread draws from `generator` (None: from the program's).  Returns what it has drawn from."""
        previous: Generator | None = getattr(self._own, "generator", None)
        self._own.generator = generator
        return previous

    def _stream(self) -> Generator:
        own: Generator | None = getattr(self._own, "generator", None)
        return self if own is None else own

    def manual_seed(self, seed: int) -> Generator:
        Generator.manual_seed(self._stream(), seed)
        return self

    def initial_seed(self) -> int:
        return Generator.initial_seed(self._stream())

    def get_state(self) -> Any:
        return Generator.get_state(self._stream())

    def set_state(self, state: Any) -> Generator:
        Generator.set_state(self._stream(), state)
        return self

    def place(self) -> tuple[int, int]:
        return Generator.place(self._stream())

    def go_to(self, place: tuple[int, int]) -> None:
        Generator.go_to(self._stream(), place)

    def take(self, kind: str, n: int, dtype: Any = np.float32) -> tuple[int, int]:
        return Generator.take(self._stream(), kind, n, dtype)


default_generator = _DefaultGenerator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def seed() -> int:
    """Seed the default generator from the operating system's entropy; returns the seed."""
    return default_generator.seed()


def get_rng_state() -> Any:
    """The default generator's state, for set_rng_state."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Let the default generator continue where get_rng_state() was called."""
    default_generator.set_state(new_state)


def draw(kind: str, shape: Shape, dtype: Any, generator: Generator | None) -> Any:
    """An array of random values from kernel `kind` ('uniform' or 'normal')."""
    generator = default_generator if generator is None else generator
    drawn = np.dtype(np.float32) if dtype == np.float16 else dtype  # float16 is for storage
    seed, offset = generator.take(kind, math.prod(shape), drawn)
    array = getattr(backend.get("cpu"), kind)(seed, offset, tuple(shape), drawn)
    if kind == "uniform" and dtype == np.float16:
        array = np.floor(array * 2**11) / 2**11  # rounding could give 1
    return np.asarray(array).astype(dtype, copy=False)


def draw_integers(low: int, high: int, shape: Shape, generator: Generator | None) -> Any:
    """An int64 array of values in [low, high)."""
    generator = default_generator if generator is None else generator
    seed, offset = generator.take("randint", math.prod(shape))
    return np.asarray(backend.get("cpu").randint(seed, offset, low, high, tuple(shape)))
