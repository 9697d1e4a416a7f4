"""Groups of ops that ONNX has one node for."""

from __future__ import annotations

from typing import Any

from tinygrad_course.io.onnx.join import Call, Value
from tinygrad_course.io.onnx.trace import CONSTANT


def local_response(call: Call) -> dict[str, Any] | None:
    """The attributes of LRN if `call` is the division in F.local_response_norm with an odd window, else None.

        x / (k + alpha / size * (sum of `size` slices along the channels of cat(0, x x, 0)))^beta
    """
    x = call.inputs[0]
    power = _maker(call.inputs[1], "pow")
    bottom = power and _maker(power.inputs[0], "add")
    scaled = bottom and _maker(bottom.inputs[0], "mul")
    if x is None or x.a.ndim < 3 or power is None or bottom is None or scaled is None:
        return None
    beta, k, factor = [_number(each.inputs[1]) for each in (power, bottom, scaled)]
    if beta is None or k is None or factor is None:
        return None
    terms, total = [], scaled.inputs[0]
    while (sum_of := _maker(total, "add")) is not None:
        terms.append(sum_of.inputs[1])
        total = sum_of.inputs[0]
    terms.append(total)
    size, channels = len(terms), x.a.shape[1]
    slices = [_maker(term, "slice") for term in reversed(terms)]
    for shift, part in enumerate(slices):
        if part is None or part.args != ((slice(None), slice(shift, shift + channels)),):
            return None
        if part.inputs[0] is not slices[0].inputs[0]:  # type: ignore[union-attr]
            return None
    joined = _maker(slices[0].inputs[0], "cat")  # type: ignore[union-attr]
    if joined is None or joined.args != (1,) or len(joined.inputs) != 3:
        return None
    before, squares, after = joined.inputs
    square = _maker(squares, "mul")
    if square is None or square.inputs[0] is not x or square.inputs[1] is not x or not all(
            _zeros(side, size // 2) for side in (before, after)):  # not of one length where the window is even
        return None
    return {"size": size, "alpha": factor * size, "beta": beta, "bias": k}


def _maker(value: Value | None, op: str) -> Call | None:
    """The call that made a value, if it is of this op."""
    made = value is not None and value.producer is not None and value.producer.op == op
    return value.producer if made else None  # type: ignore[union-attr]


def _number(value: Value | None) -> float | None:
    """The number that a constant is."""
    if value is None or value.kind != CONSTANT or value.a.ndim or not value.fixed:
        return None
    return float(value.a)


def _zeros(value: Value | None, channels: int) -> bool:
    return (value is not None and value.kind == CONSTANT and value.a.shape[1] == channels
            and not value.a.any() and not value.b.any())
