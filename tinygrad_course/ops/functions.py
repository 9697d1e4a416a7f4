"""Powers, roots, exponentials and logarithms beyond those of arithmetic."""

import math
from collections import namedtuple
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError
from tinygrad_course.ops.activation import sigmoid
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, add, div, log, logical_and, mul, neg, pow, sign, sqrt, sub
from tinygrad_course.ops.broadcast import Elementwise, sum_like
from tinygrad_course.ops.cast import cast, clone, floating, operands
from tinygrad_course.ops.choice import clamp
from tinygrad_course.ops.comparison import Comparison, eq, ge, gt, le, ne, where
from tinygrad_course.ops.dtypes import bool_, float64, int64, require_tensors, zeros_like
from tinygrad_course.ops.predicates import require_integers
from tinygrad_course.ops.trigonometry import floats

__all__ = [
    "absolute", "addcdiv", "addcmul", "exp2", "expm1", "float_power", "frexp", "gcd", "heaviside", "lcm", "ldexp", "log1p",
    "log2", "log10", "logaddexp", "logaddexp2", "logit", "multiply", "negative", "nextafter", "positive", "reciprocal",
    "rsqrt", "rsub", "sgn", "signbit", "square", "subtract", "xlogy",
]

LN2, LN10 = math.log(2.0), math.log(10.0)

frexp_result = namedtuple("frexp_result", ["mantissa", "exponent"])


class Exp2(Elementwise):
    """y = 2^x.  dy/dx = y ln 2."""

    name = "exp2"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.exp2(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(mul(g, y), LN2),)


class Expm1(Elementwise):
    """y = e^x - 1.  dy/dx = y + 1."""

    name = "expm1"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.expm1(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, add(y, 1.0)),)


class Log1p(Elementwise):
    """y = ln(1 + x).  dy/dx = 1 / (1 + x)."""

    name = "log1p"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log1p(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, add(x, 1.0)),)


class Log2(Elementwise):
    """y = the logarithm to the base 2.  dy/dx = 1 / (x ln 2)."""

    name = "log2"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log2(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, mul(x, LN2)),)


class Log10(Elementwise):
    """y = the logarithm to the base 10.  dy/dx = 1 / (x ln 10)."""

    name = "log10"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log10(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, mul(x, LN10)),)


class Logaddexp(Elementwise):
    """z = ln(e^x + e^y).  dz/dx = 1 / (1 + e^(y-x)), dz/dy = 1 / (1 + e^(x-y)): a soft choice of the larger."""

    name = "logaddexp"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.logaddexp(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_like(mul(g, sigmoid(sub(x, y))), x) if needs[0] else None,
                sum_like(mul(g, sigmoid(sub(y, x))), y) if needs[1] else None)


class Logaddexp2(Elementwise):
    """z = log2(2^x + 2^y).  dz/dx = 1 / (1 + 2^(y-x)), dz/dy = 1 / (1 + 2^(x-y))."""

    name = "logaddexp2"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.logaddexp2(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_like(mul(g, sigmoid(mul(sub(x, y), LN2))), x) if needs[0] else None,
                sum_like(mul(g, sigmoid(mul(sub(y, x), LN2))), y) if needs[1] else None)


