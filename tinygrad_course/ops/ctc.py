"""Connectionist temporal classification.

Graves, Fernandez, Gomez and Schmidhuber 2006, "Connectionist temporal classification: labelling unsegmented sequence data
with recurrent neural networks", section 4.1.

Axes: T time, N samples, C classes, S labels of a target, L = 2 S + 1: the target with blanks around its labels.
"""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import add, div, exp, mul, neg, sub
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import lt, where
from tinygrad_course.ops.dtypes import constant, float16, float32, full_like, require_tensors, zeros_like
from tinygrad_course.ops.functions import logaddexp
from tinygrad_course.ops.index import gather, getitem
from tinygrad_course.ops.join import cat, stack
from tinygrad_course.ops.loss import check_reduction, reduce_loss
from tinygrad_course.ops.reduce import mean, sum
from tinygrad_course.ops.shape import reshape

__all__ = [
    "ctc_loss",
]

_NEVER = -1e30  # the logarithm of an impossible event: finite, because -inf - (-inf) is nan


class Steps(Op):
    """The parts of x along axis 0, as many outputs.  The gradients are stacked again: one slice per step would be a gradient
    of x's size per step."""

    name = "ctc_steps"

    @staticmethod
    def shape(x: Shape) -> Any:
        return (x[1:],) * x[0]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return tuple([step.copy() for step in x])

    @staticmethod
    def backward(ctx: Node, *gs: Any) -> Any:
        shape = ctx.input_shape(0)
        some = next(g for g in gs if g is not None)
        return (stack([zeros_like(some, shape[1:]) if g is None else g for g in gs]),)


def ctc_loss(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
             zero_infinity: bool = False) -> Any:
    """-ln P(target): over all ways to spread the target's labels over time, with repetitions and blanks between.

    log_probs (T, N, C) or (T, C): log_softmax over the classes.  targets (N, S), or all one after the other in one axis.
    input_lengths, target_lengths (N,): tensors, lists, or numbers for an unbatched input.
    "mean" divides each loss by its target length, then averages.  A target that does not fit into its time has the loss inf,
    or 0 with zero_infinity.

    As in PyTorch the gradient is the one behind log_softmax, exp(log_probs) - P(label at time t | target): for log_probs
    that are no log_softmax it differs from the derivative of the loss by exp(log_probs)."""
    op = "ctc_loss"
    reduction = check_reduction(None, None, reduction, op)
    require_tensors(op, log_probs, targets)
    if log_probs.array.dtype.kind != "f" or log_probs.array.ndim not in (2, 3) or not log_probs.array.shape[0]:
        raise ShapeError(f"{op}: log_probs must be floating point, of shape (T, N, C) or (T, C) with T > 0; got "
                         f"{log_probs.array.dtype} of shape {log_probs.array.shape}")
    single = log_probs.array.ndim == 2
    x = reshape(log_probs, (log_probs.array.shape[0], 1, log_probs.array.shape[1])) if single else log_probs
    steps, samples, classes = x.array.shape
    times = _lengths(op, "input_lengths", input_lengths, samples, steps)
    sizes = _lengths(op, "target_lengths", target_lengths, samples, None)
    blank = integer(op, "blank", blank)
    if not 0 <= blank < classes:
        raise ValueError(f"{op}: blank {blank} is not one of the {classes} classes")
    labels = _labels(op, targets, sizes, classes, blank)
    loss = _negative_log_likelihood(cast(x, float32) if x.array.dtype == float16 else x, labels, times, sizes, blank)
    loss = cast(loss, x.array.dtype)
    impossible = (loss.array > -_NEVER / 2) | (np.isinf(loss.array))
    if zero_infinity:
        loss = where(new_tensor(impossible), 0.0, loss)
    elif impossible.any():
        loss = mul(loss, constant(np.where(impossible, np.inf, 1.0).astype(loss.array.dtype), loss))  # inf, and no gradient
    if reduction == "mean":
        return mean(div(loss, constant(sizes.clip(1).astype(loss.array.dtype), loss)))
    return reduce_loss(reshape(loss, ()) if single else loss, reduction)


