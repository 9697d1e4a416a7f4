"""Pooling and normalisation as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.join import Size, VaryingError
from tinygrad_course.io.onnx.registry import writes

# ---- pooling ---------------------------------------------------------------------------------------------------------


def _needed_ends(call: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> list[int] | None:
    """Padding after each axis with which floor and ceil give the same windows; None where the size is not known.

    ONNX rounds up by another rule than PyTorch (a last window that starts in the padding counts); written out there is
    nothing to round."""
    if not ceil_mode:
        return list(padding)
    ends = []
    for size, out, k, s, p, d in zip(call.inputs[0].shape[2:], call.outputs[0].shape[2:], kernel, stride, padding, dilation,
                                     strict=True):
        if isinstance(size, Size) or isinstance(out, Size):
            return None
        ends.append(max((out - 1) * s + d * (k - 1) + 1 - size - p, 0))
    return ends


@writes("max_pool2d")
def max_pool2d(g: Any, call: Any, x: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
               return_indices: bool) -> Any:
    """MaxPool.  Its indices count through the whole batch, ours through one plane."""
    ends = _needed_ends(call, kernel, stride, padding, dilation, ceil_mode)
    pads = [*padding, *(padding if ends is None else ends)]
    options = {"kernel_shape": kernel, "strides": stride, "pads": pads, "dilations": dilation, "ceil_mode": int(ends is None)}
    if not return_indices:
        return g.node("MaxPool", x, **options)
    y, places = g.node("MaxPool", x, outputs=2, **options)
    return y, _in_plane(g, call, places)


def _in_plane(g: Any, call: Any, places: str) -> Any:
    spatial = call.inputs[0].shape[2:]
    if any(isinstance(size, Size) for size in spatial):
        raise VaryingError("the indices of max pooling need a fixed height and width")
    return g.node("Mod", places, g.constant(math.prod(spatial), np.int64))


@writes("max_index")
def max_index(g: Any, call: Any, x: str, tables: Any) -> Any:
    """Adaptive max pooling with windows of several sizes: the boxes one by one along each axis."""
    raise ExportError("max pooling over parts of unequal size has no ONNX counterpart; choose an output_size that divides "
                      f"the input's size {call.inputs[0].a.shape[2:]}")


@writes("avg_pool2d")
def avg_pool2d(g: Any, call: Any, x: str, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
               divisor_override: int | None) -> Any:
    """GlobalAveragePool or AveragePool; zeros are padded by a node of their own where the two count them otherwise."""
    ends = _needed_ends(call, kernel, stride, padding, (1, 1), ceil_mode)
    if tuple(call.inputs[0].shape[2:]) == tuple(kernel) and not any(padding) and divisor_override is None:
        return g.node("GlobalAveragePool", x)
    if ends is None:
        raise VaryingError("ceil_mode with a dynamic height or width rounds otherwise in ONNX")
    plain = ends == list(padding)
    options: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    if divisor_override is not None:
        x = _zero_padded(g, call, x, padding, ends)
        y = g.node("AveragePool", x, pads=[0, 0, 0, 0], **options)
        return g.node("Mul", y, g.constant(math.prod(kernel) / divisor_override, call.inputs[0].dtype))
    if plain or not count_include_pad or not any(padding):
        counted = int(plain and count_include_pad and any(padding))
        return g.node("AveragePool", x, pads=[*padding, *ends], count_include_pad=counted, **options)
    # The zeros of the padding count, the places that only rounding up adds do not.
    x = _zero_padded(g, call, x, padding, padding)
    more = [max(end - p, 0) for end, p in zip(ends, padding, strict=True)]
    return g.node("AveragePool", x, pads=[0, 0, *more], count_include_pad=0, **options)


def _zero_padded(g: Any, call: Any, x: str, before: Any, after: Any) -> Any:
    return g.node("Pad", x, g.constant([0, 0, *before, 0, 0, *after], np.int64), g.constant(0, call.inputs[0].dtype))


@writes("max_unpool")
def max_unpool(g: Any, call: Any, x: str, index: str, size: int) -> Any:
    """ScatterElements into zeros; MaxUnpool would want indices that count through the whole batch."""
    n, c, _ = call.inputs[0].shape
    zeros = g.node("Expand", g.constant(0, call.inputs[0].dtype), g.ints([n, c, size]))
    return g.node("ScatterElements", zeros, index, x, axis=2)


# ---- normalisation ---------------------------------------------------------------------------------------------------


@writes("batch_norm")
def batch_norm(g: Any, call: Any, x: str, weight: str | None, bias: str | None, residual: str | None, mean: Any, var: Any,
               training: bool, momentum: float, eps: float, relu: bool) -> Any:
    """BatchNormalization, then the sum with the residual and the Relu that may be fused into the op."""
    dtype, channels = call.inputs[0].dtype, call.inputs[0].a.shape[1]
    if weight is None:
        weight = g.constant(np.ones(channels, dtype))
    if bias is None:
        bias = g.constant(np.zeros(channels, dtype))
    if training:
        axes = [axis for axis in range(call.inputs[0].a.ndim) if axis != 1]
        column = g.constant([channels, *[1] * (len(axes) - 1)], np.int64)
        y = _normalised(g, x, axes, eps, dtype, True)
        y = g.node("Add", g.node("Mul", y, g.node("Reshape", weight, column)), g.node("Reshape", bias, column))
    else:
        y = g.node("BatchNormalization", x, weight, bias, g.state(mean), g.state(var), epsilon=eps)
    if residual is not None:
        y = g.node("Add", y, residual)
    return g.node("Relu", y) if relu else y


@writes("group_norm")
def group_norm(g: Any, call: Any, x: str, weight: str | None, bias: str | None, rows: Any, eps: float, centred: bool) -> Any:
    """LayerNormalization, InstanceNormalization, or the latter of groups; RMS norm as its parts."""
    shape, dtype = call.inputs[0].shape, call.inputs[0].dtype
    _, groups, width, space = rows
    axis = _first_normalised(shape, groups, width, space)
    if axis is not None and centred:
        inner = shape[axis:]
        scale = g.constant(np.ones(inner, dtype)) if weight is None else weight
        return g.node("LayerNormalization", x, scale, bias, axis=axis, epsilon=eps)
    if axis is not None:
        y = _normalised(g, x, list(range(axis, len(shape))), eps, dtype, False)
        y = y if weight is None else g.node("Mul", y, weight)
        return y if bias is None else g.node("Add", y, bias)
    if width == 1 and len(shape) > 2:
        scale = g.constant(np.ones(groups, dtype)) if weight is None else weight
        shift = g.constant(np.zeros(groups, dtype)) if bias is None else bias
        return g.node("InstanceNormalization", x, scale, shift, epsilon=eps)
    ones, zeros = g.constant(np.ones(groups, dtype)), g.constant(np.zeros(groups, dtype))
    apart = g.node("Reshape", x, g.constant([0, groups, -1], np.int64))
    y = g.node("InstanceNormalization", apart, ones, zeros, epsilon=eps)
    y = g.node("Reshape", y, g.node("Shape", x))
    column = g.constant([groups * width, *[1] * (len(shape) - 2)], np.int64)
    if weight is not None:
        y = g.node("Mul", y, g.node("Reshape", weight, column))
    return y if bias is None else g.node("Add", y, g.node("Reshape", bias, column))


def _first_normalised(shape: Any, groups: int, width: Any, space: Any) -> int | None:
    """The first of the last axes that are normalised together with a weight for each place, None if it is not that."""
    if groups != 1 or space != 1 or isinstance(width, Size):
        return None
    for axis in range(len(shape) - 1, -1, -1):
        inner = shape[axis:]
        if not any(isinstance(size, Size) for size in inner) and math.prod(inner) == width:
            return axis
    return None


def _normalised(g: Any, x: str, axes: list[int], eps: float, dtype: Any, centred: bool) -> Any:
    """(x - mean) / sqrt(var + eps) over axes; x / sqrt(mean square + eps) if not centred."""
    over = g.constant(axes, np.int64)
    moved = g.node("Sub", x, g.node("ReduceMean", x, over, keepdims=1)) if centred else x
    square = g.node("ReduceMean", g.node("Mul", moved, moved), over, keepdims=1)
    return g.node("Div", moved, g.node("Sqrt", g.node("Add", square, g.constant(eps, dtype))))
