"""Normalisation: of batches, layers, groups, instances; by the root mean square; by neighbouring channels.

Two ops do all but the last: BatchNorm takes its statistics over the batch, GroupNorm over parts of one sample.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply, binary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.activation import ReluGrad
from tinygrad_course.ops.arguments import integer, integers, number
from tinygrad_course.ops.arithmetic import add, div, mul, pow, sqrt, sub
from tinygrad_course.ops.broadcast import sum_to
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.dtypes import float16, float32, require_tensors, zeros_like
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.reduce import mean
from tinygrad_course.ops.shape import reshape

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm",
]


class BatchNorm(Op):
    """y = xhat w + b per channel of x (N, C, ...), xhat = (x - m) r, r = 1 / sqrt(v + eps);  with relu: max(y + residual, 0).

    training: m and v are the mean and the biased variance of x over all axes but C, and functions of x.  The running ones
    are moved towards them in forward (see the kernel).  Otherwise m and v are the running ones, and constants.
    With t = g where the ReLU let its input through:  gb = sum t, gw = sum t xhat, g_residual = t,
    gx = r w (t - mean(t) - xhat mean(t xhat)) in training, else r w t.
    Ioffe and Szegedy 2015, arXiv:1502.03167, section 3; the residual: He et al. 2016, arXiv:1512.03385, section 3.2."""

    name = "batch_norm"

    @staticmethod
    def shape(x: Shape, weight: Shape | None, bias: Shape | None, residual: Shape | None, running_mean: Any, running_var: Any,
              training: bool, momentum: float, eps: float, relu: bool) -> Shape:
        if len(x) < 2:
            raise ShapeError(f"batch_norm: the input needs the axes (N, C, ...), got shape {x}")
        if residual is not None and tuple(residual) != tuple(x):
            raise ShapeError(f"batch_norm: what is added before the ReLU has shape {residual}, the input {x}; they must be "
                             "equal")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, weight: Any, bias: Any, residual: Any, running_mean: Any, running_var: Any,
                training: bool, momentum: float, eps: float, relu: bool) -> Any:
        y, m, v = k.batch_norm(x, weight, bias, residual, running_mean, running_var, training, momentum, eps, relu)
        # With a ReLU all inputs: the sign of what went into it is computed again.
        ctx.save(x, *[value for value in ((weight, bias, residual) if relu else (weight,)) if value is not None])
        ctx.constants = (m, v, weight is not None, bias is not None)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        m, v, weighted, biased = ctx.constants
        training, _, eps, relu = ctx.args[2:]
        saved = list(ctx.saved)
        x = saved.pop(0)
        weight = saved.pop(0) if weighted else None
        bias = saved.pop(0) if relu and biased else None
        residual = saved.pop(0) if saved else None
        found = apply(BatchNormGrad, (g, x, weight, bias, residual), (m, v, training, eps, relu))
        return tuple([part if need else None for part, need in zip((*found, None)[:4], ctx.needs, strict=True)])


class BatchNormGrad(Op):
    """gx, gw (C,), gb (C,), and with a residual g_residual, of batch_norm at m and v, arrays of its forward.

    In training m and v are functions of x, and are differentiated as such (see _second_derivative); the arrays only save
    the time to compute them again.  The ReLU's slope, 0 or 1, is constant."""

    name = "batch_norm_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, weight: Shape | None, bias: Shape | None, residual: Shape | None, m: Any, v: Any,
              training: bool, eps: float, relu: bool) -> Any:
        if tuple(g) != tuple(x):
            raise ShapeError(f"batch_norm_grad: the gradient {g} and the input {x} must have one shape")
        return (x, x[1:2], x[1:2]) if residual is None else (x, x[1:2], x[1:2], x)

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, weight: Any, bias: Any, residual: Any, m: Any, v: Any, training: bool,
                eps: float, relu: bool) -> Any:
        ctx.save(g, x, weight)
        pre = None  # what went into the ReLU
        if relu and not ctx.closed:
            pre = k.batch_norm(x, weight, bias, None, m, v, False, 0.0, eps, False)[0]
            pre = pre if residual is None else k.add(pre, residual)
        ctx.constants = (weight is not None, pre)
        return k.batch_norm_grad(g, x, weight, bias, residual, m, v, training, eps, relu)

    @staticmethod
    def backward(ctx: Node, u: Any, u_w: Any, u_b: Any, u_r: Any = None) -> Any:
        g, x, *rest = ctx.saved
        m, v, training, eps, _ = ctx.args
        weighted, pre = ctx.constants
        axes = (0, *range(2, x.array.ndim))
        weight = _column(rest[0], x.array.shape) if weighted else None
        passed = (lambda t: t) if pre is None else (lambda t: binary(ReluGrad, t, new_tensor(pre)))
        u_w, u_b = [None if part is None else _column(part, x.array.shape) for part in (u_w, u_b)]
        fixed = None if training else tuple([_column(new_tensor(part), x.array.shape) for part in (m, v)])
        gg, gx, gw = _second_derivative(passed(g), x, weight, u, u_w, u_b, axes, eps, True, fixed)
        gg = passed(gg if u_r is None else add(gg, u_r))
        if gw is not None:
            gw = reshape(sum_to(gw, (1, x.array.shape[1]) + (1,) * (x.array.ndim - 2)), rest[0].array.shape)
        found = (gg, gx, gw, None, None)
        return tuple([part if need else None for part, need in zip(found, ctx.needs, strict=True)])


