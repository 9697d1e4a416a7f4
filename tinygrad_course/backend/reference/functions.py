"""Functions of one or two variables in NumPy: trigonometry, rounding, logarithms, limits, bits.

Most are a ufunc by themselves; `_ufunc` makes a kernel of it, which is quiet and returns an array also for 0-d inputs.
Operands have one dtype and shapes that broadcast, as in elementwise.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.backend.reference.elementwise import Array, _array, _quiet, sigmoid

KERNELS: tuple[str, ...] = (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil", "clamp", "copysign", "cos", "cosh", "exp2", "expm1",
    "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "gcd", "glu", "glu_grad", "heaviside", "hypot", "isclose",
    "isfinite", "isin", "isinf", "isnan", "lcm", "lerp", "log10", "log1p", "log2", "logaddexp", "logaddexp2",
    "logical_xor", "logit", "nan_to_num", "nextafter", "remainder", "round", "signbit", "sin", "sinc", "sinh", "tan",
    "trunc", "trunc_divide", "xlogy",
)


def _ufunc(function: Callable[..., Any], doc: str) -> Callable[..., Array]:
    """A ufunc as a kernel."""

    @_quiet
    def kernel(x: Array, *others: Array) -> Array:
        return _array(function(x, *others))

    kernel.__doc__ = doc
    return kernel


# ---- trigonometry

sin = _ufunc(np.sin, "y = sin x.")
cos = _ufunc(np.cos, "y = cos x.")
tan = _ufunc(np.tan, "y = tan x.")
asin = _ufunc(np.arcsin, "y = asin x, in [-pi/2, pi/2]; NaN where |x| > 1.")
acos = _ufunc(np.arccos, "y = acos x, in [0, pi]; NaN where |x| > 1.")
atan = _ufunc(np.arctan, "y = atan x, in [-pi/2, pi/2].")
atan2 = _ufunc(np.arctan2, "z = the angle of the point (y, x) in [-pi, pi]: y comes first.")
sinh = _ufunc(np.sinh, "y = sinh x.")
cosh = _ufunc(np.cosh, "y = cosh x.")
asinh = _ufunc(np.arcsinh, "y = asinh x.")
acosh = _ufunc(np.arccosh, "y = acosh x >= 0; NaN where x < 1.")
atanh = _ufunc(np.arctanh, "y = atanh x; NaN where |x| > 1.")
hypot = _ufunc(np.hypot, "z = (x^2 + y^2)^(1/2), without overflow on the way.")


@_quiet
def sinc(x: Array, order: int) -> Array:
    """The derivative of that order of f(x) = sin(pi x) / (pi x), f(0) = 1; order 0 is f.

    From x f = sin(pi x) / pi:  x f^(n) = pi^(n-1) sin(pi x + n pi/2) - n f^(n-1), where |x| >= 1.  Below it cancels, but
    there the power series sum_k (-1)^k pi^2k x^(2k-n) / ((2k+1) (2k-n)!) converges fast."""
    wide = x.astype(np.promote_types(x.dtype, np.float64))
    near = np.abs(wide) < 1
    inside, outside = np.where(near, wide, 0.0), np.where(near, 1.0, wide)
    recurrence = np.zeros_like(outside)
    turn = np.remainder(outside, 2.0)  # exact, so that sin(pi x) is 0 at integers to the last bit of pi
    for n in range(order + 1):
        recurrence = (math.pi ** (n - 1) * np.sin(math.pi * (turn + n / 2)) - n * recurrence) / outside
    series = np.zeros_like(inside)
    for k in reversed(range((order + 1) // 2, order // 2 + 20)):
        factor = (-1) ** k * math.pi ** (2 * k) / ((2 * k + 1) * math.factorial(2 * k - order))
        series = series + factor * inside ** (2 * k - order)
    return _array(np.where(near, series, recurrence).astype(x.dtype))


# ---- exponentials and logarithms

exp2 = _ufunc(np.exp2, "y = 2 ** x.")
expm1 = _ufunc(np.expm1, "y = e ** x - 1, accurate near 0.")
log1p = _ufunc(np.log1p, "y = ln(1 + x), accurate near 0.")
log2 = _ufunc(np.log2, "y = logarithm to the base 2.")
log10 = _ufunc(np.log10, "y = logarithm to the base 10.")
logaddexp = _ufunc(np.logaddexp, "z = ln(e^x + e^y), without overflow.")
logaddexp2 = _ufunc(np.logaddexp2, "z = log2(2^x + 2^y), without overflow.")


@_quiet
def logit(x: Array) -> Array:
    """y = ln(x / (1 - x)); NaN outside [0, 1]."""
    return _array(np.log(x / (1 - x)))


@_quiet
def xlogy(x: Array, y: Array) -> Array:
    """z = x ln y; 0 where x = 0, unless y is NaN."""
    return _array(np.where((x == 0) & ~np.isnan(y), np.zeros_like(x, shape=()), x * np.log(y)))


# ---- parts of numbers

signbit = _ufunc(np.signbit, "y = whether the sign is minus; bool.  -0.0 has one.")
copysign = _ufunc(np.copysign, "z = |x| with the sign of y.")
nextafter = _ufunc(np.nextafter, "z = the next floating point number after x in the direction of y.")
gcd = _ufunc(np.gcd, "z = the greatest common divisor of two integers; gcd(0, 0) = 0.")
lcm = _ufunc(np.lcm, "z = the least common multiple of two integers; 0 if one is 0.")


def heaviside(x: Array, y: Array) -> Array:
    """z = 0 where x < 0 (or NaN, as in torch), y where x = 0, 1 where x > 0."""
    return _array(np.where(x == 0, y, (x > 0).astype(x.dtype)))


@_quiet
def frexp(x: Array) -> tuple[Array, Array]:
    """(mantissa, exponent) with x = mantissa 2^exponent, |mantissa| in [1/2, 1); the exponent is int32."""
    mantissa, exponent = np.frexp(x)
    return _array(mantissa), _array(exponent)


# ---- rounding and division with remainder

floor = _ufunc(np.floor, "y = the largest integer <= x.")
ceil = _ufunc(np.ceil, "y = the smallest integer >= x.")
trunc = _ufunc(np.trunc, "y = the integer part of x.")


@_quiet
def round(x: Array, decimals: int) -> Array:
    """y = x rounded to that many decimals, halves to the even neighbour."""
    if decimals == 0:
        return _array(np.rint(x))
    scale = 10.0 ** abs(decimals)
    return _array(np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale)


def _require_divisor(x: Array, y: Array) -> None:
    if y.dtype.kind in "iu" and not y.all() and x.size:
        raise ZeroDivisionError("integer division by zero; convert to floating point numbers if inf or nan is wanted")


@_quiet
def floor_divide(x: Array, y: Array) -> Array:
    """z = floor(x / y); x / 0 = +-inf or NaN for floating point numbers."""
    _require_divisor(x, y)
    return _array(np.floor_divide(x, y))


@_quiet
def trunc_divide(x: Array, y: Array) -> Array:
    """z = x / y rounded towards 0."""
    _require_divisor(x, y)
    if x.dtype.kind == "f":
        return _array(np.trunc(np.divide(x, y)))
    quotient, rest = np.divmod(x, y)
    return _array(quotient + ((rest != 0) & ((x < 0) != (y < 0))).astype(x.dtype))  # what floor took too much


@_quiet
def fmod(x: Array, y: Array) -> Array:
    """z = x - y trunc(x / y), with the sign of x."""
    _require_divisor(x, y)
    return _array(np.fmod(x, y))


@_quiet
def remainder(x: Array, y: Array) -> Array:
    """z = x - y floor(x / y), with the sign of y."""
    _require_divisor(x, y)
    return _array(np.remainder(x, y))


# ---- choice

fmax = _ufunc(np.fmax, "z = the larger of both; NaN loses.")
fmin = _ufunc(np.fmin, "z = the smaller of both; NaN loses.")


def clamp(x: Array, low: Array, high: Array) -> Array:
    """y = min(max(x, low), high); NaN wins, and `high` where the bounds cross."""
    return _array(np.minimum(np.maximum(x, low), high))


def nan_to_num(x: Array, nan: float, posinf: float | None, neginf: float | None) -> Array:
    """x with numbers in place of NaN, inf and -inf; None stands for the largest and the smallest finite number."""
    return _array(np.nan_to_num(x, copy=True, nan=nan, posinf=posinf, neginf=neginf))


@_quiet
def lerp(x: Array, end: Array, weight: Array) -> Array:
    """x + weight (end - x), from whichever side is nearer, so that weight 1 gives `end` exactly."""
    difference = end - x
    return _array(np.where(np.abs(weight) < 0.5, x + weight * difference, end - difference * (1 - weight)))


# ---- questions; the answers are bool

isnan = _ufunc(np.isnan, "y = whether x is NaN.")
isinf = _ufunc(np.isinf, "y = whether x is inf or -inf.")
isfinite = _ufunc(np.isfinite, "y = whether x is neither inf nor NaN.")
logical_xor = _ufunc(np.logical_xor, "z = whether exactly one of x and y is not 0.")


@_quiet
def isclose(x: Array, y: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    """z = |x - y| <= atol + rtol |y|; infinities are close only if equal."""
    return _array(np.isclose(x, y, rtol, atol, equal_nan))


def isin(x: Array, values: Array, assume_unique: bool, invert: bool) -> Array:
    """y = whether x is one of the values (or, inverted, none)."""
    return _array(np.isin(x, values, assume_unique=assume_unique, invert=invert)).reshape(x.shape)


# ---- bits of integers and bools

bitwise_and = _ufunc(np.bitwise_and, "z = x & y.")
bitwise_or = _ufunc(np.bitwise_or, "z = x | y.")
bitwise_xor = _ufunc(np.bitwise_xor, "z = x ^ y.")
bitwise_not = _ufunc(np.invert, "y = ~x; for bools: not x.")
bitwise_left_shift = _ufunc(np.left_shift, "z = x << y; 0 where y is as large as the type.")
bitwise_right_shift = _ufunc(np.right_shift, "z = x >> y, which keeps the sign.")


# ---- a gate


@_quiet
def glu(x: Array, axis: int) -> Array:
    """a sigmoid(b), with a and b the halves of x along `axis`."""
    a, b = np.split(x, 2, axis)
    return _array(a * sigmoid(b))


@_quiet
def glu_grad(g: Array, x: Array, axis: int) -> Array:
    """The gradient of glu: (g s, g a s (1 - s)) along `axis`, s = sigmoid(b)."""
    a, b = np.split(x, 2, axis)
    s = sigmoid(b)
    return np.concatenate((g * s, g * s * (1 - s) * a), axis)
