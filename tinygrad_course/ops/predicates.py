"""Questions about values, answered by bools: isnan, isclose, isin, comparisons by their long names, the logic of bits."""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.broadcast import broadcast_shape
from tinygrad_course.ops.cast import cast, operands
from tinygrad_course.ops.comparison import Comparison, eq, ge, gt, le, lt, ne
from tinygrad_course.ops.dtypes import bool_, require_tensors

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "equal", "greater", "greater_equal", "is_nonzero", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf",
    "isposinf", "less", "less_equal", "logical_xor", "not_equal",
]


class Isnan(Comparison):
    """y = whether x is nan."""

    name = "isnan"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.isnan(x)


class Isinf(Comparison):
    """y = whether x is inf or -inf."""

    name = "isinf"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.isinf(x)


class Isfinite(Comparison):
    """y = whether x is neither infinite nor nan."""

    name = "isfinite"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.isfinite(x)


class Isclose(Op):
    """z = whether |x - y| <= atol + rtol |y|."""

    name = "isclose"
    differentiable = False

    @staticmethod
    def shape(x: Shape, y: Shape, rtol: Any, atol: Any, equal_nan: Any) -> Shape:
        return broadcast_shape("isclose", x, y)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any, rtol: Any, atol: Any, equal_nan: Any) -> Any:
        return k.isclose(x, y, rtol, atol, equal_nan)


class Isin(Op):
    """z = whether x is one of the values."""

    name = "isin"
    differentiable = False

    @staticmethod
    def shape(x: Shape, values: Shape, assume_unique: Any, invert: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, values: Any, assume_unique: Any, invert: Any) -> Any:
        return k.isin(x, values, assume_unique, invert)


class LogicalXor(Comparison):
    """z = whether exactly one of x and y is not 0."""

    name = "logical_xor"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.logical_xor(x, y)


class BitwiseAnd(Comparison):
    """z = x & y, bit by bit."""

    name = "bitwise_and"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.bitwise_and(x, y)


class BitwiseOr(Comparison):
    """z = x | y, bit by bit."""

    name = "bitwise_or"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.bitwise_or(x, y)


class BitwiseXor(Comparison):
    """z = x ^ y, bit by bit."""

    name = "bitwise_xor"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.bitwise_xor(x, y)


class BitwiseNot(Comparison):
    """y = ~x, bit by bit."""

    name = "bitwise_not"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.bitwise_not(x)


class BitwiseLeftShift(Comparison):
    """z = x 2^y."""

    name = "bitwise_left_shift"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.bitwise_left_shift(x, y)


class BitwiseRightShift(Comparison):
    """z = floor(x / 2^y)."""

    name = "bitwise_right_shift"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.bitwise_right_shift(x, y)


def isnan(input: Any) -> Any:
    """Whether each value is nan."""
    require_tensors("isnan", input)
    return unary(Isnan, input)


def isinf(input: Any) -> Any:
    """Whether each value is inf or -inf."""
    require_tensors("isinf", input)
    return unary(Isinf, input)


def isfinite(input: Any) -> Any:
    """Whether each value is neither infinite nor nan."""
    require_tensors("isfinite", input)
    return unary(Isfinite, input)


def isposinf(input: Any) -> Any:
    """Whether each value is inf."""
    require_tensors("isposinf", input)
    return eq(input, math.inf)


def isneginf(input: Any) -> Any:
    """Whether each value is -inf."""
    require_tensors("isneginf", input)
    return eq(input, -math.inf)


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether |input - other| <= atol + rtol |other|, broadcasting.  Infinities are close to themselves; nan is close to
    nan with `equal_nan` only.  Both tensors must have one type."""
    require_tensors("isclose", input, other)
    if input.array.dtype != other.array.dtype:
        raise DTypeError(f"isclose: both tensors must have one type, got {input.array.dtype} and {other.array.dtype}")
    rtol, atol = number("isclose", rtol, "rtol"), number("isclose", atol, "atol")
    if not (rtol >= 0 and atol >= 0):
        raise OperandError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    return apply(Isclose, (input, other), (rtol, atol, equal_nan))


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all values are close (see isclose), as a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Any, other: Any) -> bool:
    """Whether both have the same shape and the same values, as a Python bool; nan equals nothing."""
    require_tensors("equal", input, other)
    return input.array.shape == other.array.shape and bool(eq(input, other).array.all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each of the elements is one of `test_elements` (with `invert`: none of them).  One of the two may be a
    number.  assume_unique=True promises that neither contains a value twice, which saves time."""
    x, values = operands(elements, test_elements)
    return apply(Isin, (x, values), (assume_unique, invert))


def logical_xor(input: Any, other: Any) -> Any:
    """True where exactly one of both is not 0; broadcasting."""
    return binary(LogicalXor, *operands(input, other))


def bitwise_and(input: Any, other: Any) -> Any:
    """input & other for integers, bit by bit, and for bools; broadcasting."""
    return _bits(BitwiseAnd, input, other)


def bitwise_or(input: Any, other: Any) -> Any:
    """input | other for integers, bit by bit, and for bools; broadcasting."""
    return _bits(BitwiseOr, input, other)


def bitwise_xor(input: Any, other: Any) -> Any:
    """input ^ other for integers, bit by bit, and for bools; broadcasting."""
    return _bits(BitwiseXor, input, other)


def bitwise_not(input: Any) -> Any:
    """~input: every bit of an integer turned over, which is -input - 1; for bools `not`."""
    require_tensors("bitwise_not", input)
    require_integers("bitwise_not", input, bools=True)
    return unary(BitwiseNot, input)


def bitwise_left_shift(input: Any, other: Any) -> Any:
    """input << other for integers, broadcasting; 0 where all bits are shifted out."""
    return _bits(BitwiseLeftShift, input, other, bools=False)


def bitwise_right_shift(input: Any, other: Any) -> Any:
    """input >> other for integers, broadcasting; negative numbers stay negative."""
    return _bits(BitwiseRightShift, input, other, bools=False)


def _bits(op: Any, input: Any, other: Any, bools: bool = True) -> Any:
    x, y = operands(input, other)
    require_integers(op.name, x, bools=bools)
    return binary(op, x, y)


def require_integers(op: str, tensor: TensorBase, bools: bool = False) -> None:
    """Raise DTypeError for what has neither bits nor divisors: floating point numbers, and bools unless allowed."""
    if tensor.array.dtype.kind not in ("iub" if bools else "iu"):
        raise DTypeError(f"{op}: works on integer {'and bool ' if bools else ''}tensors, got {tensor.array.dtype}; convert "
                         "with .long()")


def is_nonzero(input: Any) -> bool:
    """Whether the only value is not 0; ShapeError if there are more values or none."""
    require_tensors("is_nonzero", input)
    if input.array.size != 1:
        raise ShapeError(f"is_nonzero: the truth of a tensor is that of its only value, but shape {input.array.shape} has "
                         f"{input.array.size}; use any() or all()")
    return bool(cast(input, bool_).array.item())


greater = gt
greater_equal = ge
less = lt
less_equal = le
not_equal = ne
