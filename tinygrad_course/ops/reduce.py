# cython: annotation_typing=False
"""Reductions: sums, products, extremes and where they are, logical ones.

Two rules of PyTorch for the gradient of an extreme: amax and amin, and max and min without a `dim`, share it equally
among equal values; max and min with a `dim` give it to the element whose index they return.
"""

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integers
from tinygrad_course.ops.arithmetic import div, exp, maximum, minimum, mul, sub
from tinygrad_course.ops.axes import normalise_axes, normalise_axis, numpy_names
from tinygrad_course.ops.broadcast import expand, sum_to
from tinygrad_course.ops.cast import cast, floating
from tinygrad_course.ops.comparison import eq, ne, where
from tinygrad_course.ops.dtypes import as_dtype, float16, float32, full_like, require_tensors, uint8, zeros_like
from tinygrad_course.ops.index import ScatterAdd, getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.shape import reshape

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "min",
    "nanmean", "nansum", "prod", "sum", "sum_to_size",
]


class Selected(NamedTuple):
    """Values picked along an axis, and their positions on it."""

    values: Any
    indices: Any


class Extremes(NamedTuple):
    """Smallest and largest values."""

    min: Any
    max: Any


def reduced_shape(x: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Shape after reducing `axes`."""
    if keepdims:
        return tuple([1 if axis in axes else size for axis, size in enumerate(x)])
    return tuple([size for axis, size in enumerate(x) if axis not in axes])


def count(x: Shape, axes: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    return math.prod([x[axis] for axis in axes])


def part(x: Any, axis: int, start: int | None, stop: int | None, step: int | None = None) -> Any:
    """x[..., start:stop:step, ...] on `axis`."""
    return getitem(x, (slice(None),) * axis + (slice(start, stop, step),))


class Sum(Op):
    """y = sum of x over axes.  Every summand has derivative 1: the gradient is stretched back."""

    name = "sum"

    @staticmethod
    def shape(x: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
        return reduced_shape(x, axes, keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return k.sum(x, axes, keepdims)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (_stretched(g, ctx.input_shape(0), ctx.args[0]),)


def _stretched(g: Any, shape: Shape, axes: tuple[int, ...]) -> Any:
    """g, the gradient of a reduction over `axes`, for every element that was reduced."""
    if g.array.ndim:
        g = reshape(g, reduced_shape(shape, axes, True))
    return expand(g, shape)


class Mean(Op):
    """y = sum of x over axes / n."""

    name = "mean"
    shape = Sum.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return k.mean(x, axes, keepdims)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        shape = ctx.input_shape(0)
        return (_stretched(div(g, float(count(shape, ctx.args[0]))), shape, ctx.args[0]),)


def sum_of_all(x: Any) -> Any:
    """The sum of all elements of a floating point tensor."""
    return apply(Sum, (x,), (tuple(range(x.array.ndim)), False))


def mean_of_all(x: Any) -> Any:
    """The mean of all elements of a floating point tensor."""
    return apply(Mean, (x,), (tuple(range(x.array.ndim)), False))


class Prod(Op):
    """y = product of x along an axis.  dy/dx_i = product of all others, which a zero in x does not make wrong."""

    name = "prod"

    @staticmethod
    def shape(x: Shape, axis: int, keepdims: bool) -> Shape:
        return reduced_shape(x, (axis,), keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, keepdims: bool) -> Any:
        ctx.save(x)
        return k.prod(x, (axis,), keepdims)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        axis = ctx.args[0]
        return (mul(reshape(g, reduced_shape(x.array.shape, (axis,), True)), products_of_others(x, axis)),)


def products_of_others(x: Any, axis: int) -> Any:
    """y_i = product of all x_j along `axis` but x_i, in O(n) and without a division.

    The two elements of a pair have the same others, apart from each other; the pairs' products are half as many."""
    n = x.array.shape[axis]
    if n <= 1:
        return full_like(x, x.array.shape, 1.0)
    half = n // 2
    first, second = part(x, axis, 0, half), part(x, axis, half, 2 * half)
    outside = products_of_others(cat((mul(first, second), part(x, axis, 2 * half, n)), axis), axis)
    of_pair = part(outside, axis, 0, half)
    return cat((mul(of_pair, second), mul(of_pair, first), part(outside, axis, half, None)), axis)


class LogSumExp(Op):
    """y = ln sum exp(x) over axes, computed on x - max x.  gx = g exp(x - y), a softmax."""

    name = "logsumexp"
    shape = Sum.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        if x.dtype.itemsize < 4 or not x.size:
            y = k.logsumexp(x, axes, keepdims)
        else:
            top = k.max(x, axes, True)
            top = k.where(k.isfinite(top), top, np.zeros_like(top, shape=()))  # inf - inf would be nan
            y = k.log(k.sum(k.exp(k.sub(x, top)), axes, keepdims))
            y = k.add(y, top.reshape(y.shape))
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        kept = reduced_shape(x.array.shape, ctx.args[0], True)
        return (mul(reshape(g, kept), exp(sub(x, reshape(y, kept)))),)


class _Extreme(Op):
    """Common base of amax and amin."""

    @classmethod
    def shape(cls, x: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
        """Empty axes have no extreme."""
        if builtins.any(x[axis] == 0 for axis in axes):
            raise ShapeError(f"{cls.name}: no extreme value over an empty axis of shape {x}")
        return reduced_shape(x, axes, keepdims)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        axes = ctx.args[0]
        kept = reduced_shape(x.array.shape, axes, True)
        chosen = cast(eq(x, expand(reshape(y, kept), x.array.shape)), x.array.dtype)
        share = div(chosen, sum(chosen, axes, True))
        return (mul(share, reshape(g, kept)),)


class Amax(_Extreme):
    """y = max of x over axes.  The gradient is shared equally among equal maxima."""

    name = "amax"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        y = k.max(x, axes, keepdims)
        ctx.save(x, y)
        return y


class Amin(_Extreme):
    """y = min of x over axes.  The gradient is shared equally among equal minima."""

    name = "amin"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        y = k.min(x, axes, keepdims)
        ctx.save(x, y)
        return y


class _Position(Op):
    """Common base of argmax and argmin."""

    differentiable = False

    @classmethod
    def shape(cls, x: Shape, axis: int, keepdims: bool) -> Shape:
        """Empty axes have no extreme."""
        _not_empty(cls.name, x, axis)
        return reduced_shape(x, (axis,), keepdims)


class Argmax(_Position):
    """Index of the first maximum along an axis."""

    name = "argmax"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, keepdims: bool) -> Any:
        return k.argmax(x, axis, keepdims)


class Argmin(_Position):
    """Index of the first minimum along an axis."""

    name = "argmin"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, keepdims: bool) -> Any:
        return k.argmin(x, axis, keepdims)


