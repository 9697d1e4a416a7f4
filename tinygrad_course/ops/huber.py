"""Losses that are square near 0 and straight far from it, so that outliers pull no harder than others.

Input and target broadcast as in regression_loss.py.
"""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.kernels.arrays import alike, is_float, same_shape
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, mul, neg, sub
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.choice import clamp
from tinygrad_course.ops.dtypes import zeros_like
from tinygrad_course.ops.loss import check_reduction, reduce_loss
from tinygrad_course.ops.regression_loss import _difference, _weighted

__all__ = ["huber_loss", "smooth_l1_loss"]


class Huber(Op):
    """y = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - t; each, their sum or their mean.

    With c = d limited to [-delta, delta], y = c (d - c / 2) and its slope is c:  gx = g c / n, gt = -gx."""

    name = "huber"

    @staticmethod
    def shape(x: Shape, target: Shape, delta: float, reduction: str) -> Shape:
        if x != target:
            raise ShapeError(f"huber: the input has shape {x}, the target {target}; they must be equal")
        return x if reduction == "none" else ()

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any, delta: float, reduction: str) -> Any:
        ctx.save(x, target)
        y = k.huber(x, target, delta)
        axes = tuple(range(y.ndim))
        return y if reduction == "none" else k.sum(y, axes, False) if reduction == "sum" else k.mean(y, axes, False)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, target) = ctx.needs, ctx.load()
        delta, reduction = ctx.args
        if reduction == "mean":
            g = mul(g, 1.0 / max(x.array.size, 1))
        gx = mul(clamp(sub(x, target), -delta, delta), g)
        return gx if needs[0] else None, neg(gx) if needs[1] else None


def smooth_l1_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None,
                   reduction: str = "mean", beta: float = 1.0) -> Any:
    """With d = input - target: d^2 / (2 beta) where |d| < beta, else |d| - beta / 2.  Girshick 2015, equation 3."""
    reduction = check_reduction(size_average, reduce, reduction, "smooth_l1_loss")
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta < 1e-4:
        d = _difference("smooth_l1_loss", input, target, reduction)
        if beta == 0 or beta < np.finfo(floating(d).array.dtype).tiny:  # 1 / beta could overflow, and all but 0 is far
            return reduce_loss(abs(d), reduction)
    return mul(_huber("smooth_l1_loss", input, target, float(beta), reduction), 1.0 / beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """With d = input - target: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2).  Huber 1964.

    `weight` scales each; the mean divides by their number all the same, unlike that of mse_loss, as in PyTorch."""
    reduction = check_reduction(None, None, reduction, "huber_loss")
    delta = number("huber_loss", delta, "delta")
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be greater than 0, got {delta}")
    if weight is None:
        return _huber("huber_loss", input, target, delta, reduction)
    return reduce_loss(_weighted("huber_loss", input, _huber("huber_loss", input, target, delta, "none"), weight), reduction)


def _huber(op: str, input: Any, target: Any, delta: float, reduction: str) -> Any:
    if isinstance(input, TensorBase) and isinstance(target, TensorBase) and is_float(input.array) and (
            alike(input.array, target.array) and same_shape(input.array, target.array)):
        return apply(Huber, (input, target), (delta, reduction))
    d = floating(_difference(op, input, target, reduction))
    return apply(Huber, (d, zeros_like(d, d.array.shape)), (delta, reduction))
