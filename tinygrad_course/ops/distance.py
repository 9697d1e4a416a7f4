"""Distances and similarities between vectors, in pairs and between all of two sets."""

import math
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, add, div, mul, sign, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import broadcast_shape, expand, sum_to
from tinygrad_course.ops.cast import cast, operands
from tinygrad_course.ops.comparison import eq, where
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.linalg import _same_dtype, matmul, mT
from tinygrad_course.ops.norms import vector_norm
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import unsqueeze

__all__ = [
    "cdist", "cosine_similarity", "pairwise_distance", "pdist",
]

_MANY = 25  # from so many points on, PyTorch's default mode takes matrix products for Euclidean distances


class EuclideanDistance(Op):
    """d_ij = |x_i - y_j| = (|x_i|^2 + |y_j|^2 - 2 x_i y_j)^(1/2), x (..., n, k), y (..., m, k)  ->  (..., n, m).

    One matrix product instead of n m k differences; of near points it loses digits.  With R_ij = g_ij / d_ij, 0 where
    d_ij = 0:  gx_i = (sum_j R_ij) x_i - sum_j R_ij y_j,  and the same for y with R^T."""

    name = "euclidean_distance"

    @staticmethod
    def shape(x: Shape, y: Shape) -> Shape:
        return (*broadcast_shape("cdist (leading axes)", x[:-2], y[:-2]), x[-2], y[-2])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        two, zero = np.full_like(x, 2.0, shape=()), np.zeros_like(x, shape=())
        xx, yy = k.sum(k.mul(x, x), (x.ndim - 1,), True), k.sum(k.mul(y, y), (y.ndim - 1,), True)
        products = k.matmul(k.mul(x, two), np.swapaxes(y, -1, -2))
        square = k.sub(k.add(xx, np.swapaxes(yy, -1, -2)), products)
        d = k.sqrt(k.maximum(square, zero))  # rounding may have put the square below 0
        ctx.save(x, y, d)
        return d

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y, d = ctx.saved
        zero = eq(d, 0.0)
        r = where(zero, 0.0, div(g, where(zero, 1.0, d)))
        rt = mT(r)
        gx = sub(mul(sum(r, -1, True), x), matmul(r, y)) if ctx.needs[0] else None
        gy = sub(mul(sum(rt, -1, True), y), matmul(rt, x)) if ctx.needs[1] else None
        return (None if gx is None else sum_to(gx, x.array.shape), None if gy is None else sum_to(gy, y.array.shape))


class LargestDifference(Op):
    """y = max |x| over the last axis.  Every |x| that is the largest gets the whole gradient, as in PyTorch's cdist."""

    name = "largest_difference"

    @staticmethod
    def shape(x: Shape) -> Shape:
        return x[:-1]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.max(k.abs(x), (x.ndim - 1,), False)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        chosen = cast(eq(abs(x), unsqueeze(y, -1)), x.array.dtype)
        return (mul(unsqueeze(g, -1), mul(sign(x), chosen)),)


def _length(op: str, difference: Any, p: float) -> Any:
    """The p-norm over the last axis."""
    p = number(op, p, "p")
    if not p >= 0:
        raise ValueError(f"{op}: p must not be negative, got {p}")
    if math.isinf(p) and difference.array.shape[-1]:
        return apply(LargestDifference, (difference,))
    return vector_norm(difference, 2.0 if math.isinf(p) else p, -1)  # over nothing every norm is 0


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """p-norm distances between all rows of x1 (..., n, k) and all rows of x2 (..., m, k), as (..., n, m).

    compute_mode: whether Euclidean distances come from a matrix product, which is faster and less exact:
    "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist", or by default if there are more than 25 rows in one of both.
    Where a distance is 0 its gradient is 0."""
    require_tensors("cdist", x1, x2)
    _same_dtype("cdist", x1, x2)
    a, b = x1.array.shape, x2.array.shape
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-1]:
        raise ShapeError(f"cdist: expected rows of equal size, (..., n, k) and (..., m, k), got {a} and {b}")
    broadcast_shape("cdist (leading axes)", a[:-2], b[:-2])
    if x1.array.dtype.kind != "f":
        raise DTypeError(f"cdist: needs floating point numbers, got {x1.array.dtype}; use .float()")
    modes = {"use_mm_for_euclid_dist_if_necessary": max(a[-2], b[-2]) > _MANY, "use_mm_for_euclid_dist": True,
             "donot_use_mm_for_euclid_dist": False}
    if compute_mode not in modes:
        raise ValueError(f"cdist: compute_mode {compute_mode!r} is none of {', '.join(modes)}")
    if p == 2 and modes[compute_mode]:
        return apply(EuclideanDistance, (x1, x2))
    return _length("cdist", sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p)


def pdist(input: Any, p: float = 2.0) -> Any:
    """p-norm distances between every two rows i < j of a matrix (n, k), as a vector of n (n - 1) / 2."""
    require_tensors("pdist", input)
    if input.array.ndim != 2:
        raise ShapeError(f"pdist: expected a matrix, got shape {input.array.shape}")
    if input.array.dtype.kind != "f":
        raise DTypeError(f"pdist: needs floating point numbers, got {input.array.dtype}; use .float()")
    first, second = np.triu_indices(input.array.shape[0], 1)
    return _length("pdist", sub(getitem(input, first), getitem(input, second)), p)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """|x1 - x2 + eps|_p over the last axis; others broadcast.  eps keeps the gradient finite where both are equal."""
    require_tensors("pairwise_distance", x1, x2)
    broadcast_shape("pairwise_distance", x1.array.shape, x2.array.shape)
    return vector_norm(add(sub(x1, x2), eps), p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) over an axis; others broadcast.

    For a norm below eps the gradient is that of the norm, as if it were eps, like PyTorch's."""
    require_tensors("cosine_similarity", x1, x2)
    x1, x2 = operands(x1, x2)
    if x1.array.dtype.kind != "f":
        raise DTypeError(f"cosine_similarity: needs floating point numbers, got {x1.array.dtype}; use .float()")
    shape = broadcast_shape("cosine_similarity", x1.array.shape, x2.array.shape)
    axis = normalise_axis("cosine_similarity", dim, len(shape))
    eps = number("cosine_similarity", eps, "eps")
    if not eps >= 0:
        raise ValueError(f"cosine_similarity: eps must not be negative, got {eps}")
    return sum(mul(*[_unit(expand(x, shape), axis, eps) for x in (x1, x2)]), axis)


def _unit(x: Any, axis: int, eps: float) -> Any:
    norm = vector_norm(x, 2, axis, True)
    short = np.asarray(np.maximum(eps - norm.array, 0), norm.array.dtype)  # a constant, 0 but for the shortest vectors
    return div(x, add(norm, new_tensor(short)))
