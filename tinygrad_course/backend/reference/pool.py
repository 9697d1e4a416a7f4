"""Pooling in NumPy: one strided slice per kernel tap instead of one window per output.

Letters: N images, C channels, H W input, oh ow output, kh kw kernel, s stride, p padding, d dilation.
Output size and windows are PyTorch's, `ceil_mode` included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_course.errors import ShapeError

KERNELS = (
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_gather",
    "avg_pool2d",
    "avg_pool2d_backward",
)

Array = NDArray[Any]
Pair = tuple[int, int]


def pool_size(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Number of windows along an axis of length `n`:  (n + 2p - d(k-1) - 1) // s + 1.

    With `ceil_mode` the division rounds up, but a last window that would start in the right padding is dropped.
    A result below 1 means that the kernel does not fit.
    """
    span = n + 2 * padding - dilation * (kernel - 1) - 1
    if ceil_mode:
        size = -(-span // stride) + 1
        return size - 1 if (size - 1) * stride >= n + padding else size
    return span // stride + 1


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """Largest value of every window, and where it was.

    x (N, C, H, W)  ->  y (N, C, oh, ow), index (N, C, oh, ow) int32: position h * W + w inside the input plane.
    Padding counts as -inf and is never chosen.  Of equal values the first in row order wins; a NaN wins over every
    number, and of several NaNs the last one is the one named by the index (as in PyTorch).
    """
    n, c, h, w = x.shape
    oh, ow = _out_size("max_pool2d", (h, w), kernel_size, stride, padding, dilation, ceil_mode)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    xp = _pad(x, kernel_size, stride, padding, dilation, (oh, ow), lowest)

    y = np.full_like(xp, lowest, shape=(n, c, oh, ow))
    # Before any tap has won, the index names the first tap that lies inside the input.
    rows = _first_inside(oh, stride[0], padding[0], dilation[0])
    cols = _first_inside(ow, stride[1], padding[1], dilation[1])
    index = np.full_like(xp, 0, shape=(n, c, oh, ow), dtype=np.int32)
    index += np.asarray(rows[:, None] * w + cols, dtype=np.int32, like=xp)
    for i, j, taps in _taps(kernel_size, stride, dilation, (oh, ow)):
        v = xp[taps]  # (N, C, oh, ow)
        here = (np.arange(oh) * stride[0] - padding[0] + i)[:, None] * w + np.arange(ow) * stride[1] - padding[1] + j
        better = (v > y) | (v != v)
        y = np.where(better, v, y)
        index = np.where(better, np.asarray(here, dtype=np.int32, like=xp), index)
    return y, index


def max_pool2d_backward(g: Array, index: Array, shape: tuple[int, ...]) -> Array:
    """Adjoint of picking x at `index`: zeros of `shape` (N, C, H, W) with g (N, C, oh, ow) added at `index`."""
    n, c, h, w = shape
    planes = np.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    where = index + np.asarray(planes, like=index)
    # bincount adds in float64 and, unlike np.add.at, in one pass without a loop per element.
    gx = np.bincount(where.reshape(-1), weights=g.reshape(-1), minlength=n * c * h * w)
    return gx.astype(g.dtype).reshape(shape)


def max_pool2d_gather(x: Array, index: Array) -> Array:
    """x (N, C, H, W) at `index` (N, C, oh, ow) of each plane: the adjoint of `max_pool2d_backward`."""
    n, c, h, w = x.shape
    oh, ow = index.shape[2:]
    picked = np.take_along_axis(x.reshape(n, c, h * w), index.reshape(n, c, oh * ow).astype(np.int64), axis=2)
    return picked.reshape(index.shape)


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Mean of every window.  x (N, C, H, W)  ->  (N, C, oh, ow).

    The divisor is `divisor_override`, else the number of taps inside the padded input, or inside the input itself if
    `count_include_pad` is False.
    """
    n, c, h, w = x.shape
    oh, ow = _out_size("avg_pool2d", (h, w), kernel_size, stride, padding, (1, 1), ceil_mode)
    xp = _pad(x, kernel_size, stride, padding, (1, 1), (oh, ow), 0)
    y = np.zeros_like(xp, shape=(n, c, oh, ow))
    for _, _, taps in _taps(kernel_size, stride, (1, 1), (oh, ow)):
        y += xp[taps]
    divisor = _divisor((h, w), (oh, ow), kernel_size, stride, padding, count_include_pad, divisor_override)
    return (y / np.asarray(divisor, dtype=x.dtype, like=xp)).astype(x.dtype, copy=False)


def avg_pool2d_backward(
    g: Array,
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Adjoint of `avg_pool2d`: every g (N, C, oh, ow) is spread evenly over its window.  ->  gx of `shape`."""
    n, c, h, w = shape
    oh, ow = g.shape[2:]
    divisor = _divisor((h, w), (oh, ow), kernel_size, stride, padding, count_include_pad, divisor_override)
    share = g / np.asarray(divisor, dtype=g.dtype, like=g)
    hp, wp = _padded_size((h, w), kernel_size, stride, padding, (1, 1), (oh, ow))
    gxp = np.zeros_like(g, shape=(n, c, hp, wp))
    for _, _, taps in _taps(kernel_size, stride, (1, 1), (oh, ow)):
        gxp[taps] += share
    return gxp[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w].copy()


def _out_size(
    op: str, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Pair:
    oh, ow = (pool_size(*args, ceil_mode) for args in zip(size, kernel_size, stride, padding, dilation, strict=True))
    if oh < 1 or ow < 1:
        raise ShapeError(
            f"{op}: kernel_size {kernel_size} with padding {padding} and dilation {dilation} does not fit into an "
            f"input plane of {size[0]} x {size[1]}: the output would be {oh} x {ow}. "
            "Use a smaller kernel or more padding."
        )
    return oh, ow


def _padded_size(size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair) -> Pair:
    """Height and width that hold the input after its padding and every tap of every window (ceil_mode sticks out)."""
    h, w = (
        max(size[a] + padding[a], (out[a] - 1) * stride[a] + (kernel_size[a] - 1) * dilation[a] + 1) for a in (0, 1)
    )
    return max(h, size[0] + padding[0]), max(w, size[1] + padding[1])


def _pad(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair, value: float
) -> Array:
    n, c, h, w = x.shape
    (ph, pw), (hp, wp) = padding, _padded_size((h, w), kernel_size, stride, padding, dilation, out)
    xp = np.full_like(x, value, shape=(n, c, hp, wp))
    xp[:, :, ph : ph + h, pw : pw + w] = x
    return xp


def _taps(
    kernel_size: Pair, stride: Pair, dilation: Pair, out: Pair
) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """Row and column offset of each kernel tap, and the slices that pick that tap of all windows of a padded input."""
    every = slice(None)
    for i in range(0, kernel_size[0] * dilation[0], dilation[0]):
        for j in range(0, kernel_size[1] * dilation[1], dilation[1]):
            rows = slice(i, i + (out[0] - 1) * stride[0] + 1, stride[0])
            cols = slice(j, j + (out[1] - 1) * stride[1] + 1, stride[1])
            yield i, j, (every, every, rows, cols)


def _first_inside(out: int, stride: int, padding: int, dilation: int) -> Array:
    """Input position of the first tap of each window that is not in the left padding."""
    start = np.arange(out) * stride - padding
    return np.where(start < 0, start + -(start // dilation) * dilation, start)


def _divisor(
    size: Pair,
    out: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """What each window's sum is divided by: (oh, ow), or a scalar array for `divisor_override`."""
    if divisor_override is not None:
        return np.asarray(divisor_override)
    counts = []
    for a in (0, 1):
        start = np.arange(out[a]) * stride[a] - padding[a]
        end = np.minimum(start + kernel_size[a], size[a] + padding[a])
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size[a])
        counts.append(np.maximum(end - start, 1))
    return counts[0][:, None] * counts[1]
