"""ONNX nodes that work element by element, as ops: arithmetic, comparison, functions, activations, losses."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import ops
from tinygrad_course.io.onnx.registry import readers, reads
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.arithmetic import logical_and, logical_or
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

UNARY: dict[str, Callable[..., Any]] = {
    "Neg": ops.neg, "Exp": ops.exp, "Log": ops.log, "Sqrt": ops.sqrt, "Abs": ops.abs, "Sign": ops.sign, "Tanh": ops.tanh,
    "Sigmoid": ops.sigmoid, "Relu": ops.relu, "Floor": ops.floor, "Ceil": ops.ceil, "Round": ops.round, "Sin": ops.sin,
    "Cos": ops.cos, "Tan": ops.tan, "Asin": ops.asin, "Acos": ops.acos, "Atan": ops.atan, "Sinh": ops.sinh,
    "Cosh": ops.cosh, "Asinh": ops.asinh, "Acosh": ops.acosh, "Atanh": ops.atanh, "Erf": ops.erf, "Softsign": F.softsign,
    "IsNaN": ops.isnan, "Not": ops.logical_not, "Mish": F.mish, "HardSwish": F.hardswish, "BitwiseNot": ops.bitwise_not,
}
BINARY: dict[str, Callable[..., Any]] = {
    "Add": ops.add, "Sub": ops.sub, "Mul": ops.mul, "And": logical_and, "Or": logical_or, "Xor": ops.logical_xor,
    "Equal": ops.eq, "Less": ops.lt, "LessOrEqual": ops.le, "Greater": ops.gt, "GreaterOrEqual": ops.ge,
    "BitwiseAnd": ops.bitwise_and, "BitwiseOr": ops.bitwise_or, "BitwiseXor": ops.bitwise_xor,
}
VARIADIC: dict[str, Callable[..., Any]] = {"Max": ops.maximum, "Min": ops.minimum, "Sum": ops.add}


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def read(node: Any, *inputs: Any) -> Any:
        return function(*inputs)
    return read


def _folded(function: Callable[..., Any]) -> Callable[..., Any]:
    def read(node: Any, *inputs: Any) -> Any:
        return functools.reduce(function, inputs)
    return read


readers.update({kind: _plain(function) for kind, function in (*UNARY.items(), *BINARY.items())})
readers.update({kind: _folded(function) for kind, function in VARIADIC.items()})


def dtype_of(number: int) -> Any:
    """The NumPy type for ONNX's number of a type."""
    from tinygrad_course.io.onnx.package import onnx_package

    return np.dtype(onnx_package().helper.tensor_dtype_to_np_dtype(number))


@reads("Identity", "Dropout")
def identity(node: Any, x: Any, *rest: Any) -> Any:
    """The input; Dropout's mask, all true, for the second output."""
    if len(node.outputs) > 1:
        return x, from_numpy(np.ones(x.shape, np.bool_))
    return x


