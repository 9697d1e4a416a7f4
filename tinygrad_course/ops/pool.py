"""Max, average and power-mean pooling of sequences, images and volumes; adaptive and fractional windows.

Max pooling remembers which position won (the switch); its gradient goes there and nowhere else.

A sequence is an image of height 1.  The windows of a volume are boxes, so a maximum or a mean over them is one over height
and width, followed by one over the depth: two poolings of images.
"""

import math
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, mul, neg, pow
from tinygrad_course.ops.axis_product import averages, axis_product, parts
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.conv import Pair, as_image
from tinygrad_course.ops.creation import rand
from tinygrad_course.ops.dtypes import float16, float32, float64, int64, require_tensors
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.rounding import round
from tinygrad_course.ops.shape import reshape
from tinygrad_course.ops.unfold import Sizes, sizes

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices", "fractional_max_pool3d", "fractional_max_pool3d_with_indices", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d",
    "max_pool3d_with_indices",
]

_EXPECTED = {1: "(N, C, L) or (C, L)", 2: "(N, C, H, W) or (C, H, W)", 3: "(N, C, D, H, W) or (C, D, H, W)"}


def pooled_size(op: str, x: Shape, axis: int, kernel_size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
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


class MaxIndex(Op):
    """Position of the largest value of every box, in the flattened x.shape[2:].  x (N, C, ...) -> int64 (N, C, ...).

    tables: per axis the positions (N or 1, C or 1, out, taps) that the boxes have along it."""

    name = "max_index"
    differentiable = False

    @staticmethod
    def shape(x: Shape, tables: tuple[Any, ...]) -> Shape:
        if len(x) != 2 + len(tables):
            raise ShapeError(f"max_index: {len(tables)} tables do not fit the {len(x) - 2} axes after (N, C) of {x}")
        return (*x[:2], *[table.shape[2] for table in tables])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, tables: tuple[Any, ...]) -> Any:
        return k.max_index(x, tables)


# -- functions ---------------------------------------------------------------------------------------------------------


