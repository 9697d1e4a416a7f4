"""Activation functions: tanh, sigmoid, relu and the gate made of a sigmoid.  More: smooth.py, piecewise.py."""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import add, mul, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import Elementwise
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import SliceAdjoint, getitem
from tinygrad_course.ops.inplace import overwrite

__all__ = ["glu", "relu", "sigmoid", "tanh"]


class Tanh(Elementwise):
    """y = tanh x.  dy/dx = 1 - y^2."""

    name = "tanh"
    kernel = "tanh"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.tanh(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(TanhGrad, g, y),)


class TanhGrad(Elementwise):
    """z = g (1 - y^2).  dz/dg = 1 - y^2, dz/dy = -2 g y."""

    name = "tanh_grad"
    kernel = "tanh_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any) -> Any:
        ctx.save(g, y)
        return k.tanh_grad(g, y)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        return binary(TanhGrad, v, y), mul(mul(v, g), mul(y, -2.0))


class Sigmoid(Elementwise):
    """y = 1 / (1 + e^-x).  dy/dx = y (1 - y)."""

    name = "sigmoid"
    kernel = "sigmoid"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.sigmoid(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(SigmoidGrad, g, y),)


class SigmoidGrad(Elementwise):
    """z = g y (1 - y).  dz/dg = y (1 - y), dz/dy = g (1 - 2 y)."""

    name = "sigmoid_grad"
    kernel = "sigmoid_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any) -> Any:
        ctx.save(g, y)
        return k.sigmoid_grad(g, y)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        return binary(SigmoidGrad, v, y), mul(mul(v, g), sub(1.0, mul(y, 2.0)))


class Relu(Elementwise):
    """y = max(x, 0).  dy/dx = 1 where x > 0, else 0 (also at 0, as in PyTorch)."""

    name = "relu"
    kernel = "relu"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.relu(x)
        ctx.save(y)  # y > 0 where x > 0: x need not be kept alive
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(ReluGrad, g, y),)


class ReluGrad(Elementwise):
    """z = g where x > 0, else 0.  Linear in g; its derivative with respect to x is 0."""

    name = "relu_grad"
    kernel = "relu_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(x)
        return k.relu_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        x, = ctx.saved
        return binary(ReluGrad, v, x), None


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


def tanh(input: Any) -> Any:
    """Hyperbolic tangent."""
    return unary(Tanh, floating(input))


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-input))."""
    return unary(Sigmoid, floating(input))


def relu(input: Any, inplace: bool = False) -> Any:
    """max(input, 0)."""
    return overwrite(input, "relu_", relu) if inplace else unary(Relu, input)


def glu(input: Any, dim: int = -1) -> Any:
    """a sigmoid(b), with a the first and b the second half of the input along `dim`.  Dauphin et al. 2017."""
    require_tensors("glu", input)
    shape = input.array.shape
    axis = normalise_axis("glu", dim, len(shape))
    if not shape or shape[axis] % 2:
        raise ShapeError(f"glu: dim {dim} of shape {shape} is cut in halves, so its size must be even")
    return apply(Glu, (floating(input),), (axis,))
