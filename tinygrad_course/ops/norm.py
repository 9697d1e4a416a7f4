"""Normalisation: of batches, layers, groups, instances; by the root mean square; by neighbouring channels.

All but the last standardise over some axes, and differ only in which: one op does it for all of them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer, integers, number
from tinygrad_course.ops.arithmetic import add, div, mul, neg, pow, sqrt, sub
from tinygrad_course.ops.broadcast import broadcast_shape, sum_to
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.dtypes import float16, float32, require_tensors, zeros_like
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.reduce import mean, reduced_shape, sum
from tinygrad_course.ops.shape import reshape

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm",
]


class Standardise(Op):
    """y = xhat w + b with xhat = (x - m) r, r = 1 / sqrt(v + eps), and mean m and variance v of x over `axes`.

    Outputs y, m, v (size 1 along `axes`), all three differentiable: backward computes xhat from m and v, so that a second
    derivative finds its way through them.  w and b broadcast to x.  Not `centred`: m = 0, v = mean of x^2.
    gx = r (h - mean(h) - xhat mean(h xhat)) with h = g w; gw = sum of g xhat, gb = sum of g.
    Ioffe and Szegedy 2015, arXiv:1502.03167, section 3."""

    name = "standardise"

    @staticmethod
    def shape(x: Shape, weight: Shape | None, bias: Shape | None, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
        for factor in (weight, bias):
            if factor is not None and broadcast_shape("standardise", x, factor) != tuple(x):
                raise ShapeError(f"standardise: a weight or bias of shape {factor} does not broadcast to {x}")
        kept = reduced_shape(x, axes, True)
        return x, kept, kept

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
        y, m, v = k.standardise(x, weight, bias, axes, eps, centred)
        ctx.save(x, m, v, weight)
        return y, m, v

    @staticmethod
    def backward(ctx: Node, g: Any, g_m: Any, g_v: Any) -> Any:
        x, m, v, *rest = ctx.saved
        axes, eps, centred = ctx.args
        needs = ctx.needs
        gx = gw = gb = None
        moved = sub(x, m) if centred else x
        r = div(1.0, sqrt(add(v, eps)))
        if g is not None:
            xhat = mul(moved, r)
            if needs[0]:
                gx = apply(StandardiseGrad, (mul(g, rest[0]) if rest else g, xhat, r), (axes, centred))
            if needs[1]:
                gw = sum_to(mul(g, xhat), ctx.input_shape(1))
            if needs[2]:
                gb = sum_to(g, ctx.input_shape(2))
        n = float(max(1, math.prod(x.array.shape[axis] for axis in axes)))
        if needs[0] and g_m is not None and centred:
            gx = _plus(gx, div(g_m, n), x)
        if needs[0] and g_v is not None:
            gx = _plus(gx, mul(moved, mul(g_v, 2.0 / n)), x)
        return gx, gw, gb


class StandardiseGrad(Op):
    """z = r (g - mean(g) - y mean(g y)), means over `axes`, the first one only if `centred`.

    The map g -> z is symmetric.  For a direction v: d/dy = -r (v mean(g y) + g mean(v y)), d/dr = sum of v z / r."""

    name = "standardise_grad"

    @staticmethod
    def shape(g: Shape, y: Shape, r: Shape, axes: tuple[int, ...], centred: bool) -> Shape:
        if tuple(g) != tuple(y) or tuple(r) != reduced_shape(y, axes, True):
            raise ShapeError(f"standardise_grad: gradient {g}, values {y} and scale {r} do not belong together")
        return y

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any, r: Any, axes: tuple[int, ...], centred: bool) -> Any:
        ctx.save(g, y, r)
        return k.standardise_grad(g, y, r, axes, centred)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y, r = ctx.saved
        axes, needs = ctx.args[0], ctx.needs
        gg = apply(StandardiseGrad, (v, y, r), ctx.args)
        gy = gr = None
        if needs[1]:
            gy = neg(mul(r, add(mul(v, mean(mul(g, y), axes, True)), mul(g, mean(mul(v, y), axes, True)))))
        if needs[2]:
            gr = div(sum(mul(gg, g), axes, True), r)  # <v, z> = <g, gg>
        return gg if needs[0] else None, gy, gr


def _plus(total: Any, part: Any, x: Any) -> Any:
    """The sum of both, part stretched to x's shape; total may be missing."""
    return add(zeros_like(x, x.array.shape) if total is None else total, part)


