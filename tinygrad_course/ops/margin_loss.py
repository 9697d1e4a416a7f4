"""Losses with a margin: a score, a distance or a similarity must be better than another by so much, then the loss is 0."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import add, div, minimum, mul, neg, sqrt, sub
from tinygrad_course.ops.broadcast import broadcast_shape
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import eq, lt, ne, where
from tinygrad_course.ops.distance import pairwise_distance
from tinygrad_course.ops.dtypes import int64, require_tensors
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.loss import check_reduction, reduce_loss, require_fitting, require_floats
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import reshape, unsqueeze
from tinygrad_course.ops.smooth import logsigmoid, softplus

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Any:
    """For a distance x: x where the target is 1 (alike), max(0, margin - x) where it is -1."""
    op = "hinge_embedding_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    require_fitting(op, input, target)
    alike = where(ne(target, -1), input, 0.0)
    different = where(ne(target, 1), _positive_part(sub(margin, input)), 0.0)
    return reduce_loss(add(alike, different), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, size_average: bool | None = None,
                        reduce: bool | None = None, reduction: str = "mean") -> Any:
    """max(0, margin - y (x1 - x2)): target y = 1 if x1 should be the larger by the margin, -1 if x2 should be."""
    op = "margin_ranking_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    require_tensors(op, input1, input2, target)
    shapes = [x.array.shape for x in (input1, input2, target)]
    if len({len(shape) for shape in shapes}) > 1:
        raise ShapeError(f"{op}: input1, input2 and target must have the same number of axes, got {shapes[0]}, {shapes[1]} "
                         f"and {shapes[2]}")
    broadcast_shape(op, *shapes)
    return reduce_loss(_positive_part(sub(margin, mul(target, sub(input1, input2)))), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, size_average: bool | None = None,
                          reduce: bool | None = None, reduction: str = "mean") -> Any:
    """With the cosine c of vectors (N, D) or (D,): 1 - c where the target is 1, max(0, c - margin) where it is -1."""
    op = "cosine_embedding_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    require_tensors(op, input1, input2, target)
    pair = broadcast_shape(op, input1.array.shape, input2.array.shape)
    if len(pair) not in (1, 2) or target.array.ndim != len(pair) - 1:
        raise ShapeError(f"{op}: vectors (N, D) need targets (N,), vectors (D,) a target (); got {input1.array.shape}, "
                         f"{input2.array.shape} and {target.array.shape}")
    broadcast_shape(op, target.array.shape, pair[:-1])
    squares = [add(sum(mul(x, x), -1), 1e-12) for x in (input1, input2)]
    cosine = div(sum(mul(input1, input2), -1), sqrt(mul(*squares)))
    alike = where(eq(target, 1), sub(1.0, cosine), 0.0)
    different = where(eq(target, -1), _positive_part(sub(cosine, margin)), 0.0)
    return reduce_loss(add(alike, different), reduction)


def soft_margin_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None,
                     reduction: str = "mean") -> Any:
    """ln(1 + e^(-t x)) with targets t of 1 and -1: the logistic loss."""
    reduction = check_reduction(size_average, reduce, reduction, "soft_margin_loss")
    require_fitting("soft_margin_loss", input, target)
    return reduce_loss(softplus(neg(mul(target, input)), 1.0, float("inf")), reduction)


def multi_margin_loss(input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
                      size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> Any:
    """Hinge loss of classes: sum over c != t of max(0, margin - x_t + x_c)^p / C, times the weight of class t.

    input (N, C) or (C,), target (N,) or (): class numbers."""
    op = "multi_margin_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    if p not in (1, 2):
        raise ValueError(f"{op}: the exponent p must be 1 or 2, got {p}")
    x, t = _rows(op, input, target)
    samples, classes = x.array.shape
    if t.array.size != samples or t.array.ndim > 1:
        raise ShapeError(f"{op}: scores {input.array.shape} need class numbers of shape {input.array.shape[:-1]}, got "
                         f"{target.array.shape}")
    t = reshape(t, (samples,))
    if t.array.size and (int(t.array.min()) < 0 or int(t.array.max()) >= classes):
        raise IndexError(f"{op}: targets are 0..{classes - 1}, got {int(t.array.min())} to {int(t.array.max())}")
    right = gather(x, 1, unsqueeze(t, 1))
    gap = add(sub(x, right), margin)
    others = np.arange(classes) != t.array[:, None]
    loss = where(new_tensor(others & (gap.array > 0)), gap, 0.0)
    if p == 2:
        loss = mul(loss, loss)
    if weight is not None:
        require_tensors(op, weight)
        if weight.array.shape != (classes,):
            raise ShapeError(f"{op}: {classes} classes need a weight of shape ({classes},), got {weight.array.shape}")
        loss = mul(loss, unsqueeze(gather(weight, 0, t), 1))
    loss = div(sum(loss, 1), float(max(1, classes)))
    return reduce_loss(loss if input.array.ndim == 2 else reshape(loss, ()), reduction)


def multilabel_margin_loss(input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None,
                           reduction: str = "mean") -> Any:
    """sum over labels t and other classes c of max(0, 1 - x_t + x_c) / C, for samples with several labels.

    input (N, C) or (C,), target of the same shape: the class numbers of a sample, then -1; what follows does not count."""
    op = "multilabel_margin_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    require_tensors(op, input, target)
    if input.array.shape != target.array.shape:
        raise ShapeError(f"{op}: input and target must have the same shape, got {input.array.shape} and {target.array.shape}")
    x, t = _rows(op, input, target)
    samples, classes = x.array.shape
    labels = t.array.reshape(samples, classes)
    if labels.size and (int(labels.min()) < -1 or int(labels.max()) >= classes):
        raise IndexError(f"{op}: targets are -1..{classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    counts = np.logical_and.accumulate(labels >= 0, axis=1)  # (N, T), until the first -1
    labelled = np.zeros((samples, classes), bool)
    n, place = np.nonzero(counts)
    labelled[n, labels[n, place]] = True
    right = gather(x, 1, new_tensor(np.where(counts, labels, 0)))
    gap = add(sub(unsqueeze(x, 1), unsqueeze(right, 2)), 1.0)  # (N, T, C)
    pairs = counts[:, :, None] & ~labelled[:, None, :]
    loss = div(sum(where(new_tensor(pairs & (gap.array > 0)), gap, 0.0), (1, 2)), float(max(1, classes)))
    return reduce_loss(loss if input.array.ndim == 2 else reshape(loss, ()), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, size_average: bool | None = None,
                                reduce: bool | None = None, reduction: str = "mean") -> Any:
    """Binary cross-entropy of sigmoid(input), averaged over the classes (last axis); `weight` scales the classes."""
    op = "multilabel_soft_margin_loss"
    reduction = check_reduction(size_average, reduce, reduction, op)
    require_fitting(op, input, target)
    require_tensors(op, input, target, weight=weight)
    require_floats(op, "input", input)
    if not input.array.ndim:
        raise ShapeError(f"{op}: the input needs an axis of classes, (N, C) or (C,), got shape {input.array.shape}")
    loss = neg(add(mul(target, logsigmoid(input)), mul(sub(1, target), logsigmoid(neg(input)))))
    if weight is not None:
        loss = mul(loss, weight)
    return reduce_loss(div(sum(loss, -1), float(input.array.shape[-1])), reduction)


def triplet_margin_loss(anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
                        swap: bool = False, size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Any:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), with the p-norm of the difference as distance d.

    swap takes the smaller of d(anchor, negative) and d(positive, negative).  Balntas et al. 2016."""
    reduction = check_reduction(size_average, reduce, reduction, "triplet_margin_loss")
    return _triplet("triplet_margin_loss", anchor, positive, negative, lambda x, y: pairwise_distance(x, y, p, eps),
                    margin, swap, reduction)