class All(Op):
    """Whether no element over axes is 0."""

    name = "all"
    differentiable = False
    shape = Sum.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return k.all(x, axes, keepdims)


class Any_(Op):
    """Whether an element over axes is not 0."""

    name = "any"
    differentiable = False
    shape = Sum.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return k.any(x, axes, keepdims)


class Element(Op):
    """y = the element of x at a flat index.  The gradient is shared equally among all elements of that value (or all nan)."""

    name = "element"

    @staticmethod
    def shape(x: Shape, index: int) -> Shape:
        return ()

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: int) -> Any:
        y = k.take_slice(x.reshape(-1), index)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        same = ne(x, x) if math.isnan(float(y.array)) else eq(x, y)
        chosen = cast(same, x.array.dtype)
        return (mul(div(chosen, sum(chosen)), g),)


# -- values with their indices -----------------------------------------------------------------------------------------


class Selection(Op):
    """Common base of ops that pick values along an axis: y[i, j] = x[i, index[i, j]], with the index as second output.

    The gradient goes back to where each value came from.  x has at least one axis; the output keeps all axes."""

    @classmethod
    def shape(cls, x: Shape, axis: int, *args: Any) -> Any:
        """One value along the axis."""
        _not_empty(cls.name, x, axis)
        kept = reduced_shape(x, (axis,), True)
        return kept, kept

    @staticmethod
    def picked(ctx: Node, k: Any, x: Any, axis: int, indices: Any) -> Any:
        """Outputs of forward, once the indices are known."""
        ctx.save(indices)
        return k.gather(x, axis, indices), indices

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        indices, = ctx.saved
        return (apply(ScatterAdd, (zeros_like(g, ctx.input_shape(0)), indices, g), (ctx.args[0],)),)


def select(op: Any, x: Any, dim: Any, args: tuple[Any, ...] = (), keepdim: bool | None = None) -> Selected:
    """Apply a Selection along `dim`; a tensor without axes counts as one of a single element.

    keepdim = None: the op does not reduce, its result has as many axes as x."""
    require_tensors(op.name, x)
    shape = x.array.shape
    axis = normalise_axis(op.name, dim, len(shape))
    values, indices = apply(op, (x if shape else reshape(x, (1,)),), (axis, *args))
    if shape and (keepdim is None or keepdim):
        return Selected(values, indices)
    after = reduced_shape(shape, (axis,), False)
    return Selected(reshape(values, after), reshape(indices, after))


class Max(Selection):
    """y = max of x along an axis, and the index of the first one."""

    name = "max"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.argmax(x, axis, True))


class Min(Selection):
    """y = min of x along an axis, and the index of the first one."""

    name = "min"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.argmin(x, axis, True))


def _not_empty(op: str, x: Shape, axis: int) -> None:
    if x[axis] == 0:
        raise ShapeError(f"{op}: there is nothing to choose from along axis {axis} of shape {x}, which is empty")


# -- functions ---------------------------------------------------------------------------------------------------------


