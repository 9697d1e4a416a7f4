# cython: annotation_typing=False
"""Losses of classifiers: cross-entropy of classes and of yes or no, from logits and from probabilities.

Here are also the rules that all losses share: the reduction, and which shapes may meet.
"""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.autograd.origin import warn
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.kernels.arrays import all_between, count_classes, is_float
from tinygrad_course.kernels.direct import shape_of
from tinygrad_course.ops.activation import sigmoid
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import add, div, log, mul, neg, sub
from tinygrad_course.ops.broadcast import broadcast_shape
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import lt, ne, where
from tinygrad_course.ops.dtypes import full_like, int64, require_tensors
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.linalg import linear
from tinygrad_course.ops.reduce import mean, mean_of_all, sum, sum_of_all
from tinygrad_course.ops.shape import permute, reshape, unsqueeze
from tinygrad_course.ops.softmax import LogSoftmaxGrad, log_softmax

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "linear_cross_entropy", "nll_loss",
]


class CrossEntropy(Op):
    """Logits x (N, C), classes t (N,), class weights w (C,) or None  ->  loss (N,) or () and log-probabilities (N, C).

    loss_n = -sum_c T_nc log softmax(x_n)_c, with T_nc = w_c ((1 - s) [c = t_n] + s / C) for label smoothing s, and 0 where
    t_n = ignore_index.  gx_n = g_n (softmax(x_n) sum_c T_nc - T_n).  reduction "sum" adds the losses up, "mean" divides that
    by the sum of w_t over the samples that count, and gx by the same.  Both outputs are differentiable, so that the second
    derivative can go through the log-probabilities that backward uses."""

    name = "cross_entropy"

    @staticmethod
    def shape(x: Shape, target: Shape, weight: Shape | None, ignore_index: int, label_smoothing: float,
              reduction: str = "none") -> Any:
        if len(x) != 2 or target != (x[0],):
            raise ShapeError(f"cross_entropy: logits {x} need the class numbers of {x[:1]} samples, the target has {target}")
        if weight is not None and weight != (x[1],):
            raise ShapeError(f"cross_entropy: {x[1]} classes need a weight of shape ({x[1]},), got {weight}")
        return (x[:1] if reduction == "none" else ()), x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float,
                reduction: str = "none") -> Any:
        loss, logp = k.cross_entropy(x, target, weight, ignore_index, label_smoothing, reduction)
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
    def shape(g: Shape, logp: Shape, target: Shape, weight: Shape | None, ignore_index: int, label_smoothing: float,
              reduction: str = "none") -> Shape:
        losses = logp[:1] if reduction == "none" else ()
        if g != losses:
            raise ShapeError(f"cross_entropy_grad: the gradient has shape {g}, there are {losses} losses")
        return logp

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, logp: Any, target: Any, weight: Any, ignore_index: int,
                label_smoothing: float, reduction: str = "none") -> Any:
        ctx.save(g, logp, target, weight)
        return k.cross_entropy_grad(g, logp, target, weight, ignore_index, label_smoothing, reduction)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, logp, target, *rest = ctx.saved
        weight = rest[0] if rest else None
        needs = ctx.needs
        gg = glogp = None
        if needs[0]:  # linear in g: its coefficients are the result for g = 1
            slope = apply(CrossEntropyGrad, (full_like(g, g.array.shape, 1.0), logp, target, weight), ctx.args)
            share = mul(v, slope)
            gg = sum(share, 1) if g.array.ndim else sum_of_all(share)
        if needs[1]:  # only the first summand depends on logp, and it is its own derivative; logp = -inf leaves the second
            nothing = full_like(logp, logp.array.shape, -float("inf"))
            second = apply(CrossEntropyGrad, (g, nothing, target, weight), ctx.args)
            first = sub(apply(CrossEntropyGrad, (g, logp, target, weight), ctx.args), second)
            glogp = mul(v, first)
        return gg, glogp, None, None


class BCE(Op):
    """y = -t ln x - (1 - t) ln(1 - x), logarithms cut off at -100.

    gx = g (x - t) / (x (1 - x)), where x (1 - x) counts at least 1e-12; gt = g (ln(1 - x) - ln x)."""

    name = "bce"

    @staticmethod
    def shape(x: Shape, target: Shape) -> Shape:
        if x != target:
            raise same_shape_error("binary_cross_entropy", x, target)
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, target: Any) -> Any:
        ctx.save(x, target)
        return k.bce(x, target)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, target) = ctx.needs, ctx.saved
        gx = gt = None
        if needs[0]:
            gx = apply(BCEGrad, (g, x, target))
        if needs[1]:
            gt = mul(g, sub(log(sub(1.0, x)), log(x)))
        return gx, gt