def triplet_margin_with_distance_loss(anchor: Any, positive: Any, negative: Any, *,
                                      distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
                                      swap: bool = False, reduction: str = "mean") -> Any:
    """triplet_margin_loss with any distance; without one pairwise_distance."""
    reduction = check_reduction(None, None, reduction, "triplet_margin_with_distance_loss")
    return _triplet("triplet_margin_with_distance_loss", anchor, positive, negative,
                    distance_function or pairwise_distance, margin, swap, reduction)


def _triplet(op: str, anchor: Any, positive: Any, negative: Any, measure: Callable[[Any, Any], Any], margin: float,
             swap: bool, reduction: str) -> Any:
    require_tensors(op, anchor, positive, negative)
    if not number(op, margin, "margin") > 0:
        raise ValueError(f"{op}: the margin must be greater than 0, got {margin}")
    if not anchor.array.ndim == positive.array.ndim == negative.array.ndim:
        raise ShapeError(f"{op}: anchor, positive and negative must have the same number of axes, got {anchor.array.shape}, "
                         f"{positive.array.shape} and {negative.array.shape}")
    near, far = measure(anchor, positive), measure(anchor, negative)
    if swap:
        far = minimum(far, measure(positive, negative))
    return reduce_loss(_positive_part(add(sub(near, far), margin)), reduction)


def _positive_part(x: Any) -> Any:
    """max(0, x), with slope 1 at 0, as PyTorch's clamp has it and its relu has not."""
    return where(lt(x, 0.0), 0.0, x)


def _rows(op: str, input: Any, target: Any) -> tuple[Any, Any]:
    """(scores (N, C), target as int64); scores without the axis N get one."""
    require_tensors(op, input, target)
    require_floats(op, "input", input)
    if target.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the target must hold class numbers (integers), got {target.array.dtype}; use target.long()")
    shape = input.array.shape
    if len(shape) > 2 or (shape and shape[-1] == 0):
        raise ShapeError(f"{op}: the scores must have the shape (N, C) or (C,), with C > 0; got {shape}")
    return input if len(shape) == 2 else reshape(input, (1, input.array.size)), cast(target, int64)