def _negative_log_likelihood(x: Any, labels: Any, times: Any, sizes: Any, blank: int) -> Any:
    """(N,): the sum over paths by dynamic programming over time (equations 6 to 8), in logarithms.

    alpha_t(l): ln of the sum over the beginnings of paths that are at place l of the target with blanks at time t."""
    steps, samples, _ = x.array.shape
    places = np.full((samples, 2 * labels.shape[1] + 1), blank)
    places[:, 1::2] = labels
    length = places.shape[1]
    emitted = gather(x, 2, new_tensor(np.ascontiguousarray(np.broadcast_to(places, (steps, samples, length)))))
    emitted = where(lt(emitted, _NEVER), _NEVER, emitted)
    jump = np.zeros(places.shape, bool)  # a blank may be left out between two different labels
    jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    closed = constant(np.where(jump, 0.0, _NEVER).astype(x.array.dtype), x)
    edge = full_like(x, (samples, 2), _NEVER)
    at_start = new_tensor(np.broadcast_to(np.arange(length) < 2, places.shape))
    all_places = slice(None)
    alpha: Any = None
    for t, step in enumerate(apply(Steps, (emitted,))):
        if alpha is None:
            alpha = where(at_start, step, _NEVER)
            continue
        before = cat([edge, alpha], 1)
        one, two = getitem(before, (all_places, slice(1, -1))), getitem(before, (all_places, slice(0, -2)))
        new = add(logaddexp(logaddexp(alpha, one), add(two, closed)), step)
        alpha = where(new_tensor((t < times)[:, None]), new, alpha)
    last = gather(alpha, 1, new_tensor(2 * sizes[:, None]))
    but_one = gather(alpha, 1, new_tensor((2 * sizes - 1).clip(0)[:, None]))
    but_one = where(new_tensor(sizes[:, None] > 0), but_one, _NEVER)
    loss = neg(reshape(logaddexp(last, but_one), (samples,)))
    if not times.all():  # without any time the empty target is certain, every other impossible
        loss = where(new_tensor(times > 0), loss, constant(np.where(sizes, -_NEVER, 0.0).astype(x.array.dtype), x))
    # Probabilities sum to 1, so this adds nothing; its gradient, exp(x), makes the one of the loss that behind log_softmax.
    used = (np.arange(steps)[:, None] < times)[:, :, None]
    total = sum(where(new_tensor(used), exp(x), 0.0), (0, 2))
    return add(loss, sub(total, new_tensor(total.array)))


def _lengths(op: str, name: str, value: Any, samples: int, limit: int | None) -> Any:
    lengths = np.atleast_1d(np.asarray(value.array if hasattr(value, "array") else value))
    if lengths.dtype.kind not in "iu":
        raise DTypeError(f"{op}: {name} must be integers, got {lengths.dtype}")
    if lengths.shape != (samples,):
        raise ShapeError(f"{op}: {name} must hold one number for each of the {samples} samples, got shape {lengths.shape}")
    if lengths.size and (lengths.min() < 0 or (limit is not None and lengths.max() > limit)):
        raise ValueError(f"{op}: {name} must be between 0 and {limit if limit is not None else 'the length of the targets'}, "
                         f"got {lengths.tolist()}")
    return lengths.astype(np.int64)


def _labels(op: str, targets: Any, sizes: Any, classes: int, blank: int) -> Any:
    """Targets as (N, S) of int64; places behind a target's end hold the blank."""
    given = targets.array
    if given.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the targets must be integers, got {given.dtype}; use targets.long()")
    longest = int(sizes.max()) if sizes.size else 0
    labels = np.full((sizes.size, longest), blank, np.int64)
    inside = np.arange(longest) < sizes[:, None]
    if given.ndim == 2:
        if given.shape[0] != sizes.size or given.shape[1] < longest:
            raise ShapeError(f"{op}: {sizes.size} targets of up to {longest} labels need a tensor (N, S) of at least that "
                             f"size, got {given.shape}")
        labels[inside] = given[:, :longest][inside]
    elif given.ndim == 1 and given.size >= int(sizes.sum()):
        labels[inside] = given[:int(sizes.sum())]
    else:
        raise ShapeError(f"{op}: targets must have the shape (N, S), or hold all {int(sizes.sum())} labels one after the "
                         f"other; got {given.shape}")
    if longest and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise IndexError(f"{op}: the labels must be classes 0..{classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    return labels
