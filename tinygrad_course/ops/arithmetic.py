"""Arithmetic with broadcasting: sums, products, powers, and the exp, log and sqrt that powers need."""

from typing import Any

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.function import binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.ops.broadcast import Elementwise, sum_like, sum_to
from tinygrad_course.ops.cast import cast, floating, operands
from tinygrad_course.ops.comparison import eq, ge, gt, lt, where
from tinygrad_course.ops.dtypes import bool_

__all__ = [
    "abs", "add", "div", "exp", "log", "logical_and", "logical_or", "maximum", "minimum", "mul", "neg", "pow", "sign",
    "sqrt", "sub",
]


class Add(Elementwise):
    """z = x + y.  dz/dx = dz/dy = 1."""

    name = "add"
    kernel = "add"
    saves = "nothing"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.add(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs = ctx.needs
        return (sum_to(g, ctx.input_shape(0)) if needs[0] else None,
                sum_to(g, ctx.input_shape(1)) if needs[1] else None)


class Sub(Elementwise):
    """z = x - y.  dz/dx = 1, dz/dy = -1."""

    name = "sub"
    kernel = "sub"
    saves = "nothing"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.sub(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs = ctx.needs
        return (sum_to(g, ctx.input_shape(0)) if needs[0] else None,
                sum_to(neg(g), ctx.input_shape(1)) if needs[1] else None)


class Mul(Elementwise):
    """z = x y.  dz/dx = y, dz/dy = x."""

    name = "mul"
    kernel = "mul"
    saves = "operands"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        needs = ctx.needs
        if needs[0] and needs[1]:
            ctx.save(x, y)
        else:
            ctx.save(y if needs[0] else x)  # x * constant need not keep x
        return k.mul(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs = ctx.needs
        if needs[0] and needs[1]:
            x, y = ctx.first(), ctx.second()
            return sum_like(mul(g, y), x), sum_like(mul(g, x), y)
        saved = ctx.load()
        x, y = saved[0], saved[-1]
        return (sum_to(mul(g, y), ctx.input_shape(0)) if needs[0] else None,
                sum_to(mul(g, x), ctx.input_shape(1)) if needs[1] else None)


class Div(Elementwise):
    """z = x / y.  dz/dx = 1 / y, dz/dy = -x / y^2."""

    name = "div"
    kernel = "div"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(y, x if ctx.needs[1] else None)  # x / constant need not keep x
        return k.div(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, saved = ctx.needs, ctx.saved
        y = saved[0]
        gx = div(g, y)
        return (sum_to(gx, ctx.input_shape(0)) if needs[0] else None,
                sum_like(neg(mul(gx, div(saved[1], y))), y) if needs[1] else None)


class Pow(Elementwise):
    """z = x^y.  dz/dx = y x^(y-1), 0 where y = 0; dz/dy = x^y ln x, 0 where x = 0 and y >= 0."""

    name = "pow"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.pow(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        gx = gy = None
        if needs[0] and not y.track and y.array.ndim == 0 and y.array.item() != 0:  # the usual x ** 2: two products
            n = y.array.item()
            gx = mul(g, mul(x if n == 2 else pow(x, sub(y, 1.0)), y))
        elif needs[0]:
            # Where y = 0 the power is constant; any base but 0 keeps 0 * 0^-1 from becoming nan, here and in the derivatives.
            base = where(eq(y, 0.0), 1.0, x)
            gx = sum_to(mul(g, mul(y, pow(base, sub(y, 1.0)))), x.array.shape)
        if needs[1]:
            base = where(logical_and(eq(x, 0.0), ge(y, 0.0)), 1.0, x)  # 0^y ln 0 would be nan, its limit is 0 = 1^y ln 1
            gy = sum_to(mul(g, mul(pow(base, y), log(base))), y.array.shape)
        return gx, gy


class Neg(Elementwise):
    """y = -x."""

    name = "neg"
    kernel = "neg"
    saves = "nothing"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.neg(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (neg(g),)


class Maximum(Elementwise):
    """z = max(x, y).  The gradient goes to the larger; at a tie half to each, as in PyTorch."""

    name = "maximum"
    kernel = "maximum"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.maximum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return _to_the_chosen(g, x, y, gt(x, y), lt(x, y), needs)


class Minimum(Elementwise):
    """z = min(x, y).  The gradient goes to the smaller; at a tie half to each, as in PyTorch."""

    name = "minimum"
    kernel = "minimum"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.minimum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return _to_the_chosen(g, x, y, lt(x, y), gt(x, y), needs)


def _to_the_chosen(g: Any, x: Any, y: Any, first: Any, second: Any, needs: tuple[bool, ...]) -> Any:
    share = where(eq(x, y), mul(g, 0.5), g)
    return (sum_to(where(second, 0.0, share), x.array.shape) if needs[0] else None,
            sum_to(where(first, 0.0, share), y.array.shape) if needs[1] else None)


class Exp(Elementwise):
    """y = e^x.  dy/dx = y."""

    name = "exp"
    kernel = "exp"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.exp(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, y),)


class Log(Elementwise):
    """y = ln x.  dy/dx = 1 / x."""

    name = "log"
    kernel = "log"
    saves = "operands"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, x),)


class Sqrt(Elementwise):
    """y = x^(1/2).  dy/dx = 1 / (2 y)."""

    name = "sqrt"
    kernel = "sqrt"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.sqrt(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (div(g, mul(y, 2.0)),)


class Abs(Elementwise):
    """y = |x|.  dy/dx = sign x, 0 at 0."""

    name = "abs"
    kernel = "abs"
    saves = "operands"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.abs(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, sign(x)),)


class Sign(Elementwise):
    """y = -1, 0 or 1.  dy/dx = 0."""

    name = "sign"
    kernel = "sign"
    saves = "nothing"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.sign(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (mul(g, 0.0),)


_ADD, _SUB, _MUL, _NEG = Add.rule, Sub.rule, Mul.rule, Neg.rule  # looked up once: these are called most


def add(input: Any, other: Any, alpha: Any = None) -> Any:
    """input + alpha other, broadcasting."""
    return binary(_ADD, input, other if alpha is None else _times(other, alpha))


def sub(input: Any, other: Any, alpha: Any = None) -> Any:
    """input - alpha other, broadcasting."""
    return binary(_SUB, input, other if alpha is None else _times(other, alpha))


def _times(other: Any, alpha: Any) -> Any:
    return mul(other, alpha) if isinstance(other, TensorBase) else other * alpha


def mul(input: Any, other: Any) -> Any:
    """input * other, broadcasting."""
    return binary(_MUL, input, other)


def div(input: Any, other: Any, rounding_mode: Any = None) -> Any:
    """input / other, broadcasting; integers divide to floating point numbers.

    rounding_mode "trunc" or "floor" makes the quotient a whole number, and keeps integers."""
    if rounding_mode is not None:
        from tinygrad_course.ops.rounding import divide  # rounding builds on arithmetic
        return divide(input, other, rounding_mode=rounding_mode)
    x, y = operands(input, other)
    return binary(Div, floating(x), floating(y))


def pow(input: Any, exponent: Any) -> Any:
    """input ** exponent, broadcasting."""
    return binary(Pow, input, exponent)


def neg(input: Any) -> Any:
    """-input."""
    return unary(_NEG, input)


def maximum(input: Any, other: Any) -> Any:
    """The larger of both, elementwise; nan wins."""
    return binary(Maximum, input, other)


def minimum(input: Any, other: Any) -> Any:
    """The smaller of both, elementwise; nan wins."""
    return binary(Minimum, input, other)


def exp(input: Any) -> Any:
    """e ** input."""
    return unary(Exp, floating(input))


def log(input: Any) -> Any:
    """Natural logarithm."""
    return unary(Log, floating(input))


def sqrt(input: Any) -> Any:
    """Square root."""
    return unary(Sqrt, floating(input))


def abs(input: Any) -> Any:
    """Absolute value."""
    return unary(Abs, input)


def sign(input: Any) -> Any:
    """-1, 0 or 1."""
    return unary(Sign, input)


def logical_and(input: Any, other: Any) -> Any:
    """True where both are true."""
    return mul(cast(input, bool_), cast(other, bool_))


def logical_or(input: Any, other: Any) -> Any:
    """True where at least one is true."""
    return maximum(cast(input, bool_), cast(other, bool_))