# -- functions ---------------------------------------------------------------------------------------------------------


def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """Each channel of (N, C, ...) to mean 0 and variance 1, times weight (C,), plus bias (C,).

    training: mean and variance of this batch; the running ones, if given, are moved towards them by `momentum` (towards
    the unbiased variance).  Otherwise the running ones are used."""
    op = "batch_norm"
    _checked(op, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    x = input.array.shape
    if x == (0,):
        return clone(input)  # PyTorch lets this one pass
    if len(x) < 2:
        raise ShapeError(f"{op}: the input needs the axes (N, C, ...), got shape {x}")
    _per_channel(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training:
        return _with_running_statistics(op, input, running_mean, running_var, weight, bias, eps)
    count = math.prod(x[:1] + x[2:])
    if count == 1:
        raise ShapeError(f"{op}: expected more than 1 value per channel when training, got input of shape {x}: the variance "
                         "of one value is 0. Use a larger batch (DataLoader(drop_last=True) drops a last batch of 1), or "
                         "eval()")
    axes = (0, *range(2, len(x)))
    momentum, eps = number(op, momentum, "momentum"), float(number(op, eps, "eps"))
    y, m, v = _standardise(input, _column(weight, x), _column(bias, x), axes, eps, True)
    if input.array.size:
        _update(running_mean, running_var, m.array.reshape(-1), v.array.reshape(-1), count, momentum)
    return y


def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """Each channel of each sample of (N, C, ...) to mean 0 and variance 1, times weight (C,), plus bias (C,).

    The running statistics, if given, are moved towards the mean over the batch, or are used if not use_input_stats.
    Ulyanov et al. 2016, arXiv:1607.08022."""
    op = "instance_norm"
    _checked(op, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    x = input.array.shape
    if len(x) < 2:
        raise ShapeError(f"{op}: the input needs the axes (N, C, ...), got shape {x}")
    _per_channel(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        return _with_running_statistics(op, input, running_mean, running_var, weight, bias, eps)
    count = math.prod(x[2:])
    if count == 1:
        raise ShapeError(f"{op}: expected more than 1 spatial element when training, got input of shape {x}: the variance of "
                         "one value is 0")
    axes = tuple(range(2, len(x)))
    momentum, eps = number(op, momentum, "momentum"), float(number(op, eps, "eps"))
    y, m, v = _standardise(input, _column(weight, x), _column(bias, x), axes, eps, True)
    if input.array.size:
        _update(running_mean, running_var, m.array.reshape(x[:2]).mean(0), v.array.reshape(x[:2]).mean(0), count, momentum)
    return y


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each group of neighbouring channels of (N, C, ...) to mean 0 and variance 1, per sample; weight (C,), bias (C,).

    Wu and He 2018, arXiv:1803.08494."""
    op = "group_norm"
    _checked(op, input, weight=weight, bias=bias)
    x, num_groups = input.array.shape, integer(op, "num_groups", num_groups)
    if len(x) < 2 or num_groups < 1 or x[1] % num_groups:
        raise ShapeError(f"{op}: the channels (axis 1) of the input {x} must divide into num_groups={num_groups} equal "
                         "groups")
    _per_channel(op, x, weight=weight, bias=bias)
    groups = (x[0], num_groups, x[1] // num_groups, *x[2:])
    per_group = (1, *groups[1:3]) + (1,) * (len(x) - 2)
    scale, shift = [None if p is None else reshape(p, per_group) for p in (weight, bias)]
    axes, eps = tuple(range(2, len(groups))), float(number(op, eps, "eps"))
    return reshape(_standardise(reshape(input, groups), scale, shift, axes, eps, True)[0], x)


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """The last axes, of sizes normalized_shape, to mean 0 and variance 1; weight and bias have that shape.

    Ba, Kiros and Hinton 2016, arXiv:1607.06450."""
    axes = _last_axes("layer_norm", input, normalized_shape, weight, bias)
    return _standardise(input, weight, bias, axes, float(number("layer_norm", eps, "eps")), True)[0]


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """x / sqrt(mean(x^2) + eps) weight over the last axes, of sizes normalized_shape; eps None: the type's epsilon.

    Zhang and Sennrich 2019, arXiv:1910.07467."""
    axes = _last_axes("rms_norm", input, normalized_shape, weight, None)
    eps = float(np.finfo(input.array.dtype).eps) if eps is None else float(number("rms_norm", eps, "eps"))
    return _standardise(input, weight, None, axes, eps, False)[0]


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha s / size)^beta, with s the sum of x^2 over `size` neighbouring channels (axis 1).

    Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", section 3.3."""
    require_tensors("local_response_norm", input)
    x = input.array.shape
    if len(x) < 3:
        raise ShapeError(f"local_response_norm: the input needs the axes (N, C, L, ...), got shape {x}")
    size = integer("local_response_norm", "size", size)
    alpha, beta, k = [number("local_response_norm", value) for value in (alpha, beta, k)]
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    if input.array.size == 0:
        return input
    before, after = [zeros_like(input, (x[0], n, *x[2:])) for n in (size // 2, (size - 1) // 2)]
    squares = cat([before, mul(input, input), after], 1)
    total = getitem(squares, (slice(None), slice(0, x[1])))
    for shift in range(1, size):
        total = add(total, getitem(squares, (slice(None), slice(shift, shift + x[1]))))
    return div(input, pow(add(mul(total, alpha / size), k), beta))


def _standardise(x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
    """Standardise; of float16 in float32, since a square overflows there from 256 on.  m and v stay float32 then."""
    if x.array.dtype != float16:
        return apply(Standardise, (x, weight, bias), (axes, eps, centred))
    single = tuple([None if value is None else cast(value, float32) for value in (x, weight, bias)])
    y, m, v = apply(Standardise, single, (axes, eps, centred))
    return cast(y, float16), m, v


# -- checks and running statistics -------------------------------------------------------------------------------------


def _checked(op: str, input: Any, **others: Any) -> None:
    require_tensors(op, input, **others)
    if input.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input must be floating point, got {input.array.dtype}; use x.float()")
    for name in ("weight", "bias"):
        value = others.get(name)
        if value is not None and value.array.dtype != input.array.dtype:
            raise DTypeError(f"{op}: the input is {input.array.dtype}, the {name} {value.array.dtype}; they must be equal. "
                             f"Convert the input: x.to({name}.dtype)")


def _per_channel(op: str, x: Shape, **values: Any) -> None:
    for name, value in values.items():
        if value is not None and value.array.shape != x[1:2]:
            raise ShapeError(f"{op}: the input {x} has {x[1]} channels (axis 1) and needs a {name} of shape {x[1:2]}, got "
                             f"{value.array.shape}")


def _last_axes(op: str, input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any) -> tuple[int, ...]:
    _checked(op, input, weight=weight, bias=bias)
    x, wanted = input.array.shape, integers(op, "normalized_shape", normalized_shape)
    if not wanted or x[len(x) - len(wanted):] != wanted or len(wanted) > len(x):
        raise ShapeError(f"{op}: normalized_shape {wanted} must be the last sizes of the input {x}")
    for value in (weight, bias):
        if value is not None and value.array.shape != wanted:
            raise ShapeError(f"{op}: weight and bias must have the shape normalized_shape {wanted}, got {value.array.shape}")
    return tuple(range(len(x) - len(wanted), len(x)))


def _column(value: Any, x: Shape) -> Any:
    """(C,) as (C, 1, ...), which broadcasts to x (N, C, ...)."""
    return None if value is None else reshape(value, (-1,) + (1,) * (len(x) - 2))


def _with_running_statistics(op: str, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
                             eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) weight + bias with given numbers per channel."""
    if running_mean is None or running_var is None:
        raise ValueError(f"{op}: outside training the running_mean and running_var are used; both must be given")
    shape, dtype = input.array.shape, input.array.dtype
    kind = float32 if dtype == float16 else dtype
    x, mean, var = cast(input, kind), cast(running_mean, kind), cast(running_var, kind)
    scale = div(1.0 if weight is None else cast(weight, kind), sqrt(add(var, number(op, eps, "eps"))))
    y = mul(sub(x, _column(mean, shape)), _column(scale, shape))
    return cast(y if bias is None else add(y, _column(cast(bias, kind), shape)), dtype)


def _update(running_mean: Any, running_var: Any, m: Any, v: Any, count: int, momentum: float) -> None:
    """Move the running statistics, in place, by `momentum` towards mean m and variance v, made unbiased.  No gradient."""
    for running, now in ((running_mean, m), (running_var, v * (count / (count - 1)))):
        if running is not None:
            running.array[...] = (1.0 - momentum) * running.array + momentum * now
            running._bump_version("batch_norm")
