# cython: annotation_typing=False
"""Matrix products: matmul and the affine map of a linear layer; and what all functions of matrices ask of their inputs."""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError, TgcError
from tinygrad_course.kernels.arrays import alike
from tinygrad_course.kernels.direct import shape_of
from tinygrad_course.kernels.local import recording
from tinygrad_course.ops.arithmetic import add
from tinygrad_course.ops.broadcast import broadcast_shape, sum_to
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.reduce import Sum
from tinygrad_course.ops.shape import reshape, transpose

__all__ = [
    "linear", "matmul",
]


class LinAlgError(TgcError, np.linalg.LinAlgError, RuntimeError):
    """A matrix for which the result does not exist: singular, not positive definite, or with NaN in it."""


class MatMul(Op):
    """Z = X Y over the last two axes, (..., n, k) @ (..., k, m) -> (..., n, m); leading axes broadcast.

    dX = G Y^T, dY = X^T G, summed over the axes that were broadcast."""

    name = "matmul"

    @staticmethod
    def shape(x: Shape, y: Shape) -> Shape:
        if x[-1] != y[-2]:
            raise ShapeError(f"matmul: {x} @ {y}: the last axis of the first has size {x[-1]}, the second-to-last of the "
                             f"second {y[-2]}; they must be equal.{_suggest_transpose(x, y)}")
        return (*broadcast_shape("matmul (leading axes)", x[:-2], y[:-2]), x[-2], y[-1])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.matmul(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return (sum_to(apply(MatMul, (g, transpose(y, -1, -2))), x.array.shape) if needs[0] else None,
                sum_to(apply(MatMul, (transpose(x, -1, -2), g)), y.array.shape) if needs[1] else None)


class LinearWeight(Op):
    """W = G^T X, with G (n, m), X (n, k) -> (m, k): the gradient of linear at its weight.  dG = X V^T, dX = G V."""

    name = "linear_weight"

    @staticmethod
    def shape(g: Shape, x: Shape) -> Shape:
        if len(g) != 2 or len(x) != 2 or g[0] != x[0]:
            raise ShapeError(f"linear_weight: needs matrices with the same number of rows, got {g} and {x}")
        return (g[1], x[1])

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.matmul(g.T, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (g, x) = ctx.needs, ctx.load()
        return (apply(Linear, (x, v, None)) if needs[0] else None,
                apply(MatMul, (g, v)) if needs[1] else None)


class Linear(Op):
    """Y = X W^T + b, with X (n, k), W (m, k), b (m,).  dX = G W, dW = G^T X, db = sum of the rows of G."""

    name = "linear"

    @staticmethod
    def shape(x: Shape, w: Shape, b: Shape | None) -> Shape:
        if len(w) != 2:
            raise ShapeError(f"linear: the weight must be a matrix (out_features, in_features), got {w}")
        if x[-1] != w[1]:
            raise ShapeError(f"linear: the input has {x[-1]} features in its last axis {x}, the weight {w} needs in_features "
                             f"= {w[1]}. Make the layer Linear({x[-1]}, {w[0]}), or flatten or transpose the input.")
        if b is not None and b != (w[0],):
            raise ShapeError(f"linear: the bias has shape {b}, the weight {w} needs ({w[0]},)")
        return (x[0], w[0])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, w: Any, b: Any) -> Any:
        ctx.save(x, w)
        return k.linear(x, w, b)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, w) = ctx.needs, ctx.load()
        if not recording():
            found = list(apply(LinearGrad, (g, x, w), needs))
            return tuple([found.pop(0) if needed else None for needed in needs])
        return (apply(MatMul, (g, w)) if needs[0] else None,
                apply(LinearWeight, (g, x)) if needs[1] else None,
                apply(Sum, (g,), ((0,), False)) if needs[2] else None)


class LinearGrad(Op):
    """The gradients of linear that are wanted, of G W, G^T X and the sum of the rows of G, as one op.

    It has no derivative: a backward pass that is recorded computes the three as ops of their own."""

    name = "linear_grad"
    differentiable = False

    @staticmethod
    def shape(g: Shape, x: Shape, w: Shape, for_x: bool, for_w: bool, for_b: bool) -> Any:
        if len(g) != 2 or len(x) != 2 or len(w) != 2 or g != (x[0], w[0]) or x[1] != w[1]:
            raise ShapeError(f"linear_grad: needs a gradient (n, m) for an input (n, k) and a weight (m, k), got {g}, {x} "
                             f"and {w}")
        return tuple([shape for shape, wanted in ((x, for_x), (w, for_w), (w[:1], for_b)) if wanted])

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, w: Any, for_x: bool, for_w: bool, for_b: bool) -> Any:
        found = [k.matmul(g, w)] if for_x else []
        if for_w:
            found.append(k.matmul(g.T, x))
        if for_b:
            found.append(k.sum(g, (0,), False))
        return tuple(found)


