"""Activation functions made of straight pieces, and hardswish: one kernel forward, one backward.

Where a function has a corner, its slope there is the one that PyTorch takes."""

import functools
import math
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import logical_and, mul
from tinygrad_course.ops.broadcast import Elementwise
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.comparison import ge, gt, le, lt, where
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.inplace import overwrite
from tinygrad_course.ops.shape import reshape

__all__ = [
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "prelu", "relu6", "softshrink", "threshold",
]

Lines = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

_ZERO, _SAME = (0.0, 0.0), (1.0, 0.0)  # (slope, offset)


class PiecewiseLinear(Op):
    """y = slope x + offset, with the first of three `lines` where x <= low, the last where x >= high, the second between.

    dy/dx = the slope of the line that holds at x."""

    name = "piecewise_linear"

    @staticmethod
    def shape(x: Shape, low: float, high: float, lines: Lines) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, low: float, high: float, lines: Lines) -> Any:
        ctx.save(x)
        return k.piecewise_linear(x, low, high, lines)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (apply(PiecewiseLinearGrad, (g, x), ctx.args),)


class PiecewiseLinearGrad(Op):
    """z = g times the slope of the line that holds at x.  Linear in g; its derivative with respect to x is 0."""

    name = "piecewise_linear_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, low: float, high: float, lines: Lines) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, low: float, high: float, lines: Lines) -> Any:
        ctx.save(x)
        return k.piecewise_linear_grad(g, x, low, high, lines)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        x, = ctx.saved
        return apply(PiecewiseLinearGrad, (v, x), ctx.args), None


class Hardsigmoid(Elementwise):
    """y = (x + 3) / 6, but not below 0 nor above 1.  dy/dx = 1 / 6 between -3 and 3, else 0."""

    name = "hardsigmoid"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.hardsigmoid(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(HardsigmoidGrad, g, x),)


class HardsigmoidGrad(Elementwise):
    """z = g / 6 where -3 < x < 3, else 0.  Linear in g; its derivative with respect to x is 0."""

    name = "hardsigmoid_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(x)
        return k.hardsigmoid_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        x, = ctx.saved
        return binary(HardsigmoidGrad, v, x), None


class Hardswish(Elementwise):
    """y = 0 up to x = -3, x from 3 on, x (x + 3) / 6 between.  dy/dx = x / 3 + 1 / 2 between."""

    name = "hardswish"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.hardswish(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(HardswishGrad, g, x),)


class HardswishGrad(Elementwise):
    """z = g (x / 3 + 1 / 2) where -3 < x < 3, else 0 or g.  dz/dx = g / 3 there, else 0."""

    name = "hardswish_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.hardswish_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        between = logical_and(gt(x, -3.0), lt(x, 3.0))
        return binary(HardswishGrad, v, x), where(between, mul(mul(v, g), 1.0 / 3.0), 0.0)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope x."""
    if inplace:
        return overwrite(input, "leaky_relu_", leaky_relu, negative_slope)
    lines = ((float(negative_slope), 0.0), _SAME, _SAME)
    return apply(PiecewiseLinear, (floating(input),), (0.0, math.inf, lines))


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x, with one learned w, or one per channel (axis 1).  He et al. 2015, arXiv:1502.01852."""
    require_tensors("prelu", input, weight)
    x, w = input.array.shape, weight.array.shape
    if len(w) > 1:
        raise ShapeError(f"prelu: the weight is one number or one per channel, a tensor with at most 1 axis, got shape {w}")
    n = weight.array.size
    if n != 1:
        channels = x[1] if len(x) > 1 else 1
        if n != channels:
            raise ShapeError(f"prelu: the weight has {n} values, the input {x} has {channels} channels (axis 1); give 1 or "
                             f"{channels} values")
        weight = reshape(weight, (n,) + (1,) * (len(x) - 2))
    elif len(w) > len(x):
        weight = reshape(weight, ())
    return where(gt(input, 0.0), input, mul(weight, input))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, but not less than min_val nor more than max_val.  Slope 0 at both ends."""
    if inplace:
        return overwrite(input, "hardtanh_", hardtanh, min_val, max_val)
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    require_tensors("hardtanh", input)
    if input.array.dtype.kind == "f":
        low, high = float(min_val), float(max_val)
        return apply(PiecewiseLinear, (input,), (low, high, ((0.0, low), _SAME, (0.0, high))))
    return where(le(input, int(min_val)), int(min_val), where(ge(input, int(max_val)), int(max_val), input))


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6: a sigmoid made of three straight pieces."""
    return overwrite(input, "hardsigmoid_", hardsigmoid) if inplace else unary(Hardsigmoid, floating(input))


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x relu6(x + 3) / 6.  Howard et al. 2019, arXiv:1905.02244."""
    return overwrite(input, "hardswish_", hardswish) if inplace else unary(Hardswish, floating(input))


@functools.lru_cache(maxsize=64)  # finding them takes longer than a small layer
def _outside(dtype: Any, lambd: float) -> tuple[float, float]:
    """The numbers of a type next to -lambd and lambd, on the outside: the borders belong to the middle."""
    return float(np.nextafter(dtype(-lambd), dtype(-math.inf))), float(np.nextafter(dtype(lambd), dtype(math.inf)))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but 0 where -lambd <= x <= lambd."""
    x = floating(input)
    low, high = _outside(x.array.dtype.type, lambd)
    return apply(PiecewiseLinear, (x,), (low, high, (_SAME, _ZERO, _SAME)))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x - lambd where x > lambd, x + lambd where x < -lambd, else 0."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, got {lambd}")
    x = floating(input)
    low, high = _outside(x.array.dtype.type, lambd)
    return apply(PiecewiseLinear, (x,), (low, high, ((1.0, float(lambd)), _ZERO, (1.0, -float(lambd)))))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    if inplace:
        return overwrite(input, "threshold_", _threshold, threshold, value)
    return _threshold(input, threshold, value)


def _threshold(input: Any, threshold: float, value: float) -> Any:
    require_tensors("threshold", input)
    if input.array.dtype.kind == "f":
        return apply(PiecewiseLinear, (input,), (float(threshold), math.inf, ((0.0, float(value)), _SAME, _SAME)))
    return where(le(input, threshold), int(value), input)
