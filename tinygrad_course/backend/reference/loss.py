"""Losses in NumPy.  N samples, C classes.  Losses come back per sample; the reduction is left to the caller."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_course.backend.reference.softmax import log_softmax

KERNELS = ("cross_entropy", "cross_entropy_grad", "bce", "bce_grad", "bce_with_logits", "huber")

Array = NDArray[Any]


def cross_entropy(
    x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float, reduction: str = "none"
) -> tuple[Array, Array]:
    """Softmax and negative log-likelihood in one:  logp = log_softmax(x)  and, with smoothing e,

        loss_n = (1 - e) * w_t * -logp_nt  +  e / C * sum_c w_c * -logp_nc          t = target_n

    x (N, C), target (N,) of ints, weight (C,) or None for ones  ->  loss (N,), logp (N, C).  A sample whose target is
    `ignore_index` has loss 0.  reduction "sum" adds all up; "mean" divides that by the sum of w_t over the samples that
    count: the loss is then ().
    Raises IndexError for any other target outside 0..C-1.
    Smoothing: Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.
    """
    counts, classes = _classes(target, x.shape[1], ignore_index)
    logp = log_softmax(x, 1)
    if x.size == 0:
        return _reduced(np.zeros_like(x, shape=target.shape), counts, classes, weight, reduction), logp
    picked = np.take_along_axis(logp, classes[:, None], axis=1)[:, 0]
    loss = -picked if weight is None else -picked * weight[classes]
    if label_smoothing:
        spread = logp if weight is None else logp * weight
        loss = (1 - label_smoothing) * loss - label_smoothing / x.shape[1] * np.sum(spread, axis=1)
    loss = np.where(counts, loss, 0).astype(x.dtype, copy=False)
    return _reduced(loss, counts, classes, weight, reduction), logp


def cross_entropy_grad(
    g: Array,
    logp: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str = "none",
) -> Array:
    """Gradient of `cross_entropy` with respect to x, with p = exp(logp) and e the smoothing:

        gx_nc = g_n * ((1 - e) * w_t * (p_nc - [c = t])  +  e / C * (p_nc * sum_k w_k - w_c))

    g (N,), logp (N, C)  ->  gx (N, C); rows of ignored samples are 0.  For a reduced loss g is (), and a mean's is divided
    by the sum of w_t over the samples that count.
    """
    c = logp.shape[1]
    if logp.size == 0:
        return np.zeros_like(logp)
    counts, classes = _classes(target, c, ignore_index)
    p = np.exp(logp)
    w = np.ones_like(logp, shape=(c,)) if weight is None else weight
    hit = np.arange(c) == classes[:, None]  # (N, C), one True per row
    gx = (1 - label_smoothing) * w[classes][:, None] * (p - hit)
    if label_smoothing:
        gx = gx + label_smoothing / c * (p * np.sum(w) - w)
    if reduction == "mean":
        with np.errstate(divide="ignore", invalid="ignore"):  # no sample counts: all rows are 0
            g = g / _total(counts, classes, weight)
    return np.where(counts[:, None], g[..., None] * gx, 0).astype(logp.dtype, copy=False)


def _total(counts: Array, classes: Array, weight: Array | None) -> Any:
    """Sum of the weights of the samples that count."""
    return np.sum(counts) if weight is None else np.sum(np.where(counts, weight[classes], 0))


def _reduced(loss: Array, counts: Array, classes: Array, weight: Array | None, reduction: str) -> Array:
    if reduction == "none":
        return loss
    with np.errstate(invalid="ignore"):
        total = np.sum(loss, dtype=np.float64)
        if reduction == "mean":
            total = total / _total(counts, classes, weight)
    return np.asarray(total, dtype=loss.dtype, like=loss)


def bce(x: Array, target: Array) -> Array:
    """Binary cross-entropy of probabilities, per element:  -t * log(x) - (1 - t) * log(1 - x), with log at least -100."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    return np.asarray((target - 1) * no - target * yes, dtype=x.dtype, like=x)


def bce_grad(g: Array, x: Array, target: Array) -> Array:
    """Gradient of `bce` with respect to x, per element:  g * (x - t) / max(x * (1 - x), 1e-12)."""
    return np.asarray(g * (x - target) / np.maximum(x * (1 - x), 1e-12), dtype=x.dtype, like=x)


def bce_with_logits(x: Array, target: Array) -> Array:
    """Binary cross-entropy of sigmoid(x), per element:  max(x, 0) - x * t + log(1 + exp(-|x|)).

    The form does not overflow for any x.  x and target have one shape; target is in [0, 1].
    """
    loss = np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x)))
    return np.asarray(loss, dtype=x.dtype, like=x)


def huber(x: Array, target: Array, delta: float) -> Array:
    """Square near 0, straight beyond:  c * (d - c / 2)  with d = x - target and c = d limited to +-delta, per element.

    x and target have one shape."""
    with np.errstate(invalid="ignore", over="ignore"):
        d = x - target
        c = np.minimum(np.maximum(d, -delta), delta)
        return np.asarray(c * (d - 0.5 * c), dtype=x.dtype, like=x)


def _classes(target: Array, n_classes: int, ignore_index: int) -> tuple[Array, Array]:
    """(mask of the samples that count, targets with 0 in place of ignored ones); raises IndexError."""
    counts = target != ignore_index
    wrong = counts & ((target < 0) | (target >= n_classes))
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise IndexError(
            f"cross_entropy: target[{sample}] is {int(target[sample])}, but there are {n_classes} classes: targets "
            f"must be 0 to {n_classes - 1}, or ignore_index={ignore_index}. Check the labels or the size of the last "
            "layer."
        )
    return counts, np.where(counts, target, 0)
