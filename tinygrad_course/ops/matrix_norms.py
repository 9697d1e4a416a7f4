"""Norms and condition numbers of matrices, which linalg.norm and linalg.cond choose from."""

import math
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import abs, div, mul
from tinygrad_course.ops.axes import normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dtypes import as_dtype, float16, float32, require_tensors
from tinygrad_course.ops.factor import svdvals
from tinygrad_course.ops.linalg import require_matrices
from tinygrad_course.ops.norms import vector_norm
from tinygrad_course.ops.reduce import amax, amin, sum
from tinygrad_course.ops.shape import permute, reshape, unsqueeze
from tinygrad_course.ops.solve import inv_ex

__all__ = ["cond", "linalg_norm", "matrix_norm"]


@numpy_names
def linalg_norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """A norm of vectors or matrices.

    Without `ord` the root of the sum of squares over `dim`, or over all axes.  With it: over one axis, or for a vector,
    vector_norm; over two axes, or for a matrix, matrix_norm."""
    require_tensors("norm", A)
    if dim is not None:
        dim = tuple(dim) if isinstance(dim, tuple | list) else (dim,)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype)
    if dim is None and A.array.ndim not in (1, 2):
        raise ShapeError(f"norm: with ord = {ord!r} and no dim the input must be a vector or a matrix, got {A.array.shape}")
    axes = tuple(range(A.array.ndim)) if dim is None else dim
    if len(axes) == 1:
        return vector_norm(A, ord, axes, keepdim, dtype)
    return matrix_norm(A, ord, axes, keepdim, dtype)


@numpy_names
def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, dtype: Any = None) -> Any:
    """A norm of the matrices in two axes.

    "fro" root of the sum of squares; "nuc" sum of the singular values; 2, -2 the largest and the smallest of them;
    1, -1 largest and smallest column sum of |A|; inf, -inf the same of rows."""
    require_tensors("matrix_norm", A)
    if dtype is not None:
        A = cast(A, as_dtype(dtype))
    half = A.array.dtype == float16 and ord not in ("nuc", 2, -2)  # of which there are sums, but no singular values
    require_matrices("matrix_norm", cast(A, float32) if half else A)
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise ShapeError(f"matrix_norm: dim must name two axes, got {dim!r}")
    rows, columns = (normalise_axis("matrix_norm", d, A.array.ndim) for d in dim)
    if rows == columns:
        raise ShapeError(f"matrix_norm: dim {tuple(dim)} names an axis twice")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord not in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    shape = A.array.shape
    compared = {1: shape[columns], 2: min(shape[rows], shape[columns]), math.inf: shape[rows]}.get(ord)
    if compared == 0:
        return sum(A, (rows, columns), keepdim)  # 0 is the largest of no sums, none of which could be negative
    if ord in ("nuc", 2, -2):
        batch = [axis for axis in range(A.array.ndim) if axis not in (rows, columns)]
        s = svdvals(permute(A, [*batch, rows, columns]))
        y = sum(s, -1) if ord == "nuc" else amax(s, -1) if ord == 2 else amin(s, -1)
        if keepdim:
            y = reshape(y, [1 if axis in (rows, columns) else size for axis, size in enumerate(A.array.shape)])
        return y
    added, over = (columns, rows) if math.isinf(ord) else (rows, columns)
    y = (amax if ord > 0 else amin)(sum(abs(A), added, True), over, True)
    return y if keepdim else reshape(y, [size for axis, size in enumerate(shape) if axis not in (rows, columns)])


def cond(input: Any, p: Any = None) -> Any:
    """How much solving with a matrix can magnify a relative error: norm of A times norm of A^-1.

    p: the norm, as in matrix_norm.  With 2 (the default) and -2 it is the quotient of the largest and smallest singular
    value, also of matrices that are not square.  Infinite for a singular matrix."""
    require_matrices("cond", input)
    if p in (None, 2, -2):
        s = svdvals(input)
        if s.array.shape[-1] == 0:
            return sum(s, -1)  # zeros
        largest, smallest = amax(s, -1), amin(s, -1)
        return div(smallest, largest) if p == -2 else div(largest, smallest)
    require_matrices("cond", input, square=True)
    if input.array.shape[-1] == 0:
        return sum(input, (-2, -1))
    inverse, info = inv_ex(input)
    singular = new_tensor(np.asarray(info.array != 0))
    inverse = where(unsqueeze(unsqueeze(singular, -1), -1), 0.0, inverse)  # infinity has no singular values
    return where(singular, math.inf, mul(matrix_norm(input, p), matrix_norm(inverse, p)))
