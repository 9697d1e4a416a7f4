"""Questions about two arrays that every small op asks, in plain Python.

The compiled module of the same name, from kernels/arrays.pyx, comes before this file where it was built.
"""

import zlib
from typing import Any

import numpy as np


def alike(a: Any, b: Any) -> bool:
    """Whether both are NumPy arrays (not CuPy's) of one dtype."""
    return type(a) is np.ndarray and type(b) is np.ndarray and a.dtype.num == b.dtype.num


def same_shape(a: Any, b: Any) -> bool:
    """Whether both arrays have one shape."""
    same: bool = a.shape == b.shape
    return same


def has_shape(a: Any, shape: tuple[int, ...]) -> bool:
    """Whether the array has this shape."""
    same: bool = a.shape == shape
    return same


def is_float(a: Any) -> bool:
    """Whether the array holds floating point numbers."""
    kind: str = a.dtype.kind
    return kind == "f"


def count_classes(target: Any, classes: int, ignored: int) -> int:
    """How many class numbers are there, those that equal `ignored` left out; -1 if one is not in [0, classes)."""
    counted = target != ignored
    if (counted & ((target < 0) | (target >= classes))).any():
        return -1
    return int(counted.sum())


def all_between(a: Any, low: float, high: float) -> bool:
    """Whether low <= x <= high for every number; NaN is not."""
    return bool(((a >= low) & (a <= high)).all())


def fingerprint(a: Any) -> int:
    """A number that a write to the array almost certainly changes."""
    if not isinstance(a, np.ndarray):
        return 0  # on a GPU, where NumPy cannot write
    return zlib.crc32(np.ascontiguousarray(a).view(np.uint8).data if a.size else b"")
