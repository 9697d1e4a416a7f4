"""Sorting and searching: sort, topk, unique, searchsorted, nonzero.

nan counts as larger than every number.  What depends on the values in its shape (unique, nonzero) is computed by a kernel
at once; the values of unique are then taken by index, which is how they get their gradient.
"""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.axes import normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.dtypes import constant, int32, require_tensors
from tinygrad_course.ops.index import gather, getitem
from tinygrad_course.ops.reduce import Selected, Selection, select
from tinygrad_course.ops.shape import reshape

__all__ = [
    "argsort", "argwhere", "bucketize", "msort", "nonzero", "nonzero_static", "searchsorted", "sort", "topk", "unique",
    "unique_consecutive",
]


_FEW = 64  # so many can be kept in order while the others pass


class Sort(Selection):
    """The elements along an axis in order, and where each was; equal elements keep their order."""

    name = "sort"

    @staticmethod
    def shape(x: Shape, axis: int, descending: bool) -> Any:
        return x, x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, descending: bool) -> Any:
        return Selection.picked(ctx, k, x, axis, k.argsort(x, axis, descending))


class Topk(Selection):
    """The largest (or smallest) elements along an axis in order, and where each was."""

    name = "topk"

    @staticmethod
    def shape(x: Shape, axis: int, count: int, largest: bool) -> Any:
        if not 0 <= count <= x[axis]:
            raise ShapeError(f"topk: k = {count} elements cannot be chosen from axis {axis} of shape {x}; k must be between "
                             f"0 and {x[axis]}")
        y = (*x[:axis], count, *x[axis + 1:])
        return y, y

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, count: int, largest: bool) -> Any:
        choose = k.topk_few_index if 0 < count <= _FEW else k.topk_index
        return Selection.picked(ctx, k, x, axis, choose(x, axis, count, largest))


class Searchsorted(Op):
    """How many of the sorted edges (n) or (..., n) are less than each x (..., m); with `right` not greater."""

    name = "searchsorted"
    differentiable = False

    @staticmethod
    def shape(edges: Shape, x: Shape, right: bool) -> Shape:
        if not edges:
            raise ShapeError("searchsorted: the sorted sequence needs at least one axis, it is a single number")
        if len(edges) > 1 and (len(x) != len(edges) or edges[:-1] != x[:-1]):
            raise ShapeError(f"searchsorted: the sequences have shape {edges}, the values {x}; all axes but the last must be "
                             "equal, or there must be one sequence (one axis) for all values")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, edges: Any, x: Any, right: bool) -> Any:
        return k.searchsorted(edges, x, right)


# -- functions ---------------------------------------------------------------------------------------------------------


@numpy_names
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Selected:
    """(values, indices) of the elements along `dim` in order; it is always stable."""
    return select(Sort, input, dim, (bool(descending),))


@numpy_names
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort the elements along `dim`."""
    return sort(input, dim, descending).indices


def msort(input: Any) -> Any:
    """The elements sorted along the first axis."""
    return sort(input, 0).values


@numpy_names
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Selected:
    """(values, indices) of the `k` largest or smallest elements along `dim`, the best first."""
    return select(Topk, input, dim, (integer("topk", "k", k), bool(largest)))


@numpy_names
def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:
    """The different elements in ascending order; with `dim` the different slices along it.

    On demand also which of them each element is, and how often each occurs.  The gradient goes to the first occurrence."""
    return _unique("unique", input, return_inverse, return_counts, dim)


@numpy_names
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The elements (with `dim`: the slices along it) without those that equal the one before them.

    On demand also which of them each element belongs to, and the length of each run."""
    return _unique("unique_consecutive", input, return_inverse, return_counts, dim)


