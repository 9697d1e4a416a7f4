"""Elementwise ops as ONNX nodes: arithmetic with broadcasting, comparison, choice, rounding, functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.patterns import local_response
from tinygrad_course.io.onnx.registry import writers, writes

SAME = {  # one node of the same meaning
    "sub": "Sub", "neg": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "sign": "Sign",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "floor": "Floor", "ceil": "Ceil", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "softsign": "Softsign", "pow": "Pow", "isnan": "IsNaN",
    "isinf": "IsInf", "clone": "Identity", "mish": "Mish",
}
LOGICAL = {"mul": "And", "add": "Or", "maximum": "Or", "minimum": "And", "bitwise_and": "And", "bitwise_or": "Or",
           "bitwise_xor": "Xor"}  # of truth values
NUMERIC = {"mul": "Mul", "add": "Add", "maximum": "Max", "minimum": "Min", "bitwise_and": "BitwiseAnd",
           "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor"}


def _one_node(kind: str) -> Any:
    def write(g: Any, call: Any, *inputs: str) -> Any:
        return g.node(kind, *inputs)
    return write


writers.update({name: _one_node(kind) for name, kind in SAME.items()})


@writes(*NUMERIC)
def numeric_or_logical(g: Any, call: Any, x: str, y: str) -> Any:
    """Two operands; of truth values a logical node."""
    return g.node((LOGICAL if call.inputs[0].dtype == np.bool_ else NUMERIC)[call.op], x, y)


@writes("div")
def div(g: Any, call: Any, x: str, y: str) -> Any:
    """Div; LRN where it is the last of the ops that normalise by neighbouring channels."""
    found = local_response(call)
    if found is None:
        return g.node("Div", x, y)
    return g.node("LRN", x, **found)


@writes("bitwise_not")
def bitwise_not(g: Any, call: Any, x: str) -> Any:
    """Not, or BitwiseNot."""
    return g.node("Not" if call.inputs[0].dtype == np.bool_ else "BitwiseNot", x)


@writes("eq", "ne", "lt", "le", "gt", "ge")
def compare(g: Any, call: Any, x: str, y: str) -> Any:
    """Truth values are ordered as 0 and 1."""
    if call.inputs[0].dtype == np.bool_ and call.op not in ("eq", "ne"):
        x, y = g.cast(x, np.int32), g.cast(y, np.int32)
    kind = {"eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}[call.op]
    z = g.node(kind, x, y)
    return g.node("Not", z) if call.op == "ne" else z


@writes("logical_not", "logical_xor")
def logical(g: Any, call: Any, *inputs: str) -> Any:
    """Of any type: what is not 0 is true."""
    truths = [name if value.dtype == np.bool_ else g.cast(name, np.bool_)
              for name, value in zip(inputs, call.inputs, strict=True)]
    return g.node("Not" if call.op == "logical_not" else "Xor", *truths)


@writes("where")
def where(g: Any, call: Any, condition: str, x: str, y: str) -> Any:
    """Where; none for a condition that is always false, as the guard for rows that a mask hides altogether."""
    mask, _, other = call.inputs
    if mask.kind == "constant" and not mask.a.any() and not mask.b.any() and other.shape == call.outputs[0].shape:
        return y
    if mask.dtype != np.bool_:
        condition = g.cast(condition, np.bool_)
    if other.dtype == np.bool_:  # onnxruntime chooses between numbers only
        return g.cast(g.node("Where", condition, g.cast(x, np.int32), g.cast(y, np.int32)), np.bool_)
    return g.node("Where", condition, x, y)


@writes("cast")
def cast(g: Any, call: Any, x: str, dtype: Any, before: Any) -> Any:
    """Cast."""
    return g.cast(x, dtype)


@writes("to_device")
def to_device(g: Any, call: Any, x: str, device: str, before: str) -> Any:
    """A graph knows no devices."""
    return x


@writes("clamp")
def clamp(g: Any, call: Any, x: str, low: str, high: str) -> Any:
    """Clip for numbers, Max and Min for tensors."""
    if call.inputs[1].a.ndim == call.inputs[2].a.ndim == 0:
        return g.node("Clip", x, low, high)
    return g.node("Min", g.node("Max", x, low), high)


@writes("clamp_min")
def clamp_min(g: Any, call: Any, x: str, low: str) -> Any:
    """max(x, low)."""
    return g.node("Clip", x, low) if call.inputs[1].a.ndim == 0 else g.node("Max", x, low)


@writes("clamp_max")
def clamp_max(g: Any, call: Any, x: str, high: str) -> Any:
    """min(x, high)."""
    return g.node("Clip", x, None, high) if call.inputs[1].a.ndim == 0 else g.node("Min", x, high)


@writes("lerp")
def lerp(g: Any, call: Any, x: str, end: str, weight: str) -> Any:
    """x + w (end - x)."""
    return g.node("Add", x, g.node("Mul", weight, g.node("Sub", end, x)))


@writes("nan_to_num")
def nan_to_num(g: Any, call: Any, x: str, nan: float, posinf: float | None, neginf: float | None) -> Any:
    """Where for nan, Clip for both infinities (which are the type's largest numbers unless given)."""
    dtype = call.inputs[0].dtype
    if dtype.kind != "f":
        return x
    most = float(np.finfo(dtype).max)
    y = g.node("Where", g.node("IsNaN", x), g.constant(nan, dtype), x)
    for given, usual, signs in ((posinf, most, (0, 1)), (neginf, -most, (1, 0))):
        value = usual if given is None else given
        found = g.node("IsInf", y, detect_negative=signs[0], detect_positive=signs[1])
        y = g.node("Where", found, g.constant(value, dtype), y)
    return y


# ---- rounding --------------------------------------------------------------------------------------------------------


@writes("round")
def round(g: Any, call: Any, x: str, decimals: int) -> Any:
    """Halves to even, in ONNX too."""
    if decimals == 0:
        return g.node("Round", x)
    scale = g.constant(10.0 ** decimals, call.inputs[0].dtype)
    return g.node("Div", g.node("Round", g.node("Mul", x, scale)), scale)


@writes("trunc")
def trunc(g: Any, call: Any, x: str) -> Any:
    """sign(x) floor(|x|)."""
    return g.node("Mul", g.node("Sign", x), g.node("Floor", g.node("Abs", x)))


@writes("trunc_divide")
def trunc_divide(g: Any, call: Any, x: str, y: str) -> Any:
    """Div of integers cuts off by itself."""
    quotient = g.node("Div", x, y)
    return trunc(g, call, quotient) if call.inputs[0].dtype.kind == "f" else quotient


@writes("floor_divide")
def floor_divide(g: Any, call: Any, x: str, y: str) -> Any:
    """floor(x / y); of integers (x - x mod y) / y."""
    if call.inputs[0].dtype.kind == "f":
        return g.node("Floor", g.node("Div", x, y))
    return g.node("Div", g.node("Sub", x, g.node("Mod", x, y)), y)


@writes("fmod")
def fmod(g: Any, call: Any, x: str, y: str) -> Any:
    """The sign is that of x."""
    return g.node("Mod", x, y, fmod=1)


@writes("remainder")
def remainder(g: Any, call: Any, x: str, y: str) -> Any:
    """The sign is that of y."""
    if call.inputs[0].dtype.kind != "f":
        return g.node("Mod", x, y)
    return g.node("Sub", x, g.node("Mul", y, g.node("Floor", g.node("Div", x, y))))


# ---- functions -------------------------------------------------------------------------------------------------------


@writes("exp2")
def exp2(g: Any, call: Any, x: str) -> Any:
    """2^x."""
    return g.node("Pow", g.constant(2.0, call.inputs[0].dtype), x)


@writes("expm1")
def expm1(g: Any, call: Any, x: str) -> Any:
    """e^x - 1 = 2 sinh(x / 2) e^(x / 2), exact near 0 too."""
    half = g.node("Mul", x, g.constant(0.5, call.inputs[0].dtype))
    return g.node("Mul", g.node("Mul", g.node("Sinh", half), g.node("Exp", half)), g.constant(2.0, call.inputs[0].dtype))


@writes("log1p")
def log1p(g: Any, call: Any, x: str) -> Any:
    """ln(1 + x)."""
    return g.node("Log", g.node("Add", x, g.constant(1.0, call.inputs[0].dtype)))


@writes("log2", "log10")
def other_logarithm(g: Any, call: Any, x: str) -> Any:
    """ln x / ln base."""
    base = 2.0 if call.op == "log2" else 10.0
    return g.node("Mul", g.node("Log", x), g.constant(1.0 / math.log(base), call.inputs[0].dtype))


@writes("logaddexp")
def logaddexp(g: Any, call: Any, x: str, y: str) -> Any:
    """max(x, y) + ln(1 + e^-|x - y|)."""
    gap = g.node("Neg", g.node("Abs", g.node("Sub", x, y)))
    return g.node("Add", g.node("Max", x, y), g.node("Softplus", gap))


@writes("erfc")
def erfc(g: Any, call: Any, x: str) -> Any:
    """1 - erf x."""
    return g.node("Sub", g.constant(1.0, call.inputs[0].dtype), g.node("Erf", x))


@writes("logit")
def logit(g: Any, call: Any, x: str) -> Any:
    """ln(x / (1 - x))."""
    return g.node("Log", g.node("Div", x, g.node("Sub", g.constant(1.0, call.inputs[0].dtype), x)))


@writes("hypot")
def hypot(g: Any, call: Any, x: str, y: str) -> Any:
    """(x^2 + y^2)^(1/2)."""
    return g.node("Sqrt", g.node("Add", g.node("Mul", x, x), g.node("Mul", y, y)))


@writes("isfinite")
def isfinite(g: Any, call: Any, x: str) -> Any:
    """Neither nan nor infinite."""
    if call.inputs[0].dtype.kind != "f":
        raise ExportError("isfinite of integers is always true; leave it out")
    return g.node("Not", g.node("Or", g.node("IsNaN", x), g.node("IsInf", x)))


@writes("xlogy", "entr")
def xlogy(g: Any, call: Any, x: str, y: str | None = None) -> Any:
    """x ln y, and -x ln x: 0 where x is 0."""
    zero = g.constant(0, call.inputs[0].dtype)
    product = g.node("Mul", x if y is not None else g.node("Neg", x), g.node("Log", x if y is None else y))
    return g.node("Where", g.node("Equal", x, zero), zero, product)