def matmul(input: Any, other: Any) -> Any:
    """Matrix product; vectors count as a row on the left and as a column on the right, as in PyTorch."""
    require_tensors("matmul", input, other)
    _same_dtype("matmul", input, other)
    if input.array.ndim == 0 or other.array.ndim == 0:
        raise ShapeError(f"matmul: both operands need at least one axis, got {input.array.shape} and {other.array.shape}; "
                         "multiply by a number with *")
    if input.array.ndim > 1 and other.array.ndim > 1:
        return apply(MatMul, (input, other))
    if input.array.ndim == 1 and other.array.ndim == 1 and input.array.shape != other.array.shape:
        raise ShapeError(f"matmul: the vectors {input.array.shape} and {other.array.shape} must have the same size for "
                         "a dot product")
    x, y = input.array.shape, other.array.shape
    inner = y[-2] if len(y) > 1 else y[0]
    if x[-1] != inner:  # below vectors are matrices
        which = "second-to-last" if len(y) > 1 else "only"
        hint = " Did you mean x.mT @ y?" if len(x) > 1 and x[-2] == inner else ""
        raise ShapeError(f"matmul: {x} @ {y}: the last axis of the first has size {x[-1]}, the {which} axis of the "
                         f"second {inner}; they must be equal.{hint}")
    row = reshape(input, (1, *input.array.shape)) if input.array.ndim == 1 else input
    column = reshape(other, (*other.array.shape, 1)) if other.array.ndim == 1 else other
    z = apply(MatMul, (row, column))
    shape = z.array.shape
    if other.array.ndim == 1:
        shape = shape[:-1]
    if input.array.ndim == 1:
        shape = shape[:-2] + shape[-1:] if other.array.ndim > 1 else shape[:-1]
    return reshape(z, shape)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x W^T + b over the last axis of input; a weight of shape (in_features,) makes a number of each row."""
    if (not isinstance(input, TensorBase) or not isinstance(weight, TensorBase)
            or (bias is not None and not isinstance(bias, TensorBase))):
        require_tensors("linear", input, weight, bias=bias)
    _same_dtype("linear", input, weight)
    _same_dtype("linear", input, bias)
    shape = shape_of(input.array)
    if weight.array.ndim == 1 and shape and (bias is None or bias.array.ndim == 0):
        y = matmul(input, weight)
        return y if bias is None else add(y, bias)
    if len(shape) == 2:
        return apply(Linear, (input, weight, bias))
    if not shape:
        raise ShapeError("linear: the input needs at least one axis of features, got a 0-d tensor")
    if weight.array.ndim != 2 or shape[-1] != weight.array.shape[-1]:
        Linear.shape(shape, weight.array.shape, None)  # raises with the shape the user knows
    rows = reshape(input, (-1, shape[-1]) if input.array.size else (_product(shape[:-1]), shape[-1]))
    y = apply(Linear, (rows, weight, bias))
    return reshape(y, (*shape[:-1], weight.array.shape[0]))


def _product(sizes: Shape) -> int:
    n = 1
    for size in sizes:
        n *= size
    return n


def mT(x: Any) -> Any:
    """The matrices transposed."""
    return transpose(x, -1, -2)


def require_matrices(op: str, x: Any, square: bool = False) -> None:
    """Raise unless x is a matrix, or a stack of them, of float32 or float64."""
    require_tensors(op, x)
    shape = x.array.shape
    if len(shape) < 2:
        raise ShapeError(f"{op}: expected a matrix or a stack of matrices (..., m, n), got shape {shape}")
    if square and shape[-1] != shape[-2]:
        raise ShapeError(f"{op}: the matrices must be square, got {shape[-2]} x {shape[-1]} in shape {shape}")
    if x.array.dtype.char not in "fd":
        raise DTypeError(f"{op}: works in float32 and float64, got {x.array.dtype}; use .float() or .double()")


def require_finite(op: str, x: Any) -> None:
    """Raise LinAlgError where LAPACK would not converge."""
    if not np.isfinite(x.array).all():
        raise LinAlgError(f"{op}: the matrix has NaN or infinity in it, for which there is no factorisation")


def raise_where(op: str, info: Any, what: str) -> None:
    """Raise LinAlgError for the first matrix whose `info` is not 0."""
    failed = np.argwhere(info.array != 0)
    if len(failed):
        place = tuple(int(i) for i in failed[0])
        which = f"matrix {place[0] if len(place) == 1 else place} of the batch" if place else "the matrix"
        raise LinAlgError(f"{op}: {which} is {what.format(int(info.array[place]))}")


def _same_dtype(op: str, x: Any, y: Any) -> None:
    if y is not None and not alike(x.array, y.array) and x.array.dtype != y.array.dtype:
        raise DTypeError(f"{op}: the operands have the dtypes {x.array.dtype} and {y.array.dtype}; they must be equal. "
                         "Convert one: x.to(y.dtype)")


def _suggest_transpose(x: Shape, y: Shape) -> str:
    if x[-1] == y[-1]:
        return " Did you mean x @ y.mT?"
    if x[-2] == y[-2]:
        return " Did you mean x.mT @ y?"
    return ""
