"""Joining, splitting, repeating, and the grids and tuples that follow from them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops import broadcast
from tinygrad_course.ops.arguments import described, integer, integers
from tinygrad_course.ops.axes import normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.dtypes import constant, get_default_dtype, promote_types, require_tensors
from tinygrad_course.ops.index import SliceAdjoint, copying, getitem, index_select, narrow, select
from tinygrad_course.ops.shape import atleast_1d, atleast_2d, atleast_3d, reshape, spread, transpose, unsqueeze

__all__ = [
    "block_diag", "cartesian_prod", "cat", "chunk", "column_stack", "combinations", "concat", "concatenate", "dsplit",
    "dstack", "hsplit", "hstack", "meshgrid", "repeat", "repeat_interleave", "row_stack", "split", "split_copy",
    "split_with_sizes", "split_with_sizes_copy", "stack", "tensor_split", "tile", "unbind", "unbind_copy", "vsplit", "vstack",
]


class Cat(Op):
    """Tensors one after the other along an axis.  Each input's gradient is its part of the gradient."""

    name = "cat"

    @staticmethod
    def shape(*shapes_and_axis: Any) -> Shape:
        *shapes, axis = shapes_and_axis
        first = shapes[0]
        before, after = first[:axis], first[axis + 1:]
        for position, shape in enumerate(shapes):
            if len(shape) != len(first) or shape[:axis] != before or shape[axis + 1:] != after:
                raise ShapeError(f"cat: tensor {position} has shape {shape}, tensor 0 has {first}; along dim {axis} the "
                                 "sizes may differ, all others must be equal")
        return (*before, sum([shape[axis] for shape in shapes]), *after)

    @staticmethod
    def forward(ctx: Node, k: Any, *arrays_and_axis: Any) -> Any:
        *arrays, axis = arrays_and_axis
        ctx.constants = [array.shape[axis] for array in arrays]
        return k.cat(arrays, axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        axis = ctx.args[0]
        gradients, start = [], 0
        for needed, size in zip(ctx.needs, ctx.constants, strict=True):
            part = (slice(None),) * axis + (slice(start, start + size),)
            gradients.append(getitem(g, part) if needed else None)
            start += size
        return tuple(gradients)


# -- joining -----------------------------------------------------------------------------------------------------------


@numpy_names
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along `dim`, in the type that holds them all.

    All other axes must be equal; a tensor of shape (0,) fits to everything and adds nothing."""
    tensors = _same_type("cat", tensors)
    kept = [tensor for tensor in tensors if tensor.array.shape != (0,)] or tensors[:1]
    axis = normalise_axis("cat", dim, kept[0].array.ndim)
    if any(tensor.array.ndim == 0 for tensor in tensors):
        raise ShapeError("cat: a tensor without axes cannot be put after another; use stack")
    return apply(Cat, tuple(kept), (axis,))


@numpy_names
def concat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Another name of cat."""
    return cat(tensors, dim)


@numpy_names
def concatenate(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Another name of cat."""
    return cat(tensors, dim)


@numpy_names
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of equal shape along a new axis `dim`."""
    tensors = _same_type("stack", tensors)
    first = tensors[0].array.shape
    for position, tensor in enumerate(tensors):
        if tensor.array.shape != first:
            raise ShapeError(f"stack: tensor {position} has shape {tensor.array.shape}, tensor 0 has {first}; all must be "
                             "equal")
    axis = normalise_axis("stack", dim, len(first) + 1)
    if axis < len(first):  # one after the other along the axis behind the new one is the same memory
        return reshape(apply(Cat, tuple(tensors), (axis,)), (*first[:axis], len(tensors), *first[axis:]))
    return apply(Cat, tuple([unsqueeze(tensor, axis) for tensor in tensors]), (axis,))


def hstack(tensors: Sequence[Any]) -> Any:
    """Side by side: vectors one after the other, others along their second axis."""
    tensors = atleast_1d(_list("hstack", tensors))
    return cat(tensors, 0 if not tensors or tensors[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """On top of each other, along the first axis; vectors are rows."""
    return cat(atleast_2d(_list("vstack", tensors)), 0)


def row_stack(tensors: Sequence[Any]) -> Any:
    """Another name of vstack."""
    return vstack(tensors)


def dstack(tensors: Sequence[Any]) -> Any:
    """Behind each other, along the third axis."""
    return cat(atleast_3d(_list("dstack", tensors)), 2)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Side by side, along the second axis; vectors are columns."""
    return cat([x if x.array.ndim > 1 else reshape(x, (x.array.size, 1)) for x in _list("column_stack", tensors)], 1)


def block_diag(*tensors: Any) -> Any:
    """A matrix with the given matrices along its diagonal and zeros elsewhere; vectors are rows."""
    if not tensors:
        return new_tensor(np.zeros((1, 0), get_default_dtype()))
    blocks = _same_type("block_diag", tensors)
    for position, block in enumerate(blocks):
        if block.array.ndim > 2:
            raise ShapeError(f"block_diag: tensor {position} has shape {block.array.shape}; it must have at most two axes")
    blocks = list(atleast_2d(blocks))
    width, rows, start = sum(block.array.shape[1] for block in blocks), [], 0
    for block in blocks:
        height, size = block.array.shape
        rows.append(apply(SliceAdjoint, (block,), ((height, width), (slice(None), slice(start, start + size)))))
        start += size
    return cat(rows)


def _list(op: str, tensors: Any) -> list[Any]:
    """A list of tensors from a list or tuple of them."""
    if not isinstance(tensors, list | tuple):
        raise OperandError(f"{op}: expected a list of tensors, got {described(tensors)}; write {op}([x, y])")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, TensorBase):
            raise OperandError(f"{op}: expected tensors, number {position} is {type(tensor).__name__}; make it one with "
                               "tgc.tensor(...)")
    return list(tensors)


def _same_type(op: str, tensors: Sequence[Any]) -> list[Any]:
    tensors = _list(op, tensors)
    if not tensors:
        raise ShapeError(f"{op}: expected at least one tensor, got an empty list")
    dtype = tensors[0].array.dtype
    if all(tensor.array.dtype is dtype for tensor in tensors):
        return tensors
    for tensor in tensors[1:]:
        dtype = promote_types(dtype, tensor.array.dtype)
    return [cast(tensor, dtype) for tensor in tensors]


# -- splitting ---------------------------------------------------------------------------------------------------------


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts along `dim`: of equal size, the last one smaller if need be, or of the sizes in a list.  Views."""
    require_tensors("split", tensor)
    if not hasattr(split_size_or_sections, "__index__"):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    part = split_size_or_sections.__index__()
    size = _size("split", tensor, dim)
    if part < 0 or (part == 0 and size):
        raise ShapeError(f"split: parts of size {part} cannot make up dim {dim} of {tensor.array.shape}")
    starts = range(0, size, part) if size else (0,)
    return tuple([narrow(tensor, dim, start, min(part, size - start)) for start in starts])


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Parts of the given sizes along `dim`, which they must make up.  Views."""
    require_tensors("split_with_sizes", input)
    sizes = list(integers("split_with_sizes", "split_sizes", split_sizes))
    total = _size("split_with_sizes", input, dim)
    if sum(sizes) != total or any(size < 0 for size in sizes):
        raise ShapeError(f"split_with_sizes: the sizes {sizes} do not make up dim {dim} of {input.array.shape}, which has "
                         f"size {total}")
    return tuple([narrow(input, dim, end - size, size)
                  for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)])


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` parts of equal size along `dim`, the last one smaller if need be.  Views."""
    require_tensors("chunk", input)
    chunks = integer("chunk", "chunks", chunks)
    if chunks < 1:
        raise ShapeError(f"chunk: the number of parts must be at least 1, got {chunks}")
    size = _size("chunk", input, dim)
    return split(input, -(-size // chunks), dim) if size else split_with_sizes(input, [0] * chunks, dim)


def tensor_split(input: Any, indices_or_sections: Any = None, dim: int = 0, *, sections: Any = None,
                 indices: Any = None) -> tuple[Any, ...]:
    """Parts along `dim`: `sections` of nearly equal size, the larger ones first, or cut at `indices`.  Views."""
    return _cut("tensor_split", input, indices_or_sections, sections, indices, dim)


def hsplit(input: Any, indices_or_sections: Any = None, *, sections: Any = None, indices: Any = None) -> tuple[Any, ...]:
    """Parts along the second axis (the first of a vector): equal ones, or cut at indices.  Views."""
    require_tensors("hsplit", input)
    dim = 0 if input.array.ndim == 1 else 1
    return _cut("hsplit", input, indices_or_sections, sections, indices, dim, least=1)


def vsplit(input: Any, indices_or_sections: Any = None, *, sections: Any = None, indices: Any = None) -> tuple[Any, ...]:
    """Parts along the first axis of a tensor with at least two: equal ones, or cut at indices.  Views."""
    return _cut("vsplit", input, indices_or_sections, sections, indices, 0, least=2)


def dsplit(input: Any, indices_or_sections: Any = None, *, sections: Any = None, indices: Any = None) -> tuple[Any, ...]:
    """Parts along the third axis: equal ones, or cut at indices.  Views."""
    return _cut("dsplit", input, indices_or_sections, sections, indices, 2, least=3)


def _cut(op: str, x: Any, either: Any, sections: Any, indices: Any, dim: int, least: int = 0) -> tuple[Any, ...]:
    """Parts for an integer or for places to cut at; an op that asks for a number of axes also asks for equal parts."""
    require_tensors(op, x)
    given = [value for value in (either, sections, indices) if value is not None]
    if len(given) != 1:
        raise OperandError(f"{op}: give either a number of sections or the indices to cut at")
    if x.array.ndim < least:
        raise ShapeError(f"{op}: the input needs at least {least} axes, got shape {x.array.shape}")
    cuts = given[0].array.tolist() if isinstance(given[0], TensorBase) else given[0]
    size = _size(op, x, dim)
    if isinstance(cuts, tuple | list):
        places = list(integers(op, "indices", cuts))
    else:
        n = integer(op, "the number of sections", cuts)
        if n < 1 or (least and size % n):
            raise ShapeError(f"{op}: dim {dim} of {x.array.shape}, which has size {size}, cannot be cut into {n} parts"
                             f"{' of equal size' if least else ''}")
        places = [part * (size // n) + min(part, size % n) for part in range(1, n)]
    axis = normalise_axis(op, dim, x.array.ndim)
    bounds = zip([None, *places], [*places, None], strict=True)
    return tuple([getitem(x, (slice(None),) * axis + (slice(start, end),)) for start, end in bounds])


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The parts of input along `dim`, each without that axis.  Views."""
    require_tensors("unbind", input)
    return tuple([select(input, dim, index) for index in range(_size("unbind", input, dim))])


def _size(op: str, x: Any, dim: int) -> int:
    if x.array.ndim == 0:
        raise ShapeError(f"{op}: a tensor without axes cannot be divided")
    size: int = x.array.shape[normalise_axis(op, dim, x.array.ndim)]
    return size


split_copy = copying(split)
split_with_sizes_copy = copying(split_with_sizes)
unbind_copy = copying(unbind)


# -- repeating ---------------------------------------------------------------------------------------------------------


def repeat(input: Any, *sizes: Any, repeats: Any = None) -> Any:
    """Copies of x side by side: `repeats` times along each axis; further numbers in front make new axes."""
    require_tensors("repeat", input)
    times = integers("repeat", "repeats", spread("repeat", "repeats", sizes, repeats))
    new = len(times) - input.array.ndim
    if new < 0 or any(count < 0 for count in times):
        raise ShapeError(f"repeat: repeats {times} must give each axis of {input.array.shape} a number of at least 0")
    shape = (1,) * new + tuple(input.array.shape)
    apart = reshape(input, [part for size in shape for part in (1, size)])  # (1, a, 1, b) -> (m, a, n, b) -> (m a, n b)
    copies = broadcast.expand(apart, tuple([part for pair in zip(times, shape, strict=True) for part in pair]))
    y = reshape(copies, [count * size for count, size in zip(times, shape, strict=True)])
    return clone(y) if np.may_share_memory(y.array, input.array) else y


def tile(input: Any, *sizes: Any, dims: Any = None) -> Any:
    """repeat() for which missing numbers in front are 1."""
    require_tensors("tile", input)
    times = spread("tile", "dims", sizes, dims)
    return repeat(input, (1,) * (input.array.ndim - len(times)) + tuple(times))


def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Every place along `dim` repeated: all equally often, or as often as the vector `repeats` says for each.

    Without a dim the input is flattened.  repeat_interleave(repeats) alone gives the places: 0 repeats[0] times, and so on.
    `output_size` must be the sum of the repeats, if given."""
    require_tensors("repeat_interleave", input)
    if repeats is None:
        return constant(_repeated("repeat_interleave", input.array, input.array.size, output_size), input)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    x = atleast_1d(input)
    axis = normalise_axis("repeat_interleave", dim, x.array.ndim)
    counts = repeats.array if isinstance(repeats, TensorBase) else backend.array_module(x.array).asarray(repeats)
    return index_select(x, axis, constant(_repeated("repeat_interleave", counts, x.array.shape[axis], output_size), x))


def _repeated(op: str, counts: Any, size: int, total: int | None) -> Any:
    """0, 1, ..., size-1, each `counts` times."""
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"{op}: repeats must be integers, got {counts.dtype}; use .long()")
    if counts.ndim > 1 or (counts.size != 1 and counts.size != size) or (counts < 0).any():
        raise ShapeError(f"{op}: repeats must be one number or a vector of {size} numbers, none of them negative; got shape "
                         f"{counts.shape}")
    xp = backend.array_module(counts)
    places = xp.repeat(xp.arange(size), xp.broadcast_to(counts, (size,)))
    if total is not None and total != places.size:
        raise ShapeError(f"{op}: output_size is {total}, the repeats add up to {places.size}")
    return places.astype(counts.dtype)


# -- grids and tuples --------------------------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Vectors of sizes m, n, ... as tensors of shape (m, n, ...), each constant along all axes but its own.  Views.

    indexing "ij" (the default) is this order; "xy" exchanges the first two axes."""
    vectors = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else list(tensors)
    if indexing not in (None, "ij", "xy"):
        raise OperandError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not vectors:
        raise ShapeError("meshgrid: expected at least one tensor")
    require_tensors("meshgrid", *vectors)
    for position, vector in enumerate(vectors):
        if vector.array.ndim > 1:
            raise ShapeError(f"meshgrid: tensor {position} has shape {vector.array.shape}; it must be a vector")
        if vector.array.dtype != vectors[0].array.dtype:
            raise DTypeError(f"meshgrid: tensor {position} has dtype {vector.array.dtype}, tensor 0 has "
                             f"{vectors[0].array.dtype}; they must be equal")
    shape = tuple([vector.array.size for vector in vectors])
    grids = [broadcast.expand(reshape(vector, (shape[axis],) + (1,) * (len(shape) - axis - 1)), shape)
             for axis, vector in enumerate(vectors)]
    return tuple([transpose(grid, 0, 1) if indexing == "xy" and len(shape) > 1 else grid for grid in grids])


def cartesian_prod(*tensors: Any) -> Any:
    """All ways to take one value from each vector, one way per row; the last vector runs fastest."""
    if not tensors:
        raise ShapeError("cartesian_prod: expected at least one tensor")
    require_tensors("cartesian_prod", *tensors)
    for position, vector in enumerate(tensors):
        if vector.array.ndim != 1:
            raise ShapeError(f"cartesian_prod: tensor {position} has shape {vector.array.shape}; it must be a vector")
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(grid, (-1,)) for grid in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to choose r values of a vector, one way per row, in order; with replacement a value may come again."""
    require_tensors("combinations", input)
    if input.array.ndim != 1:
        raise ShapeError(f"combinations: the input must be a vector, got shape {input.array.shape}")
    r = integer("combinations", "r", r)
    if r < 0:
        raise ShapeError(f"combinations: r must not be negative, got {r}")
    if r == 0:
        return getitem(input, slice(0, 0))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.array.size), r)), np.int64).reshape(-1, r)
    return getitem(input, constant(places, input))
