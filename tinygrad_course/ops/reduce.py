"""Reductions: sum, mean, max (values, indices), argmax."""

from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.axes import normalise_axes, normalise_axis
from tinygrad_course.ops.dtypes import as_dtype, require_tensors
from tinygrad_course.ops.elementwise import cast, div, eq, expand, maximum, mul
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.shape import reshape


def reduced_shape(x: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Shape after reducing `axes`."""
    if keepdims:
        return tuple([1 if axis in axes else size for axis, size in enumerate(x)])
    return tuple([size for axis, size in enumerate(x) if axis not in axes])


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
        shape = ctx.input_shape(0)
        return (expand(reshape(g, reduced_shape(shape, ctx.args[0], True)), shape),)


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
        n = 1
        for axis in ctx.args[0]:
            n *= shape[axis]
        return (expand(reshape(div(g, float(n)), reduced_shape(shape, ctx.args[0], True)), shape),)


class Amax(Op):
    """y = max of x over axes.  The gradient is shared equally among equal maxima, as in PyTorch's amax."""

    name = "amax"

    @staticmethod
    def shape(x: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
        if any(x[axis] == 0 for axis in axes):
            raise ShapeError(f"amax: no maximum over an empty axis of shape {x}")
        return reduced_shape(x, axes, keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        y = k.max(x, axes, keepdims)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        axes = ctx.args[0]
        kept = reduced_shape(x.array.shape, axes, True)
        chosen = cast(eq(x, expand(reshape(y, kept), x.array.shape)), x.array.dtype)
        share = div(chosen, sum(chosen, axes, True))
        return (mul(share, reshape(g, kept)),)


class Argmax(Op):
    """Index of the first maximum along an axis."""

    name = "argmax"
    differentiable = False

    @staticmethod
    def shape(x: Shape, axis: int, keepdims: bool) -> Shape:
        if x[axis] == 0:
            raise ShapeError(f"argmax: no maximum over axis {axis} of shape {x}, which is empty")
        return reduced_shape(x, (axis,), keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, keepdims: bool) -> Any:
        return k.argmax(x, axis, keepdims)


def sum(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Sum over `dim` (an axis, several, or all); booleans and integers add up to int64."""
    require_tensors("sum", x)
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    return apply(Sum, (x,), (normalise_axes("sum", dim, x.array.ndim), keepdim))


def mean(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Mean over `dim`."""
    require_tensors("mean", x)
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    if x.array.dtype.kind != "f":
        raise DTypeError(f"mean: the input has dtype {x.array.dtype}, a mean needs floating point numbers; use "
                         "x.float().mean()")
    return apply(Mean, (x,), (normalise_axes("mean", dim, x.array.ndim), keepdim))


def amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest value over `dim`."""
    return apply(Amax, (x,), (normalise_axes("amax", dim, x.array.ndim), keepdim))


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the first maximum along `dim`, or in the flattened tensor."""
    if dim is None or x.array.ndim == 0:
        flat = apply(Argmax, (reshape(x, (-1,)),), (0, False))
        return reshape(flat, (1,) * x.array.ndim) if keepdim else flat
    return apply(Argmax, (x,), (normalise_axis("argmax", dim, x.array.ndim), keepdim))


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest value; with a `dim` (values, indices), where the gradient goes to the chosen index alone.

    max(x, y) with a second tensor is `maximum`."""
    if isinstance(dim, TensorBase):
        return maximum(x, dim)
    if dim is None:
        return amax(x)
    axis = normalise_axis("max", dim, x.array.ndim)
    if x.array.ndim == 0:
        return x, argmax(x)
    indices = argmax(x, axis, True)
    values = gather(x, axis, indices)
    if keepdim:
        return values, indices
    kept = reduced_shape(x.array.shape, (axis,), False)
    return reshape(values, kept), reshape(indices, kept)

