"""Random numbers: counter-based generators, and the ops that draw from them.

A Generator is a seed and a position in the stream of that seed (Philox4x32-10: Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3").  A draw depends on both alone, so it is the same for any number of threads.
"""

import math
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.backend.reference.random import words
from tinygrad_course.errors import DTypeError
from tinygrad_course.ops.dtypes import as_dtype, get_default_dtype, int64, require_tensors
from tinygrad_course.ops.elementwise import mul

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
        state = self._seed.to_bytes(8, "little") + self._offset.to_bytes(16, "little")
        return new_tensor(np.frombuffer(state, np.uint8).copy())

    def set_state(self, state: Any) -> "Generator":
        """Continue where get_state() was called."""
        raw = state.array
        if raw.dtype != np.uint8 or raw.shape != (24,):
            raise DTypeError(f"set_state: expected the 24 bytes of get_state(), got {raw.dtype} of shape {raw.shape}")
        data = raw.tobytes()
        self._seed, self._offset = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
        return self

    def take(self, kind: str, n: int, dtype: Any = np.float32) -> tuple[int, int]:
        """(seed, offset) for `n` values of kernel `kind`; moves the position behind them."""
        with self._lock:
            offset = self._offset
            self._offset += words(kind, n, dtype)
        return self._seed, offset

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, position={self._offset})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def draw(kind: str, shape: Shape, dtype: Any, generator: Generator | None) -> Any:
    """An array of random values from kernel `kind` ('uniform' or 'normal')."""
    generator = default_generator if generator is None else generator
    drawn = np.dtype(np.float32) if dtype == np.float16 else dtype  # float16 is for storage
    seed, offset = generator.take(kind, math.prod(shape), drawn)
    array = getattr(backend.get("cpu"), kind)(seed, offset, tuple(shape), drawn)
    return array.astype(dtype, copy=False)


def rand(shape: Sequence[int], dtype: Any = None, generator: Generator | None = None) -> Any:
    """Uniform in [0, 1)."""
    return new_tensor(draw("uniform", tuple(shape), _floating("rand", dtype), generator))


def randn(shape: Sequence[int], dtype: Any = None, generator: Generator | None = None) -> Any:
    """Normal with mean 0 and variance 1."""
    return new_tensor(draw("normal", tuple(shape), _floating("randn", dtype), generator))


def randint(low: int, high: int, shape: Sequence[int], dtype: Any = None, generator: Generator | None = None) -> Any:
    """Uniform integers in [low, high)."""
    if low >= high:
        raise ValueError(f"randint: there is no integer in [{low}, {high})")
    generator = default_generator if generator is None else generator
    seed, offset = generator.take("randint", math.prod(shape))
    array = backend.get("cpu").randint(seed, offset, low, high, tuple(shape))
    return new_tensor(array if dtype is None else array.astype(as_dtype(dtype)))


def randperm(n: int, generator: Generator | None = None, dtype: Any = None) -> Any:
    """A random order of 0..n-1."""
    if n < 0:
        raise ValueError(f"randperm: n must not be negative, got {n}")
    keys = draw("uniform", (n,), np.dtype("float64"), generator)
    return new_tensor(np.argsort(keys, kind="stable").astype(int64 if dtype is None else as_dtype(dtype)))


def bernoulli(p: Any, generator: Generator | None = None) -> Any:
    """1 with probability p, else 0, elementwise."""
    if p.array.dtype.kind != "f":
        raise DTypeError(f"bernoulli: the probabilities must be floating point, got {p.array.dtype}")
    if p.array.size and not bool(((p.array >= 0) & (p.array <= 1)).all()):
        raise ValueError("bernoulli: every probability must be between 0 and 1")
    drawn = draw("uniform", p.array.shape, p.array.dtype, generator)
    return new_tensor((drawn < p.array).astype(p.array.dtype))


class Dropout(Op):
    """y = x m / (1 - p) with m = 1 with probability 1 - p, else 0 (inverted dropout: nothing to scale at test time).

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15."""

    name = "dropout"

    @staticmethod
    def shape(x: Shape, p: float, seed: int, offset: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, p: float, seed: int, offset: int) -> Any:
        drawn = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
        mask = k.dropout_mask(seed, offset, x.shape, p, drawn).astype(x.dtype, copy=False)
        mask = backend.to_device(mask, backend.device_of(x))
        ctx.constants = mask
        return k.mul(x, mask)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (mul(g, new_tensor(ctx.constants)),)


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Any:
    """Set each value to 0 with probability p and scale the others by 1 / (1 - p); the identity outside training."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: the probability p must be between 0 and 1, got {p}")
    require_tensors("dropout", x)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"dropout: the input must be floating point, got {x.array.dtype}; use x.float()")
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return mul(x, 0.0)
    generator = default_generator if generator is None else generator
    return apply(Dropout, (x,), (float(p), *generator.take("dropout_mask", x.array.size)))


def _floating(op: str, dtype: Any) -> Any:
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if wanted.kind != "f":
        raise DTypeError(f"{op}: random numbers are floating point, got dtype {wanted}; use randint for integers")
    return wanted
