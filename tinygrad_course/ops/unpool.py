"""Max unpooling: the maxima back at the places where max pooling found them, zeros everywhere else."""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integers
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.shape import reshape
from tinygrad_course.ops.unfold import sizes

__all__ = [
    "max_unpool1d", "max_unpool2d", "max_unpool3d",
]


class MaxUnpool(Op):
    """y[n, c, index[n, c, p]] = x[n, c, p], else 0.  x and index (N, C, P) -> y (N, C, size).

    Where windows overlap a place can be named several times: the last value stays, and each of them is given the gradient
    of the place, as in PyTorch."""

    name = "max_unpool"

    @staticmethod
    def shape(x: Shape, index: Shape, size: int) -> Shape:
        if tuple(x) != tuple(index):
            raise ShapeError(f"max_unpool: values {x} and indices {index} must have the same shape")
        return (x[0], x[1], size)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: Any, size: int) -> Any:
        ctx.save(index)
        return k.max_unpool(x, index, size)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        index, = ctx.saved
        return gather(g, 2, index), None


def max_unpool1d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Any:
    """Undo max_pool1d, except for what it lost: (N, C, L) or (C, L); see max_unpool2d."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Any:
    """Undo max_pool2d, except for what it lost: (N, C, H, W) or (C, H, W), with the indices that it returned.

    Each size is (n - 1) stride - 2 padding + kernel_size, or that of output_size, which may differ from it by less than the
    stride.  Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv:1311.2901."""
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 output_size: Any = None) -> Any:
    """Undo max_pool3d, except for what it lost: (N, C, D, H, W) or (C, D, H, W); see max_unpool2d."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(op: str, n: int, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    require_tensors(op, x, indices)
    shape = x.array.shape
    if len(shape) not in (n + 1, n + 2) or indices.array.shape != shape:
        raise ShapeError(f"{op}: input and indices must have one shape of {n + 1} or {n + 2} axes, got {shape} and "
                         f"{indices.array.shape}")
    if indices.array.dtype.kind != "i":
        raise DTypeError(f"{op}: the indices must be integers, got {indices.array.dtype}; max_pool{n}d gives them with "
                         "return_indices=True")
    kernel = sizes(op, "kernel_size", kernel_size, n, 1)
    no_stride = stride is None or (isinstance(stride, tuple | list) and len(stride) == 0)
    strides = kernel if no_stride else sizes(op, "stride", stride, n, 1)
    paddings = sizes(op, "padding", padding, n, 0)
    usual = tuple([(size - 1) * s - 2 * p + k for size, s, p, k in zip(shape[-n:], strides, paddings, kernel, strict=True)])
    wanted = usual
    if output_size is not None:
        given = integers(op, "output_size", output_size if isinstance(output_size, tuple | list) else (output_size,) * n)
        wanted = given[2:] if len(given) == n + 2 else given
        if len(wanted) != n or any(not u - s < size < u + s for size, u, s in zip(wanted, usual, strides, strict=True)):
            raise ShapeError(f"{op}: output_size {given} must be {n} or {n + 2} numbers, the last {n} of which differ from "
                             f"{usual} by less than the stride {strides}")
    batch, c = (1, *shape)[-n - 2:-n]
    total = math.prod(wanted)
    places = indices.array
    if places.size and (places.min() < 0 or places.max() >= total):
        wrong = int(places.min()) if places.min() < 0 else int(places.max())
        raise IndexError(f"{op}: index {wrong} does not exist in an output of {wanted}, which has {total} places")
    flat = (batch, c, math.prod(shape[-n:]))
    y = apply(MaxUnpool, (reshape(x, flat), reshape(indices, flat)), (total,))
    return reshape(y, (*shape[:-n], *wanted))
