"""Normalisation in NumPy: to mean 0 and variance 1, or to mean square 1, over some axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("standardise", "standardise_grad")

Array = NDArray[Any]
Axes = tuple[int, ...]


def standardise(
    x: Array, weight: Array | None, bias: Array | None, axes: Axes, eps: float, centred: bool
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and (biased) variance over `axes`.

    centred False leaves the mean where it is: mean is 0 and var the mean square.  weight and bias broadcast to x.
    ->  y of x's shape, mean and var with size 1 along `axes`
    """
    if x.size == 0:
        return x.copy(), np.zeros_like(x, shape=_kept(x, axes)), np.zeros_like(x, shape=_kept(x, axes))
    mean = np.mean(x, axis=axes, keepdims=True) if centred else np.zeros_like(x, shape=_kept(x, axes))
    moved = x - mean
    var = np.mean(moved * moved, axis=axes, keepdims=True)
    y = moved / np.sqrt(var + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return np.asarray(y, dtype=x.dtype), np.asarray(mean, dtype=x.dtype), np.asarray(var, dtype=x.dtype)


def standardise_grad(g: Array, y: Array, r: Array, axes: Axes, centred: bool) -> Array:
    """r (g - mean(g) - y mean(g y)), means over `axes`; without mean(g) if not centred.

    y is the standardised x (no weight, no bias), r = 1 / sqrt(var + eps) broadcasts to it.
    """
    if g.size == 0:
        return g.copy()
    z = g - y * np.mean(g * y, axis=axes, keepdims=True)
    if centred:
        z = z - np.mean(g, axis=axes, keepdims=True)
    return np.asarray(z * r, dtype=g.dtype)


def _kept(x: Array, axes: Axes) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
