"""Activation functions in NumPy: those that are no short chain of other kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("elu", "softplus")

Array = NDArray[Any]


def elu(x: Array, alpha: float, scale: float, rate: float) -> Array:
    """scale x where x > 0, else scale alpha (exp(rate x) - 1)."""
    negative = np.expm1(np.where(x > 0, 0, x) * rate) * (scale * alpha)
    return np.where(x > 0, x * scale, negative).astype(x.dtype, copy=False)


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta x)) / beta without overflow; x where beta x > threshold."""
    scaled = x * beta
    smooth = (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta
    return np.where(scaled > threshold, x, smooth).astype(x.dtype, copy=False)
