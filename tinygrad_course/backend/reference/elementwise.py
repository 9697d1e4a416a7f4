"""Elementwise kernels in NumPy.

Binary kernels broadcast like NumPy and take operands of one dtype (the ops promote before).  The result is always a new
array, a 0-d one included: NumPy's ufuncs turn 0-d results into scalars, `_array` turns them back.
NaN and infinity follow IEEE 754 and NumPy, without warnings; where torch differs, the docstring says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = (
    "abs", "add", "cast", "div", "eq", "exp", "ge", "gt", "le", "log", "logical_not", "lt", "maximum", "minimum", "mul",
    "ne", "neg", "pow", "relu", "relu_grad", "sigmoid", "sigmoid_grad", "sign", "sqrt", "sub", "tanh", "tanh_grad",
    "where",
)

_quiet = np.errstate(all="ignore")  # inf and NaN are results here, not news


def _array(value: Any) -> Array:
    return np.asarray(value) if isinstance(value, np.generic) else value


# ---- arithmetic: x, y of one dtype and of shapes that broadcast; z of the broadcast shape and the same dtype


@_quiet
def add(x: Array, y: Array) -> Array:
    """z = x + y."""
    return _array(np.add(x, y))


@_quiet
def sub(x: Array, y: Array) -> Array:
    """z = x - y."""
    return _array(np.subtract(x, y))


@_quiet
def mul(x: Array, y: Array) -> Array:
    """z = x * y."""
    return _array(np.multiply(x, y))


@_quiet
def div(x: Array, y: Array) -> Array:
    """z = x / y; x / 0 is +-inf, 0 / 0 is NaN."""
    return _array(np.divide(x, y))


@_quiet
def pow(x: Array, y: Array) -> Array:
    """z = x ** y as in C99: pow(x, 0) = 1 even for NaN, a negative base with a fractional exponent gives NaN.

    One exponent for all of x of 0.5 is a square root, which differs from C99 at -inf (NaN) and -0 (-0).
    """
    return _array(np.power(x, y))


def maximum(x: Array, y: Array) -> Array:
    """z = max(x, y); NaN if either is NaN."""
    return _array(np.maximum(x, y))


def minimum(x: Array, y: Array) -> Array:
    """z = min(x, y); NaN if either is NaN."""
    return _array(np.minimum(x, y))


# ---- one operand: y of x's shape and dtype


@_quiet
def neg(x: Array) -> Array:
    """y = -x."""
    return _array(np.negative(x))


@_quiet
def abs(x: Array) -> Array:
    """y = |x|."""
    return _array(np.absolute(x))


@_quiet
def sign(x: Array) -> Array:
    """y = -1, 0 or 1; NaN stays NaN (torch gives 0, which would hide it)."""
    return _array(np.sign(x))


@_quiet
def sqrt(x: Array) -> Array:
    """y = x ** 0.5; NaN below zero."""
    return _array(np.sqrt(x))


@_quiet
def exp(x: Array) -> Array:
    """y = e ** x."""
    return _array(np.exp(x))


@_quiet
def log(x: Array) -> Array:
    """y = ln x; -inf at zero, NaN below."""
    return _array(np.log(x))


@_quiet
def tanh(x: Array) -> Array:
    """y = tanh x."""
    return _array(np.tanh(x))


@_quiet
def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x), computed as e^min(x, 0) / (1 + e^-|x|), which cannot overflow."""
    e = np.exp(-np.absolute(x))
    return _array(np.where(x < 0, e, np.ones_like(e)) / (1 + e))


@_quiet
def relu(x: Array) -> Array:
    """y = max(x, 0); NaN stays NaN."""
    return _array(np.maximum(x, 0))


def logical_not(x: Array) -> Array:
    """y = (x == 0), bool."""
    return _array(np.logical_not(x))


# ---- adjoints of activations, from what the forward pass keeps anyway


@_quiet
def tanh_grad(g: Array, y: Array) -> Array:
    """gx = g * (1 - y * y) with y = tanh(x)."""
    return _array(g * (1 - y * y))


@_quiet
def sigmoid_grad(g: Array, y: Array) -> Array:
    """gx = g * y * (1 - y) with y = sigmoid(x)."""
    return _array(g * y * (1 - y))


@_quiet
def relu_grad(g: Array, x: Array) -> Array:
    """gx = 0 where x <= 0, else g.  A NaN in x lets g pass, as torch's threshold_backward does."""
    return _array(np.where(x <= 0, np.zeros_like(g, shape=()), g))


# ---- comparison: bool of the broadcast shape; NaN compares unequal to everything


def eq(x: Array, y: Array) -> Array:
    """z = (x == y)."""
    return _array(np.equal(x, y))


def ne(x: Array, y: Array) -> Array:
    """z = (x != y)."""
    return _array(np.not_equal(x, y))


def lt(x: Array, y: Array) -> Array:
    """z = (x < y)."""
    return _array(np.less(x, y))


def le(x: Array, y: Array) -> Array:
    """z = (x <= y)."""
    return _array(np.less_equal(x, y))


def gt(x: Array, y: Array) -> Array:
    """z = (x > y)."""
    return _array(np.greater(x, y))


def ge(x: Array, y: Array) -> Array:
    """z = (x >= y)."""
    return _array(np.greater_equal(x, y))


# ---- selection and conversion


def where(cond: Array, x: Array, y: Array) -> Array:
    """z = x where cond (bool) holds, else y; the three shapes broadcast."""
    return _array(np.where(cond, x, y))


@_quiet
def cast(x: Array, dtype: npt.DTypeLike) -> Array:
    """A copy of x in `dtype`, also if x has that dtype already.  What does not fit wraps or truncates as in C."""
    return _array(x.astype(dtype, order="C"))
