"""Padding in all modes.  A negative number of places cuts off instead."""

from collections.abc import Sequence
from typing import Any

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import OperandError, ShapeError
from tinygrad_course.ops.arguments import integers, number
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import getitem

__all__ = ["constant_pad_nd", "pad"]


class ConstantPad(Op):
    """x with `before` and `after` more places per axis, which hold `value`; negative numbers cut off.

    The gradient is cut where x was padded and padded with 0 where it was cut: the same op with the opposite numbers."""

    name = "constant_pad"

    @staticmethod
    def shape(x: Shape, before: Shape, after: Shape, value: float) -> Shape:
        shape = tuple([low + size + high for low, size, high in zip(before, x, after, strict=True)])
        if any(size < 0 or max(-low, 0) + max(-high, 0) > n
               for low, n, high, size in zip(before, x, after, shape, strict=True)):
            raise ShapeError(f"pad: {before} places before and {after} after the axes of {x} would leave {shape}: more is "
                             "cut off than there is")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, before: Shape, after: Shape, value: float) -> Any:
        return k.constant_pad(x, before, after, value)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        before, after, _ = ctx.args
        return (apply(ConstantPad, (g,), (tuple([-n for n in before]), tuple([-n for n in after]), 0)),)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """More places at the ends of the last axes: pad = (left, right, top, bottom, ...), from the last axis backwards.

    mode "constant" fills them with `value` (0 by default), "reflect" with the values seen in a mirror at the last place,
    "replicate" with the last value, "circular" with the values from the other end.  Negative numbers cut off."""
    require_tensors("pad", input)
    sides = _sides(input, pad)
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in _EDGES:
        raise OperandError(f"pad: mode must be constant, {', '.join(_EDGES)}, got {mode!r}")
    if value:
        raise OperandError(f"pad: mode {mode!r} takes no value, got {value}")
    cut = [(min(low, 0), min(high, 0)) for low, high in sides]
    y = _extended(input, cut, 0) if mode == "circular" else input  # the other modes look at what will be cut off
    for axis, (low, high) in enumerate(sides, input.array.ndim - len(sides)):
        if low > 0 or high > 0:
            y = getitem(y, (slice(None),) * axis + (_EDGES[mode](y, axis, max(low, 0), max(high, 0)),))
    return y if mode == "circular" else _extended(y, cut, 0)


def constant_pad_nd(input: Any, pad: Sequence[int], value: float = 0) -> Any:
    """pad() with a constant."""
    require_tensors("constant_pad_nd", input)
    if isinstance(value, TensorBase):
        raise OperandError("pad: the value must be a number, got a Tensor")
    return _extended(input, _sides(input, pad), number("pad", value, "value"))


def _sides(x: Any, pad: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) for each of the last axes, in order of the axes."""
    numbers = integers("pad", "pad", pad)
    if len(numbers) % 2 or len(numbers) > 2 * x.array.ndim:
        raise ShapeError(f"pad: {numbers} must hold two numbers for each padded axis, and {x.array.shape} has "
                         f"{x.array.ndim} axes")
    return list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]


def _extended(x: Any, sides: list[tuple[int, int]], value: float) -> Any:
    sides = [(0, 0)] * (x.array.ndim - len(sides)) + sides
    return apply(ConstantPad, (x,), (tuple([low for low, _ in sides]), tuple([high for _, high in sides]), value))


# -- which place each place along an axis shows, in each mode: (y, axis, places before, places after) -> int64 -----------


def _places(y: Any, axis: int, low: int, high: int) -> Any:
    return backend.array_module(y.array).arange(-low, y.array.shape[axis] + high)


def _mirrored(y: Any, axis: int, low: int, high: int) -> Any:
    size = y.array.shape[axis]
    if max(low, high) >= size:
        raise ShapeError(f"pad: {max(low, high)} places cannot be reflected at the end of axis {axis}, which has size "
                         f"{size}: there must be fewer than that")
    return size - 1 - abs(size - 1 - abs(_places(y, axis, low, high)))


def _repeated(y: Any, axis: int, low: int, high: int) -> Any:
    shape = y.array.shape
    if shape[axis] == 0:
        raise ShapeError(f"pad: axis {axis} of {shape} is empty and has no last value to replicate")
    return _places(y, axis, low, high).clip(0, shape[axis] - 1)


def _wrapped(y: Any, axis: int, low: int, high: int) -> Any:
    size = y.array.shape[axis]
    if max(low, high) > size:
        raise ShapeError(f"pad: {max(low, high)} places cannot be taken from the other end of axis {axis}, which has size "
                         f"{size}")
    return _places(y, axis, low, high) % size


_EDGES = {"reflect": _mirrored, "replicate": _repeated, "circular": _wrapped}
