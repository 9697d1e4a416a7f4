"""Diagonals and triangles of matrices.  The adjoint of reading a diagonal is writing one: `diagonal` and `diag_embed`."""

import operator
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import sum_to
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.creation import finish
from tinygrad_course.ops.dtypes import as_dtype, constant, int64, require_tensors
from tinygrad_course.ops.index import SliceAdjoint, copying
from tinygrad_course.ops.shape import movedim, reshape

__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "diagonal_copy", "diagonal_scatter", "trace", "tril", "tril_indices",
    "triu", "triu_indices",
]


class Diagonal(Op):
    """y[..., i] = x[..., i, ..., i + offset, ...]: a diagonal of two axes as a last axis in their place, as a view.

    The gradient is written on the diagonal of zeros."""

    name = "diagonal"
    view = True

    @staticmethod
    def shape(x: Shape, offset: int, dim1: int, dim2: int) -> Shape:
        others = tuple([size for axis, size in enumerate(x) if axis not in (dim1, dim2)])
        return (*others, _length(x[dim1], x[dim2], offset))

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, offset: int, dim1: int, dim2: int) -> Any:
        return k.diagonal(x, offset, dim1, dim2)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (_on_diagonal(g, ctx.input_shape(0), *ctx.args),)


def _length(rows: int, columns: int, offset: int) -> int:
    """Number of elements with column - row = offset."""
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))


def _on_diagonal(y: Any, shape: Shape, offset: int, dim1: int, dim2: int) -> Any:
    """Zeros of `shape` with y on a diagonal of two axes: the adjoint of `diagonal`.

    In a flattened matrix a diagonal is a slice whose step is one more than the number of columns."""
    others = tuple([size for axis, size in enumerate(shape) if axis not in (dim1, dim2)])
    rows, columns, count = shape[dim1], shape[dim2], y.array.shape[-1]
    start = max(offset, 0) - min(offset, 0) * columns
    stop = start + (count - 1) * (columns + 1) + 1 if count else start
    flat = apply(SliceAdjoint, (y,), ((*others, rows * columns), (Ellipsis, slice(start, stop, columns + 1))))
    return movedim(reshape(flat, (*others, rows, columns)), (-2, -1), (dim1, dim2))


def _plane(op: str, dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    """Two different axes as non-negative numbers."""
    if ndim < 2:
        raise ShapeError(f"{op}: the input needs at least two axes, it has {ndim}")
    a, b = normalise_axis(op, dim1, ndim), normalise_axis(op, dim2, ndim)
    if a == b:
        raise ShapeError(f"{op}: dim1 and dim2 must be two different axes, both are {a}")
    return a, b


# -- diagonals ---------------------------------------------------------------------------------------------------------


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The elements with index2 - index1 = offset of two axes, as a last axis: a view."""
    require_tensors("diagonal", input)
    offset = integer("diagonal", "offset", offset)
    return apply(Diagonal, (input,), (offset, *_plane("diagonal", dim1, dim2, input.array.ndim)))


diagonal_copy = copying(diagonal)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The last axis of input on the diagonal of new square matrices in the axes dim1 and dim2; zeros elsewhere."""
    require_tensors("diag_embed", input)
    offset, shape = integer("diag_embed", "offset", offset), input.array.shape
    if not shape:
        raise ShapeError("diag_embed: the input needs at least one axis")
    a, b = _plane("diag_embed", dim1, dim2, len(shape) + 1)
    size, others = shape[-1] + abs(offset), iter(shape[:-1])
    whole = tuple([size if axis in (a, b) else next(others) for axis in range(len(shape) + 1)])
    return _on_diagonal(input, whole, offset, a, b)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, as a copy; of a vector, the matrix that has it on its diagonal."""
    require_tensors("diag", input)
    diagonal = integer("diag", "diagonal", diagonal)
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise ShapeError(f"diag: expects a vector or a matrix, got shape {input.array.shape}; for stacks of them there are "
                         "diag_embed() and diagonal()")
    return clone(apply(Diagonal, (input,), (diagonal, 0, 1)))


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all values of input on its diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of input with `src` in place of diagonal(input, offset, dim1, dim2)."""
    require_tensors("diagonal_scatter", input, src)
    offset, shape = integer("diagonal_scatter", "offset", offset), input.array.shape
    a, b = _plane("diagonal_scatter", dim1, dim2, len(shape))
    wanted = Diagonal.shape(shape, offset, a, b)
    if src.array.shape != wanted:
        raise ShapeError(f"diagonal_scatter: src has shape {src.array.shape}, the diagonal has {wanted}")
    rows, columns = (backend.array_module(input.array).arange(shape[axis]).reshape(
        [-1 if axis == other else 1 for other in range(len(shape))]) for axis in (a, b))
    return where(new_tensor(columns - rows == offset), _on_diagonal(cast(src, input.array.dtype), shape, offset, a, b), input)


def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix; integers add up to int64."""
    require_tensors("trace", input)
    if input.array.ndim != 2:
        raise ShapeError(f"trace: expects a matrix, got shape {input.array.shape}")
    y = diagonal(input)
    return sum_to(y if y.array.dtype.kind == "f" else cast(y, int64), ())


# -- triangles ---------------------------------------------------------------------------------------------------------


def tril(input: Any, diagonal: int = 0) -> Any:
    """Matrices whose elements above a diagonal are 0: those with column - row > `diagonal`."""
    return _triangle("tril", input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """Matrices whose elements below a diagonal are 0: those with column - row < `diagonal`."""
    return _triangle("triu", input, diagonal, False)


def _triangle(op: str, x: Any, diagonal: int, lower: bool) -> Any:
    require_tensors(op, x)
    if x.array.ndim < 2:
        raise ShapeError(f"{op}: expects matrices, got shape {x.array.shape}")
    diagonal = integer(op, "diagonal", diagonal)
    rows, columns = x.array.shape[-2:]
    below = new_tensor(backend.array_module(x.array).tri(rows, columns, diagonal if lower else diagonal - 1, bool))
    zero = constant(False, x)
    return where(below, x, zero) if lower else where(below, zero, x)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None) -> Any:
    """(2, n): rows and columns of the elements of a (row, col) matrix on and below a diagonal, row by row."""
    return _indices("tril_indices", row, col, offset, dtype, device, operator.le)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None) -> Any:
    """(2, n): rows and columns of the elements of a (row, col) matrix on and above a diagonal, row by row."""
    return _indices("triu_indices", row, col, offset, dtype, device, operator.ge)


def _indices(op: str, row: int, col: int, offset: int, dtype: Any, device: Any, inside: Any) -> Any:
    row, col, offset = integer(op, "row", row), integer(op, "col", col), integer(op, "offset", offset)
    if row < 0 or col < 0:
        raise ShapeError(f"{op}: a matrix cannot have the shape {(row, col)}")
    rows, columns = np.ogrid[:row, :col]
    return finish(np.stack(np.nonzero(inside(columns - rows, offset))).astype(as_dtype(dtype)), device, False)
