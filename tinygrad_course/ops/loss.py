"""Losses: cross-entropy, negative log-likelihood, mean squared error, binary cross-entropy with logits."""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.dtypes import constant, full_like, int64, require_tensors
from tinygrad_course.ops.elementwise import add, cast, div, mul, ne, neg, sigmoid, sub, where
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.reduce import mean, sum
from tinygrad_course.ops.shape import permute, reshape, unsqueeze
from tinygrad_course.ops.softmax import LogSoftmaxGrad, log_softmax


class CrossEntropy(Op):
    """Logits x (N, C), classes t (N,), class weights w (C,) or None  ->  loss (N,) and log-probabilities (N, C).

    loss_n = -sum_c T_nc log softmax(x_n)_c, with T_nc = w_c ((1 - s) [c = t_n] + s / C) for label smoothing s, and 0 where
    t_n = ignore_index.  gx_n = g_n (softmax(x_n) sum_c T_nc - T_n).  Both outputs are differentiable, so that the second
    derivative can go through the log-probabilities that backward uses."""

    name = "cross_entropy"

    @staticmethod
    def shape(x: Shape, target: Shape, weight: Shape | None, ignore_index: int, label_smoothing: float) -> Any:
        if len(x) != 2 or target != (x[0],):
            raise ShapeError(f"cross_entropy: logits {x} need the class numbers of {x[:1]} samples, the target has {target}")
        if weight is not None and weight != (x[1],):
            raise ShapeError(f"cross_entropy: {x[1]} classes need a weight of shape ({x[1]},), got {weight}")
        return (x[0],), x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float) -> Any:
        loss, logp = k.cross_entropy(x, target, weight, ignore_index, label_smoothing)
        ctx.save(logp, target, weight)
        return loss, logp

    @staticmethod
    def backward(ctx: Node, g: Any, g_logp: Any) -> Any:
        logp, target, *weight = ctx.saved
        gx = None
        if g is not None:
            gx = apply(CrossEntropyGrad, (g, logp, target, weight[0] if weight else None), ctx.args)
        if g_logp is not None:
            through = apply(LogSoftmaxGrad, (g_logp, logp), (1,))
            gx = through if gx is None else add(gx, through)
        return gx, None, None


class CrossEntropyGrad(Op):
    """z_nc = g_n (exp(logp_nc) sum_k T_nk - T_nc): the gradient of cross_entropy at the logits."""

    name = "cross_entropy_grad"

    @staticmethod
    def shape(g: Shape, logp: Shape, target: Shape, weight: Shape | None, ignore_index: int, label_smoothing: float) -> Shape:
        if g != logp[:1]:
            raise ShapeError(f"cross_entropy_grad: the gradient has shape {g}, there are {logp[:1]} losses")
        return logp

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, logp: Any, target: Any, weight: Any, ignore_index: int,
                label_smoothing: float) -> Any:
        ctx.save(g, logp, target, weight)
        return k.cross_entropy_grad(g, logp, target, weight, ignore_index, label_smoothing)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, logp, target, *rest = ctx.saved
        weight = rest[0] if rest else None
        needs = ctx.needs
        gg = glogp = None
        if needs[0]:  # linear in g: its coefficients are the result for g = 1
            slope = apply(CrossEntropyGrad, (full_like(g, g.array.shape, 1.0), logp, target, weight), ctx.args)
            gg = sum(mul(v, slope), 1)
        if needs[1]:  # only the first summand depends on logp, and it is its own derivative; logp = -inf leaves the second
            nothing = full_like(logp, logp.array.shape, -float("inf"))
            second = apply(CrossEntropyGrad, (g, nothing, target, weight), ctx.args)
            first = sub(apply(CrossEntropyGrad, (g, logp, target, weight), ctx.args), second)
            glogp = mul(v, first)
        return gg, glogp, None, None


