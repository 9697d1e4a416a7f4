"""Rounding, and division with remainder."""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import div, mul, neg, sub
from tinygrad_course.ops.broadcast import Elementwise, sum_like
from tinygrad_course.ops.cast import clone, operands
from tinygrad_course.ops.dtypes import require_tensors, zeros_like

__all__ = [
    "ceil", "divide", "fix", "floor", "floor_divide", "fmod", "frac", "remainder", "round", "true_divide", "trunc",
]


class Step(Elementwise):
    """Common base of functions that are constant but for jumps: the derivative is 0."""

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return tuple([zeros_like(g, ctx.input_shape(i)) if needed else None for i, needed in enumerate(ctx.needs)])


class Floor(Step):
    """y = the largest integer <= x.  dy/dx = 0."""

    name = "floor"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.floor(x)


class Ceil(Step):
    """y = the smallest integer >= x.  dy/dx = 0."""

    name = "ceil"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.ceil(x)


class Trunc(Step):
    """y = x without its fractional part.  dy/dx = 0."""

    name = "trunc"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.trunc(x)


class Round(Op):
    """y = x rounded to a number of decimals, halves to even.  dy/dx = 0."""

    name = "round"
    backward = Step.backward

    @staticmethod
    def shape(x: Shape, decimals: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, decimals: Any) -> Any:
        return k.round(x, decimals)


class FloorDivide(Step):
    """z = floor(x / y).  dz/dx = dz/dy = 0."""

    name = "floor_divide"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.floor_divide(x, y)


class TruncDivide(Step):
    """z = trunc(x / y).  dz/dx = dz/dy = 0."""

    name = "trunc_divide"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.trunc_divide(x, y)


class Fmod(Elementwise):
    """z = x - y trunc(x / y).  dz/dx = 1, dz/dy = -trunc(x / y)."""

    name = "fmod"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.fmod(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_like(g, x) if needs[0] else None,
                sum_like(neg(mul(g, binary(TruncDivide, x, y))), y) if needs[1] else None)


class Remainder(Elementwise):
    """z = x - y floor(x / y).  dz/dx = 1, dz/dy = -floor(x / y)."""

    name = "remainder"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.remainder(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_like(g, x) if needs[0] else None,
                sum_like(neg(mul(g, binary(FloorDivide, x, y))), y) if needs[1] else None)


def _whole(op: str, x: Any) -> bool:
    """Whether x holds integers, which need no rounding; bools raise DTypeError."""
    require_tensors(op, x)
    if x.array.dtype.kind == "b":
        raise DTypeError(f"{op}: a bool cannot be rounded; convert with .float() or .long()")
    return bool(x.array.dtype.kind != "f")


def floor(input: Any) -> Any:
    """The largest integer <= input, in the input's type."""
    return clone(input) if _whole("floor", input) else unary(Floor, input)


def ceil(input: Any) -> Any:
    """The smallest integer >= input, in the input's type."""
    return clone(input) if _whole("ceil", input) else unary(Ceil, input)


def trunc(input: Any) -> Any:
    """The integer part: rounded towards 0."""
    return clone(input) if _whole("trunc", input) else unary(Trunc, input)


def frac(input: Any) -> Any:
    """The fractional part, input - trunc(input), with the sign of the input.  Integers raise DTypeError."""
    if _whole("frac", input):
        raise DTypeError(f"frac: works on floating point tensors, got {input.array.dtype}; convert with .float()")
    return sub(input, trunc(input))


def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest integer, or to `decimals` digits after the point (before it, if negative); halves go to the even
    neighbour.  Integers stay what they are and take no decimals."""
    decimals = integer("round", "decimals", decimals)
    if not _whole("round", input):
        return apply(Round, (input,), (decimals,))
    if decimals != 0:
        raise DTypeError(f"round: decimals={decimals} needs a floating point tensor, got {input.array.dtype}")
    return clone(input)


def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other, broadcasting; the quotient as it is, rounded towards 0 ("trunc") or down ("floor").

    Rounded quotients of integers are integers, and division by 0 raises ZeroDivisionError.  Their derivative is 0."""
    if rounding_mode is None:
        return div(input, other)
    if rounding_mode not in ("trunc", "floor"):
        raise OperandError(f"divide: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")
    return binary(FloorDivide if rounding_mode == "floor" else TruncDivide, *_numbers("divide", input, other))


def floor_divide(input: Any, other: Any) -> Any:
    """floor(input / other), broadcasting; integers stay integers.  The derivative is 0."""
    return binary(FloorDivide, *_numbers("floor_divide", input, other))


def fmod(input: Any, other: Any) -> Any:
    """What division leaves, with the sign of the input (as in C); broadcasting."""
    return binary(Fmod, *_numbers("fmod", input, other))


def remainder(input: Any, other: Any) -> Any:
    """What division leaves, with the sign of `other` (as % in Python); broadcasting."""
    return binary(Remainder, *_numbers("remainder", input, other))


def _numbers(op: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = operands(x, y)
    if x.array.dtype.kind == "b":
        raise DTypeError(f"{op}: bools cannot be divided; convert with .long()")
    return x, y


fix = trunc
true_divide = div
