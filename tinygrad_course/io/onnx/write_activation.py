"""Activations, softmax and losses as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.registry import writes


def _number(g: Any, call: Any, value: float) -> Any:
    return g.constant(value, call.inputs[0].dtype)


@writes("gelu", "gelu_tanh")
def gelu(g: Any, call: Any, x: str) -> Any:
    """x Phi(x), or its approximation with tanh; a node of its own from opset 20 on."""
    if g.opset >= 20:
        return g.node("Gelu", x, approximate="none" if call.op == "gelu" else "tanh")
    if call.op == "gelu":
        curve = g.node("Erf", g.node("Mul", x, _number(g, call, 1 / math.sqrt(2))))
    else:
        cube = g.node("Mul", g.node("Mul", g.node("Mul", x, x), x), _number(g, call, 0.044715))
        curve = g.node("Tanh", g.node("Mul", g.node("Add", x, cube), _number(g, call, math.sqrt(2 / math.pi))))
    return g.node("Mul", g.node("Mul", x, g.node("Add", curve, _number(g, call, 1.0))), _number(g, call, 0.5))


@writes("glu")
def glu(g: Any, call: Any, x: str, axis: int) -> Any:
    """a sigmoid(b), with a and b the halves of x."""
    a, b = g.node("Split", x, axis=axis, outputs=2, num_outputs=2)
    return g.node("Mul", a, g.node("Sigmoid", b))


@writes("silu")
def silu(g: Any, call: Any, x: str) -> Any:
    """x sigmoid(x)."""
    return g.node("Mul", x, g.node("Sigmoid", x))


@writes("elu")
def elu(g: Any, call: Any, x: str, alpha: float, scale: float, rate: float) -> Any:
    """Elu, Selu or Celu: scale x, and scale alpha (e^(rate x) - 1) below 0."""
    if rate != 1.0:
        if scale != 1.0 or not math.isclose(alpha * rate, 1.0):
            raise ExportError(f"elu with alpha={alpha}, scale={scale} and rate={rate} is none of ELU, SELU and CELU")
        return g.node("Celu", x, alpha=alpha)
    return g.node("Elu", x, alpha=alpha) if scale == 1.0 else g.node("Selu", x, alpha=alpha, gamma=scale)


@writes("softplus")
def softplus(g: Any, call: Any, x: str, beta: float, threshold: float) -> Any:
    """ln(1 + e^(beta x)) / beta; above a threshold of 15 and more it is x itself to float32's precision."""
    bx = x if beta == 1.0 else g.node("Mul", x, _number(g, call, beta))
    y = g.node("Softplus", bx)
    y = y if beta == 1.0 else g.node("Div", y, _number(g, call, beta))
    return y if threshold >= 15 else g.node("Where", g.node("Greater", bx, _number(g, call, threshold)), x, y)


@writes("hardsigmoid")
def hardsigmoid(g: Any, call: Any, x: str) -> Any:
    """(x + 3) / 6 between 0 and 1."""
    return g.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@writes("hardswish")
def hardswish(g: Any, call: Any, x: str) -> Any:
    """x (x + 3) / 6 between -3 and 3."""
    return g.node("HardSwish", x)


@writes("piecewise_linear")
def piecewise_linear(g: Any, call: Any, x: str, low: float, high: float, lines: Any) -> Any:
    """LeakyRelu, Clip, or three lines chosen by Where."""
    (slope, offset), middle, last = lines
    if middle == last == (1.0, 0.0) and low == 0.0 and offset == 0.0:
        return g.node("LeakyRelu", x, alpha=slope)
    if middle == (1.0, 0.0) and (slope, offset) == (0.0, low) and last == (0.0, high):
        return g.node("Clip", x, _number(g, call, low), _number(g, call, high))
    dtype, parts = call.inputs[0].dtype, []
    for slope, offset in lines:
        line = x if slope == 1.0 else g.node("Mul", x, g.constant(slope, dtype))
        parts.append(line if offset == 0.0 else g.node("Add", line, g.constant(offset, dtype)))
    y = parts[1]
    if math.isfinite(high):
        y = g.node("Where", g.node("GreaterOrEqual", x, g.constant(high, dtype)), parts[2], y)
    return g.node("Where", g.node("LessOrEqual", x, g.constant(low, dtype)), parts[0], y)


