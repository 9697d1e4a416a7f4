"""Max and average pooling in two dimensions.

Max pooling remembers which position won (the switch); its gradient goes there and nowhere else.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.conv import Pair, pair
from tinygrad_course.ops.dtypes import int64, require_tensors
from tinygrad_course.ops.shape import reshape


def pooled_size(op: str, x: Shape, axis: int, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair,
                ceil_mode: bool) -> int:
    """Number of windows along an axis.  With ceil_mode a last, partly empty window counts if it starts inside the input
    or its left padding."""
    size = x[2 + axis]
    reach = dilation[axis] * (kernel_size[axis] - 1) + 1
    room = size + 2 * padding[axis] - reach
    if 2 * padding[axis] > kernel_size[axis]:
        raise ShapeError(f"{op}: padding {padding[axis]} is more than half of the kernel size {kernel_size[axis]}: a window "
                         "could lie entirely outside the input")
    n = (room + (stride[axis] - 1 if ceil_mode else 0)) // stride[axis] + 1
    if ceil_mode and (n - 1) * stride[axis] >= size + padding[axis]:
        n -= 1
    if (room < 0 and not ceil_mode) or n < 1:
        raise ShapeError(f"{op}: the window reaches over {reach} along axis {2 + axis}, the padded input {x} has only "
                         f"{size + 2 * padding[axis]} there. Use a smaller kernel_size, fewer pooling layers or a larger "
                         "input.")
    return n


class MaxPool2d(Op):
    """y[n,c,i,j] = largest x in window (i, j); padding counts as -inf.  (N, C, H, W) -> (N, C, oh, ow)."""

    name = "max_pool2d"

    @staticmethod
    def shape(x: Shape, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool,
              return_indices: bool) -> Any:
        _check_four_axes("max_pool2d", x)
        out = (x[0], x[1], *(pooled_size("max_pool2d", x, axis, kernel_size, stride, padding, dilation, ceil_mode)
                             for axis in (0, 1)))
        return (out, out) if return_indices else out

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool,
                return_indices: bool) -> Any:
        y, index = k.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
        ctx.constants = index
        return (y, k.cast(index, int64)) if return_indices else y

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any = None) -> Any:
        return (apply(MaxPool2dGrad, (g,), (ctx.constants, ctx.input_shape(0))),)


class MaxPool2dGrad(Op):
    """Zeros of `shape` with g added at the switches.  Adjoint: read at the switches."""

    name = "max_pool2d_grad"

    @staticmethod
    def shape(g: Shape, index: Any, shape: Shape) -> Shape:
        _check_switches("max_pool2d_grad", g, index)
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, index: Any, shape: Shape) -> Any:
        return k.max_pool2d_backward(g, index, shape)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        return (apply(MaxPool2dGather, (v,), (ctx.args[0],)),)


class MaxPool2dGather(Op):
    """x read at the switches.  Adjoint: max_pool2d_grad."""

    name = "max_pool2d_gather"

    @staticmethod
    def shape(x: Shape, index: Any) -> Shape:
        if len(x) != 4 or tuple(x[:2]) != index.shape[:2]:
            raise ShapeError(f"max_pool2d_gather: input {x} and switches {index.shape} differ in batch or channels")
        return index.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: Any) -> Any:
        return k.max_pool2d_gather(x, index)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (apply(MaxPool2dGrad, (g,), (ctx.args[0], ctx.input_shape(0))),)


class AvgPool2d(Op):
    """y[n,c,i,j] = mean of x over window (i, j).  Linear; its adjoint spreads g evenly over the window."""

    name = "avg_pool2d"

    @staticmethod
    def shape(x: Shape, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool,
              divisor_override: int | None) -> Shape:
        _check_four_axes("avg_pool2d", x)
        return (x[0], x[1], *(pooled_size("avg_pool2d", x, axis, kernel_size, stride, padding, (1, 1), ceil_mode)
                              for axis in (0, 1)))

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, *geometry: Any) -> Any:
        return k.avg_pool2d(x, *geometry)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (apply(AvgPool2dGrad, (g,), (ctx.input_shape(0), *ctx.args)),)


class AvgPool2dGrad(Op):
    """The adjoint of avg_pool2d for an input of `shape`."""

    name = "avg_pool2d_grad"

    @staticmethod
    def shape(g: Shape, shape: Shape, *geometry: Any) -> Shape:
        expected = AvgPool2d.shape(shape, *geometry)
        if tuple(g) != expected:
            raise ShapeError(f"avg_pool2d_grad: the gradient has shape {g}, the pooled output {expected}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, shape: Shape, *geometry: Any) -> Any:
        return k.avg_pool2d_backward(g, shape, *geometry)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        return (apply(AvgPool2d, (v,), ctx.args[1:]),)


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """Largest value per window; stride None means kernel_size.  With return_indices also the flat positions h * W + w."""
    require_tensors("max_pool2d", x)
    size = pair("max_pool2d", "kernel_size", kernel_size, 1)
    strides = size if stride is None else pair("max_pool2d", "stride", stride, 1)
    args = (size, strides, pair("max_pool2d", "padding", padding, 0), pair("max_pool2d", "dilation", dilation, 1),
            bool(ceil_mode), bool(return_indices))
    return _batched(MaxPool2d, x, args)


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """Mean per window; stride None means kernel_size."""
    require_tensors("avg_pool2d", x)
    size = pair("avg_pool2d", "kernel_size", kernel_size, 1)
    strides = size if stride is None else pair("avg_pool2d", "stride", stride, 1)
    if divisor_override is not None and divisor_override == 0:
        raise ShapeError("avg_pool2d: divisor_override must not be zero")
    args = (size, strides, pair("avg_pool2d", "padding", padding, 0), bool(ceil_mode), bool(count_include_pad),
            divisor_override)
    return _batched(AvgPool2d, x, args)


def _batched(op: Any, x: Any, args: tuple[Any, ...]) -> Any:
    """Apply to (N, C, H, W), or to a single image (C, H, W)."""
    if x.array.ndim != 3:
        return apply(op, (x,), args)
    y = apply(op, (reshape(x, (1, *x.array.shape)),), args)
    if isinstance(y, tuple):
        return tuple([reshape(part, part.array.shape[1:]) for part in y])
    return reshape(y, y.array.shape[1:])


def _check_four_axes(op: str, x: Shape) -> None:
    if len(x) != 4:
        raise ShapeError(f"{op}: expected (N, C, H, W) or (C, H, W), got {x}")


def _check_switches(op: str, g: Shape, index: Any) -> None:
    if tuple(g) != index.shape:
        raise ShapeError(f"{op}: the gradient has shape {g}, the switches {index.shape}")
