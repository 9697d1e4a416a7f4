"""Writing to places that an index names: scatter, index_add and their relatives, masks, put.

Nothing here is in place: each function returns a copy of its input with some places changed.
* What replaces is `Overwrite`, whose key is built for the function at hand.
* What adds is input + the adjoint of indexing (`SliceAdjoint`, `ScatterAdd`).
* A product is a tree of pairwise products, so that zeros need no care in any derivative; the largest and smallest share
  their gradient among equals (`ScatterExtreme`).
"""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.arguments import described, integer, require_fit
from tinygrad_course.ops.arithmetic import add, div, mul
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import broadcast_shape, expand, sum_to
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.comparison import eq, where
from tinygrad_course.ops.dtypes import require_tensors, zeros_like
from tinygrad_course.ops.index import (
    Index,
    ScatterAdd,
    Slice,
    SliceAdjoint,
    check_index,
    check_places,
    gather,
    getitem,
    indexed_shape,
    plain_key,
    readable,
    scatter_add,
    select,
    slice_key,
)
from tinygrad_course.ops.shape import reshape, unsqueeze

__all__ = [
    "fill", "index_add", "index_copy", "index_fill", "index_put", "index_reduce", "masked_fill", "masked_scatter", "put",
    "scatter", "scatter_reduce", "select_scatter", "slice_scatter",
]

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


class Overwrite(Op):
    """y = x, but src (which broadcasts) at [key]; of several values for one place the last one stays.

    dy/dx = 1 where x stays, dy/dsrc = 1 where src stays."""

    name = "overwrite"

    @staticmethod
    def shape(x: Shape, src: Shape, key: Any) -> Shape:
        places = indexed_shape("overwrite", x, key)
        if broadcast_shape("overwrite", places, src) != tuple(places):
            raise ShapeError(f"overwrite: values of shape {src} do not broadcast to the places {readable(key)} of {x}, which "
                             f"have the shape {places}")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, src: Any, key: Any) -> Any:
        return k.overwrite(x, src, key)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        key = ctx.args[0]
        gx = gsrc = None
        if ctx.needs[0]:
            gx = apply(Overwrite, (g, zeros_like(g, ())), (key,))
        if ctx.needs[1]:
            arrays = any(isinstance(part, np.ndarray) or hasattr(part, "__cuda_array_interface__") for part in key)
            gsrc = apply(Index if arrays else Slice, (g,), (key,))
            if arrays:
                gsrc = where(new_tensor(_stays(g, key)), gsrc, 0.0)
            gsrc = sum_to(gsrc, ctx.input_shape(1))
        return gx, gsrc


def _stays(g: Any, key: Any) -> Any:
    """Which of the values written to [key] of an array like g are still there at the end: bool in the shape of [key]."""
    xp = backend.array_module(g.array)
    places = xp.arange(g.array.size).reshape(g.array.shape)[key]
    order = xp.arange(places.size).reshape(places.shape)
    last = xp.zeros(g.array.size, order.dtype)
    last[places] = order
    return last[places] == order


