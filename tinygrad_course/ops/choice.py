"""Functions that choose or limit: clamp, fmin and fmax, copysign, nan_to_num, lerp."""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError
from tinygrad_course.ops.arithmetic import logical_and, logical_or, mul, sign, sub
from tinygrad_course.ops.broadcast import Elementwise, sum_like, sum_to
from tinygrad_course.ops.cast import cast, operands
from tinygrad_course.ops.comparison import ge, gt, le, lt, ne, where
from tinygrad_course.ops.dtypes import constant, require_tensors, zeros_like
from tinygrad_course.ops.predicates import isfinite
from tinygrad_course.ops.trigonometry import floats

__all__ = ["clamp", "clamp_max", "clamp_min", "clip", "copysign", "fmax", "fmin", "lerp", "nan_to_num"]


class Clamp(Elementwise):
    """y = min(max(x, low), high).  The gradient goes to x where low <= x <= high, the bounds included, else to the bound
    that holds: `low` where x < low < high, `high` where x > high or the bounds cross."""

    name = "clamp"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, low: Any, high: Any) -> Any:
        ctx.save(x, low, high)
        return k.clamp(x, low, high)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, low, high) = ctx.needs, ctx.saved
        return (sum_like(where(logical_and(ge(x, low), le(x, high)), g, 0.0), x) if needs[0] else None,
                sum_like(where(logical_and(lt(x, low), lt(low, high)), g, 0.0), low) if needs[1] else None,
                sum_like(where(logical_or(gt(x, high), lt(high, low)), g, 0.0), high) if needs[2] else None)


class ClampMin(Elementwise):
    """y = max(x, low).  The gradient goes to x where x >= low, to `low` where x < low."""

    name = "clamp_min"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, low: Any) -> Any:
        ctx.save(x, low)
        return k.maximum(x, low)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, low) = ctx.needs, ctx.saved
        return (sum_like(where(ge(x, low), g, 0.0), x) if needs[0] else None,
                sum_like(where(lt(x, low), g, 0.0), low) if needs[1] else None)


class ClampMax(Elementwise):
    """y = min(x, high).  The gradient goes to x where x <= high, to `high` where x > high."""

    name = "clamp_max"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, high: Any) -> Any:
        ctx.save(x, high)
        return k.minimum(x, high)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, high) = ctx.needs, ctx.saved
        return (sum_like(where(le(x, high), g, 0.0), x) if needs[0] else None,
                sum_like(where(gt(x, high), g, 0.0), high) if needs[1] else None)


class Fmax(Elementwise):
    """z = max(x, y), where nan loses.  The gradient goes to the chosen one; at a tie to x."""

    name = "fmax"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.fmax(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return _split(ctx, g, logical_or(ge(x, y), ne(y, y)))


class Fmin(Elementwise):
    """z = min(x, y), where nan loses.  The gradient goes to the chosen one; at a tie to x."""

    name = "fmin"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.fmin(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return _split(ctx, g, logical_or(le(x, y), ne(y, y)))


def _split(ctx: Node, g: Any, first: Any) -> Any:
    """The gradient for the first input where `first` holds, else for the second."""
    needs = ctx.needs
    return (sum_to(where(first, g, 0.0), ctx.input_shape(0)) if needs[0] else None,
            sum_to(where(first, 0.0, g), ctx.input_shape(1)) if needs[1] else None)


class Copysign(Elementwise):
    """z = |x| with the sign of y.  dz/dx = 1 or -1, 0 where x = 0; dz/dy = 0."""

    name = "copysign"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        z = k.copysign(x, y)
        ctx.save(x, z)
        return z

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, z) = ctx.needs, ctx.saved
        return (sum_like(mul(g, mul(sign(x), sign(z))), x) if needs[0] else None,
                zeros_like(g, ctx.input_shape(1)) if needs[1] else None)


class NanToNum(Op):
    """x with numbers in place of nan, inf and -inf.  The gradient is 0 at those."""

    name = "nan_to_num"

    @staticmethod
    def shape(x: Shape, nan: Any, posinf: Any, neginf: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
        ctx.save(x)
        return k.nan_to_num(x, nan, posinf, neginf)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (where(isfinite(x), g, 0.0),)


class Lerp(Elementwise):
    """z = x + w (end - x).  dz/dx = 1 - w, dz/dend = w, dz/dw = end - x."""

    name = "lerp"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, end: Any, weight: Any) -> Any:
        ctx.save(x, end, weight)
        return k.lerp(x, end, weight)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, end, weight) = ctx.needs, ctx.saved
        return (sum_like(mul(g, sub(1.0, weight)), x) if needs[0] else None,
                sum_like(mul(g, weight), end) if needs[1] else None,
                sum_like(mul(g, sub(end, x)), weight) if needs[2] else None)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """min(max(input, min), max): the input limited to [min, max].  Bounds are numbers or tensors, which broadcast; None is
    no bound, but one there must be.  Where they cross, the result is `max`; nan stays nan."""
    require_tensors("clamp", input)
    if min is None and max is None:
        raise OperandError("clamp: at least one of min and max must be given; both are None")
    if max is None:
        return binary(ClampMin, input, min)
    if min is None:
        return binary(ClampMax, input, max)
    x, low = operands(input, min)
    x, high = operands(x, max)
    return apply(Clamp, (x, operands(low, x)[0], high))


def clamp_min(input: Any, min: Any) -> Any:
    """max(input, min): the input limited from below by a number or a tensor."""
    return clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Any:
    """min(input, max): the input limited from above by a number or a tensor."""
    return clamp(input, max=max)


def fmax(input: Any, other: Any) -> Any:
    """The larger of both, broadcasting; a nan only where both are (`maximum` gives nan where one is)."""
    return binary(Fmax, input, other)


def fmin(input: Any, other: Any) -> Any:
    """The smaller of both, broadcasting; a nan only where both are (`minimum` gives nan where one is)."""
    return binary(Fmin, input, other)


def copysign(input: Any, other: Any) -> Any:
    """The size of the input with the sign of `other`, broadcasting; -0.0 is negative."""
    return binary(Copysign, *floats(input, other))


def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of what is not finite: `nan` (0), `posinf` (the largest of the type), `neginf` (the smallest)."""
    require_tensors("nan_to_num", input)
    return apply(NanToNum, (input,), (0.0 if nan is None else nan, posinf, neginf))


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight (end - input): the way from `input` to `end`, of which the weight, a number or a tensor, is gone."""
    require_tensors("lerp", input, end)
    dtype = input.array.dtype
    weight = constant(weight, input) if isinstance(weight, int | float) else weight
    require_tensors("lerp", weight)
    if weight.array.ndim == 0:
        weight = cast(weight, dtype)  # a tensor without axes is as good as a number
    if dtype.kind != "f" or end.array.dtype != dtype or weight.array.dtype != dtype:
        raise DTypeError(f"lerp: input, end and weight must have one floating point type, got {dtype}, {end.array.dtype} and "
                         f"{weight.array.dtype}")
    return apply(Lerp, (input, end, weight))


clip = clamp
