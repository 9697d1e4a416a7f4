"""Normalisation in NumPy: batch norm, per channel, and group norm, per row of (rows, D, S).

m: mean, v: (biased) variance, r = 1 / sqrt(v + eps), xhat = (x - m) r.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("batch_norm", "batch_norm_grad", "group_norm", "group_norm_grad")

Array = NDArray[Any]


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, residual: Array | None, running_mean: Array | None,
    running_var: Array | None, training: bool, momentum: float, eps: float, relu: bool,
) -> tuple[Array, Array, Array]:
    """y = xhat weight + bias, + residual, and through the ReLU if `relu`.  x (N, C, ...) -> y, m (C,), v (C,).

    training: m and v of this batch; the running ones, if given, are moved, in place, by `momentum` towards m and the
    unbiased variance.  Otherwise m and v are the running ones, which are then needed.  A residual needs `relu`."""
    x3 = _channels(x)  # (N, C, S)
    count = x3.shape[0] * x3.shape[2]
    if not training:
        mean, var = [np.asarray(value).astype(x.dtype) for value in (running_mean, running_var)]
    elif count == 0:
        mean, var = np.zeros_like(x, shape=x3.shape[1]), np.zeros_like(x, shape=x3.shape[1])
    else:
        mean = np.asarray(np.mean(x3, axis=(0, 2)), dtype=x.dtype)
        moved = x3 - mean[:, None]
        var = np.asarray(np.mean(moved * moved, axis=(0, 2)), dtype=x.dtype)
        for running, now in ((running_mean, mean), (running_var, var * (count / max(1, count - 1)))):
            if running is not None:
                running[...] = (1.0 - momentum) * running + momentum * now
    y = _before_relu(x3, weight, bias, residual, mean, var, eps)
    if relu:
        y = np.where(y < 0, np.zeros_like(y), y)
    return y.reshape(x.shape), mean, var


def batch_norm_grad(
    g: Array, x: Array, weight: Array | None, bias: Array | None, residual: Array | None, mean: Array, var: Array,
    training: bool, eps: float, relu: bool,
) -> tuple[Array, ...]:
    """From the gradient g of y: gx, gw (C,), gb (C,), and with a residual its gradient t.

    t = g where the ReLU let its input through, gb = sum t, gw = sum t xhat.
    gx = r weight (t - mean(t) - xhat mean(t xhat)) in training, else r weight t."""
    x3, t = _channels(x), _channels(g)  # (N, C, S)
    count = max(1, x3.shape[0] * x3.shape[2])
    if relu:
        t = np.where(_before_relu(x3, weight, bias, residual, mean, var, eps) <= 0, np.zeros_like(t), t)
    r = _scale(var, eps)
    xhat = (x3 - mean[:, None]) * r[:, None]
    gb, gw = np.sum(t, axis=(0, 2), dtype=x.dtype), np.sum(t * xhat, axis=(0, 2), dtype=x.dtype)
    gx = t - gb[:, None] / count - xhat * (gw[:, None] / count) if training else t
    gx = gx * (r if weight is None else r * weight)[:, None]
    found = [np.asarray(gx, dtype=x.dtype).reshape(x.shape), gw, gb]
    return tuple(found if residual is None else [*found, np.ascontiguousarray(t).reshape(x.shape)])


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, shape: tuple[int, int, int, int], eps: float, centred: bool
) -> tuple[Array, Array, Array]:
    """y = xhat weight + bias, with m and v of each row of x, seen as (rows, D, S).  ->  y of x's shape, m and v (rows,).

    shape = rows, groups, D, S.  Row i is of group i % groups; weight and bias have a value for each group and each of its
    D channels.  Layer norm: rows, 1, D, 1.  Instance norm: N C, C, 1, S.  Not `centred` (RMS norm): m = 0, v = mean of
    the squares."""
    rows, groups, d, s = shape
    x4 = x.reshape(rows // groups, groups, d, s)
    if x.size == 0:
        return x.copy(), np.zeros_like(x, shape=rows), np.zeros_like(x, shape=rows)
    mean = np.mean(x4, axis=(2, 3), keepdims=True) if centred else np.zeros_like(x, shape=(rows // groups, groups, 1, 1))
    moved = x4 - mean
    var = np.mean(moved * moved, axis=(2, 3), keepdims=True)
    y = moved * _scale(var, eps)
    if weight is not None:
        y = y * weight.reshape(groups, d, 1)
    if bias is not None:
        y = y + bias.reshape(groups, d, 1)
    return (np.asarray(y, dtype=x.dtype).reshape(x.shape), np.asarray(mean, dtype=x.dtype).reshape(rows),
            np.asarray(var, dtype=x.dtype).reshape(rows))


def group_norm_grad(
    g: Array, x: Array, weight: Array | None, mean: Array, var: Array, shape: tuple[int, int, int, int], eps: float,
    centred: bool,
) -> tuple[Array, Array, Array]:
    """From the gradient g of y: gx, gw and gb (groups D,).

    gb = sum g, gw = sum g xhat;  gx = r (t - mean(t) - xhat mean(t xhat)) with t = g weight; no mean(t) if not centred."""
    rows, groups, d, s = shape
    x4, g4 = [value.reshape(rows // groups, groups, d, s) for value in (x, g)]
    m, r = [value.reshape(rows // groups, groups, 1, 1) for value in (mean, _scale(var, eps))]
    xhat = (x4 - m) * r
    gb, gw = [np.sum(part, axis=(0, 3), dtype=x.dtype).reshape(-1) for part in (g4, g4 * xhat)]
    if x.size == 0:
        return x.copy(), gw, gb
    t = g4 if weight is None else g4 * weight.reshape(groups, d, 1)
    gx = t - xhat * np.mean(t * xhat, axis=(2, 3), keepdims=True)
    if centred:
        gx = gx - np.mean(t, axis=(2, 3), keepdims=True)
    return np.asarray(gx * r, dtype=x.dtype).reshape(x.shape), gw, gb


def _channels(x: Array) -> Array:
    """(N, C, ...) as (N, C, S)."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _scale(var: Array, eps: float) -> Array:
    return np.asarray(1.0 / np.sqrt(var + eps), dtype=var.dtype)


def _before_relu(
    x3: Array, weight: Array | None, bias: Array | None, residual: Array | None, mean: Array, var: Array, eps: float
) -> Array:
    """(x - m) (r weight) + bias + residual, (N, C, S).  One expression for forward and backward: the same bits."""
    r = _scale(var, eps)
    y = (x3 - mean[:, None]) * (r if weight is None else r * weight)[:, None]
    if bias is not None:
        y = y + bias[:, None]
    return y if residual is None else y + residual.reshape(x3.shape)
