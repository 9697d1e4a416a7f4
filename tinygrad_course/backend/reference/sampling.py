"""Distributions, made of the uniform and normal values of the counter-based generator.

Inversion: if u is uniform in (0, 1), F^-1(u) has the distribution function F.  `u` is float64 in [0, 1); a 0, which comes
once in 2^53 draws, is taken for 2^-54.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("sample_exponential", "sample_geometric", "sample_cauchy", "sample_poisson", "sample_weighted")

Array = NDArray[Any]
_LEAST = 2.0**-54
_LOG_FACTORIAL = np.log(np.cumprod(np.concatenate([[1.0], np.arange(1.0, 10.0)])))  # ln k! for k < 10
_SMALL_MEAN = 10.0  # below it poisson searches, above it rejects


def sample_exponential(u: Array, rate: float) -> Array:
    """P(y > t) = e^(-rate t), so y = -ln(1 - u) / rate: above 0."""
    return np.asarray(-np.log1p(-np.maximum(u, _LEAST)) / rate)


def sample_geometric(u: Array, p: float) -> Array:
    """The number of trials until the first success: P(y > k) = (1 - p)^k, so y = ceil(ln(1 - u) / ln(1 - p)) >= 1."""
    return np.asarray(np.maximum(np.ceil(np.log1p(-np.maximum(u, _LEAST)) / np.log1p(-p)), 1.0))


def sample_cauchy(u: Array, median: float, sigma: float) -> Array:
    """F(y) = 1/2 + arctan((y - median) / sigma) / pi."""
    return np.asarray(median + sigma * np.tan(np.pi * (np.maximum(u, _LEAST) - 0.5)))


def sample_poisson(mean: Array, uniforms: Callable[[int], Array]) -> Array:
    """P(y = k) = e^-m m^k / k!, a mean m per element.  `uniforms(n)` gives n further float64 values in [0, 1)."""
    y = np.zeros(mean.shape)
    small = mean < _SMALL_MEAN
    y[small] = _poisson_by_search(mean[small], uniforms(int(small.sum())))
    y[~small] = _poisson_by_rejection(mean[~small], uniforms)
    return y


def sample_weighted(weights: Array, u: Array, replacement: bool) -> Array:
    """Category numbers, P(k) ~ weights[..., k].  weights (n, K), u (n, m) with replacement, else (n, K)  ->  int64.

    With replacement by the distribution function; u (n, m)  ->  (n, m).
    Without: let category k ring after an exponential time of rate w_k.  The first to ring is k with probability
    w_k / sum, and by lack of memory the next one is drawn from the others likewise (Efraimidis and Spirakis 2006).
    Returns all K categories in the order of ringing, those of weight 0 last."""
    if not replacement:
        with np.errstate(divide="ignore"):
            times = np.where(weights > 0, sample_exponential(u, 1.0) / weights, np.inf)
        return np.argsort(times, axis=1, kind="stable")
    edges = np.cumsum(weights, axis=1)
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)  # where rounding would point behind the last one
    u = u * edges[:, -1:]
    found = np.empty(u.shape, np.int64)
    if u.shape[1] <= len(edges):  # few draws of each: all rows at once
        for draw in range(u.shape[1]):
            found[:, draw] = np.sum(edges <= u[:, draw, None], axis=1)
    else:
        for row in range(len(edges)):
            found[row] = np.searchsorted(edges[row], u[row], side="right")
    return np.minimum(found, last[:, None])


def _poisson_by_search(mean: Array, u: Array) -> Array:
    """The smallest k with F(k) > u, for small means."""
    k = np.zeros(mean.shape)
    p = np.exp(-mean)
    total = p.copy()
    while (going := (u >= total) & (p > 1e-20)).any():
        k[going] += 1
        p[going] *= mean[going] / k[going]
        total[going] += p[going]
    return k


def _poisson_by_rejection(mean: Array, uniforms: Callable[[int], Array]) -> Array:
    """Transformed rejection with squeeze: algorithm PTRS of Hoermann 1993, "The transformed rejection method for
    generating Poisson random variables", for means of 10 and more."""
    y = np.full(mean.shape, -1.0)
    b = 0.931 + 2.53 * np.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_squeeze = 0.9277 - 3.6224 / (b - 2)
    left = np.arange(mean.size)
    while left.size:
        u, v = uniforms(2 * left.size).reshape(2, -1)
        u = u - 0.5
        v = np.maximum(v, _LEAST)
        us = np.maximum(0.5 - np.abs(u), _LEAST)
        m, al, bl = mean[left], a[left], b[left]
        k = np.floor((2 * al / us + bl) * u + m + 0.43)
        at_once = (us >= 0.07) & (v <= v_squeeze[left])
        possible = (k >= 0) & ((us >= 0.013) | (v <= us))
        height = np.log(v * inverse_alpha[left] / (al / (us * us) + bl))
        under = height <= k * np.log(m) - m - _log_factorial(np.maximum(k, 0))
        taken = at_once | (possible & under)
        y[left[taken]] = k[taken]
        left = left[~taken]
    return y


def _log_factorial(k: Array) -> Array:
    """ln k!, by Stirling's series from 10 on (error below 1e-13)."""
    n = np.maximum(k, 10.0) + 1
    stirling = (n - 0.5) * np.log(n) - n + 0.5 * np.log(2 * np.pi) + 1 / (12 * n) - 1 / (360 * n**3) + 1 / (1260 * n**5)
    return np.where(k < 10, _LOG_FACTORIAL[np.minimum(k, 9).astype(int)], stirling)
