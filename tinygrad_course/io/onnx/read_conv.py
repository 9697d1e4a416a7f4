"""Convolution and pooling nodes as ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course import ops
from tinygrad_course.io.onnx.registry import reads
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.index import getitem

CONV = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
CONV_TRANSPOSE = {1: ops.conv_transpose1d, 2: ops.conv_transpose2d, 3: ops.conv_transpose3d}
MAX_POOL = {1: ops.max_pool1d, 2: ops.max_pool2d, 3: ops.max_pool3d}
AVG_POOL = {1: ops.avg_pool1d, 2: ops.avg_pool2d, 3: ops.avg_pool3d}


def _function(node: Any, table: Any, n: int) -> Any:
    if n not in table:
        raise node.refuse(f"the input has {n} spatial axes; supported are 1 to 3")
    return table[n]


def _geometry(node: Any, sizes: Any, kernel: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    """(strides, dilations, padding before, padding after) with auto_pad worked out."""
    n = len(kernel)
    strides, dilations = list(node.get("strides", [1] * n)), list(node.get("dilations", [1] * n))
    pads = list(node.get("pads", [0] * 2 * n))
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
                  for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)]
        low, high = [total // 2 for total in totals], [total - total // 2 for total in totals]
        return strides, dilations, *((low, high) if mode == "SAME_UPPER" else (high, low))
    if mode == "VALID":
        pads = [0] * 2 * n
    return strides, dilations, pads[:n], pads[n:]


def _padded(x: Any, before: Any, after: Any, value: float) -> Any:
    """x with places added at the ends of its spatial axes."""
    sides = [number for pair in zip(reversed(before), reversed(after), strict=True) for number in pair]
    return F.pad(x, sides, value=value) if any(sides) else x


@reads("Conv")
def conv(node: Any, x: Any, w: Any, b: Any = None) -> Any:
    """Along one, two or three axes."""
    kernel = w.shape[2:]
    strides, dilations, before, after = _geometry(node, x.shape[2:], kernel)
    if before != after:
        x, before = _padded(x, before, after, 0.0), [0] * len(kernel)
    return _function(node, CONV, len(kernel))(x, w, b, tuple(strides), tuple(before), tuple(dilations), node.get("group", 1))


@reads("ConvTranspose")
def conv_transpose(node: Any, x: Any, w: Any, b: Any = None) -> Any:
    """Padding cuts off the result; output_shape says how much."""
    kernel = w.shape[2:]
    n = len(kernel)
    strides, dilations, before, after = _geometry(node, x.shape[2:], kernel)
    extra = list(node.get("output_padding", [0] * n))
    wanted = node.get("output_shape")
    mode = node.get("auto_pad", "NOTSET")
    if wanted is None and mode.startswith("SAME"):
        wanted = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is not None:
        whole = [(size - 1) * s + d * (k - 1) + 1 + e
                 for size, s, d, k, e in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)]
        totals = [max(w - size, 0) for w, size in zip(whole, list(wanted)[-n:], strict=True)]
        halves = [total // 2 for total in totals]
        rest = [total - half for total, half in zip(totals, halves, strict=True)]
        before, after = (halves, rest) if mode == "SAME_UPPER" else (rest, halves)
    function = _function(node, CONV_TRANSPOSE, n)
    if before == after and all(e < max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        return function(x, w, b, tuple(strides), tuple(before), tuple(extra), node.get("group", 1), tuple(dilations))
    y = function(x, w, b, tuple(strides), 0, tuple(extra), node.get("group", 1), tuple(dilations))
    return getitem(y, (slice(None), slice(None), *[slice(low, size - high) for low, high, size
                                                   in zip(before, after, y.shape[2:], strict=True)]))


# ---- pooling ---------------------------------------------------------------------------------------------------------


@reads("MaxPool")
def max_pool(node: Any, x: Any) -> Any:
    """The indices of ONNX count through the whole batch."""
    kernel = node.get("kernel_shape")
    sizes = x.shape[2:]
    strides, dilations, before, after = _geometry(node, sizes, kernel)
    if node.get("storage_order", 0):
        raise node.refuse("storage_order=1 (indices by columns) is not supported")
    padding = before
    padded = x
    if before != after or any(2 * p > k for p, k in zip(before, kernel, strict=True)):
        padded, padding = _padded(x, before, after, -math.inf), [0] * len(kernel)
    options = (tuple(kernel), tuple(strides), tuple(padding), tuple(dilations), bool(node.get("ceil_mode", 0)))
    function = _function(node, MAX_POOL, len(kernel))
    if len(node.outputs) == 1:
        return function(padded, *options)
    y, places = function(padded, *options, return_indices=True)
    return y, from_numpy(_through_batch(places.numpy(), padded.shape[2:], sizes, before if padded is not x else None))


def _through_batch(places: Any, of: Any, sizes: Any, shift: Any) -> Any:
    """Positions in a plane of size `of`, which begins `shift` before the plane of `sizes`, as positions in the batch."""
    if shift is not None:
        parts = np.unravel_index(places, tuple(of))
        places = np.ravel_multi_index([part - low for part, low in zip(parts, shift, strict=True)], tuple(sizes))
    planes = np.arange(places.shape[0] * places.shape[1]).reshape(*places.shape[:2], *[1] * (places.ndim - 2))
    return (places + planes * math.prod(sizes)).astype(np.int64)


@reads("AveragePool")
def average_pool(node: Any, x: Any) -> Any:
    """Means; without count_include_pad of what lies inside."""
    kernel = node.get("kernel_shape")
    strides, dilations, before, after = _geometry(node, x.shape[2:], kernel)
    if any(d != 1 for d in dilations):
        raise node.refuse("dilations are not supported")
    function = _function(node, AVG_POOL, len(kernel))
    counted, up = bool(node.get("count_include_pad", 0)), bool(node.get("ceil_mode", 0))
    if before == after and all(2 * p <= k for p, k in zip(before, kernel, strict=True)):
        return function(x, tuple(kernel), tuple(strides), tuple(before), up, counted)
    options = (tuple(kernel), tuple(strides), 0, up)
    y = function(_padded(x, before, after, 0.0), *options)
    if counted:
        return y
    inside = from_numpy(np.ones((1, 1, *x.shape[2:]), x.dtype))
    return ops.div(y, function(_padded(inside, before, after, 0.0), *options))


@reads("GlobalAveragePool")
def global_average_pool(node: Any, x: Any) -> Any:
    """The mean of each channel."""
    return ops.mean(x, tuple(range(2, x.ndim)), True)


@reads("GlobalMaxPool")
def global_max_pool(node: Any, x: Any) -> Any:
    """The largest value of each channel."""
    return ops.amax(x, tuple(range(2, x.ndim)), True)


@reads("MaxUnpool")
def max_unpool(node: Any, x: Any, places: Any, output_shape: Any = None) -> Any:
    """Values back at their places in zeros; the places count through the whole batch."""
    kernel = node.get("kernel_shape")
    n = len(kernel)
    strides, pads = node.get("strides", [1] * n), node.get("pads", [0] * 2 * n)
    spatial = [(size - 1) * s + k - low - high for size, s, k, low, high
               in zip(x.shape[2:], strides, kernel, pads[:n], pads[n:], strict=True)]
    if output_shape is not None:
        spatial = [int(size) for size in output_shape.numpy()][-n:]
    flat = (x.shape[0], x.shape[1], math.prod(x.shape[2:]))
    inner = from_numpy(places.numpy() % math.prod(spatial))  # in the plane
    zeros = from_numpy(np.zeros((*flat[:2], math.prod(spatial)), x.dtype))
    y = ops.scatter(zeros, 2, inner.reshape(flat), x.reshape(flat))
    return y.reshape(*x.shape[:2], *spatial)
