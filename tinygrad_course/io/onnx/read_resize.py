"""Resize nodes as ops: a matrix along each axis, for each mode and way to lay the coordinates; the others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.io.onnx.read_elementwise import ints
from tinygrad_course.io.onnx.registry import reads
from tinygrad_course.ops.axis_product import SparseMatrix, axis_product
from tinygrad_course.ops.resize import cubic

_ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place + 0.5),
}


@reads("Resize")
def resize(node: Any, x: Any, *rest: Any) -> Any:
    """Inputs: roi, scales, sizes; of opset 10: scales."""
    given = [*rest, None, None, None]
    scales, sizes = (given[0], None) if node.opset < 11 else (given[1], given[2])
    axes = [axis % x.ndim for axis in node.get("axes", range(x.ndim))]
    asked = (node.get("antialias", 0), node.get("keep_aspect_ratio_policy", "stretch") != "stretch",
             node.get("exclude_outside", 0), node.get("coordinate_transformation_mode", "") == "tf_crop_and_resize")
    if any(asked):
        raise node.refuse("antialias, keep_aspect_ratio_policy, exclude_outside and tf_crop_and_resize are not supported")
    if sizes is not None and sizes.numel():
        new = ints(sizes)
        factors = [out / x.shape[axis] for out, axis in zip(new, axes, strict=True)]
    elif scales is not None and scales.numel():
        factors = [float(factor) for factor in scales.numpy()]
        new = [int(np.floor(x.shape[axis] * factor)) for axis, factor in zip(axes, factors, strict=True)]
    else:
        raise node.refuse("neither scales nor sizes are given")
    usual = "asymmetric" if node.opset < 11 else "half_pixel"
    return _resized(node, x, axes, new, factors, node.get("coordinate_transformation_mode", usual),
                    node.get("nearest_mode", "floor" if node.opset < 11 else "round_prefer_floor"))


@reads("Upsample")
def upsample(node: Any, x: Any, scales: Any = None) -> Any:
    """What Resize was called up to opset 9."""
    factors = node.get("scales") if scales is None else [float(factor) for factor in scales.numpy()]
    new = [int(np.floor(size * factor)) for size, factor in zip(x.shape, factors, strict=True)]
    return _resized(node, x, range(x.ndim), new, factors, "asymmetric", "floor")


def _resized(node: Any, x: Any, axes: Any, new: Any, factors: Any, coordinates: str, nearest: str) -> Any:
    mode = node.get("mode", "nearest")
    for axis, out, factor in zip(axes, new, factors, strict=True):
        if out == x.shape[axis] and factor == 1.0:
            continue
        place = _places(node, coordinates, out, x.shape[axis], factor)
        x = axis_product(x, axis, _matrix(node, mode, place, x.shape[axis], nearest))
    return x


def _places(node: Any, coordinates: str, out: int, size: int, factor: float) -> Any:
    """Where the output's places lie in the input."""
    i = np.arange(out, dtype=np.float64)
    if coordinates == "asymmetric":
        return i / factor
    if coordinates == "align_corners":
        return i * (size - 1) / (out - 1) if out > 1 else np.zeros(1)
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and out > 1):
        return (i + 0.5) / factor - 0.5
    if coordinates == "pytorch_half_pixel":
        return np.zeros(out)
    raise node.refuse(f"the coordinate_transformation_mode {coordinates!r} is not supported")


def _matrix(node: Any, mode: str, place: Any, size: int, nearest: str) -> SparseMatrix:
    """Row i holds the weights of the input's places for output place i; beyond the edges the last place repeats."""
    rows = np.arange(place.size)
    if mode == "nearest":
        if nearest not in _ROUNDINGS:
            raise node.refuse(f"the nearest_mode {nearest!r} is not supported")
        rounding = _ROUNDINGS[nearest]
        return SparseMatrix(place.size, size, rows, np.clip(rounding(place), 0, size - 1).astype(np.int64))
    left = np.floor(place).astype(np.int64)
    part = place - left
    if mode == "linear":
        taps, weights = (0, 1), [1.0 - part, part]
    elif mode == "cubic":
        taps = (-1, 0, 1, 2)  # type: ignore[assignment]
        weights = [cubic(np.abs(part - tap), node.get("cubic_coeff_a", -0.75)) for tap in taps]
    else:
        raise node.refuse(f"the mode {mode!r} is not supported")
    columns = [np.clip(left + tap, 0, size - 1) for tap in taps]
    return SparseMatrix(place.size, size, np.tile(rows, len(taps)), np.concatenate(columns), np.concatenate(weights))
