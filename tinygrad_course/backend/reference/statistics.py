"""Reductions that are not compiled, and running sums and products, in NumPy.  `axis` is as in reduce.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.backend.reference.reduce import Array, _array, mean, sum

KERNELS: tuple[str, ...] = (
    "cumprod", "cumsum", "logcumsumexp", "logsumexp", "prod", "recurrence", "var", "vector_norm",
)


def prod(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Product over `axis`, in the type in which `sum` adds."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return _array(np.prod(x, axis=axis, keepdims=keepdims, dtype=_wide(x))).astype(_result(x), copy=False)


def var(x: Array, axis: tuple[int, ...], correction: float, keepdims: bool) -> Array:
    """Sum of (x - mean)^2 over `axis` divided by n - correction (by 0 where that is negative), floating point x."""
    wide = x.astype(_wide(x), copy=False)
    n = 1
    for a in axis:
        n *= x.shape[a]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        d = wide - mean(wide, axis, True)
        degrees = np.asarray(n - correction if n > correction else 0, wide.dtype)
        return _array(np.divide(sum(d * d, axis, keepdims), degrees)).astype(x.dtype, copy=False)


def logsumexp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """log sum exp(x) over `axis`, floating point x; -inf over no elements."""
    wide = x.astype(_wide(x), copy=False)
    top = np.max(wide, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(wide.dtype)  # inf - inf would be NaN
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        y = np.log(np.sum(np.exp(wide - top), axis=axis, keepdims=True)) + top
    return _array(y if keepdims else np.squeeze(y, axis)).astype(x.dtype, copy=False)


def vector_norm(x: Array, axis: tuple[int, ...], p: float, keepdims: bool) -> Array:
    """(sum |x|^p)^(1/p) over `axis`, floating point x.

    p = 0 counts what is not 0; p = inf and -inf are the largest and smallest |x|."""
    wide = np.abs(x.astype(_wide(x), copy=False))
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        if p == np.inf:
            y = np.max(wide, axis=axis, keepdims=keepdims)
        elif p == -np.inf:
            y = np.min(wide, axis=axis, keepdims=keepdims)
        elif p == 0:
            y = np.sum(wide != 0, axis=axis, keepdims=keepdims)
        elif p == 1:
            y = np.sum(wide, axis=axis, keepdims=keepdims)
        elif p == 2:
            y = np.sqrt(np.sum(wide * wide, axis=axis, keepdims=keepdims))
        else:
            y = np.sum(wide**p, axis=axis, keepdims=keepdims) ** (1 / p)
        return _array(y).astype(x.dtype, copy=False)


def cumsum(x: Array, axis: int, reverse: bool) -> Array:
    """Sums of the elements up to and including each along `axis` (`reverse`: from each on), in the types of `sum`."""
    with np.errstate(invalid="ignore", over="ignore"):
        y = np.cumsum(_turned(x, axis, reverse), axis=axis, dtype=_running(x)).astype(_result(x), copy=False)
    return np.ascontiguousarray(_turned(y, axis, reverse)) if reverse else y


def cumprod(x: Array, axis: int) -> Array:
    """Products of the elements up to and including each along `axis`, in the types of `sum`."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return np.cumprod(x, axis=axis, dtype=_running(x)).astype(_result(x), copy=False)


def recurrence(g: Array, c: Array, axis: int, reverse: bool) -> Array:
    """r_i = g_i + c_(i-1) r_(i-1) along `axis`, or r_i = g_i + c_i r_(i+1) from its end; c is one shorter than g."""
    n = g.shape[axis]
    r = np.empty_like(g, dtype=_running(g), order="C")
    rows, summands, factors = (np.moveaxis(array, axis, 0) for array in (r, g, c))
    order = range(n - 1, -1, -1) if reverse else range(n)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        for step, i in enumerate(order):
            rows[i] = summands[i] if step == 0 else (
                summands[i] + factors[i] * rows[i + 1] if reverse else summands[i] + factors[i - 1] * rows[i - 1])
        return r.astype(g.dtype, copy=False)


def logcumsumexp(x: Array, axis: int) -> Array:
    """log of the sums of exp(x) up to and including each element along `axis`, floating point x."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return np.logaddexp.accumulate(x.astype(_running(x), copy=False), axis=axis).astype(x.dtype, copy=False)


def _wide(x: Array) -> Any:
    """The type to compute in: bools and integers in int64, float16 in float32."""
    return np.int64 if x.dtype.kind in "biu" else np.float32 if x.dtype == np.float16 else x.dtype


def _running(x: Array) -> Any:
    """The type of a running total: one number after the other, so that errors grow along the axis."""
    return np.int64 if x.dtype.kind in "biu" else np.float64


def _result(x: Array) -> Any:
    """The type of a sum or product: int64 for bools and integers."""
    return np.int64 if x.dtype.kind in "biu" else x.dtype


def _turned(x: Array, axis: int, reverse: bool) -> Array:
    return np.flip(x, axis) if reverse else x