def _unique(op: str, x: Any, return_inverse: bool, return_counts: bool, dim: int | None) -> Any:
    require_tensors(op, x)
    shape = x.array.shape
    if dim is None:
        flat, axis, rows = reshape(x, (x.array.size,)), 0, x.array.reshape(-1, 1)
    else:
        axis = normalise_axis(op, dim, len(shape))
        if not shape or any(size == 0 for place, size in enumerate(shape) if place != axis):
            raise ShapeError(f"{op}: a tensor of shape {shape} has no slices along dim {dim} to compare; leave dim out")
        flat, rows = x, np.moveaxis(x.array, axis, 0).reshape(shape[axis], x.array.size // max(shape[axis], 1))
    find = getattr(backend.kernels_for(op, [rows]), f"{op}_index")
    first, inverse, counts = find(rows)
    values = getitem(flat, (slice(None),) * axis + (first,))
    if not (return_inverse or return_counts):
        return values
    more = ((return_inverse, inverse.reshape(shape) if dim is None else inverse), (return_counts, counts))
    return (values, *[new_tensor(array) for wanted, array in more if wanted])


def searchsorted(sorted_sequence: Any, input: Any, out_int32: bool = False, right: bool = False, side: str | None = None,
                 sorter: Any = None) -> Any:
    """Where each of `input` would be inserted to keep the sequences, sorted along their last axis, sorted.

    The first such place, or the last with right=True or side='right'.  sorted_sequence (n) serves an input of any shape;
    (..., n) an input (..., m).  `sorter`: indices that sort a sequence which is not."""
    require_tensors("searchsorted", sorted_sequence, sorter=sorter)
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side must be 'left' or 'right' and agree with right={right}, got {side!r}")
    if sorter is not None and sorter.array.shape != sorted_sequence.array.shape:
        raise ShapeError(f"searchsorted: the sequence has shape {sorted_sequence.array.shape}, the sorter "
                         f"{sorter.array.shape}; they must be equal")
    edges = sorted_sequence if sorter is None else gather(sorted_sequence, -1, sorter)
    values = input if isinstance(input, TensorBase) else cast(constant(input, edges), edges.array.dtype)
    if values.array.dtype != edges.array.dtype:
        raise DTypeError(f"searchsorted: the sequence has dtype {edges.array.dtype}, the values {values.array.dtype}; they "
                         "must be equal, convert one with .to(dtype)")
    places = apply(Searchsorted, (edges, values), (right or side == "right",))
    return cast(places, int32) if out_int32 else places


def bucketize(input: Any, boundaries: Any, out_int32: bool = False, right: bool = False) -> Any:
    """The bucket of each value: i for boundaries[i - 1] < value <= boundaries[i], with right=True for <= and <."""
    require_tensors("bucketize", boundaries)
    if boundaries.array.ndim != 1:
        raise ShapeError(f"bucketize: the boundaries must have one axis, got shape {boundaries.array.shape}")
    return searchsorted(boundaries, input, out_int32, right)


def nonzero(input: Any, as_tuple: bool = False) -> Any:
    """Coordinates (n, ndim) of the elements that are not 0; as_tuple: one tensor (n) per axis, which can be an index."""
    require_tensors("nonzero", input)
    x = input.array.reshape(1) if as_tuple and input.array.ndim == 0 else input.array
    places = backend.kernels_for("nonzero", [x]).nonzero(x)
    return tuple([new_tensor(column.copy()) for column in places.T]) if as_tuple else new_tensor(places)


def argwhere(input: Any) -> Any:
    """Coordinates (n, ndim) of the elements that are not 0."""
    return nonzero(input)


def nonzero_static(input: Any, size: int, fill_value: int = -1) -> Any:
    """Coordinates (size, ndim) of the first elements that are not 0, filled up with rows of `fill_value`."""
    places = nonzero(input).array
    size, fill_value = integer("nonzero_static", "size", size), integer("nonzero_static", "fill_value", fill_value)
    if size < 0:
        raise ShapeError(f"nonzero_static: size must not be negative, got {size}")
    xp = backend.array_module(places)
    out = xp.full((size, places.shape[1]), fill_value, places.dtype)
    out[:len(places)] = places[:size]
    return new_tensor(out)
