"""Reductions, sorting and scans as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.join import Size, VaryingError
from tinygrad_course.io.onnx.registry import writes

REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "logsumexp": "ReduceLogSumExp", "amax": "ReduceMax",
              "amin": "ReduceMin"}


def _reduce(g: Any, kind: str, x: str, axes: Any, keepdims: bool) -> Any:
    """A reduction; none over no axis, for which ONNX would reduce all."""
    if not axes:
        return g.node("Identity", x)
    return g.node(kind, x, g.constant(list(axes), np.int64), keepdims=int(keepdims))


@writes(*REDUCTIONS)
def reduction(g: Any, call: Any, x: str, axes: Any, keepdims: bool) -> Any:
    """ReduceSum and its kin; what is summed or compared has the type of the result."""
    kind, result = call.inputs[0].dtype, call.outputs[0].dtype
    if kind == np.bool_ and result == np.bool_:  # the extremes of truth values
        y = _reduce(g, REDUCTIONS[call.op], g.cast(x, np.int32), axes, keepdims)
        return g.cast(y, np.bool_)
    return _reduce(g, REDUCTIONS[call.op], x if kind == result else g.cast(x, result), axes, keepdims)


@writes("prod")
def prod(g: Any, call: Any, x: str, axis: int, keepdims: bool) -> Any:
    """ReduceProd."""
    result = call.outputs[0].dtype
    return _reduce(g, "ReduceProd", x if call.inputs[0].dtype == result else g.cast(x, result), [axis], keepdims)


@writes("all", "any")
def truth(g: Any, call: Any, x: str, axes: Any, keepdims: bool) -> Any:
    """The smallest or largest of truth values, as numbers."""
    if call.inputs[0].dtype != np.bool_:
        x = g.cast(x, np.bool_)
    return g.cast(_reduce(g, "ReduceMin" if call.op == "all" else "ReduceMax", g.cast(x, np.int32), axes, keepdims), np.bool_)


@writes("argmax", "argmin")
def position(g: Any, call: Any, x: str, axis: int, keepdims: bool) -> Any:
    """The first of equal ones, in ONNX too."""
    return g.node("ArgMax" if call.op == "argmax" else "ArgMin", x, axis=axis, keepdims=int(keepdims))


@writes("max", "min")
def extreme(g: Any, call: Any, x: str, axis: int) -> Any:
    """The value and where it is."""
    value, place = ("ReduceMax", "ArgMax") if call.op == "max" else ("ReduceMin", "ArgMin")
    return _reduce(g, value, x, [axis], True), g.node(place, x, axis=axis, keepdims=1)


@writes("element")
def element(g: Any, call: Any, x: str, index: Any) -> Any:
    """max(), min() and median() of a whole tensor look up where the value is, outside of the ops."""
    raise ExportError("the value at a computed place, as in x.max() without dim, has no ONNX counterpart; use amax() or "
                      "amin()")


@writes("var")
def var(g: Any, call: Any, x: str, axes: Any, correction: float, keepdims: bool) -> Any:
    """sum (x - mean)^2 / (n - correction), a division by 0 where that is negative."""
    sizes = [call.inputs[0].shape[axis] for axis in axes]
    if any(isinstance(size, Size) for size in sizes):
        raise VaryingError("the variance over a dynamic axis")
    n = math.prod(sizes)
    moved = g.node("Sub", x, _reduce(g, "ReduceMean", x, axes, True))
    y = _reduce(g, "ReduceMean", g.node("Mul", moved, moved), axes, keepdims)
    factor = n / (n - correction) if n > correction else math.inf
    return y if not correction else g.node("Mul", y, g.constant(factor, call.inputs[0].dtype))


@writes("vector_norm")
def vector_norm(g: Any, call: Any, x: str, axes: Any, p: float, keepdims: bool) -> Any:
    """(sum |x|^p)^(1/p)."""
    dtype = call.inputs[0].dtype
    if p in (1.0, 2.0) and axes:
        return _reduce(g, "ReduceL1" if p == 1.0 else "ReduceL2", x, axes, keepdims)
    size = g.node("Abs", x)
    if math.isinf(p):
        return _reduce(g, "ReduceMax" if p > 0 else "ReduceMin", size, axes, keepdims)
    if p == 0:
        present = g.cast(g.node("Not", g.node("Equal", x, g.constant(0, dtype))), dtype)
        return _reduce(g, "ReduceSum", present, axes, keepdims)
    total = _reduce(g, "ReduceSum", g.node("Pow", size, g.constant(p, dtype)), axes, keepdims)
    return g.node("Pow", total, g.constant(1 / p, dtype))


@writes("euclidean_distance")
def euclidean_distance(g: Any, call: Any, x: str, y: str) -> Any:
    """|x_i - y_j| from differences, which cannot become negative under the root as |x|^2 + |y|^2 - 2 x y can."""
    ndim = call.inputs[0].a.ndim
    rows = g.node("Unsqueeze", x, g.constant([ndim - 1], np.int64))
    columns = g.node("Unsqueeze", y, g.constant([call.inputs[1].a.ndim - 2], np.int64))
    return _reduce(g, "ReduceL2", g.node("Sub", rows, columns), [ndim], False)


@writes("cumsum")
def cumsum(g: Any, call: Any, x: str, axis: int, reverse: bool) -> Any:
    """CumSum."""
    result = call.outputs[0].dtype
    x = x if call.inputs[0].dtype == result else g.cast(x, result)
    return g.node("CumSum", x, g.constant(axis, np.int64), reverse=int(reverse))


# ---- order -----------------------------------------------------------------------------------------------------------


@writes("sort")
def sort(g: Any, call: Any, x: str, axis: int, descending: bool) -> Any:
    """TopK of all."""
    return g.node("TopK", x, g.ints([call.inputs[0].shape[axis]]), outputs=2, axis=axis, largest=int(descending), sorted=1)


@writes("topk")
def topk(g: Any, call: Any, x: str, axis: int, count: Any, largest: bool) -> Any:
    """TopK."""
    return g.node("TopK", x, g.ints([count]), outputs=2, axis=axis, largest=int(largest), sorted=1)


@writes("kthvalue", "median")
def ranked(g: Any, call: Any, x: str, axis: int, choice: Any) -> Any:
    """The last of the k smallest; the lower median is the ((n + 1) / 2)-th smallest."""
    if call.op == "median" and choice:
        raise ExportError("a median that leaves nan out has no ONNX counterpart")
    size = call.inputs[0].shape[axis]
    if isinstance(size, Size):
        raise VaryingError("the rank along a dynamic axis depends on its length")
    place = (size + 1) // 2 if call.op == "median" else choice
    found = g.node("TopK", x, g.ints([place]), outputs=2, axis=axis, largest=0, sorted=1)
    return tuple([g.node("Gather", part, g.constant([place - 1], np.int64), axis=axis) for part in found])