class ScatterExtreme(Op):
    """y = largest (or smallest) of the src[i, j] that go to [index[i, j], j] for dim 0, and of x there if include_self.

    The gradient is shared equally among those that have the extreme value."""

    name = "scatter_extreme"

    @staticmethod
    def shape(x: Shape, index: Shape, src: Shape, dim: int, largest: bool, include_self: bool) -> Shape:
        if index != src:
            raise ShapeError(f"scatter_extreme: index {index} and src {src} must have the same shape")
        return ScatterAdd.shape(x, index, src, dim)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: Any, src: Any, dim: int, largest: bool, include_self: bool) -> Any:
        y = k.scatter_extreme(x, index, src, dim, largest, include_self)
        ctx.save(x, index, src, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, index, src, y = ctx.saved
        dim, _, include_self = ctx.args
        dtype = g.array.dtype
        from_x = cast(eq(x, y), dtype)
        if not include_self:
            from_x = _replace(from_x, index, 0.0, dim)
        from_src = cast(eq(src, gather(y, dim, index)), dtype)
        share = div(g, scatter_add(from_x, dim, index, from_src))
        return (mul(share, from_x) if ctx.needs[0] else None, None,
                mul(gather(share, dim, index), from_src) if ctx.needs[2] else None)


# -- a value or a tensor at places ------------------------------------------------------------------------------------


def fill(input: Any, value: Any) -> Any:
    """A tensor like input that holds `value`, a number or 0-d tensor, everywhere."""
    require_tensors("fill", input)
    return apply(Overwrite, (input, _single("fill", input, value)), ((Ellipsis,),))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """input with `value`, a number or 0-d tensor, where the mask is true; both broadcast."""
    require_tensors("masked_fill", input, mask)
    _require_mask("masked_fill", mask)
    broadcast_shape("masked_fill", input.array.shape, mask.array.shape)
    return where(mask, _single("masked_fill", input, value), input)


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """input with the values of `source`, in order, where the mask is true; input and mask broadcast."""
    require_tensors("masked_scatter", input, mask, source)
    _require_mask("masked_scatter", mask)
    _require_type("masked_scatter", "source", input, source)
    shape = broadcast_shape("masked_scatter", input.array.shape, mask.array.shape)
    chosen = expand(mask, shape).array
    count = int(chosen.sum())
    if count > source.array.size:
        raise ShapeError(f"masked_scatter: the mask is true in {count} places, the source has only {source.array.size} "
                         "values")
    if not shape:
        return masked_fill(input, mask, reshape(source, (-1,))[0]) if count else clone(input)
    values = getitem(reshape(source, (-1,)), slice(0, count))
    return apply(Overwrite, (expand(input, shape), values), ((chosen.copy(),),))


def select_scatter(input: Any, src: Any, dim: int, index: Any) -> Any:
    """input with `src` in place of select(input, dim, index)."""
    require_tensors("select_scatter", input, src)
    _require_type("select_scatter", "src", input, src)
    index = integer("select_scatter", "index", index)
    _require_shape("select_scatter", "src", select(input, dim, index).array.shape, src)
    axis = normalise_axis("select_scatter", dim, input.array.ndim)
    return apply(Overwrite, (input, src), ((slice(None),) * axis + (index,),))


def slice_scatter(input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """input with `src` in place of input[start:end:step] along `dim`."""
    require_tensors("slice_scatter", input, src)
    _require_type("slice_scatter", "src", input, src)
    key = slice_key("slice_scatter", input.array.shape, dim, start, end, step)
    _require_shape("slice_scatter", "src", indexed_shape("slice_scatter", input.array.shape, key), src)
    return apply(Overwrite, (input, src), (key,))


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """input with the values of `source` at the places `index` of the flattened input; added there if `accumulate`.

    Negative places count from the end; `source` has as many values as `index`."""
    require_tensors("put", input, index, source)
    size = input.array.size
    check_places("put", index, -size, size, f"an input of {size} values")
    if index.array.size != source.array.size:
        raise ShapeError(f"put: index has {index.array.size} values, source {source.array.size}; they must be equal")
    flat = index_put(reshape(input, (-1,)), (reshape(index, (-1,)),), reshape(source, (-1,)), accumulate)
    return reshape(flat, input.array.shape)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """input with `values`, which broadcast, at input[indices]; added there if `accumulate`.

    `indices` is a tuple of integer or bool tensors, one for each of the first axes (None: the whole axis)."""
    require_tensors("index_put", input, values)
    _require_type("index_put", "values", input, values)
    if not isinstance(indices, tuple | list):
        raise OperandError(f"index_put: indices must be a tuple of tensors, got {described(indices)}; write (index,)")
    key, _ = plain_key(tuple(slice(None) if index is None else index for index in indices))
    shape = input.array.shape
    places = indexed_shape("index_put", shape, key)
    if not accumulate:
        return apply(Overwrite, (input, values), (key,))
    return add(input, apply(SliceAdjoint, (expand(values, places),), (shape, key)))


# -- along one axis, by a vector of indices ---------------------------------------------------------------------------


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """input + alpha source at the places `index` along `dim`; what goes to one place adds up."""
    x, index, source, axis = _along("index_add", input, dim, index, source)
    if alpha != 1:
        source = mul(source, alpha)
    rows = apply(SliceAdjoint, (source,), (x.array.shape, (slice(None),) * axis + (index.array.copy(),)))
    return reshape(add(x, rows), input.array.shape)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """input with `source` at the places `index` along `dim`."""
    x, index, source, axis = _along("index_copy", input, dim, index, source)
    y = apply(Overwrite, (x, source), ((slice(None),) * axis + (index.array.copy(),),))
    return reshape(y, input.array.shape)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """input with `value`, a number or 0-d tensor, at the places `index` along `dim`; negative places count from the end."""
    require_tensors("index_fill", input, index)
    shape = input.array.shape or (1,)
    axis = normalise_axis("index_fill", dim, len(shape))
    if index.array.ndim > 1:
        raise ShapeError(f"index_fill: the index must be a vector, got shape {index.array.shape}")
    check_places("index_fill", index, -shape[axis], shape[axis], f"dim {dim} with size {shape[axis]}")
    chosen = backend.array_module(input.array).zeros(shape[axis], bool)
    chosen[index.array] = True
    mask = new_tensor(chosen.reshape((-1,) + (1,) * (len(shape) - axis - 1)) if input.array.ndim else chosen.reshape(()))
    return where(mask, _single("index_fill", input, value), input)


def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """The product, mean, largest or smallest of what `source` puts to the places `index` along `dim`, and of input there.

    `reduce` is "prod", "mean", "amax" or "amin"; without `include_self` the input counts only where nothing is put."""
    if reduce not in _REDUCTIONS[1:]:
        raise OperandError(f"index_reduce: reduce must be one of {', '.join(_REDUCTIONS[1:])}, got {reduce!r}")
    x, index, source, axis = _along("index_reduce", input, dim, index, source)
    column = reshape(index, (-1,) + (1,) * (x.array.ndim - axis - 1))
    y = scatter_reduce(x, axis, expand(column, source.array.shape), source, reduce, include_self=include_self)
    return reshape(y, input.array.shape)


# -- along one axis, by an index for every value ----------------------------------------------------------------------


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """input with src[i, j] at [index[i, j], j] for dim 0; `reduce` = "add" or "multiply" instead of replacing.

    `src` may be a tensor (of which the corner that `index` covers is used) or, like `value`, a number."""
    require_tensors("scatter", input, index)
    if (src is None) == (value is None):
        raise OperandError("scatter: give either src or value")
    if reduce not in (None, "add", "multiply"):
        raise OperandError(f"scatter: reduce must be 'add' or 'multiply', got {reduce!r}")
    src = value if src is None else src
    if not isinstance(src, TensorBase):
        src = expand(_single("scatter", input, src), index.array.shape)
    if reduce is not None:
        return scatter_reduce(input, dim, index, src, "sum" if reduce == "add" else "prod")
    x, index, src, axis = _by_index("scatter", input, dim, index, src)
    return clone(input) if index is None else reshape(_replace(x, index, src, axis), input.array.shape)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """The sum, product, mean, largest or smallest of the src[i, j] that go to [index[i, j], j] for dim 0, and of input there.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` the input counts only where nothing goes.
    The gradient of the largest and the smallest is shared equally among equals."""
    require_tensors("scatter_reduce", input, index, src)
    if reduce not in _REDUCTIONS:
        raise OperandError(f"scatter_reduce: reduce must be one of {', '.join(_REDUCTIONS)}, got {reduce!r}")
    x, index, src, axis = _by_index("scatter_reduce", input, dim, index, src)
    if index is None:
        return clone(input)
    if reduce in ("amax", "amin"):
        y = apply(ScatterExtreme, (x, index, src), (axis, reduce == "amax", include_self))
    elif reduce == "prod":
        y = _scatter_prod(x, index, src, axis, include_self)
    else:
        if not include_self:
            x = _replace(x, index, 0, axis)
        y = scatter_add(x, axis, index, src)
        if reduce == "mean":
            y = _over_counts(y, index, axis, include_self)
    return reshape(y, input.array.shape)


def _replace(x: Any, index: Any, src: Any, axis: int) -> Any:
    """x with src at the places that gather(x, axis, index) reads."""
    if not isinstance(src, TensorBase):
        src = _single("scatter", x, src)
    return apply(Overwrite, (x, src), (_coordinates(index.array, axis),))


def _coordinates(index: Any, axis: int) -> tuple[Any, ...]:
    """The places that gather(x, axis, index) reads, as a key."""
    xp = backend.array_module(index)
    return tuple([index.copy() if d == axis else xp.arange(size).reshape((-1,) + (1,) * (index.ndim - 1 - d))
                  for d, size in enumerate(index.shape)])


def _over_counts(total: Any, index: Any, axis: int, include_self: bool) -> Any:
    """total / how many values went to each place; integers are divided downwards."""
    xp, kind = backend.array_module(total.array), total.array.dtype
    ones = new_tensor(xp.ones(index.array.shape, kind))
    start = new_tensor(xp.full(total.array.shape, int(include_self), kind))
    count = xp.maximum(scatter_add(start, axis, index, ones).array, 1)
    return div(total, new_tensor(count)) if kind.kind == "f" else new_tensor(total.array // count)


def _scatter_prod(x: Any, index: Any, src: Any, axis: int, include_self: bool) -> Any:
    """Products by place: neighbours of one place are multiplied in pairs until one value is left for each.

    Dividing the product by a factor would fail for 0; a tree of products has the right derivative of any order."""
    shape = x.array.shape
    xp = backend.array_module(x.array)
    places = xp.arange(x.array.size).reshape(shape)[_coordinates(index.array, axis)].reshape(-1)
    order = xp.argsort(places, kind="stable")
    places = places[order]
    values = getitem(reshape(src, (-1,)), order)
    while places.size > 1 and (places[1:] == places[:-1]).any():
        rank = xp.arange(places.size) - xp.searchsorted(places, places)  # 0, 1, 2, ... within a place
        left = xp.flatnonzero(rank % 2 == 0)
        right = xp.minimum(left + 1, places.size - 1)
        paired = (places[right] == places[left]) & (right > left)
        factor = where(new_tensor(paired), getitem(values, right), True if values.array.dtype.kind == "b" else 1)
        values, places = mul(getitem(values, left), factor), places[left]
    flat = reshape(x, (-1,))
    if include_self:
        values = mul(getitem(flat, places), values)
    return reshape(apply(Overwrite, (flat, values), ((places,),)), shape)


# -- arguments --------------------------------------------------------------------------------------------------------


def _single(op: str, input: Any, value: Any) -> Any:
    """A number or 0-d tensor as a 0-d tensor of input's type."""
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise ShapeError(f"{op}: the value must be a number or a tensor without axes, got shape {value.array.shape}")
        return cast(value, input.array.dtype)
    if not isinstance(value, bool | int | float | np.number | np.bool_):
        raise OperandError(f"{op}: the value must be a number or a tensor without axes, got {type(value).__name__}")
    dtype = input.array.dtype
    require_fit(op, value, dtype)
    return new_tensor(backend.array_module(input.array).array(value).astype(dtype))


def _require_mask(op: str, mask: Any) -> None:
    if mask.array.dtype.kind != "b":
        raise DTypeError(f"{op}: the mask must be bool, got {mask.array.dtype}; use mask.bool()")


def _require_type(op: str, what: str, input: Any, other: Any) -> None:
    if other.array.dtype != input.array.dtype:
        raise DTypeError(f"{op}: {what} has dtype {other.array.dtype}, the input {input.array.dtype}; use "
                         f"{what}.to(input.dtype)")


def _require_shape(op: str, what: str, shape: Shape, other: Any) -> None:
    if other.array.shape != shape:
        raise ShapeError(f"{op}: {what} has shape {other.array.shape}, the places to write have {shape}")


def _along(op: str, input: Any, dim: int, index: Any, source: Any) -> tuple[Any, Any, Any, int]:
    """(input, index, source, axis) with at least one axis each, checked against each other."""
    require_tensors(op, input, index, source)
    _require_type(op, "source", input, source)
    axis = normalise_axis(op, dim, input.array.ndim)
    if index.array.ndim > 1:
        raise ShapeError(f"{op}: the index must be a vector, got shape {index.array.shape}")
    check_index(op, input.array.shape, axis, index)
    x = unsqueeze(input, 0) if input.array.ndim == 0 else input
    index = reshape(index, (-1,))
    shape = x.array.shape
    wanted = (*shape[:axis], index.array.size, *shape[axis + 1:])
    if source.array.ndim == 0 and index.array.size == 1:
        source = reshape(source, (1,) * len(shape))
    if source.array.shape != wanted:
        raise ShapeError(f"{op}: source has shape {source.array.shape}; {index.array.size} places along dim {axis} of "
                         f"{input.array.shape} need {wanted}")
    return x, index, source, axis


def _by_index(op: str, input: Any, dim: int, index: Any, src: Any) -> tuple[Any, Any, Any, int]:
    """(input, index, corner of src, axis) with at least one axis each; index None if it is empty."""
    _require_type(op, "src", input, src)
    axis = normalise_axis(op, dim, input.array.ndim)
    check_index(op, input.array.shape, axis, index)
    if not index.array.size:
        return input, None, src, axis
    x, index, src = (unsqueeze(value, 0) if value.array.ndim == 0 else value for value in (input, index, src))
    sizes = index.array.shape
    ScatterAdd.shape(x.array.shape, sizes, src.array.shape, axis)  # raises ShapeError
    if src.array.shape != sizes:
        src = getitem(src, tuple([slice(0, size) for size in sizes]))
    return x, index, src, axis
