"""Broadcasting, as in NumPy: shapes are aligned at their last axis, sizes must be equal or 1.

The adjoint of broadcasting is a sum over the axes that were stretched: `sum_to`.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.kernels.arrays import has_shape, same_shape
from tinygrad_course.ops.cast import operands


def broadcast_shape(op: str, *shapes: Shape) -> Shape:
    """The common shape; raises ShapeError with the axis that does not fit."""
    ndim = max(len(shape) for shape in shapes)
    padded = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    out = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        size = next((n for n in sizes if n != 1), 1)
        if any(n not in (1, size) for n in sizes):
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(f"{op}: the shapes {listed} do not broadcast: axis {axis - ndim} has the sizes "
                             f"{' and '.join(str(n) for n in sizes)}, which must be equal or 1. Use unsqueeze or reshape "
                             "to line the axes up.")
        out.append(size)
    return tuple(out)


class Elementwise(Op):
    """Common base: inputs broadcast to the output."""

    operands = staticmethod(operands)

    @classmethod
    def shape(cls, *shapes: Shape) -> Shape:
        """The broadcast shape."""
        return broadcast_shape(cls.name, *shapes)


class SumTo(Op):
    """Sum over the axes along which `shape` would be stretched to x: the adjoint of broadcasting."""

    name = "sum_to"

    @staticmethod
    def shape(x: Shape, shape: Shape) -> Shape:
        if broadcast_shape("sum_to", x, shape) != tuple(x):
            raise ShapeError(f"sum_to: {shape} does not broadcast to {x}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape) -> Any:
        return k.sum_to(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (expand(g, ctx.input_shape(0)),)


class Expand(Op):
    """Stretch axes of size 1 (and add leading ones) to `shape`, as a view.  Adjoint: sum_to."""

    name = "expand"
    view = True

    @staticmethod
    def shape(x: Shape, shape: Shape) -> Shape:
        if len(shape) < len(x) or any(n not in (1, m) for n, m in zip(x, shape[len(shape) - len(x):], strict=True)):
            raise ShapeError(f"expand: a tensor of shape {x} cannot be stretched to {shape}: only axes of size 1 can, and "
                             "new axes come in front")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape) -> Any:
        return k.expand(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (sum_to(g, ctx.input_shape(0)),)


def sum_to(x: Any, shape: Shape) -> Any:
    """Sum x over axes so that it has `shape`; x itself if it has it already."""
    if has_shape(x.array, shape):
        return x
    return apply(SumTo, (x,), (shape,))


def sum_like(g: Any, x: Any) -> Any:
    """sum_to the shape of x: what a gradient of a broadcast x needs, and mostly nothing."""
    return g if same_shape(g.array, x.array) else sum_to(g, x.array.shape)


def expand(x: Any, shape: Shape) -> Any:
    """x stretched to `shape`, without copying."""
    operand: TensorBase = x
    if has_shape(operand.array, shape):
        return x
    return apply(Expand, (x,), (shape,))
