"""Norms of many arrays, and their scaling and clamping in place, in NumPy: what clipping of gradients needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("clamp_all", "norms", "scale_all")

Array = NDArray[Any]


def norms(arrays: Sequence[Array], order: float) -> NDArray[np.float64]:
    """The norm of order 1, 2 or inf of each array over all its elements: sum |x|, sqrt(sum x^2), max |x|, in float64.

    A NaN makes the norm NaN; no elements have the norm 0.
    """
    if order not in (1, 2, np.inf):
        raise ValueError(f"norms: the order must be 1, 2 or inf, got {order}")
    found = np.zeros(len(arrays))
    for i, x in enumerate(arrays):
        if x.size:
            found[i] = np.linalg.norm(x.reshape(-1).astype(np.float64), order)
    return found


def scale_all(arrays: Sequence[Array], factor: float) -> None:
    """x <- factor x for each array, in place; float16 in float32."""
    for x in arrays:
        x[...] = x * np.result_type(x, np.float32).type(factor)


def clamp_all(arrays: Sequence[Array], low: float, high: float) -> None:
    """x <- min(max(x, low), high) for each array, in place; NaN stays."""
    for x in arrays:
        np.clip(x, x.dtype.type(low), x.dtype.type(high), out=x)