class BCEGrad(Op):
    """z = g (x - t) / V with V = max(x (1 - x), 1e-12): the gradient of bce at x.

    zx = g (1 - z' V') / V with z' = (x - t) / V, and V' = 1 - 2 x, or 0 where V is 1e-12; zt = -g / V."""

    name = "bce_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, target: Shape) -> Shape:
        if g != x or x != target:
            raise ShapeError(f"bce_grad: the gradient {g}, the input {x} and the target {target} must have one shape")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, target: Any) -> Any:
        ctx.save(g, x, target)
        return k.bce_grad(g, x, target)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (g, x, target) = ctx.needs, ctx.saved
        gg = gx = gt = None
        if needs[0]:  # linear in g
            gg = apply(BCEGrad, (v, x, target))
        if needs[1] or needs[2]:
            variance = mul(x, sub(1.0, x))
            clipped = lt(variance, 1e-12)
            share = div(mul(v, g), where(clipped, 1e-12, variance))
            if needs[1]:
                slope = where(clipped, 0.0, sub(1.0, mul(x, 2.0)))
                quotient = div(sub(x, target), where(clipped, 1e-12, variance))
                gx = mul(share, sub(1.0, mul(quotient, slope)))
            if needs[2]:
                gt = neg(share)
        return gg, gx, gt


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


def require_floats(op: str, name: str, x: Any) -> None:
    """Raise unless x, which the message calls `name`, holds floating point numbers."""
    if not is_float(x.array):
        raise DTypeError(f"{op}: the {name} must be floating point, got {x.array.dtype}; use {name}.float()")


def require_fitting(op: str, input: Any, target: Any) -> None:
    """Raise unless both are tensors that broadcast, and not as (N, 1) and (N,) do: PyTorch only warns of these."""
    require_tensors(op, input, target)
    x, y = input.array.shape, target.array.shape
    if len(x) + len(y) > 1 and (x == (*y, 1) or y == (*x, 1)):
        raise same_shape_error(op, x, y)
    broadcast_shape(op, x, y)
    if math.prod(x) != math.prod(y):
        warn(f"{op}: the input has shape {x}, the target {y}: both are stretched to {broadcast_shape(op, x, y)}, which is "
             "seldom what is meant. Give both the same shape")


def warn_of_twice(op: str, input: Any, names: tuple[str, ...], instead: str) -> None:
    """Warn of an activation in front of a loss that applies it itself, or wants another."""
    if isinstance(input, TensorBase) and input.node is not None and input.node.name in names:
        warn(f"{op} gets the result of {input.node.name}: {instead}")