class GroupNorm(Op):
    """y = xhat w + b, xhat = (x - m) r, r = 1 / sqrt(v + eps), with m and v of each row of x seen as (rows, D, S).

    groups, D: row i is of group i % groups, and w and b (groups D values) have one for each of its D channels.
    Not `centred`: m = 0, v = mean of the squares.  With t = g w:  gx = r (t - mean(t) - xhat mean(t xhat)),
    gw = sum of g xhat, gb = sum of g.  Ba, Kiros and Hinton 2016, arXiv:1607.06450; Wu and He 2018, arXiv:1803.08494."""

    name = "group_norm"

    @staticmethod
    def shape(x: Shape, weight: Shape | None, bias: Shape | None, rows: Shape, eps: float, centred: bool) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, weight: Any, bias: Any, rows: Shape, eps: float, centred: bool) -> Any:
        y, m, v = k.group_norm(x, weight, bias, rows, eps, centred)
        ctx.save(x, weight)
        ctx.constants = (m, v)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, *rest = ctx.saved
        gx, gw, gb = apply(GroupNormGrad, (g, x, *(rest or (None,))), (*ctx.constants, *ctx.args))
        needs = ctx.needs
        return (gx if needs[0] else None, reshape(gw, ctx.input_shape(1)) if needs[1] else None,
                reshape(gb, ctx.input_shape(2)) if needs[2] else None)


