"""The product with a sparse constant matrix along one axis: what resizing, averaging and unfolding have in common.

Bilinear interpolation, adaptive averages and the windows of a convolution all make each output element from few input
elements along an axis, one axis after the other.  The map is linear, and its adjoint is the product with the transposed
matrix: one op, closed under differentiation.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache, wraps
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError

Layer = tuple[Any, Any, Any]  # rows, columns, weights


class SparseMatrix:
    """A (n_out, n_in) matrix by its entries: `weights[e]` at (`rows[e]`, `cols[e]`); weights None are ones."""

    def __init__(self, n_out: int, n_in: int, rows: Any, cols: Any, weights: Any = None) -> None:
        self.n_out, self.n_in = n_out, n_in
        self.rows, self.cols, self.weights = np.asarray(rows), np.asarray(cols), weights

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The entries in groups that hold every row at most once: first entries of the rows, second ones, and so on."""
        order = np.argsort(self.rows, kind="stable")
        rows = self.rows[order]
        rank = np.arange(rows.size) - np.searchsorted(rows, rows)  # the how-manieth entry of its row
        found = []
        for number in range(int(rank.max()) + 1 if rank.size else 0):
            here = order[rank == number]
            found.append((_as_slice(self.rows[here]), self.cols[here],
                          None if self.weights is None else self.weights[here]))
        return tuple(found)

    @cached_property
    def transposed(self) -> "SparseMatrix":
        """The matrix of the adjoint."""
        other = SparseMatrix(self.n_in, self.n_out, self.cols, self.rows, self.weights)
        other.__dict__["transposed"] = self
        return other

    def __repr__(self) -> str:
        return f"SparseMatrix({self.n_out} x {self.n_in}, {self.rows.size} entries)"


def _as_slice(rows: Any) -> Any:
    """Equally spaced ascending rows as a slice, which NumPy writes faster."""
    steps = np.diff(rows)
    if rows.size == 1:
        return slice(int(rows[0]), int(rows[0]) + 1)
    if rows.size and (steps == steps[0]).all():
        return slice(int(rows[0]), int(rows[-1]) + 1, int(steps[0]))
    return rows


class AxisProduct(Op):
    """y[..., i, ...] = sum over j of A[i, j] x[..., j, ...] along `axis`.  Adjoint: the same with A transposed."""

    name = "axis_product"

    @staticmethod
    def shape(x: Shape, matrix: SparseMatrix, axis: int) -> Shape:
        if x[axis] != matrix.n_in:
            raise ShapeError(f"axis_product: axis {axis} of {x} has size {x[axis]}, the matrix {matrix.n_out} x "
                             f"{matrix.n_in} needs {matrix.n_in}")
        return (*x[:axis], matrix.n_out, *x[axis + 1:])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, matrix: SparseMatrix, axis: int) -> Any:
        return k.axis_product(x, axis, matrix.n_out, matrix.layers)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        matrix, axis = ctx.args
        return (apply(AxisProduct, (g,), (matrix.transposed, axis)),)


def axis_product(x: Any, axis: int, matrix: SparseMatrix) -> Any:
    """x with `matrix` applied along `axis`."""
    return apply(AxisProduct, (x,), (matrix, axis))


def cached(build: Callable[..., SparseMatrix]) -> Callable[..., SparseMatrix]:
    """Keep the small matrices that `build` made: a network asks for the same few in every step."""
    kept = lru_cache(maxsize=256)(build)

    @wraps(build)
    def matrix(*args: Any) -> SparseMatrix:
        large = any(isinstance(size, int) and size > 4096 for size in args)
        return build(*args) if large else kept(*args)

    return matrix


@cached
def windows(size: int, kernel: int, stride: int, padding: int, dilation: int, count: int) -> SparseMatrix:
    """Row tap * count + p picks position p stride - padding + tap dilation of an axis; rows outside of it are 0."""
    taps, places = np.arange(kernel)[:, None], np.arange(count)
    rows, cols = taps * count + places, places * stride - padding + taps * dilation
    inside = (cols >= 0) & (cols < size)
    return SparseMatrix(kernel * count, size, rows[inside], cols[inside])


@cached
def averages(size: int, count: int) -> SparseMatrix:
    """Row i is the mean over floor(i size / count) .. ceil((i + 1) size / count) - 1: nearly equal parts that may overlap."""
    first, width = parts(size, count)
    rows = np.repeat(np.arange(count), width)
    cols = np.concatenate([np.arange(a, a + n) for a, n in zip(first, width, strict=True)]) if count else rows
    return SparseMatrix(count, size, rows, cols, 1.0 / width[rows])


def parts(size: int, count: int) -> tuple[Any, Any]:
    """First position and width of each of `count` nearly equal parts of an axis."""
    i = np.arange(count)
    first = i * size // max(count, 1)
    return first, -(-(i + 1) * size // max(count, 1)) - first
