"""Matrix products in NumPy: the readable bodies of kernels/gemm.pyx."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("linear", "matmul")


def matmul(x: Array, y: Array) -> Array:
    """z[..., i, j] = sum over k of x[..., i, k] * y[..., k, j];  leading axes broadcast.

    x (..., n, k), y (..., k, m)  ->  (..., n, m).  An empty sum (k = 0) is zero.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # inf and nan pass through without a warning
        return np.matmul(x, y)


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """z = x w^T + b.  x (n, k), w (m, k), b (m,) or None  ->  (n, m)."""
    z = matmul(x, w.T)
    if b is not None:
        z += b  # z is ours: no second array
    return z
