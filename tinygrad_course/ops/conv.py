"""Convolution in two dimensions and its two adjoints.

conv2d, conv2d_input and conv2d_weight are the three partial derivatives of one trilinear form

    <g, x * w> = sum over n, o, i, j, c, p, q of  g[n,o,i,j]  x[n,c, s i + d p - pad, s j + d q - pad]  w[o,c,p,q]

so the set is closed under differentiation: every derivative of any order is one of the three.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.linalg import _same_dtype
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import reshape

Pair = tuple[int, int]


class Conv2d(Op):
    """Cross-correlation.  x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) -> (N, O, oh, ow).

    oh = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, likewise ow.
    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, arXiv:1603.07285."""

    name = "conv2d"

    @staticmethod
    def shape(x: Shape, w: Shape, b: Shape | None, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        if len(x) != 4 or len(w) != 4:
            raise ShapeError(f"conv2d: input {x} and weight {w} must have four axes: (N, C, H, W) and (O, C/groups, kh, kw)")
        if w[0] % groups or x[1] % groups:
            raise ShapeError(f"conv2d: groups={groups} must divide the {x[1]} input channels of {x} and the {w[0]} output "
                             f"channels of the weight {w}")
        if x[1] != w[1] * groups:
            raise ShapeError(f"conv2d: the input {x} has {x[1]} channels, the weight {w} with groups={groups} needs "
                             f"{w[1]} * {groups} = {w[1] * groups}. Make the layer's in_channels {x[1]}, or permute the "
                             "input to (N, C, H, W).")
        if b is not None and b != (w[0],):
            raise ShapeError(f"conv2d: the bias has shape {b}, the weight {w} needs ({w[0]},)")
        return (x[0], w[0], _out_size("conv2d", x, w, 0, stride, padding, dilation),
                _out_size("conv2d", x, w, 1, stride, padding, dilation))

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        ctx.save(x, w)
        return k.conv2d(x, w, b, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, w) = ctx.needs, ctx.saved
        return (apply(Conv2dInput, (g, w), (x.array.shape, *ctx.args)) if needs[0] else None,
                apply(Conv2dWeight, (x, g), (w.array.shape, *ctx.args)) if needs[1] else None,
                sum(g, (0, 2, 3)) if needs[2] else None)


class Conv2dInput(Op):
    """The gradient of conv2d with respect to its input of `shape`; seen from the other side, the transposed convolution."""

    name = "conv2d_input"

    @staticmethod
    def shape(g: Shape, w: Shape, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        _check_output("conv2d_input", g, Conv2d.shape(shape, w, None, stride, padding, dilation, groups))
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, w: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair,
                groups: int) -> Any:
        ctx.save(g, w)
        return k.conv2d_input(g, w, shape, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (g, w) = ctx.needs, ctx.saved
        geometry = ctx.args[1:]
        return (apply(Conv2d, (v, w, None), geometry) if needs[0] else None,
                apply(Conv2dWeight, (v, g), (w.array.shape, *geometry)) if needs[1] else None)


class Conv2dWeight(Op):
    """The gradient of conv2d with respect to its weight of `shape`."""

    name = "conv2d_weight"

    @staticmethod
    def shape(x: Shape, g: Shape, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        _check_output("conv2d_weight", g, Conv2d.shape(x, shape, None, stride, padding, dilation, groups))
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, g: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair,
                groups: int) -> Any:
        ctx.save(x, g)
        return k.conv2d_weight(x, g, shape, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (x, g) = ctx.needs, ctx.saved
        geometry = ctx.args[1:]
        return (apply(Conv2dInput, (g, v), (x.array.shape, *geometry)) if needs[0] else None,
                apply(Conv2d, (x, v, None), geometry) if needs[1] else None)


def conv2d(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
           groups: int = 1) -> Any:
    """2-D cross-correlation of a batch (N, C, H, W) or a single image (C, H, W).

    padding is a number, a pair, 'valid' (none) or 'same' (stride 1 only: the output has the input's size)."""
    require_tensors("conv2d", x, weight, bias)
    strides, dilations = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ShapeError(f"conv2d: groups must be a positive integer, got {groups!r}")
    _same_dtype("conv2d", x, weight)
    _same_dtype("conv2d", x, bias)
    if x.array.ndim == 3:
        y = conv2d(reshape(x, (1, *x.array.shape)), weight, bias, stride, padding, dilation, groups)
        return reshape(y, y.array.shape[1:])
    if isinstance(padding, str):
        if padding == "valid":
            paddings = (0, 0)
        elif padding == "same":
            x, paddings = _same_padding(x, weight, strides, dilations)
        else:
            raise ShapeError(f"conv2d: padding {padding!r} is unknown; give a number, a pair, 'same' or 'valid'")
    else:
        paddings = pair("conv2d", "padding", padding, 0)
    return apply(Conv2d, (x, weight, bias), (strides, paddings, dilations, groups))


def pair(op: str, name: str, value: Any, least: int) -> Pair:
    """(height, width) from a number or a pair."""
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(values) == 1:
        values = values * 2
    if len(values) != 2 or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise ShapeError(f"{op}: {name} must be an integer or a pair of integers, got {value!r}")
    height, width = (v.__index__() for v in values)
    if height < least or width < least:
        raise ShapeError(f"{op}: {name} must be at least {least}, got {value!r}")
    return height, width


def _same_padding(x: Any, weight: Any, stride: Pair, dilation: Pair) -> tuple[Any, Pair]:
    """The input, padded by one more at the end where the total is odd, and the even part of the padding."""
    if stride != (1, 1):
        raise ShapeError(f"conv2d: padding='same' keeps the size only with stride 1, got stride {stride}; give the padding "
                         "as a number")
    from tinygrad_course.ops.index import SliceAdjoint
    if weight.array.ndim != 4:
        Conv2d.shape(x.array.shape, weight.array.shape, None, stride, (0, 0), dilation, 1)  # raises
    total = [d * (n - 1) for d, n in zip(dilation, weight.array.shape[2:], strict=True)]
    if total[0] % 2 or total[1] % 2:
        n, c, h, w = x.array.shape
        key = (slice(0, n), slice(0, c), slice(0, h), slice(0, w))
        x = apply(SliceAdjoint, (x,), ((n, c, h + total[0] % 2, w + total[1] % 2), key))
    return x, (total[0] // 2, total[1] // 2)


def _out_size(op: str, x: Shape, w: Shape, axis: int, stride: Pair, padding: Pair, dilation: Pair) -> int:
    size, kernel = x[2 + axis], w[2 + axis]
    reach = dilation[axis] * (kernel - 1) + 1
    padded = size + 2 * padding[axis]
    if kernel < 1 or reach > padded:
        side = ("height", "width")[axis]
        raise ShapeError(f"{op}: the kernel does not fit: along the {side} it reaches over dilation * (kernel - 1) + 1 = "
                         f"{dilation[axis]} * ({kernel} - 1) + 1 = {reach}, the padded input has {size} + 2 * "
                         f"{padding[axis]} = {padded}. Use a larger input, more padding or a smaller kernel.")
    return (padded - reach) // stride[axis] + 1


def _check_output(op: str, g: Shape, expected: Shape) -> None:
    if tuple(g) != expected:
        raise ShapeError(f"{op}: the gradient has shape {g}, the output of this convolution has {expected}")