def check_reduction(size_average: bool | None, reduce: bool | None, reduction: str, op: str = "loss") -> str:
    """The reduction that is meant: PyTorch's two old flags, if one is given, say it in other words."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warn(f"{op}: size_average and reduce are deprecated, use reduction={reduction!r}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def reduce_loss(loss: Any, reduction: str) -> Any:
    """'mean', 'sum' or 'none'."""
    if reduction == "mean":
        return mean_of_all(loss) if is_float(loss.array) else mean(loss)  # which refuses integers
    return sum(loss) if reduction == "sum" else loss


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Any:
    """-t ln x - (1 - t) ln(1 - x) for probabilities x and targets t of one shape; weight broadcasts.

    Logarithms are not less than -100.  Where x = sigmoid(z), binary_cross_entropy_with_logits(z) is more accurate."""
    op = "binary_cross_entropy"
    reduction = check_reduction(size_average, reduce, reduction, op)
    target = _binary_target(op, input, target, weight)
    probabilities = input.array
    if not all_between(probabilities, 0.0, 1.0):
        raise ValueError(f"{op}: the input holds probabilities between 0 and 1, but has values from {probabilities.min()} to "
                         f"{probabilities.max()}; apply sigmoid, or use binary_cross_entropy_with_logits")
    loss = apply(BCE, (input, target))
    return reduce_loss(loss if weight is None else mul(loss, weight), reduction)


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, size_average: bool | None = None,
                                     reduce: bool | None = None, reduction: str = "mean", pos_weight: Any = None) -> Any:
    """-t ln s - (1 - t) ln(1 - s), s = sigmoid(input), without overflow.  Input and target have one shape.

    weight scales each element, pos_weight the first term; both broadcast."""
    op = "binary_cross_entropy_with_logits"
    reduction = check_reduction(size_average, reduce, reduction, op)
    warn_of_twice(op, input, ("sigmoid",), "give it the logits, or use binary_cross_entropy")
    require_tensors(op, input, target, weight=weight, pos_weight=pos_weight)
    target = _binary_target(op, input, target, weight)
    loss = apply(BCEWithLogits, (input, target))
    if pos_weight is not None:
        # -w t ln s - (1-t) ln(1-s) is the plain loss plus (w - 1) times the loss of the positives, -t ln s
        positives = mul(target, apply(BCEWithLogits, (input, full_like(input, input.array.shape, 1.0))))
        loss = add(loss, mul(sub(pos_weight, 1.0), positives))
    return reduce_loss(loss if weight is None else mul(loss, weight), reduction)


def _binary_target(op: str, input: Any, target: Any, weight: Any) -> Any:
    """The target in the type of the input, after the checks."""
    require_tensors(op, input, target, weight=weight)
    require_floats(op, "input", input)
    if input.array.shape != target.array.shape:
        raise same_shape_error(op, input.array.shape, target.array.shape)
    if target.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the target must be floating point, got {target.array.dtype}; use target.float()")
    return cast(target, input.array.dtype)


def nll_loss(input: Any, target: Any, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
             reduce: bool | None = None, reduction: str = "mean") -> Any:
    """-input[n, target[n]] for log-probabilities (N, C, ...) and class numbers (N, ...); weight as in cross_entropy."""
    reduction = check_reduction(size_average, reduce, reduction, "nll_loss")
    warn_of_twice("nll_loss", input, ("softmax",), "give it the result of log_softmax, or logits to cross_entropy")
    require_tensors("nll_loss", input, target, weight=weight)
    require_floats("nll_loss", "input", input)
    input, target, shape = _classes_last("nll_loss", input, target)
    _check_weight("nll_loss", weight, input.array.shape[1])
    if weight is not None and weight.array.dtype != input.array.dtype:
        raise DTypeError(f"nll_loss: the weight is {weight.array.dtype}, the input {input.array.dtype}; use "
                         "weight.to(input.dtype)")
    everyone = _check_classes("nll_loss", target, input.array.shape[1], ignore_index) == target.array.size
    valid = None if everyone else ne(target, ignore_index)  # mostly no class is ignored, and masks cost more than the rest
    safe = target if valid is None else where(valid, target, 0)
    loss = neg(reshape(gather(input, 1, unsqueeze(safe, 1)), target.array.shape))
    factor = None if weight is None else gather(weight, 0, safe)
    if valid is not None:
        counted = cast(valid, input.array.dtype)
        factor = counted if factor is None else mul(counted, factor)
        loss = where(valid, loss, 0.0)  # before the product: an ignored -inf must not become nan
    if factor is not None:
        loss = mul(loss, factor)
        if reduction == "mean":
            return div(sum(loss), sum(factor))
    return reduce_loss(loss if shape is None else reshape(loss, shape), reduction)


def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
                  reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    """-ln softmax(input)[target] for logits (C,), (N, C) or (N, C, d1, ...): no softmax before it.

    target: class numbers (integers, the same shape without C) or class probabilities (floating point, the same shape).
    weight (C,) scales the classes; the mean over class numbers is then divided by the weights of the targets used.
    Samples whose class is ignore_index count nothing.  label_smoothing s: the target is (1 - s) of itself + s / C."""
    reduction = check_reduction(size_average, reduce, reduction, "cross_entropy")
    warn_of_twice("cross_entropy", input, ("softmax", "log_softmax"), "give it the logits, it applies log_softmax itself")
    if type(label_smoothing) is not float:
        label_smoothing = number("cross_entropy", label_smoothing, "label_smoothing")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}")
    if not isinstance(input, TensorBase) or not isinstance(target, TensorBase) or weight is not None:
        require_tensors("cross_entropy", input, target, weight=weight)
    require_floats("cross_entropy", "logits", input)
    classes = target.array
    if classes.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(f"cross_entropy: ignore_index={ignore_index} names a class number, but the target is floating "
                             "point and holds probabilities: leave ignore_index out, or give class numbers, target.long()")
        return _cross_entropy_with_probabilities(input, target, weight, reduction, label_smoothing)
    shape = shape_of(input.array)
    if len(shape) > 1 and shape == shape_of(classes):
        raise DTypeError(f"cross_entropy: the target has the input's shape {classes.shape} but dtype "
                         f"{classes.dtype}. If it is one-hot, give class numbers, target.argmax(1), or probabilities, "
                         "target.float()")
    if weight is not None and weight.track:
        raise GraphError("cross_entropy: the class weights require a gradient, which this loss does not give; use "
                         "weight.detach()")
    input, target, places = _classes_last("cross_entropy", input, target)
    _check_classes("cross_entropy", target, shape_of(input.array)[1], ignore_index)
    loss, _ = apply(CrossEntropy, (input, target, weight), (int(ignore_index), float(label_smoothing), reduction))
    return loss if places is None or reduction != "none" else reshape(loss, places)


def linear_cross_entropy(input: Any, linear_weight: Any, target: Any, *, linear_bias: Any = None, weight: Any = None,
                         reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0,
                         options: Any = None) -> Any:
    """cross_entropy(linear(input, linear_weight, linear_bias), target): the last layer of a classifier with its loss.

    input (F,) or (N, F), linear_weight (C, F) or, for losses in several places, (C, d1, ..., F), bias its shape without F.
    `options` are PyTorch's hints for saving memory; they change no value and are not used."""
    op = "linear_cross_entropy"
    require_tensors(op, input, linear_weight, target, linear_bias=linear_bias, weight=weight)
    x, w = input.array.shape, linear_weight.array.shape
    if len(x) not in (1, 2) or len(w) < 2 or x[-1] != w[-1]:
        raise ShapeError(f"{op}: an input (features,) or (N, features) needs a weight (classes, ..., features) with as many "
                         f"features, got {x} and {w}")
    if len(w) > 2 and len(x) == 1:
        raise ShapeError(f"{op}: a weight {w} with more than two axes needs an input (N, {x[0]}), got {x}")
    if linear_bias is not None and linear_bias.array.shape != w[:-1]:
        raise ShapeError(f"{op}: the weight {w} needs a bias of shape {w[:-1]}, got {linear_bias.array.shape}")
    if ignore_index is not None and target.array.shape == (*x[:-1], *w[:-1]):
        raise ValueError(f"{op}: ignore_index={ignore_index} names a class number, the target holds probabilities")
    bias = linear_bias
    if len(w) > 2:
        linear_weight = reshape(linear_weight, (math.prod(w[:-1]), w[-1]))
        bias = None if bias is None else reshape(bias, (-1,))
    logits = reshape(linear(input, linear_weight, bias), (*x[:-1], *w[:-1]))
    return cross_entropy(logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index,
                         reduction=reduction, label_smoothing=label_smoothing)