def max_pool1d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """Largest value per window of sequences (N, C, L), or of one; stride None means kernel_size.

    With return_indices also the positions in the input."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                            ceil_mode: bool = False, return_indices: bool = True) -> Any:
    """max_pool1d and where the maxima were."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """Largest value per window of images (N, C, H, W), or of one; stride None means kernel_size.

    With return_indices also the positions h * W + w in the input."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d_with_indices(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                            ceil_mode: bool = False, return_indices: bool = True) -> Any:
    """max_pool2d and where the maxima were."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """Largest value per window of volumes (N, C, D, H, W), or of one; stride None means kernel_size.

    With return_indices also the positions (d * H + h) * W + w in the input."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d_with_indices(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                            ceil_mode: bool = False, return_indices: bool = True) -> Any:
    """max_pool3d and where the maxima were."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool1d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Any:
    """Mean per window of sequences (N, C, L), or of one; stride None means kernel_size."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """Mean per window of images (N, C, H, W), or of one; stride None means kernel_size.

    count_include_pad: whether zeros of the padding count.  divisor_override: what sums are divided by instead."""
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """Mean per window of volumes (N, C, D, H, W), or of one; as avg_pool2d."""
    return _avg_pool("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) per window of sequences (N, C, L), p = norm_type: no absolute values, except for
    p = inf, the largest |x|, and -inf, the smallest.  As in PyTorch."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) per window of images (N, C, H, W), p = norm_type; see lp_pool1d."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(sum of x^p)^(1/p) per window of volumes (N, C, D, H, W), p = norm_type; see lp_pool1d."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means over output_size nearly equal parts of sequences (N, C, L), or of one."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means over output_size nearly equal parts of images (N, C, H, W), or of one.

    output_size is a number for both axes or a pair; None in its place keeps an axis as it is."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Means over output_size nearly equal parts of volumes (N, C, D, H, W), or of one."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over output_size nearly equal parts of sequences (N, C, L), or of one."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any, return_indices: bool = True) -> Any:
    """adaptive_max_pool1d and where the maxima were."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over output_size nearly equal parts of images (N, C, H, W), or of one.

    output_size is a number for both axes or a pair; None in its place keeps an axis as it is."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = True) -> Any:
    """adaptive_max_pool2d and where the maxima were."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over output_size nearly equal parts of volumes (N, C, D, H, W), or of one."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


def adaptive_max_pool3d_with_indices(input: Any, output_size: Any, return_indices: bool = True) -> Any:
    """adaptive_max_pool3d and where the maxima were."""
    return adaptive_max_pool3d(input, output_size, True)


def fractional_max_pool2d(input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                          return_indices: bool = False, _random_samples: Any = None) -> Any:
    """Largest value per window of images (N, C, H, W), with windows at randomly spaced places.

    Either output_size, or output_ratio, the output's share of the input's size.  _random_samples (N, C, 2) from [0, 1) fix
    the places (width, then height).  Graham 2014, Fractional max-pooling, arXiv:1412.6071."""
    return _fractional("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, return_indices,
                       _random_samples)


def fractional_max_pool2d_with_indices(input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                                       return_indices: bool = True, _random_samples: Any = None) -> Any:
    """fractional_max_pool2d and where the maxima were."""
    return fractional_max_pool2d(input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d(input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                          return_indices: bool = False, _random_samples: Any = None) -> Any:
    """Largest value per window of volumes (N, C, D, H, W), with windows at randomly spaced places.

    As fractional_max_pool2d; _random_samples (N, C, 3) are for depth, height and width."""
    return _fractional("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, return_indices,
                       _random_samples)


def fractional_max_pool3d_with_indices(input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                                       return_indices: bool = True, _random_samples: Any = None) -> Any:
    """fractional_max_pool3d and where the maxima were."""
    return fractional_max_pool3d(input, kernel_size, output_size, output_ratio, True, _random_samples)


# -- what they share ---------------------------------------------------------------------------------------------------


def _max_pool(op: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
              return_indices: bool) -> Any:
    kernel, strides, paddings = _geometry(op, n, x, kernel_size, stride, padding)
    dilations, ceil_mode, return_indices = sizes(op, "dilation", dilation, n, 1), bool(ceil_mode), bool(return_indices)
    if x.array.ndim == n + 1:
        return _single(_max_pool(op, n, _batch_of_one(x), kernel, strides, paddings, dilations, ceil_mode, return_indices))
    if n == 2:
        return apply(MaxPool2d, (x,), (kernel, strides, paddings, dilations, ceil_mode, return_indices))
    shape = _pooled_shape(op, n, x, kernel, strides, paddings, dilations, ceil_mode)
    if n == 1:
        geometry = ((1, *kernel), (1, *strides), (0, *paddings), (1, *dilations), ceil_mode, return_indices)
        y = apply(MaxPool2d, (as_image(x),), geometry)
        return tuple([reshape(part, shape) for part in y]) if return_indices else reshape(y, shape)
    batch, c, depth, h, w = x.array.shape
    planes, first = apply(MaxPool2d, (reshape(x, (batch, c * depth, h, w)),),
                          (kernel[1:], strides[1:], paddings[1:], dilations[1:], ceil_mode, True))
    area = shape[3] * shape[4]
    y, second = apply(MaxPool2d, (reshape(planes, (batch, c, depth, area)),),
                      ((kernel[0], 1), (strides[0], 1), (paddings[0], 0), (dilations[0], 1), ceil_mode, True))
    if not return_indices:
        return reshape(y, shape)
    chosen = reshape(second, (batch, c, shape[2] * area))  # which slice, and which place of its pooled plane
    place = gather(reshape(first, (batch, c, depth * area)), 2, chosen)
    return reshape(y, shape), new_tensor((place.array + chosen.array // area * (h * w)).reshape(shape))


def _avg_pool(op: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
              divisor_override: int | None) -> Any:
    kernel, strides, paddings = _geometry(op, n, x, kernel_size, stride, padding)
    ceil_mode, count_include_pad = bool(ceil_mode), bool(count_include_pad)
    if divisor_override is not None and number(op, divisor_override, "divisor_override") == 0:
        raise ShapeError(f"{op}: divisor_override must not be zero")
    if x.array.ndim == n + 1:
        return _single(_avg_pool(op, n, _batch_of_one(x), kernel, strides, paddings, ceil_mode, count_include_pad,
                                 divisor_override))
    shape = _pooled_shape(op, n, x, kernel, strides, paddings, (1,) * n, ceil_mode)
    dtype = x.array.dtype
    if dtype == float16:  # a sum of a few hundred values overflows there
        return cast(_avg_pool(op, n, cast(x, float32), kernel, strides, paddings, ceil_mode, count_include_pad,
                              divisor_override), dtype)
    if n == 3 and dtype.kind in "iu":  # a mean of integers is cut off once, not after each of the two poolings
        means = _avg_pool(op, n, cast(x, float64), kernel, strides, paddings, ceil_mode, count_include_pad, divisor_override)
        return cast(round(means, decimals=6), dtype)
    if n == 2:
        return apply(AvgPool2d, (x,), (kernel, strides, paddings, ceil_mode, count_include_pad, divisor_override))
    if n == 1:
        geometry = ((1, *kernel), (1, *strides), (0, *paddings), ceil_mode, count_include_pad, None)
        return reshape(apply(AvgPool2d, (as_image(x),), geometry), shape)
    batch, c, depth, h, w = x.array.shape
    sums = None if divisor_override is None else 1
    planes = apply(AvgPool2d, (reshape(x, (batch, c * depth, h, w)),),
                   (kernel[1:], strides[1:], paddings[1:], ceil_mode, count_include_pad, sums))
    y = apply(AvgPool2d, (reshape(planes, (batch, c, depth, shape[3] * shape[4])),),
              ((kernel[0], 1), (strides[0], 1), (paddings[0], 0), ceil_mode, count_include_pad, divisor_override))
    return reshape(y, shape)


def _lp_pool(op: str, n: int, x: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    require_tensors(op, x)
    norm_type = number(op, norm_type, "norm_type")
    if not norm_type:
        raise ValueError(f"{op}: norm_type must not be 0, the exponent is 1 / norm_type")
    if math.isinf(norm_type):
        largest = _max_pool(op, n, abs(x) if norm_type > 0 else neg(abs(x)), kernel_size, stride, 0, 1, ceil_mode, False)
        return largest if norm_type > 0 else neg(largest)
    mean = _avg_pool(op, n, pow(x, norm_type), kernel_size, stride, 0, ceil_mode, True, None)
    # Where the mean is 0 the root has an infinite derivative; PyTorch's is 0.
    mean = where(new_tensor(mean.array != 0), mean, 0.0)
    return pow(mul(mean, math.prod(sizes(op, "kernel_size", kernel_size, n, 1))), 1.0 / norm_type)


def _adaptive_avg_pool(op: str, n: int, x: Any, output_size: Any) -> Any:
    wanted = _adaptive_sizes(op, n, x, output_size)
    if x.array.ndim == n + 1:
        return _single(_adaptive_avg_pool(op, n, _batch_of_one(x), wanted))
    spatial = x.array.shape[2:]
    if all(out and size % out == 0 for size, out in zip(spatial, wanted, strict=True)):
        kernel = tuple([size // out for size, out in zip(spatial, wanted, strict=True)])
        return _avg_pool(op, n, x, kernel, kernel, 0, False, True, None)
    if x.array.dtype == float16:
        return cast(_adaptive_avg_pool(op, n, cast(x, float32), wanted), float16)
    for axis, (size, out) in enumerate(zip(spatial, wanted, strict=True)):
        if size != out:
            x = axis_product(x, 2 + axis, averages(size, out))
    return x


def _adaptive_max_pool(op: str, n: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    wanted = _adaptive_sizes(op, n, x, output_size)
    if x.array.ndim == n + 1:
        return _single(_adaptive_max_pool(op, n, _batch_of_one(x), wanted, return_indices))
    spatial = x.array.shape[2:]
    if all(out and size % out == 0 for size, out in zip(spatial, wanted, strict=True)):
        kernel = tuple([size // out for size, out in zip(spatial, wanted, strict=True)])
        return _max_pool(op, n, x, kernel, kernel, 0, 1, False, return_indices)
    tables = []
    for size, out in zip(spatial, wanted, strict=True):
        first, width = parts(size, out)
        taps = np.arange(width.max(initial=1))
        tables.append((first[:, None] + np.minimum(taps, width[:, None] - 1))[None, None])
    return _max_of_boxes(x, tuple(tables), return_indices)


def _fractional(op: str, n: int, x: Any, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool,
                samples: Any) -> Any:
    require_tensors(op, x, _random_samples=samples)
    _check_axes(op, x, n)
    kernel = sizes(op, "kernel_size", kernel_size, n, 1)
    if x.array.ndim == n + 1:
        return _single(_fractional(op, n, _batch_of_one(x), kernel, output_size, output_ratio, return_indices, samples))
    spatial = x.array.shape[2:]
    if (output_size is None) == (output_ratio is None):
        raise ShapeError(f"{op}: give either output_size or output_ratio")
    if output_size is not None:
        wanted = sizes(op, "output_size", output_size, n, 1)
    else:
        ratios = tuple(output_ratio) if isinstance(output_ratio, tuple | list) else (output_ratio,) * n
        ratios = tuple([number(op, ratio, "output_ratio") for ratio in ratios])
        if len(ratios) != n or not all(0 < ratio < 1 for ratio in ratios):
            raise ShapeError(f"{op}: output_ratio must be between 0 and 1, or {n} such numbers, got {output_ratio!r}")
        wanted = tuple([int(size * ratio) for size, ratio in zip(spatial, ratios, strict=True)])
    if samples is None:
        samples = rand((*x.array.shape[:2], n), dtype=x.array.dtype)
    batch, channels = x.array.shape[:2]
    if samples.array.ndim != 3 or samples.array.shape[1:] != (channels, n) or samples.array.shape[0] < batch:
        raise ShapeError(f"{op}: _random_samples must have shape {(batch, channels, n)}, got {samples.array.shape}")
    samples = samples[:batch]  # those for a larger batch are fine, as in PyTorch
    numbers, tables = backend.to_device(samples.array, "cpu"), []
    for axis, (size, out, k) in enumerate(zip(spatial, wanted, kernel, strict=True)):
        if out < 1 or out + k - 1 > size:
            raise ShapeError(f"{op}: {out} windows of {k} do not fit along axis {2 + axis} of {x.array.shape}: output_size + "
                             f"kernel_size - 1 = {out + k - 1} must be at most {size}, and output_size at least 1")
        drawn = numbers[..., 1 - axis if n == 2 else axis]  # (N, C)
        tables.append(_spread_places(drawn, size, out, k)[..., None] + np.arange(k))
    return _max_of_boxes(x, tuple(tables), return_indices)


def _spread_places(drawn: Any, size: int, out: int, kernel: int) -> Any:
    """First position of each of `out` windows: steps of about (size - kernel) / (out - 1), shifted by the drawn number, the
    last one at the end.  drawn (N, C) -> (N, C, out)."""
    drawn = drawn[..., None]
    step = drawn.dtype.type((size - kernel) / max(out - 1, 1))
    i = np.arange(out).astype(drawn.dtype)
    places = ((i + drawn) * step).astype(np.int64) - (drawn * step).astype(np.int64)
    places[..., -1] = size - kernel
    return places


def _max_of_boxes(x: Any, tables: tuple[Any, ...], return_indices: bool) -> Any:
    """Values at the positions that MaxIndex finds; their gradients go there."""
    n, c, *spatial = x.array.shape
    index = apply(MaxIndex, (x,), (tables,))
    shape = index.array.shape
    chosen = reshape(index, (n, c, math.prod(shape[2:])))
    y = reshape(gather(reshape(x, (n, c, math.prod(spatial))), 2, chosen), shape)
    return (y, index) if return_indices else y


def _geometry(op: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any) -> tuple[Sizes, Sizes, Sizes]:
    require_tensors(op, x)
    _check_axes(op, x, n)
    kernel = sizes(op, "kernel_size", kernel_size, n, 1)
    no_stride = stride is None or (isinstance(stride, tuple | list) and len(stride) == 0)
    strides = kernel if no_stride else sizes(op, "stride", stride, n, 1)
    return kernel, strides, sizes(op, "padding", padding, n, 0)


def _adaptive_sizes(op: str, n: int, x: Any, output_size: Any) -> Sizes:
    require_tensors(op, x)
    _check_axes(op, x, n)
    spatial = x.array.shape[-n:]
    if math.prod(spatial) == 0:
        raise ShapeError(f"{op}: there is nothing to pool in the shape {x.array.shape}")
    if isinstance(output_size, tuple | list) and len(output_size) == n:
        output_size = [size if out is None else out for out, size in zip(output_size, spatial, strict=True)]
    return sizes(op, "output_size", output_size, n, 0)


def _pooled_shape(op: str, n: int, x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                  ceil_mode: bool) -> Shape:
    shape = x.array.shape
    return (*shape[:2], *[pooled_size(op, shape, axis, kernel, stride, padding, dilation, ceil_mode) for axis in range(n)])


def _batch_of_one(x: Any) -> Any:
    return reshape(x, (1, *x.array.shape))


def _single(y: Any) -> Any:
    """The only element of a batch, for one result or several."""
    if isinstance(y, tuple):
        return tuple([_single(part) for part in y])
    return reshape(y, y.array.shape[1:])


def _check_axes(op: str, x: Any, n: int) -> None:
    if x.array.ndim not in (n + 1, n + 2):
        raise ShapeError(f"{op}: expected {_EXPECTED[n]}, got {x.array.shape}")
    if x.array.dtype.kind == "b":
        raise DTypeError(f"{op}: truth values cannot be pooled; use x.float()")


def _check_four_axes(op: str, x: Shape) -> None:
    if len(x) != 4:
        raise ShapeError(f"{op}: expected (N, C, H, W) or (C, H, W), got {x}")


def _check_switches(op: str, g: Shape, index: Any) -> None:
    if tuple(g) != index.shape:
        raise ShapeError(f"{op}: the gradient has shape {g}, the switches {index.shape}")
