"""Activation functions and their gradients in NumPy.

A gradient kernel takes g and x and gives g f'(x); where f has a corner, the slope there is the one that PyTorch takes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_course.backend.reference.elementwise import sigmoid
from tinygrad_course.backend.reference.special import erfc

KERNELS = (
    "elu", "elu_grad", "gelu", "gelu_grad", "gelu_tanh", "gelu_tanh_grad", "hardsigmoid", "hardsigmoid_grad", "hardswish",
    "hardswish_grad", "mish", "mish_grad", "piecewise_linear", "piecewise_linear_grad", "silu", "silu_grad", "softplus",
    "softplus_grad", "softsign", "softsign_grad",
)

Array = NDArray[Any]
KAPPA = math.sqrt(2 / math.pi)


def _activation(formula: Callable[..., Any]) -> Callable[..., Array]:
    """A formula as a kernel: quiet, computed in float32 for half precision, of the type of x.  `g` is checked."""

    @functools.wraps(formula)
    def kernel(x: Array, *others: Any) -> Array:
        if formula.__name__.endswith("_grad") and x.shape != others[0].shape:
            raise ValueError(f"{formula.__name__}: g {x.shape} must have the shape of x, {others[0].shape}")
        wide = np.promote_types(x.dtype, np.float32)
        arrays = [value.astype(wide, copy=False) if hasattr(value, "dtype") else value for value in (x, *others)]
        with np.errstate(all="ignore"):
            return np.asarray(formula(*arrays), dtype=x.dtype, like=x)

    return kernel


# ---- smooth ones


def _phi(x: Array) -> Array:
    """The normal distribution function."""
    return erfc(np.asarray(x * -math.sqrt(0.5), like=x)) / 2


@_activation
def gelu(x: Array) -> Any:
    """x Phi(x)."""
    return x * _phi(x)


@_activation
def gelu_grad(g: Array, x: Array) -> Any:
    """g (Phi(x) + x phi(x))."""
    return g * (_phi(x) + x * np.exp(x * x / -2) / math.sqrt(2 * math.pi))


@_activation
def gelu_tanh(x: Array) -> Any:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    return x * sigmoid(2 * KAPPA * (x + 0.044715 * x**3))


@_activation
def gelu_tanh_grad(g: Array, x: Array) -> Any:
    """g times the slope of gelu_tanh."""
    s = sigmoid(2 * KAPPA * (x + 0.044715 * x**3))
    return g * (s + x * s * (1 - s) * 2 * KAPPA * (1 + 3 * 0.044715 * x**2))


@_activation
def silu(x: Array) -> Any:
    """x sigmoid(x)."""
    return x * sigmoid(x)


@_activation
def silu_grad(g: Array, x: Array) -> Any:
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@_activation
def softplus(x: Array, beta: float, threshold: float) -> Any:
    """log(1 + exp(beta x)) / beta without overflow; x where beta x > threshold."""
    scaled = x * beta
    smooth = (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta
    return np.where(scaled > threshold, x, smooth)


@_activation
def softplus_grad(g: Array, x: Array, beta: float, threshold: float) -> Any:
    """g sigmoid(beta x), or g where beta x > threshold."""
    scaled = x * beta
    return np.where(scaled > threshold, g, g * sigmoid(scaled))


@_activation
def elu(x: Array, alpha: float, scale: float, rate: float) -> Any:
    """scale x where x > 0, else scale alpha (exp(rate x) - 1)."""
    negative = np.expm1(np.where(x > 0, 0, x) * rate) * (scale * alpha)
    return np.where(x > 0, x * scale, negative)


@_activation
def elu_grad(g: Array, x: Array, alpha: float, scale: float, rate: float) -> Any:
    """g scale where x > 0, else g scale alpha rate exp(rate x)."""
    slope = np.exp(np.where(x > 0, 0, x) * rate) * (scale * alpha * rate)
    return g * np.where(x > 0, scale, slope)


@_activation
def mish(x: Array) -> Any:
    """x tanh(log(1 + exp x))."""
    return x * np.tanh(np.logaddexp(x, 0))


@_activation
def mish_grad(g: Array, x: Array) -> Any:
    """g times the slope of mish: t + x (1 - t^2) sigmoid(x) with t = tanh(log(1 + exp x))."""
    t, near = np.tanh(np.logaddexp(x, 0)), np.minimum(x, 40)  # at infinity the second term is 0, not inf times 0
    return g * (t + near * (1 - t * t) * sigmoid(x))


@_activation
def softsign(x: Array) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))


@_activation
def softsign_grad(g: Array, x: Array) -> Any:
    """g / (1 + |x|)^2."""
    return g / (1 + np.abs(x)) ** 2


# ---- with corners


@_activation
def hardswish(x: Array) -> Any:
    """0 up to -3, x from 3 on, x (x + 3) / 6 between."""
    return np.where(x <= -3, 0, np.where(x >= 3, x, x * (x + 3) / 6))


@_activation
def hardswish_grad(g: Array, x: Array) -> Any:
    """0 up to -3, g from 3 on, g (x / 3 + 1 / 2) between."""
    return g * np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5))


@_activation
def hardsigmoid(x: Array) -> Any:
    """0 up to -3, 1 from 3 on, (x + 3) / 6 between."""
    return np.where(x <= -3, 0, np.where(x >= 3, 1, (x + 3) / 6))


@_activation
def hardsigmoid_grad(g: Array, x: Array) -> Any:
    """g / 6 where -3 < x < 3, else 0."""
    return g * np.where((x <= -3) | (x >= 3), 0, 1 / 6)


Lines = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@_activation
def piecewise_linear(x: Array, low: float, high: float, lines: Lines) -> Any:
    """Three lines, each (slope, offset): the first where x <= low, the last where x >= high, the second between."""
    below, between, above = [(0 if slope == 0 and end else x * slope) + offset  # flat also at infinity; NaN is in between
                             for (slope, offset), end in zip(lines, (True, False, True), strict=True)]
    return np.where(x <= low, below, np.where(x >= high, above, between))


@_activation
def piecewise_linear_grad(g: Array, x: Array, low: float, high: float, lines: Lines) -> Any:
    """g times the slope of the line that holds at x."""
    (below, _), (between, _), (above, _) = lines
    return g * np.where(x <= low, below, np.where(x >= high, above, between))