class GroupNormGrad(Op):
    """gx, gw and gb (groups D,) of group_norm at m and v, arrays of its forward; differentiated as functions of x."""

    name = "group_norm_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, weight: Shape | None, m: Any, v: Any, rows: Shape, eps: float, centred: bool) -> Any:
        if tuple(g) != tuple(x):
            raise ShapeError(f"group_norm_grad: the gradient {g} and the input {x} must have one shape")
        return x, (rows[1] * rows[2],), (rows[1] * rows[2],)

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, weight: Any, m: Any, v: Any, rows: Shape, eps: float,
                centred: bool) -> Any:
        ctx.save(g, x, weight)
        return k.group_norm_grad(g, x, weight, m, v, rows, eps, centred)

    @staticmethod
    def backward(ctx: Node, u: Any, u_w: Any, u_b: Any) -> Any:
        g, x, *rest = ctx.saved
        _, _, (rows, groups, d, s), eps, centred = ctx.args
        full, per_channel = (rows // groups, groups, d, s), (1, groups, d, 1)
        shape = x.array.shape
        weight = reshape(rest[0], per_channel) if rest else None
        u = None if u is None else reshape(u, full)
        u_w, u_b = [None if part is None else reshape(part, per_channel) for part in (u_w, u_b)]
        gg, gx, gw = _second_derivative(reshape(g, full), reshape(x, full), weight, u, u_w, u_b, (2, 3), eps, centred, None)
        needs = ctx.needs
        return (reshape(gg, shape) if needs[0] else None, reshape(gx, shape) if needs[1] else None,
                reshape(sum_to(gw, per_channel), rest[0].array.shape) if needs[2] and gw is not None else None)


def _second_derivative(g: Any, x: Any, w: Any, u: Any, u_w: Any, u_b: Any, axes: tuple[int, ...], eps: float, centred: bool,
                       fixed: tuple[Any, Any] | None) -> tuple[Any, Any, Any]:
    """Gradients of <u, gx> + <u_w, gw> + <u_b, gb> with respect to g, x, and (before it is summed to its shape) w.

    m and v are those of x over `axes`, computed anew by ops, so that there are derivatives of every order, or `fixed`.
    With t = g w and P(a) = r (a - mean(a) - xhat mean(a xhat)), which is symmetric, gx = P(t), and its change with xhat
    and with r = (var(x) + eps)^-1/2 add up to
        d/dx = P(g u_w - r (u mean(t xhat) + t mean(u xhat))) - r xhat mean(u P(t)).
    If m and v are fixed, gx = r t, xhat changes by r dx, and r does not."""
    zero = zeros_like(x, x.array.shape)
    u = zero if u is None else u
    if fixed is None:
        moved = sub(x, mean(x, axes, True)) if centred else x
        r = div(1.0, sqrt(add(mean(mul(moved, moved), axes, True), eps)))
    else:
        moved, r = sub(x, fixed[0]), div(1.0, sqrt(add(fixed[1], eps)))
    xhat = mul(moved, r)

    def project(a: Any) -> Any:
        if fixed is None:
            a = sub(sub(a, mean(a, axes, True)) if centred else a, mul(xhat, mean(mul(a, xhat), axes, True)))
        return mul(a, r)

    pu = project(u)
    gg = pu if w is None else mul(pu, w)
    at_xhat = zero
    if u_w is not None:
        gg, at_xhat = add(gg, mul(xhat, u_w)), mul(g, u_w)
    if u_b is not None:
        gg = add(gg, u_b)
    t = g if w is None else mul(g, w)
    if fixed is None:
        both = add(mul(u, mean(mul(t, xhat), axes, True)), mul(t, mean(mul(u, xhat), axes, True)))
        gx = sub(project(sub(at_xhat, mul(both, r))), mul(mul(xhat, r), mean(mul(u, project(t)), axes, True)))
    else:
        gx = mul(at_xhat, r)
    return gg, gx, None if w is None else mul(g, pu)


# -- functions ---------------------------------------------------------------------------------------------------------


def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """Each channel of (N, C, ...) to mean 0 and variance 1, times weight (C,), plus bias (C,).

    training: mean and variance of this batch; the running ones, if given, are moved towards them by `momentum` (towards
    the unbiased variance).  Otherwise the running ones are used."""
    return _batch_norm(input, running_mean, running_var, weight, bias, None, training, momentum, eps, False)


def batch_norm_relu(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
                    training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """relu(batch_norm(...)), bit by bit, in one pass over the input."""
    return _batch_norm(input, running_mean, running_var, weight, bias, None, training, momentum, eps, True)


def batch_norm_add_relu(input: Any, residual: Any, running_mean: Any, running_var: Any, weight: Any = None,
                        bias: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """relu(batch_norm(...) + residual), bit by bit, in one pass over input and residual, which have one shape."""
    return _batch_norm(input, running_mean, running_var, weight, bias, residual, training, momentum, eps, True)


def _batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, residual: Any, training: bool,
                momentum: float, eps: float, relu: bool) -> Any:
    op = "batch_norm"
    require_tensors(op, input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias,
                    residual=residual)
    array = input.array
    x = array.shape
    _check_types(op, array.dtype, weight=weight, bias=bias, residual=residual)
    if len(x) < 2:
        if x == (0,):
            return clone(input)  # PyTorch lets this one pass
        raise ShapeError(f"{op}: the input needs the axes (N, C, ...), got shape {x}")
    _check_channels(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    momentum, eps, training = number(op, momentum, "momentum"), float(number(op, eps, "eps")), bool(training)
    if training and eps <= 0:
        raise ValueError(f"{op}: eps must be positive during training, but got {eps}: the variance of a channel can "
                         "be 0")
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError(f"{op}: outside training the running_mean and running_var are used; both must be given")
    elif array.size == x[1] and array.size:
        raise ShapeError(f"{op}: expected more than 1 value per channel when training, got input of shape {x}: the variance "
                         "of one value is 0. Use a larger batch (DataLoader(drop_last=True) drops a last batch of 1), or "
                         "eval()")
    running = tuple([None if value is None else value.array for value in (running_mean, running_var)])
    inputs: tuple[Any, ...] = (input, weight, bias, residual)
    half = array.dtype == float16
    if half:  # the squares of 256 and more overflow in it
        inputs = tuple([None if value is None else cast(value, float32) for value in inputs])
    y = apply(BatchNorm, inputs, (*running, training, momentum, eps, relu))
    if training and array.size:
        for value in (running_mean, running_var):
            if value is not None:
                value._bump_version(op)
    return cast(y, float16) if half else y


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
    _check_channels(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(f"{op}: without use_input_stats the running_mean and running_var are used; both must be given")
        return _batch_norm(input, running_mean, running_var, weight, bias, None, False, momentum, eps, False)
    count = math.prod(x[2:])
    if count == 1:
        raise ShapeError(f"{op}: expected more than 1 spatial element when training, got input of shape {x}: the variance of "
                         "one value is 0")
    momentum, eps = number(op, momentum, "momentum"), float(number(op, eps, "eps"))
    y = _group_norm(input, weight, bias, (x[0] * x[1], x[1], 1, count), eps, True)
    if input.array.size and (running_mean is not None or running_var is not None):
        _move_to_instances(running_mean, running_var, input.array, momentum)
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
    _check_channels(op, x, weight=weight, bias=bias)
    rows = (x[0] * num_groups, num_groups, x[1] // num_groups, math.prod(x[2:]))
    return _group_norm(input, weight, bias, rows, float(number(op, eps, "eps")), True)


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """The last axes, of sizes normalized_shape, to mean 0 and variance 1; weight and bias have that shape.

    Ba, Kiros and Hinton 2016, arXiv:1607.06450."""
    rows = _rows("layer_norm", input, normalized_shape, weight, bias)
    return _group_norm(input, weight, bias, rows, float(number("layer_norm", eps, "eps")), True)


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """x / sqrt(mean(x^2) + eps) weight over the last axes, of sizes normalized_shape; eps None: the type's epsilon.

    Zhang and Sennrich 2019, arXiv:1910.07467."""
    rows = _rows("rms_norm", input, normalized_shape, weight, None)
    eps = float(np.finfo(input.array.dtype).eps) if eps is None else float(number("rms_norm", eps, "eps"))
    return _group_norm(input, weight, None, rows, eps, False)


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


def _group_norm(x: Any, weight: Any, bias: Any, rows: tuple[int, int, int, int], eps: float, centred: bool) -> Any:
    """GroupNorm; of float16 in float32, since a square overflows there from 256 on."""
    if x.array.dtype != float16:
        return apply(GroupNorm, (x, weight, bias), (rows, eps, centred))
    single = tuple([None if value is None else cast(value, float32) for value in (x, weight, bias)])
    return cast(apply(GroupNorm, single, (rows, eps, centred)), float16)


# -- checks and running statistics -------------------------------------------------------------------------------------


def _checked(op: str, input: Any, **others: Any) -> None:
    require_tensors(op, input, **others)
    _check_types(op, input.array.dtype, weight=others.get("weight"), bias=others.get("bias"))


def _check_types(op: str, dtype: Any, **others: Any) -> None:
    if dtype.kind != "f":
        raise DTypeError(f"{op}: the input must be floating point, got {dtype}; use x.float()")
    for name, value in others.items():
        if value is not None and value.array.dtype != dtype:
            raise DTypeError(f"{op}: the input is {dtype}, the {name} {value.array.dtype}; they must be equal. "
                             f"Convert the input: x.to({name}.dtype)")


def _check_channels(op: str, x: Shape, **values: Any) -> None:
    for name, value in values.items():
        if value is not None and value.array.shape != x[1:2]:
            raise ShapeError(f"{op}: the input {x} has {x[1]} channels (axis 1) and needs a {name} of shape {x[1:2]}, got "
                             f"{value.array.shape}")


def _rows(op: str, input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any) -> tuple[int, int, int, int]:
    """The geometry of GroupNorm for rows made of the last axes."""
    _checked(op, input, weight=weight, bias=bias)
    x, wanted = input.array.shape, integers(op, "normalized_shape", normalized_shape)
    if not wanted or x[len(x) - len(wanted):] != wanted or len(wanted) > len(x):
        raise ShapeError(f"{op}: normalized_shape {wanted} must be the last sizes of the input {x}")
    for value in (weight, bias):
        if value is not None and value.array.shape != wanted:
            raise ShapeError(f"{op}: weight and bias must have the shape normalized_shape {wanted}, got {value.array.shape}")
    return math.prod(x[: len(x) - len(wanted)]), 1, math.prod(wanted), 1


def _column(value: Any, x: Shape) -> Any:
    """(C,) as (C, 1, ...), which broadcasts to x (N, C, ...)."""
    return reshape(value, (-1,) + (1,) * (len(x) - 2))


def _move_to_instances(running_mean: Any, running_var: Any, x: Any, momentum: float) -> None:
    """Move the running statistics, in place, towards the means over the batch of each sample's mean and unbiased variance."""
    axes = tuple(range(2, x.ndim))
    wide = x.astype(float32) if x.dtype == float16 else x
    for running, now in ((running_mean, wide.mean(axes)), (running_var, wide.var(axes, ddof=1))):
        if running is not None:
            running.array[...] = (1.0 - momentum) * running.array + momentum * now.mean(0)
            running._bump_version("instance_norm")
