"""Images as columns of patches, and back: unfold (im2col) and its adjoint fold (col2im)."""

import math
from typing import Any

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.axis_product import axis_product, windows
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.shape import permute, reshape

__all__ = [
    "fold",
]  # unfold is left out: the method of that name cuts windows along one axis

Sizes = tuple[int, ...]


def sizes(op: str, name: str, value: Any, count: int, least: int) -> Sizes:
    """One integer per axis, from a number or a sequence of 1 or `count` numbers."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(values) == 1:
        values = values * count
    if len(values) != count or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        many = {1: "", 2: " or a pair of integers", 3: " or three integers"}[count]
        raise ShapeError(f"{op}: {name} must be an integer{many}, got {value!r}")
    found = tuple([v.__index__() for v in values])
    if min(found) < least:
        raise ShapeError(f"{op}: {name} must be at least {least}, got {value!r}")
    return found


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Every patch that a convolution would look at, as a column: (N, C, H, W) -> (N, C kh kw, P), P = oh ow patches.

    y[n, (c, i, j), (p, q)] = x[n, c, p sh - ph + i dh, q sw - pw + j dw], 0 in the padding.  A single image (C, H, W) gives
    (C kh kw, P).  Convolution is the product of the weight, as a matrix, with these columns."""
    kernel, dilations, paddings, strides = _geometry("unfold", input, kernel_size, dilation, padding, stride)
    shape = input.array.shape
    if len(shape) not in (3, 4):
        raise ShapeError(f"unfold: expected (N, C, H, W) or (C, H, W), got {shape}")
    if len(shape) == 3:
        y = unfold(reshape(input, (1, *shape)), kernel_size, dilation, padding, stride)
        return reshape(y, y.array.shape[1:])
    n, c, h, w = shape
    (kh, kw), (oh, ow) = kernel, _patches("unfold", (h, w), kernel, dilations, paddings, strides)
    y = axis_product(input, 2, windows(h, kh, strides[0], paddings[0], dilations[0], oh))  # (N, C, kh * oh, W)
    y = axis_product(y, 3, windows(w, kw, strides[1], paddings[1], dilations[1], ow))  # (N, C, kh * oh, kw * ow)
    y = permute(reshape(y, (n, c, kh, oh, kw, ow)), (0, 1, 2, 4, 3, 5))
    return reshape(y, (n, c * kh * kw, oh * ow))


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The adjoint of `unfold`: patches (N, C kh kw, P), or (C kh kw, P), laid into (N, C, H, W); where they overlap they
    add up, and what lies in the padding is dropped.  output_size is (H, W)."""
    kernel, dilations, paddings, strides = _geometry("fold", input, kernel_size, dilation, padding, stride)
    h, w = sizes("fold", "output_size", output_size, 2, 1)
    shape = input.array.shape
    if len(shape) == 2:
        y = fold(reshape(input, (1, *shape)), output_size, kernel_size, dilation, padding, stride)
        return reshape(y, y.array.shape[1:])
    (kh, kw), (oh, ow) = kernel, _patches("fold", (h, w), kernel, dilations, paddings, strides)
    if len(shape) != 3 or shape[1] % (kh * kw) or shape[2] != oh * ow:
        raise ShapeError(f"fold: expected (N, C * {kh * kw}, {oh} * {ow} = {oh * ow}) or the same without N for an output of "
                         f"{h} x {w} and patches of {kh} x {kw}, got {shape}")
    n, c = shape[0], shape[1] // (kh * kw)
    y = permute(reshape(input, (n, c, kh, kw, oh, ow)), (0, 1, 2, 4, 3, 5))
    y = reshape(y, (n, c, kh * oh, kw * ow))
    y = axis_product(y, 3, windows(w, kw, strides[1], paddings[1], dilations[1], ow).transposed)
    return axis_product(y, 2, windows(h, kh, strides[0], paddings[0], dilations[0], oh).transposed)


def _geometry(op: str, x: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Sizes, ...]:
    require_tensors(op, x)
    return (sizes(op, "kernel_size", kernel_size, 2, 1), sizes(op, "dilation", dilation, 2, 1),
            sizes(op, "padding", padding, 2, 0), sizes(op, "stride", stride, 2, 1))


def _patches(op: str, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Sizes:
    """Number of patches along the height and the width."""
    counts = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                    for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)])
    if min(counts) < 1 or math.prod(size) == 0:
        raise ShapeError(f"{op}: no patch of {kernel[0]} x {kernel[1]} (dilation {dilation}) fits into an image of {size[0]} "
                         f"x {size[1]} with padding {padding}")
    return counts