def _cross_entropy_with_probabilities(x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    if x.array.shape != target.array.shape:
        hint = " Class numbers must be integers: use target.long()." if target.array.ndim == x.array.ndim - 1 else ""
        raise ShapeError(f"cross_entropy: a floating point target holds class probabilities and must have the shape of the "
                         f"logits {x.array.shape}, got {target.array.shape}.{hint}")
    axis = 1 if x.array.ndim > 1 else 0
    classes = x.array.shape[axis]
    _check_weight("cross_entropy", weight, classes)
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
    return reduce_loss(loss, reduction)


def _classes_last(op: str, x: Any, target: Any) -> tuple[Any, Any, Shape | None]:
    """(x as (N, C), target as int64 (N,), shape of the unreduced loss or None if it is (N,) already)."""
    classes = target.array
    if classes.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the target must hold class numbers (integers), got dtype {classes.dtype}; use "
                         "target.long()")
    xs, ts = shape_of(x.array), shape_of(classes)
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


def _check_weight(op: str, weight: Any, classes: int) -> None:
    if weight is not None and weight.array.shape != (classes,):
        raise ShapeError(f"{op}: {classes} classes need a weight of shape ({classes},), one number per class, got "
                         f"{weight.array.shape}")


def _check_classes(op: str, target: Any, classes: int, ignore_index: int) -> Any:
    """How many samples count."""
    array = target.array
    used = count_classes(array, classes, ignore_index)
    if used < 0:
        wrong = (array != ignore_index) & ((array < 0) | (array >= classes))
        raise IndexError(f"{op}: target {int(array[wrong][0])} is not a class: the input has {classes} classes, so targets "
                         f"are 0..{classes - 1} (or ignore_index={ignore_index})")
    return used
