"""Comparisons, which have bool results and never a graph, and `where`, which chooses by them."""

from typing import Any

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.function import apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import OperandError
from tinygrad_course.ops.broadcast import Elementwise, sum_to
from tinygrad_course.ops.cast import cast, operands
from tinygrad_course.ops.dtypes import bool_, constant

__all__ = [
    "eq", "ge", "gt", "le", "logical_not", "lt", "ne", "where",
]


class Comparison(Elementwise):
    """Common base of the comparisons."""

    differentiable = False


class Eq(Comparison):
    """x == y."""

    name = "eq"
    kernel = "eq"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.eq(x, y)


class Ne(Comparison):
    """x != y."""

    name = "ne"
    kernel = "ne"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.ne(x, y)


class Lt(Comparison):
    """x < y."""

    name = "lt"
    kernel = "lt"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.lt(x, y)


class Le(Comparison):
    """x <= y."""

    name = "le"
    kernel = "le"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.le(x, y)


class Gt(Comparison):
    """x > y."""

    name = "gt"
    kernel = "gt"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.gt(x, y)


class Ge(Comparison):
    """x >= y."""

    name = "ge"
    kernel = "ge"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.ge(x, y)


class LogicalNot(Comparison):
    """True where x is 0."""

    name = "logical_not"
    kernel = "logical_not"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.logical_not(x)


class Where(Elementwise):
    """z = x where the condition holds, else y.  The gradient goes to the chosen one."""

    name = "where"

    @staticmethod
    def forward(ctx: Node, k: Any, condition: Any, x: Any, y: Any) -> Any:
        ctx.save(condition)
        return k.where(condition, x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (condition,) = ctx.needs, ctx.saved
        return (None,
                sum_to(where(condition, g, 0.0), ctx.input_shape(1)) if needs[1] else None,
                sum_to(where(condition, 0.0, g), ctx.input_shape(2)) if needs[2] else None)


def eq(input: Any, other: Any) -> Any:
    """input == other, elementwise."""
    return binary(Eq, input, other)


def ne(input: Any, other: Any) -> Any:
    """input != other, elementwise."""
    return binary(Ne, input, other)


def lt(input: Any, other: Any) -> Any:
    """input < other, elementwise."""
    return binary(Lt, input, other)


def le(input: Any, other: Any) -> Any:
    """input <= other, elementwise."""
    return binary(Le, input, other)


def gt(input: Any, other: Any) -> Any:
    """input > other, elementwise."""
    return binary(Gt, input, other)


def ge(input: Any, other: Any) -> Any:
    """input >= other, elementwise."""
    return binary(Ge, input, other)


def logical_not(input: Any) -> Any:
    """True where the input is 0."""
    return unary(LogicalNot, input)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; all three broadcast.

    Of the condition alone the indices at which it holds, one tensor per axis: nonzero(condition, as_tuple=True)."""
    if input is None and other is None:
        return cast(condition, bool_).nonzero(as_tuple=True)
    if input is None or other is None:
        raise OperandError("where: give both input and other, or the condition alone")
    if not isinstance(input, TensorBase) and not isinstance(other, TensorBase):
        input = constant(input, cast(condition, bool_))
    x, y = operands(input, other)
    return apply(Where, (cast(condition, bool_), x, y))
