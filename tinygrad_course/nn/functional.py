"""The layers and losses as functions, with PyTorch's names, argument order and defaults.

The ops behind them, with their formulas and gradients, are in `tinygrad_course/ops`.  `inplace=True` is accepted where
PyTorch has it; the result is a new tensor all the same, because a graph may need the old values.
"""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_course import ops
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops import avg_pool2d, conv2d, linear, max_pool2d, one_hot
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

__all__ = [
    "avg_pool2d", "binary_cross_entropy_with_logits", "check_reduction", "conv2d", "cross_entropy", "dropout", "linear",
    "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "softmax", "tanh",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise."""
    return ops.relu(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), elementwise."""
    return ops.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """tanh(x), elementwise."""
    return ops.tanh(input)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return ops.softmax(input, _softmax_dim("softmax", input) if dim is None else dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`."""
    return ops.log_softmax(input, _softmax_dim("log_softmax", input) if dim is None else dim, dtype)


def _softmax_dim(name: str, input: Tensor) -> int:
    """PyTorch's choice where no axis is given."""
    dim = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: no dim given, dim={dim} is used for a {input.ndim}-D input. Say which axis holds the "
                  f"classes: dim={dim}", stacklevel=3)
    return dim


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False,
            generator: Generator | None = None) -> Tensor:
    """Each value is 0 with probability p, else divided by 1 - p; the identity if not training."""
    return ops.dropout(input, p, training, generator)


# ---- losses ----------------------------------------------------------------------------------------------------------


def check_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that is meant: PyTorch's two old flags, if one is given, say it in other words."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(f"size_average and reduce are deprecated, use reduction={reduction!r}", stacklevel=4)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                  ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-ln softmax(input)[target] for logits (C,), (N, C) or (N, C, d1, ...): no softmax before it.

    target: class numbers (integers, the same shape without C) or class probabilities (floating point, the same shape).

    weight (C,) scales the classes; the mean over class numbers is then divided by the weights of the targets used.
    Samples whose class is ignore_index count nothing.  label_smoothing s: the target is (1 - s) of itself + s / C.
    """
    reduction = check_reduction(size_average, reduce, reduction)
    if isinstance(target, Tensor) and target.dtype.kind != "f" and target.shape == input.shape and input.ndim > 1:
        raise DTypeError(f"cross_entropy: the target has the input's shape {target.shape} but dtype {target.dtype}. "
                         "If it is one-hot, give class numbers, target.argmax(1), or probabilities, target.float()")
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
             ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-input[n, target[n]] for log-probabilities (N, C, ...) and class numbers (N, ...); weight as in cross_entropy."""
    return ops.nll_loss(input, target, weight, ignore_index, check_reduction(size_average, reduce, reduction))


def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
             reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)^2.  `weight`, of the same shape, scales each; the mean then divides by the sum of weights."""
    reduction = check_reduction(size_average, reduce, reduction)
    if weight is None:
        return ops.mse_loss(input, target, reduction)
    if weight.shape != input.shape:
        raise ShapeError(f"mse_loss: the weight has shape {weight.shape}, the input {input.shape}; they must be equal")
    loss = ops.mse_loss(input, target, "none") * weight
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.sum() / weight.sum()


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None, reduce: bool | None = None,
                                     reduction: str = "mean", pos_weight: Tensor | None = None) -> Tensor:
    """-t ln s - (1 - t) ln(1 - s), s = sigmoid(input), without overflow.  Input and target have one shape.

    weight scales each element, pos_weight the first term; both broadcast.
    """
    reduction = check_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)