class BCEWithLogits(Op):
    """y = max(x, 0) - x t + ln(1 + e^-|x|) = -t ln s - (1 - t) ln(1 - s), s = sigmoid(x).  gx = g (s - t), gt = -g x."""

    name = "bce_with_logits"

    @staticmethod
    def shape(x: Shape, target: Shape) -> Shape:
        if x != target:
            raise same_shape_error("binary_cross_entropy_with_logits", x, target)
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any) -> Any:
        ctx.save(x, target)
        return k.bce_with_logits(x, target)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, target) = ctx.needs, ctx.saved
        return (mul(g, sub(sigmoid(x), target)) if needs[0] else None, neg(mul(g, x)) if needs[1] else None)


def same_shape_error(op: str, x: Shape, y: Shape) -> ShapeError:
    """The error for a loss between two shapes that would broadcast silently, (N, 1) against (N,) above all."""
    fix = "make both the same shape"
    if tuple(x) == (*y, 1):
        fix = f"(N, 1) against (N,) would compare every prediction with every target; use input.squeeze(-1) or " \
              f"target.unsqueeze(-1) so that both are {tuple(y)} or {tuple(x)}"
    elif tuple(y) == (*x, 1):
        fix = f"(N,) against (N, 1) would compare every prediction with every target; use target.squeeze(-1) so that both " \
              f"are {tuple(x)}"
    return ShapeError(f"{op}: the input has shape {tuple(x)}, the target {tuple(y)}; {fix}")


def reduce_loss(op: str, loss: Any, reduction: str) -> Any:
    """'mean', 'sum' or 'none'."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """(x - target)^2, averaged over all elements by default."""
    require_tensors("mse_loss", x, target)
    if x.array.shape != target.array.shape:
        raise same_shape_error("mse_loss", x.array.shape, target.array.shape)
    difference = sub(x, target)
    return reduce_loss("mse_loss", mul(difference, difference), reduction)


def binary_cross_entropy_with_logits(x: Any, target: Any, weight: Any = None, reduction: str = "mean",
                                     pos_weight: Any = None) -> Any:
    """Cross-entropy of sigmoid(x) with targets in [0, 1], computed from the logits; pos_weight multiplies the positives."""
    require_tensors("binary_cross_entropy_with_logits", x, target, weight, pos_weight)
    if x.array.shape != target.array.shape:
        raise same_shape_error("binary_cross_entropy_with_logits", x.array.shape, target.array.shape)
    if target.array.dtype.kind != "f":
        raise DTypeError(f"binary_cross_entropy_with_logits: the target must be floating point, got {target.array.dtype}; "
                         "use target.float()")
    target = cast(target, x.array.dtype)
    loss = apply(BCEWithLogits, (x, target))
    if pos_weight is not None:
        # -w t ln s - (1-t) ln(1-s) is the plain loss plus (w - 1) times the loss of the positives, -t ln s
        positives = mul(target, apply(BCEWithLogits, (x, full_like(x, x.array.shape, 1.0))))
        loss = add(loss, mul(sub(pos_weight, 1.0), positives))
    if weight is not None:
        loss = mul(loss, weight)
    return reduce_loss("binary_cross_entropy_with_logits", loss, reduction)


def nll_loss(logp: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-logp[n, target[n]], weighted by class; the mean divides by the sum of the weights."""
    require_tensors("nll_loss", logp, target, weight)
    logp, target, shape = _classes_last("nll_loss", logp, target)
    _check_classes("nll_loss", target, logp.array.shape[1], ignore_index)
    valid = ne(target, ignore_index)
    safe = where(valid, target, 0)
    picked = neg(reshape(gather(logp, 1, unsqueeze(safe, 1)), target.array.shape))
    factor = cast(valid, logp.array.dtype)
    if weight is not None:
        factor = mul(factor, gather(weight, 0, safe))
    loss = mul(where(valid, picked, 0.0), factor)  # where first: an ignored -inf must not become nan
    if reduction == "mean":
        return div(sum(loss), sum(factor))
    return reduce_loss("nll_loss", loss if shape is None else reshape(loss, shape), reduction)


