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


def fingerprint(a: Any) -> int:
    """A number that a write to the array almost certainly changes."""
    if not isinstance(a, np.ndarray):
        return 0  # on a GPU, where NumPy cannot write
    return zlib.crc32(np.ascontiguousarray(a).view(np.uint8).data if a.size else b"")
