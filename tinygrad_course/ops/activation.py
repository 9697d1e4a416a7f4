"""Activation functions: tanh, sigmoid and relu.  More: smooth.py, piecewise.py, gates.py."""

from typing import Any

from tinygrad_course.autograd.function import binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.ops.arithmetic import mul, sub
from tinygrad_course.ops.broadcast import Elementwise
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.inplace import overwrite

__all__ = ["relu", "sigmoid", "tanh"]


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


def tanh(input: Any) -> Any:
    """Hyperbolic tangent."""
    return unary(Tanh, floating(input))


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-input))."""
    return unary(Sigmoid, floating(input))


def relu(input: Any, inplace: bool = False) -> Any:
    """max(input, 0)."""
    return overwrite(input, "relu_", relu) if inplace else unary(Relu, input)