class Xlogy(Elementwise):
    """z = x ln y, 0 where x = 0 unless y is nan.  dz/dx = ln y, 0 where x = 0 and y <= 0; dz/dy = x / y."""

    name = "xlogy"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.xlogy(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        gx = gy = None
        if needs[0]:
            argument = where(logical_and(eq(x, 0.0), le(y, 0.0)), 1.0, y)
            gx = sum_like(mul(g, log(argument)), x)
        if needs[1]:
            gy = sum_like(mul(g, div(x, y)), y)
        return gx, gy


class Logit(Elementwise):
    """y = ln(x / (1 - x)).  dy/dx = 1 / (x (1 - x)) in [0, 1], nan outside."""

    name = "logit"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.logit(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        inside = logical_and(ge(x, 0.0), le(x, 1.0))
        return (div(g, where(inside, mul(x, sub(1.0, x)), math.nan)),)


class Frexp(Op):
    """(m, e) with x = m 2^e and |m| in [1/2, 1).  dm/dx = 2^-e; e is an integer and has no derivative."""

    name = "frexp"

    @staticmethod
    def shape(x: Shape) -> tuple[Shape, Shape]:
        return x, x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        mantissa, exponent = k.frexp(x)
        ctx.constants = exponent
        return mantissa, exponent

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any = None) -> Any:
        return (div(g, exp2(cast(new_tensor(ctx.constants), g.array.dtype))),)


class Nextafter(Elementwise):
    """z = the floating point number next to x in the direction of y.  dz/dx = 1 where they differ; dz/dy = 0."""

    name = "nextafter"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.nextafter(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_like(where(ne(x, y), g, 0.0), x) if needs[0] else None,
                zeros_like(g, y.array.shape) if needs[1] else None)


class Signbit(Comparison):
    """y = whether the sign is minus."""

    name = "signbit"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.signbit(x)


class Heaviside(Comparison):
    """z = 0 where x < 0, y where x = 0, 1 where x > 0.  Without a derivative, as in PyTorch."""

    name = "heaviside"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.heaviside(x, y)


class Gcd(Comparison):
    """z = the greatest common divisor."""

    name = "gcd"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.gcd(x, y)


class Lcm(Comparison):
    """z = the least common multiple."""

    name = "lcm"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.lcm(x, y)


def require_floating(op: str, *tensors: TensorBase) -> None:
    """Raise DTypeError for integers and bools, for which PyTorch does not have the function either."""
    for tensor in tensors:
        if tensor.array.dtype.kind != "f":
            raise DTypeError(f"{op}: works on floating point tensors, got {tensor.array.dtype}; convert with .float()")


def exp2(input: Any) -> Any:
    """2 ** input."""
    return unary(Exp2, floating(input))


def expm1(input: Any) -> Any:
    """e ** input - 1, accurate also where the input is near 0."""
    return unary(Expm1, floating(input))


def log1p(input: Any) -> Any:
    """ln(1 + input), accurate also where the input is near 0."""
    return unary(Log1p, floating(input))


def log2(input: Any) -> Any:
    """Logarithm to the base 2."""
    return unary(Log2, floating(input))


def log10(input: Any) -> Any:
    """Logarithm to the base 10."""
    return unary(Log10, floating(input))


def logaddexp(input: Any, other: Any) -> Any:
    """ln(e^input + e^other) without overflow, broadcasting: the sum of two probabilities given by their logarithms."""
    x, y = operands(input, other)
    require_floating("logaddexp", x)
    return binary(Logaddexp, x, y)


def logaddexp2(input: Any, other: Any) -> Any:
    """log2(2^input + 2^other) without overflow, broadcasting."""
    x, y = operands(input, other)
    require_floating("logaddexp2", x)
    return binary(Logaddexp2, x, y)


def xlogy(input: Any, other: Any) -> Any:
    """input ln(other), which is 0 where the input is 0 unless `other` is nan; broadcasting."""
    return binary(Xlogy, *floats(input, other))


def logit(input: Any, eps: float | None = None) -> Any:
    """ln(p / (1 - p)), the inverse of sigmoid; nan outside [0, 1].  With `eps` the input is first limited to
    [eps, 1 - eps]."""
    x = floating(input)
    if eps is None:
        return unary(Logit, x)
    eps = number("logit", eps, "eps")
    return unary(Logit, clamp(x, eps, 1.0 - eps))


def rsqrt(input: Any) -> Any:
    """1 / input^(1/2)."""
    return div(1.0, sqrt(input))


def reciprocal(input: Any) -> Any:
    """1 / input."""
    return div(1.0, input)


def square(input: Any) -> Any:
    """input ** 2."""
    require_tensors("square", input)
    x = cast(input, int64) if input.array.dtype == bool_ else input
    return mul(x, x)


def float_power(input: Any, exponent: Any) -> Any:
    """input ** exponent, broadcasting, computed in float64 whatever the operands are."""
    return pow(*[cast(value, float64) if isinstance(value, TensorBase) else value for value in (input, exponent)])


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value tensor1 tensor2, broadcasting."""
    require_tensors("addcmul", input, tensor1, tensor2)
    return add(input, mul(tensor1, tensor2), alpha=None if value == 1 else value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value tensor1 / tensor2, broadcasting.  Integers divided by integers raise DTypeError."""
    require_tensors("addcdiv", input, tensor1, tensor2)
    if tensor1.array.dtype.kind != "f" and tensor2.array.dtype.kind != "f":
        raise DTypeError(f"addcdiv: dividing {tensor1.array.dtype} by {tensor2.array.dtype} could be meant with or without "
                         "rounding; convert one with .float(), or add divide(..., rounding_mode='trunc')")
    return add(input, div(tensor1, tensor2), alpha=None if value == 1 else value)


def rsub(input: Any, other: Any, alpha: float = 1) -> Any:
    """other - alpha input, broadcasting."""
    return sub(other, input, alpha=None if alpha == 1 else alpha)


def ldexp(input: Any, other: Any) -> Any:
    """input 2^other, broadcasting."""
    x, exponent = floats(input, other)
    return mul(x, exp2(exponent))


def frexp(input: Any) -> Any:
    """The parts of floating point numbers: (mantissa, exponent) with input = mantissa 2^exponent, |mantissa| in [1/2, 1).

    The exponent is int32; both are 0 for 0.  Integers raise DTypeError."""
    require_tensors("frexp", input)
    require_floating("frexp", input)
    return frexp_result(*apply(Frexp, (input,)))


def nextafter(input: Any, other: Any) -> Any:
    """The floating point number next to the input in the direction of `other`; broadcasting."""
    x, y = operands(input, other)
    require_floating("nextafter", x)
    return binary(Nextafter, x, y)


def heaviside(input: Any, values: Any) -> Any:
    """The step: 0 below zero, 1 above, `values` at zero; broadcasting.  Both of one type."""
    require_tensors("heaviside", input, values)
    if input.array.dtype != values.array.dtype:
        raise DTypeError(f"heaviside: input and values must have one type, got {input.array.dtype} and {values.array.dtype}")
    if input.array.dtype.kind != "f":  # exact, where floating point numbers would round large integers
        return where(eq(input, 0), values, cast(gt(input, 0), input.array.dtype))
    return binary(Heaviside, input, values)


def gcd(input: Any, other: Any) -> Any:
    """Greatest common divisor of integers, broadcasting; gcd(0, 0) = 0."""
    x, y = operands(input, other)
    require_integers("gcd", x)
    return binary(Gcd, x, y)


def lcm(input: Any, other: Any) -> Any:
    """Least common multiple of integers, broadcasting; 0 where one of them is 0."""
    x, y = operands(input, other)
    require_integers("lcm", x)
    return binary(Lcm, x, y)


def signbit(input: Any) -> Any:
    """Whether the sign is minus, which -0.0 has too; bool."""
    require_tensors("signbit", input)
    return unary(Signbit, input) if input.array.dtype.kind != "b" else ne(input, input)


def positive(input: Any) -> Any:
    """The input itself.  Bools raise DTypeError."""
    require_tensors("positive", input)
    if input.array.dtype == bool_:
        raise DTypeError("positive: a bool has no sign; convert with .long()")
    return input


def sgn(input: Any) -> Any:
    """-1, 0 or 1: `sign` under the name that it has for complex numbers."""
    require_tensors("sgn", input)
    return clone(input) if input.array.dtype == bool_ else sign(input)


absolute = abs
negative = neg
multiply = mul
subtract = sub
