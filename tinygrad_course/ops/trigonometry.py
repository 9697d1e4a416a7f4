"""Trigonometric and hyperbolic functions, their inverses, and angles."""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError
from tinygrad_course.ops.arithmetic import add, div, mul, neg, sqrt, sub
from tinygrad_course.ops.broadcast import Elementwise, sum_like
from tinygrad_course.ops.cast import floating, is_floating, operands
from tinygrad_course.ops.comparison import eq, where

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan",
    "atan2", "atanh", "cos", "cosh", "deg2rad", "hypot", "rad2deg", "sin", "sinc", "sinh", "tan",
]


class Sin(Elementwise):
    """y = sin x.  dy/dx = cos x."""

    name = "sin"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.sin(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, cos(x)),)


class Cos(Elementwise):
    """y = cos x.  dy/dx = -sin x."""

    name = "cos"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.cos(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (neg(mul(g, sin(x))),)


class Tan(Elementwise):
    """y = tan x.  dy/dx = 1 + y^2."""

    name = "tan"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.tan(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, add(mul(y, y), 1.0)),)


class Asin(Elementwise):
    """y = asin x.  dy/dx = (1 - x^2)^(-1/2)."""

    name = "asin"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.asin(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, sqrt(_one_minus_square(x))),)


class Acos(Elementwise):
    """y = acos x.  dy/dx = -(1 - x^2)^(-1/2)."""

    name = "acos"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.acos(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (neg(div(g, sqrt(_one_minus_square(x)))),)


class Atan(Elementwise):
    """y = atan x.  dy/dx = 1 / (1 + x^2)."""

    name = "atan"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.atan(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, add(mul(x, x), 1.0)),)


class Atan2(Elementwise):
    """z = the angle of the point (x, y) from the positive x axis; y comes first.  dz/dy = x / r^2, dz/dx = -y / r^2.

    At the origin, where there is no angle, the gradient is 0 as in PyTorch."""

    name = "atan2"

    @staticmethod
    def forward(ctx: Node, k: Any, y: Any, x: Any) -> Any:
        ctx.save(y, x)
        return k.atan2(y, x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (y, x) = ctx.needs, ctx.saved
        square = add(mul(x, x), mul(y, y))
        over = div(g, where(eq(square, 0.0), 1.0, square))
        return (sum_like(mul(over, x), y) if needs[0] else None,
                sum_like(neg(mul(over, y)), x) if needs[1] else None)


class Sinh(Elementwise):
    """y = sinh x.  dy/dx = cosh x."""

    name = "sinh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.sinh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, cosh(x)),)


class Cosh(Elementwise):
    """y = cosh x.  dy/dx = sinh x."""

    name = "cosh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.cosh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, sinh(x)),)


class Asinh(Elementwise):
    """y = asinh x.  dy/dx = (x^2 + 1)^(-1/2)."""

    name = "asinh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.asinh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, sqrt(add(mul(x, x), 1.0))),)


class Acosh(Elementwise):
    """y = acosh x.  dy/dx = (x^2 - 1)^(-1/2)."""

    name = "acosh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.acosh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, sqrt(neg(_one_minus_square(x)))),)


class Atanh(Elementwise):
    """y = atanh x.  dy/dx = 1 / (1 - x^2)."""

    name = "atanh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.atanh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, _one_minus_square(x)),)


class Hypot(Elementwise):
    """z = (x^2 + y^2)^(1/2).  dz/dx = x / z, dz/dy = y / z; nan at the origin as in PyTorch."""

    name = "hypot"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        z = k.hypot(x, y)
        ctx.save(x, y, z)
        return z

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y, z) = ctx.needs, ctx.saved
        return (sum_like(mul(g, div(x, z)), x) if needs[0] else None,
                sum_like(mul(g, div(y, z)), y) if needs[1] else None)


class Sinc(Op):
    """y = the n-th derivative of sin(pi x) / (pi x), which is 1 at 0.  dy/dx = the next one.

    The derivatives are an op of their own because the usual formula, (cos(pi x) - y) / x, cancels near 0."""

    name = "sinc"

    @staticmethod
    def shape(x: Shape, order: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, order: Any) -> Any:
        ctx.save(x)
        return k.sinc(x, order)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, apply(Sinc, (x,), (ctx.args[0] + 1,))),)


def _one_minus_square(x: Any) -> Any:
    return mul(sub(1.0, x), add(x, 1.0))  # exact where x is near +-1, which 1 - x * x is not


def floats(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands of one floating point type: what functions of two numbers work on that have no integer values.

    Integers become that at once: as numbers of the other one's integer type -1 could turn into 255."""
    if not any(isinstance(value, TensorBase) and is_floating(value) for value in (x, y)):
        x, y = [floating(value) if isinstance(value, TensorBase) else value for value in (x, y)]
    x, y = operands(x, y)
    return floating(x), floating(y)


def sin(input: Any) -> Any:
    """Sine of an angle in radians."""
    return unary(Sin, floating(input))


def cos(input: Any) -> Any:
    """Cosine of an angle in radians."""
    return unary(Cos, floating(input))


def tan(input: Any) -> Any:
    """Tangent of an angle in radians."""
    return unary(Tan, floating(input))


def asin(input: Any) -> Any:
    """Inverse sine, in [-pi/2, pi/2]; nan where |input| > 1."""
    return unary(Asin, floating(input))


def acos(input: Any) -> Any:
    """Inverse cosine, in [0, pi]; nan where |input| > 1."""
    return unary(Acos, floating(input))


def atan(input: Any) -> Any:
    """Inverse tangent, in [-pi/2, pi/2]."""
    return unary(Atan, floating(input))


def atan2(input: Any, other: Any) -> Any:
    """The angle of the point with ordinate `input` and abscissa `other`, in [-pi, pi]; broadcasting."""
    return binary(Atan2, *floats(input, other))


def sinh(input: Any) -> Any:
    """Hyperbolic sine, (e^x - e^-x) / 2."""
    return unary(Sinh, floating(input))


def cosh(input: Any) -> Any:
    """Hyperbolic cosine, (e^x + e^-x) / 2."""
    return unary(Cosh, floating(input))


def asinh(input: Any) -> Any:
    """Inverse hyperbolic sine."""
    return unary(Asinh, floating(input))


def acosh(input: Any) -> Any:
    """Inverse hyperbolic cosine; nan where input < 1."""
    return unary(Acosh, floating(input))


def atanh(input: Any) -> Any:
    """Inverse hyperbolic tangent; nan where |input| > 1."""
    return unary(Atanh, floating(input))


def deg2rad(input: Any) -> Any:
    """Degrees to radians: input pi / 180."""
    return mul(floating(input), math.pi / 180.0)


def rad2deg(input: Any) -> Any:
    """Radians to degrees: input 180 / pi."""
    return mul(floating(input), 180.0 / math.pi)


def sinc(input: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0: the normalised sinc of signal processing."""
    return apply(Sinc, (floating(input),), (0,))


def hypot(input: Any, other: Any) -> Any:
    """(input^2 + other^2)^(1/2), broadcasting, without overflow on the way.  Integers raise DTypeError."""
    x, y = operands(input, other)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"hypot: works on floating point tensors, got {x.array.dtype}; convert with .float()")
    return binary(Hypot, x, y)


arcsin = asin
arccos = acos
arctan = atan
arctan2 = atan2
arcsinh = asinh
arccosh = acosh
arctanh = atanh
