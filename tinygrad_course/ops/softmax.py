"""Softmax, softmin, and the logarithm of softmax.

softmax is computed on x - max(x): the shift cancels in the quotient and keeps exp from overflowing.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import exp, mul, neg, sub
from tinygrad_course.ops.axes import normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast, floating
from tinygrad_course.ops.dtypes import as_dtype, require_tensors
from tinygrad_course.ops.reduce import sum

__all__ = [
    "log_softmax", "softmax", "softmin",
]


class Softmax(Op):
    """y_i = exp(x_i) / sum_j exp(x_j) along an axis.  gx = y (g - sum_j g_j y_j)."""

    name = "softmax"

    @staticmethod
    def shape(x: Shape, axis: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        y = k.softmax(x, axis)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (apply(SoftmaxGrad, (g, y), ctx.args),)


class SoftmaxGrad(Op):
    """z = y (g - sum(g y)).  The map g -> z is symmetric; dz/dy in direction v: v (g - sum(g y)) - g sum(v y)."""

    name = "softmax_grad"

    @staticmethod
    def shape(g: Shape, y: Shape, axis: int) -> Shape:
        return _equal("softmax_grad", g, y)

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any, axis: int) -> Any:
        ctx.save(g, y)
        return k.softmax_grad(g, y, axis)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        axis = ctx.args[0]
        gy = sub(mul(v, sub(g, sum(mul(g, y), axis, True))), mul(g, sum(mul(v, y), axis, True)))
        return apply(SoftmaxGrad, (v, y), ctx.args), gy


class LogSoftmax(Op):
    """y_i = x_i - ln sum_j exp(x_j) along an axis.  gx = g - exp(y) sum_j g_j."""

    name = "log_softmax"

    @staticmethod
    def shape(x: Shape, axis: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        y = k.log_softmax(x, axis)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (apply(LogSoftmaxGrad, (g, y), ctx.args),)


class LogSoftmaxGrad(Op):
    """z = g - exp(y) sum(g).  For a direction v: dz/dg gives v - sum(v exp(y)), dz/dy gives -v exp(y) sum(g)."""

    name = "log_softmax_grad"

    @staticmethod
    def shape(g: Shape, y: Shape, axis: int) -> Shape:
        return _equal("log_softmax_grad", g, y)

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any, axis: int) -> Any:
        ctx.save(g, y)
        return k.log_softmax_grad(g, y, axis)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        axis = ctx.args[0]
        weighted = mul(v, exp(y))
        return sub(v, sum(weighted, axis, True)), neg(mul(weighted, sum(g, axis, True)))


@numpy_names
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Probabilities along `dim` from logits."""
    return _along(Softmax, "softmax", input, dim, dtype)


@numpy_names
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Logarithms of softmax, accurate where probabilities are tiny."""
    return _along(LogSoftmax, "log_softmax", input, dim, dtype)


@numpy_names
def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """softmax(-input): the smallest value gets the largest probability."""
    require_tensors("softmin", input)
    return _along(Softmax, "softmin", neg(floating(input) if dtype is None else cast(input, as_dtype(dtype))), dim, None)


def _along(op: Any, name: str, x: Any, dim: int, dtype: Any) -> Any:
    require_tensors(name, x)
    if dim is None:
        raise ShapeError(f"{name}: dim is needed: the axis that holds the classes, 1 for logits of shape (N, C)")
    x = floating(x) if dtype is None else cast(x, as_dtype(dtype))
    return apply(op, (x,), (normalise_axis(name, dim, x.array.ndim),))


def _equal(op: str, g: Shape, y: Shape) -> Shape:
    if tuple(g) != tuple(y):
        raise ShapeError(f"{op}: gradient {g} and output {y} must have the same shape")
    return y