@reads("Constant")
def constant(node: Any) -> Any:
    """A tensor among the attributes."""
    for name, kind in (("value", None), ("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):
        if name in node.attributes:
            return from_numpy(np.array(node.get(name), kind))
    raise node.refuse("constants that are sparse or text are not supported")


@reads("Cast")
def cast(node: Any, x: Any) -> Any:
    """To another type."""
    return x.to(dtype_of(node.get("to")))


@reads("CastLike")
def cast_like(node: Any, x: Any, other: Any) -> Any:
    """To the type of another tensor."""
    return x.to(other.dtype)


@reads("Div")
def div(node: Any, x: Any, y: Any) -> Any:
    """Of integers cut off."""
    return ops.div(x, y) if x.dtype.kind == "f" else ops.div(x, y, rounding_mode="trunc")


@reads("Pow")
def pow(node: Any, x: Any, y: Any) -> Any:
    """The result has the type of the base."""
    return ops.pow(x, y).to(x.dtype)


@reads("Mod")
def mod(node: Any, x: Any, y: Any) -> Any:
    """With the sign of the divisor, or with fmod=1 that of the dividend."""
    return ops.fmod(x, y) if node.get("fmod", 0) else ops.remainder(x, y)


@reads("Mean")
def mean(node: Any, *inputs: Any) -> Any:
    """Of several tensors, elementwise."""
    return ops.div(functools.reduce(ops.add, inputs), float(len(inputs)))


@reads("Reciprocal")
def reciprocal(node: Any, x: Any) -> Any:
    """1 / x."""
    return ops.div(1.0, x)


@reads("IsInf")
def isinf(node: Any, x: Any) -> Any:
    """Infinities of one sign or both."""
    found = ops.isinf(x)
    if not node.get("detect_negative", 1):
        found = logical_and(found, ops.gt(x, 0))
    return found if node.get("detect_positive", 1) else logical_and(found, ops.lt(x, 0))


@reads("Where")
def where(node: Any, condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y."""
    return ops.where(condition, x, y)


@reads("Clip")
def clip(node: Any, x: Any, low: Any = None, high: Any = None) -> Any:
    """Bounds are inputs, before opset 11 attributes."""
    low, high = node.get("min", low), node.get("max", high)
    return x if low is None and high is None else ops.clamp(x, low, high)


# ---- activations -----------------------------------------------------------------------------------------------------


@reads("LeakyRelu")
def leaky_relu(node: Any, x: Any) -> Any:
    """alpha x below 0."""
    return F.leaky_relu(x, node.get("alpha", 0.01))


@reads("PRelu")
def prelu(node: Any, x: Any, slope: Any) -> Any:
    """slope x below 0; the slope broadcasts."""
    return ops.where(ops.lt(x, 0), ops.mul(slope, x), x)


@reads("ThresholdedRelu")
def thresholded_relu(node: Any, x: Any) -> Any:
    """x above alpha, else 0."""
    return F.threshold(x, node.get("alpha", 1.0), 0.0)


@reads("Elu")
def elu(node: Any, x: Any) -> Any:
    """alpha (e^x - 1) below 0."""
    return F.elu(x, node.get("alpha", 1.0))


@reads("Celu")
def celu(node: Any, x: Any) -> Any:
    """alpha (e^(x / alpha) - 1) below 0."""
    return F.celu(x, node.get("alpha", 1.0))


@reads("Selu")
def selu(node: Any, x: Any) -> Any:
    """gamma x, and gamma alpha (e^x - 1) below 0."""
    return ops.mul(F.elu(x, node.get("alpha", 1.67326319217681884765625)), node.get("gamma", 1.05070102214813232421875))


@reads("Gelu")
def gelu(node: Any, x: Any) -> Any:
    """x Phi(x)."""
    return F.gelu(x, node.get("approximate", "none"))


@reads("Softplus")
def softplus(node: Any, x: Any) -> Any:
    """ln(1 + e^x)."""
    return F.softplus(x)


@reads("HardSigmoid")
def hard_sigmoid(node: Any, x: Any) -> Any:
    """alpha x + beta between 0 and 1."""
    return ops.clamp(ops.add(ops.mul(x, node.get("alpha", 0.2)), node.get("beta", 0.5)), 0.0, 1.0)


@reads("Shrink")
def shrink(node: Any, x: Any) -> Any:
    """x moved towards 0 by bias outside of -lambd .. lambd, and 0 inside."""
    lambd, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    return ops.where(ops.gt(x, lambd), ops.sub(x, bias), ops.where(ops.lt(x, -lambd), ops.add(x, bias), 0.0))


@reads("Softmax", "LogSoftmax")
def softmax(node: Any, x: Any) -> Any:
    """Along one axis; before opset 13 over all axes from that one on."""
    function = F.softmax if node.kind == "Softmax" else F.log_softmax
    if node.opset >= 13:
        return function(x, node.get("axis", -1))
    axis = node.get("axis", 1) % max(x.ndim, 1)
    return function(x.reshape(*x.shape[:axis], -1), -1).reshape(x.shape)


# ---- losses ----------------------------------------------------------------------------------------------------------


@reads("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")
def loss(node: Any, x: Any, target: Any, weight: Any = None) -> Any:
    """Cross-entropy of logits, or of log-probabilities; then the log-probabilities."""
    options = {"weight": weight, "ignore_index": node.get("ignore_index", -100), "reduction": node.get("reduction", "mean")}
    logs = x if node.kind == "NegativeLogLikelihoodLoss" else F.log_softmax(x, 1)
    value = F.nll_loss(logs, target, **options)
    return (value, logs) if len(node.outputs) > 1 else value


def ints(x: Tensor | None) -> list[int]:
    """The whole numbers of a small tensor."""
    return [] if x is None else [int(value) for value in x.numpy().reshape(-1)]


def axes_of(node: Any, given: Tensor | None) -> list[int] | None:
    """The axes that are an input of newer opsets and an attribute of older ones; None if they are not given."""
    if given is not None:
        return ints(given)
    found = node.get("axes")
    return None if found is None else list(found)


def product(sizes: Any) -> int:
    """The product of lengths."""
    return math.prod(int(size) for size in sizes)