@writes("softmax")
def softmax(g: Any, call: Any, x: str, axis: int) -> Any:
    """Softmax."""
    return g.node("Softmax", x, axis=axis)


@writes("log_softmax")
def log_softmax(g: Any, call: Any, x: str, axis: int) -> Any:
    """LogSoftmax."""
    return g.node("LogSoftmax", x, axis=axis)


# ---- losses ----------------------------------------------------------------------------------------------------------


@writes("cross_entropy")
def cross_entropy(g: Any, call: Any, x: str, target: str, weight: str | None, ignore_index: int, label_smoothing: float,
                  reduction: str = "none") -> Any:
    """SoftmaxCrossEntropyLoss, with the log-probabilities as second output."""
    if label_smoothing:
        raise ExportError("ONNX's cross-entropy knows no label_smoothing; export the model without the loss")
    return g.node("SoftmaxCrossEntropyLoss", x, target, weight, outputs=2, reduction=reduction, ignore_index=ignore_index)


@writes("squared_error")
def squared_error(g: Any, call: Any, x: str, target: str, reduction: str) -> Any:
    """(x - t)^2, its sum or its mean."""
    d = g.node("Sub", x, target)
    y = g.node("Mul", d, d)
    return y if reduction == "none" else g.node("ReduceSum" if reduction == "sum" else "ReduceMean", y, keepdims=0)


@writes("huber")
def huber(g: Any, call: Any, x: str, target: str, delta: float, reduction: str) -> Any:
    """c (d - c / 2) with d = x - t, c = d limited to [-delta, delta]; its sum or its mean."""
    d = g.node("Sub", x, target)
    c = g.node("Clip", d, _number(g, call, -delta), _number(g, call, delta))
    y = g.node("Mul", c, g.node("Sub", d, g.node("Mul", c, _number(g, call, 0.5))))
    return y if reduction == "none" else g.node("ReduceSum" if reduction == "sum" else "ReduceMean", y, keepdims=0)


@writes("gaussian_kl")
def gaussian_kl(g: Any, call: Any, mean: str, log_variance: str, reduction: str) -> Any:
    """(m^2 + e^l - 1 - l) / 2; its sum or its mean."""
    rise = g.node("Sub", g.node("Sub", g.node("Exp", log_variance), _number(g, call, 1.0)), log_variance)
    y = g.node("Mul", g.node("Add", g.node("Mul", mean, mean), rise), _number(g, call, 0.5))
    return y if reduction == "none" else g.node("ReduceSum" if reduction == "sum" else "ReduceMean", y, keepdims=0)


@writes("bce")
def bce(g: Any, call: Any, x: str, target: str) -> Any:
    """-t ln x - (1 - t) ln(1 - x), logarithms cut off at -100."""
    one, floor = _number(g, call, 1.0), _number(g, call, -100.0)
    on = g.node("Mul", target, g.node("Max", g.node("Log", x), floor))
    off = g.node("Mul", g.node("Sub", one, target), g.node("Max", g.node("Log", g.node("Sub", one, x)), floor))
    return g.node("Neg", g.node("Add", on, off))


@writes("bce_with_logits")
def bce_with_logits(g: Any, call: Any, x: str, target: str) -> Any:
    """max(x, 0) - x t + ln(1 + e^-|x|)."""
    tail = g.node("Softplus", g.node("Neg", g.node("Abs", x)))
    return g.node("Add", g.node("Sub", g.node("Relu", x), g.node("Mul", x, target)), tail)
