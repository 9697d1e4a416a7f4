"""The shortest way from an op to its loop, in plain Python: there is none, the usual way is taken.

The compiled module of the same name, from kernels/direct.pyx, comes before this file where it was built.
"""

from typing import Any

import numpy as np


def enable(flag: bool) -> None:
    """Whether the loops may be reached this way."""


def loop_number(kernel: str) -> int:
    """The number of a kernel's loop, -1 if it has none."""
    return -1


def unary(loop: int, a: Any) -> Any:
    """The loop on an array, or None if it has to take the usual way."""
    return None


def binary(loop: int, a: Any, b: Any) -> Any:
    """The loop on two arrays, or None if they have to take the usual way."""
    return None


def gate(kernel: Any, otherwise: Any) -> Any:
    """What calls `kernel` for float arrays and `otherwise` for all else: there are no compiled kernels, so `otherwise`."""
    return otherwise


def number(value: float, like: Any) -> Any:
    """`value` as a 0-d array of the type of `like`, or None if that is not float32 or float64."""
    return None


def add_into(total: Any, g: Any) -> bool:
    """total += g, if both are arrays of one shape and type; says whether it did."""
    if type(total) is not np.ndarray or type(g) is not np.ndarray or total.shape != g.shape or total.dtype != g.dtype:
        return False
    total += g
    return True


def shape_of(a: Any) -> tuple[int, ...]:
    """a.shape."""
    shape: tuple[int, ...] = a.shape
    return shape
