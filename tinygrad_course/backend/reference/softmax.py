"""Softmax and its logarithm over one axis in NumPy.  Shapes: every array has the shape of x; `axis` is one int."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("softmax", "log_softmax", "softmax_grad", "log_softmax_grad")

Array = NDArray[Any]


def softmax(x: Array, axis: int) -> Array:
    """y_i = exp(x_i - max x) / sum_j exp(x_j - max x).

    Subtracting the maximum changes nothing but the range: no overflow.  A row with NaN or +inf, or of -inf alone, has
    no softmax and becomes NaN.
    """
    if x.size == 0:  # an empty axis has no maximum
        return np.empty_like(x)
    e = np.exp(_shifted(x, axis))
    return _like(e / np.sum(e, axis=axis, keepdims=True), x)


def log_softmax(x: Array, axis: int) -> Array:
    """y_i = (x_i - max x) - log sum_j exp(x_j - max x): accurate where softmax itself underflows to 0."""
    if x.size == 0:
        return np.empty_like(x)
    z = _shifted(x, axis)
    return _like(z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True)), x)


def softmax_grad(g: Array, y: Array, axis: int) -> Array:
    """gx = y * (g - sum_j g_j y_j)  with y = softmax(x)."""
    g, wide = _widen(g), _widen(y)
    return _like(wide * (g - np.sum(g * wide, axis=axis, keepdims=True)), y)


def log_softmax_grad(g: Array, y: Array, axis: int) -> Array:
    """gx = g - exp(y) * sum_j g_j  with y = log_softmax(x)."""
    g, wide = _widen(g), _widen(y)
    return _like(g - np.exp(wide) * np.sum(g, axis=axis, keepdims=True), y)


def _widen(x: Array) -> Array:
    """float16 stores, float32 computes: a sum of a few thousand halves would be off in the second digit."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _like(value: Array, x: Array) -> Array:
    """An array of x's type and library, also where NumPy made a scalar of a 0-d result."""
    return np.asarray(value, dtype=x.dtype, like=x)


def _shifted(x: Array, axis: int) -> Array:
    x = _widen(x)
    with np.errstate(invalid="ignore"):  # inf - inf is the NaN that is wanted
        return x - np.max(x, axis=axis, keepdims=True)
