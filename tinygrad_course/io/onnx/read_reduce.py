"""Reduction, sorting and scan nodes as ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import ops
from tinygrad_course.io.onnx.read_elementwise import axes_of, ints
from tinygrad_course.io.onnx.registry import readers, reads


def _prod(x: Any, axes: tuple[int, ...], keep: bool) -> Any:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = ops.prod(x, axis, keep)
    return x


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": ops.sum, "ReduceMean": ops.mean, "ReduceMax": ops.amax, "ReduceMin": ops.amin, "ReduceProd": _prod,
    "ReduceLogSumExp": ops.logsumexp,
    "ReduceL1": lambda x, axes, keep: ops.sum(ops.abs(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: ops.norm(x, 2, axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: ops.sum(ops.mul(x, x), axes, keep),
    "ReduceLogSum": lambda x, axes, keep: ops.log(ops.sum(x, axes, keep)),
}


def _reader(function: Callable[..., Any]) -> Callable[..., Any]:
    def read(node: Any, x: Any, axes: Any = None) -> Any:
        over = axes_of(node, axes)
        if not over:
            if node.get("noop_with_empty_axes", 0):
                return x
            over = list(range(x.ndim))
        y = function(x, tuple(over), bool(node.get("keepdims", 1)))
        return y if y.dtype == x.dtype else y.to(x.dtype)  # sums of small integers stay small in ONNX
    return read


readers.update({kind: _reader(function) for kind, function in REDUCTIONS.items()})


@reads("ArgMax", "ArgMin")
def position(node: Any, x: Any) -> Any:
    """The first of equal ones, or the last."""
    axis, function = node.get("axis", 0), ops.argmax if node.kind == "ArgMax" else ops.argmin
    keep = bool(node.get("keepdims", 1))
    if node.get("select_last_index", 0):
        return ops.sub(x.shape[axis] - 1, function(ops.flip(x, (axis,)), axis, keep))
    return function(x, axis, keep)


@reads("TopK")
def topk(node: Any, x: Any, k: Any = None) -> Any:
    """Values and places."""
    count = node.get("k") if k is None else ints(k)[0]
    return tuple(ops.topk(x, count, node.get("axis", -1), bool(node.get("largest", 1))))


@reads("CumSum")
def cumsum(node: Any, x: Any, axis: Any) -> Any:
    """Forwards or in reverse, with the element itself or without."""
    at = ints(axis)[0]
    turned = bool(node.get("reverse", 0))
    start = ops.flip(x, (at,)) if turned else x
    y = ops.cumsum(start, at).to(x.dtype)
    if node.get("exclusive", 0):
        y = ops.sub(y, start)
    return ops.flip(y, (at,)) if turned else y


@reads("Size")
def size(node: Any, x: Any) -> Any:
    """How many elements."""
    return ops.tensor(x.numel(), dtype=np.int64)