@numpy_names
def sum(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Sum over `dim` (an axis, several, or all); booleans and integers add up to int64."""
    require_tensors("sum", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    y = apply(Sum, (input,), (normalise_axes("sum", dim, input.array.ndim), keepdim))
    return y if dtype is None else cast(y, input.array.dtype)


@numpy_names
def mean(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Mean over `dim`."""
    require_tensors("mean", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    _needs_floats("mean", input)
    return apply(Mean, (input,), (normalise_axes("mean", dim, input.array.ndim), keepdim))


@numpy_names
def prod(input: Any, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Product along one axis, or of all elements; booleans and integers multiply in int64."""
    require_tensors("prod", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
    axis = 0 if dim is None else normalise_axis("prod", dim, input.array.ndim)
    if dim is None or input.array.ndim == 0:
        y = apply(Prod, (reshape(input, (input.array.size,)),), (0, False))
    else:
        y = apply(Prod, (input,), (axis, keepdim))
    return y if dtype is None else cast(y, input.array.dtype)


@numpy_names
def nansum(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Sum over `dim` with nan counted as 0; nan gets no gradient."""
    require_tensors("nansum", input)
    return sum(where(ne(input, input), 0, input), dim, keepdim, dtype)


@numpy_names
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Mean over `dim` of what is not nan; nan where nothing is left."""
    require_tensors("nanmean", input)
    _needs_floats("nanmean", input)
    if dtype is not None:
        input = cast(input, as_dtype(dtype))
        _needs_floats("nanmean", input)
    x = cast(input, float32) if input.array.dtype == float16 else input  # neither the sum nor the number fits
    total = nansum(x, dim, keepdim)
    return cast(div(total, cast(sum(eq(x, x), dim, keepdim), total.array.dtype)), input.array.dtype)


@numpy_names
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """ln of the sum of exp(input) over `dim` (an axis or several), without overflow."""
    x = floating(input)
    return apply(LogSumExp, (x,), (normalise_axes("logsumexp", dim, x.array.ndim), keepdim))


def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over the axes along which a tensor of shape `size` would be stretched to the input."""
    require_tensors("sum_to_size", input)
    shape = size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size
    return sum_to(input, integers("sum_to_size", "size", shape))


@numpy_names
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest value over `dim` (an axis, several, or all)."""
    require_tensors("amax", input)
    return apply(Amax, (input,), (normalise_axes("amax", dim, input.array.ndim), keepdim))


@numpy_names
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest value over `dim` (an axis, several, or all)."""
    require_tensors("amin", input)
    return apply(Amin, (input,), (normalise_axes("amin", dim, input.array.ndim), keepdim))


@numpy_names
def aminmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """(min, max) along one axis, or of all elements."""
    return Extremes(amin(input, dim, keepdim), amax(input, dim, keepdim))


@numpy_names
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the first maximum along `dim`, or in the flattened tensor."""
    return _position(Argmax, input, dim, keepdim)


@numpy_names
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the first minimum along `dim`, or in the flattened tensor."""
    return _position(Argmin, input, dim, keepdim)


def _position(op: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    require_tensors(op.name, x)
    ndim = x.array.ndim
    axis = 0 if dim is None else normalise_axis(op.name, dim, ndim)
    if dim is None or ndim == 0:
        flat = apply(op, (reshape(x, (x.array.size,)),), (0, False))
        return reshape(flat, (1,) * ndim) if keepdim else flat
    return apply(op, (x,), (axis, keepdim))


@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """Largest value; with a `dim` (values, indices), where the gradient goes to the chosen index alone.

    max(input, y) with a second tensor is `maximum`."""
    other = dim if isinstance(dim, TensorBase) else other
    return maximum(input, other) if other is not None else _extreme(Max, argmax, input, dim, keepdim)


@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """Smallest value; with a `dim` (values, indices), where the gradient goes to the chosen index alone.

    min(input, y) with a second tensor is `minimum`."""
    other = dim if isinstance(dim, TensorBase) else other
    return minimum(input, other) if other is not None else _extreme(Min, argmin, input, dim, keepdim)


def _extreme(op: Any, position: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    require_tensors(op.name, x)
    if dim is not None:
        return select(op, x, dim, (), keepdim)
    _not_empty(op.name, (x.array.size,), 0)
    return element(x, position(x))


def element(x: Any, index: Any) -> Any:
    """x.reshape(-1)[index] for a 0-d index tensor; equal elements share the gradient."""
    return apply(Element, (x,), (int(index.array),))


@numpy_names
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether no element over `dim` is 0; bool, but uint8 for uint8."""
    return _logical(All, input, dim, keepdim)


@numpy_names
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether an element over `dim` is not 0; bool, but uint8 for uint8."""
    return _logical(Any_, input, dim, keepdim)


def _logical(op: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    require_tensors(op.name, x)
    nothing = isinstance(dim, tuple | list) and len(dim) == 0  # reduces no axis here, unlike in sum
    y = apply(op, (x,), (() if nothing else normalise_axes(op.name, dim, x.array.ndim), keepdim))
    return cast(y, uint8) if x.array.dtype == uint8 else y


@numpy_names
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements over `dim` are not 0 (nan is not), as int64."""
    require_tensors("count_nonzero", input)
    return sum(ne(input, 0), dim)


def _needs_floats(op: str, x: Any) -> None:
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input has dtype {x.array.dtype}, a mean needs floating point numbers; use x.float()")
