"""Gates: one half of a tensor decides how much of the other half passes."""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.activation import sigmoid
from tinygrad_course.ops.arithmetic import add, mul, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import SliceAdjoint, getitem

__all__ = ["glu"]


class Glu(Op):
    """y = a s(b): the halves a, b of x along an axis, s the sigmoid.  ga = g s, gb = g a s (1 - s).  Dauphin et al. 2017."""

    name = "glu"

    @staticmethod
    def shape(x: Shape, axis: int) -> Shape:
        return (*x[:axis], x[axis] // 2, *x[axis + 1:])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        ctx.save(x)
        return k.glu(x, axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (apply(GluGrad, (g, x), ctx.args),)


class GluGrad(Op):
    """z = (g s, g a s') with s' = s (1 - s): the gradient of glu at x = (a, b).

    For v = (va, vb):  zg = va s + vb a s',  za = vb g s',  zb = g s' (va + vb a (1 - 2 s))."""

    name = "glu_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, axis: int) -> Shape:
        if g != Glu.shape(x, axis):
            raise ShapeError(f"glu_grad: the gradient has shape {g}, it must be half of {x} along axis {axis}")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, axis: int) -> Any:
        ctx.save(g, x)
        return k.glu_grad(g, x, axis)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (g, x) = ctx.needs, ctx.saved
        shape, axis = x.array.shape, ctx.args[0]
        first, second = _halves(shape, axis)
        a, s = getitem(x, first), sigmoid(getitem(x, second))
        va, vb = getitem(v, first), getitem(v, second)
        slope = mul(s, sub(1.0, s))
        gg = gx = None
        if needs[0]:
            gg = add(mul(va, s), mul(vb, mul(a, slope)))
        if needs[1]:
            shared = mul(g, slope)
            za = mul(vb, shared)
            zb = mul(shared, add(va, mul(vb, mul(a, sub(1.0, mul(s, 2.0))))))
            gx = add(apply(SliceAdjoint, (za,), (shape, first)), apply(SliceAdjoint, (zb,), (shape, second)))
        return gg, gx


def _halves(shape: Shape, axis: int) -> tuple[Any, Any]:
    """Keys of both halves."""
    front, half = (slice(None),) * axis, shape[axis] // 2
    return (*front, slice(None, half)), (*front, slice(half, None))


def glu(input: Any, dim: int = -1) -> Any:
    """a sigmoid(b), with a the first and b the second half of the input along `dim`.  Dauphin et al. 2017."""
    require_tensors("glu", input)
    shape = input.array.shape
    axis = normalise_axis("glu", dim, len(shape))
    if not shape or shape[axis] % 2:
        raise ShapeError(f"glu: dim {dim} of shape {shape} is cut in halves, so its size must be even")
    return apply(Glu, (floating(input),), (axis,))
