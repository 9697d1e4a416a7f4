# cython: annotation_typing=False
"""Losses between numbers, and between distributions.  More: huber.py, divergence.py.

Input and target broadcast as in PyTorch, but (N, 1) against (N,), of which PyTorch only warns, is an error.
"""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.kernels.arrays import alike, is_float, same_shape
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, add, div, exp, log, mul, neg, sub
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.comparison import eq, gt, where
from tinygrad_course.ops.dtypes import constant, full_like, require_tensors
from tinygrad_course.ops.loss import check_reduction, reduce_loss, require_fitting
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import reshape

__all__ = [
    "gaussian_nll_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss",
]


class SquaredError(Op):
    """y = (x - t)^2 of each element ("none"), their sum ("sum") or their mean ("mean").  gx = 2 g (x - t) / n, gt = -gx.

    n is the number of elements for the mean, else 1."""

    name = "squared_error"

    @staticmethod
    def shape(x: Shape, target: Shape, reduction: str) -> Shape:
        if x != target:
            raise ShapeError(f"squared_error: the input has shape {x}, the target {target}; they must be equal")
        return x if reduction == "none" else ()

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any, reduction: str) -> Any:
        ctx.save(x, target)
        d = k.sub(x, target)
        y = k.mul(d, d)
        axes = tuple(range(y.ndim))
        return y if reduction == "none" else k.sum(y, axes, False) if reduction == "sum" else k.mean(y, axes, False)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, target) = ctx.needs, ctx.load()
        scale = 2.0 / max(x.array.size, 1) if ctx.args[0] == "mean" else 2.0
        gx = mul(sub(x, target), mul(g, scale))
        return gx if needs[0] else None, neg(gx) if needs[1] else None


def l1_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
            weight: Any = None) -> Any:
    """|input - target|.  `weight` scales each; the mean then divides by the sum of weights."""
    reduction = check_reduction(size_average, reduce, reduction, "l1_loss")
    loss = abs(_difference("l1_loss", input, target, reduction))
    return _weighted_mean(_weighted("l1_loss", input, loss, weight), weight, reduction)


def mse_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
             weight: Any = None) -> Any:
    """(input - target)^2.  `weight` scales each; the mean then divides by the sum of weights."""
    reduction = check_reduction(size_average, reduce, reduction, "mse_loss")
    if weight is None and isinstance(input, TensorBase) and isinstance(target, TensorBase) and is_float(input.array) and (
            alike(input.array, target.array) and same_shape(input.array, target.array)):
        return apply(SquaredError, (input, target), (reduction,))
    d = _difference("mse_loss", input, target, reduction)
    return _weighted_mean(_weighted("mse_loss", input, mul(d, d), weight), weight, reduction)


def kl_div(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
           log_target: bool = False) -> Any:
    """Kullback-Leibler divergence, elementwise: t (ln t - x), with input x = ln q and target t = p, or ln p if log_target.

    reduction="batchmean" divides the sum by the size of axis 0, which is the divergence; "mean" divides by the number of
    elements, which is not."""
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = check_reduction(size_average, reduce, reduction, "kl_div")
    require_fitting("kl_div", input, target)
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        known = where(eq(target, 0.0), 1.0, target)  # 0 ln 0 = 0
        loss = sub(mul(target, log(known)), mul(target, input))
    if reduction != "batchmean":
        return reduce_loss(loss, reduction)
    return div(sum(loss), float(input.array.shape[0])) if input.array.ndim else loss


def poisson_nll_loss(input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: bool | None = None,
                     eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean") -> Any:
    """-ln P(target) for Poisson counts, without the term ln(target!): e^x - t x for x = ln rate, or x - t ln(x + eps).

    full=True adds Stirling's approximation of that term, t ln t - t + ln(2 pi t) / 2, where t > 1."""
    reduction = check_reduction(size_average, reduce, reduction, "poisson_nll_loss")
    require_fitting("poisson_nll_loss", input, target)
    loss = sub(exp(input), mul(target, input)) if log_input else sub(input, mul(target, log(add(input, eps))))
    if full:
        large = gt(target, 1.0)
        t = where(large, floating(target), 1.0)
        stirling = add(sub(mul(t, log(t)), t), mul(log(mul(t, 2.0 * math.pi)), 0.5))
        loss = add(loss, where(large, stirling, 0.0))
    return reduce_loss(loss, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Any:
    """(ln v + (input - target)^2 / v) / 2 with the variance v = max(var, eps); full=True adds ln(2 pi) / 2.

    var: of the input's shape, or with size 1 along one axis, or without the last axis (one variance for all), or a number.
    Where var < eps its gradient is the one at eps, as in PyTorch."""
    op = "gaussian_nll_loss"
    reduction = check_reduction(None, None, reduction, op)
    require_fitting(op, input, target)
    if isinstance(var, int | float):
        var = full_like(input, input.array.shape, float(var))
    require_tensors(op, input, target, var)
    shape, given = input.array.shape, var.array.shape
    if given != shape and given == shape[:-1]:
        var = reshape(var, (*given, 1))
    elif len(given) != len(shape) or [b for a, b in zip(shape, given, strict=True) if a != b] not in ([], [1]):
        raise ShapeError(f"{op}: the variance for an input of shape {shape} has that shape, or size 1 along one axis, or no "
                         f"last axis; got {given}")
    if var.array.size and bool((var.array < 0).any()):
        raise ValueError(f"{op}: a variance must not be negative, the smallest is {var.array.min()}")
    eps = number(op, eps, "eps")
    lifted = add(var, constant((eps - var.array).clip(0).astype(var.array.dtype), var))  # the lift is no part of the graph
    d = sub(input, target)
    loss = mul(add(log(lifted), div(mul(d, d), lifted)), 0.5)
    return reduce_loss(add(loss, 0.5 * math.log(2.0 * math.pi)) if full else loss, reduction)


def _difference(op: str, input: Any, target: Any, reduction: str) -> Any:
    """input - target, after the checks."""
    require_fitting(op, input, target)
    kinds = input.array.dtype, target.array.dtype
    if reduction == "mean" and kinds[0].kind != "f" and kinds[1].kind != "f":
        raise DTypeError(f"{op}: the input is {kinds[0]} and the target {kinds[1]}, a mean needs floating point numbers; use "
                         "input.float()")
    return sub(input, target)


def _weighted(op: str, input: Any, loss: Any, weight: Any) -> Any:
    if weight is None:
        return loss
    require_tensors(op, input, weight)
    if weight.array.shape != input.array.shape:
        raise ShapeError(f"{op}: the weight has shape {weight.array.shape}, the input {input.array.shape}; they must be "
                         "equal")
    return mul(loss, weight)


def _weighted_mean(loss: Any, weight: Any, reduction: str) -> Any:
    if weight is None or reduction != "mean":
        return reduce_loss(loss, reduction)
    return div(sum(loss), sum(weight))