def cross_entropy(x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Any:
    """Cross-entropy between the softmax of logits and class numbers, or class probabilities of the logits' shape.

    x (C,), (N, C) or (N, C, d1, ...); target the same without C, int64, or of x's shape, floating point."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}")
    require_tensors("cross_entropy", x, target, weight)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"cross_entropy: the logits must be floating point, got {x.array.dtype}")
    if target.array.dtype.kind == "f":
        return _cross_entropy_with_probabilities(x, target, weight, reduction, label_smoothing)
    if weight is not None and weight.track:
        raise GraphError("cross_entropy: the class weights require a gradient, which this loss does not give; use "
                         "weight.detach()")
    x, target, shape = _classes_last("cross_entropy", x, target)
    _check_classes("cross_entropy", target, x.array.shape[1], ignore_index)
    loss, _ = apply(CrossEntropy, (x, target, weight), (int(ignore_index), float(label_smoothing)))
    if reduction == "mean":
        return div(sum(loss), _total_weight(x, target, weight, ignore_index))
    return reduce_loss("cross_entropy", loss if shape is None else reshape(loss, shape), reduction)


def _total_weight(x: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """What a mean divides by: the class weights of the samples that count."""
    valid = target.array != ignore_index
    if weight is None:
        return float(valid.sum())
    return constant(weight.array[target.array[valid]].sum(), x)


def _cross_entropy_with_probabilities(x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    if x.array.shape != target.array.shape:
        hint = " Class numbers must be integers: use target.long()." if target.array.ndim == x.array.ndim - 1 else ""
        raise ShapeError(f"cross_entropy: a floating point target holds class probabilities and must have the shape of the "
                         f"logits {x.array.shape}, got {target.array.shape}.{hint}")
    axis = 1 if x.array.ndim > 1 else 0
    classes = x.array.shape[axis]
    if label_smoothing:
        target = add(mul(target, 1.0 - label_smoothing), label_smoothing / classes)
    logp = log_softmax(x, axis)
    if weight is not None:
        shape = [1] * x.array.ndim
        shape[axis] = classes
        logp = mul(logp, reshape(weight, shape))
    loss = neg(sum(mul(logp, target), axis))
    if reduction == "mean":
        return div(sum(loss), float(max(1, x.array.size // max(1, classes))))
    return reduce_loss("cross_entropy", loss, reduction)


def _classes_last(op: str, x: Any, target: Any) -> tuple[Any, Any, Shape | None]:
    """(x as (N, C), target as int64 (N,), shape of the unreduced loss or None if it is (N,) already)."""
    if target.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the target must hold class numbers (integers), got dtype {target.array.dtype}; use "
                         "target.long()")
    xs, ts = x.array.shape, target.array.shape
    if len(xs) == 0 or ts != (xs[:1] + xs[2:] if len(xs) > 1 else ()):
        expected = xs[:1] + xs[2:] if len(xs) > 1 else ()
        hint = " Use target.squeeze(1)." if ts == (*expected, 1) else ""
        raise ShapeError(f"{op}: an input of shape {xs} has its classes in axis {1 if len(xs) > 1 else 0} and needs a target "
                         f"of shape {expected}, got {ts}.{hint}")
    target = cast(target, int64)
    if len(xs) == 2:
        return x, target, None
    if len(xs) == 1:
        return reshape(x, (1, xs[0])), reshape(target, (1,)), ()
    order = (0, *range(2, len(xs)), 1)
    return reshape(permute(x, order), (-1, xs[1])), reshape(target, (-1,)), ts


def _check_classes(op: str, target: Any, classes: int, ignore_index: int) -> None:
    array = target.array
    wrong = (array != ignore_index) & ((array < 0) | (array >= classes))
    if wrong.any():
        raise IndexError(f"{op}: target {int(array[wrong][0])} is not a class: the input has {classes} classes, so targets "
                         f"are 0..{classes - 1} (or ignore_index={ignore_index})")
