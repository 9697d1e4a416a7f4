"""Norms and distances of vectors.

A norm has a corner at 0, and some at every x_i = 0.  There the gradient is PyTorch's choice among the subgradients: 0.
"""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import abs, add, div, mul, pow, sign, sub
from tinygrad_course.ops.axes import normalise_axes, normalise_axis, numpy_names
from tinygrad_course.ops.broadcast import expand
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import eq, gt, lt, where
from tinygrad_course.ops.dtypes import as_dtype, require_tensors
from tinygrad_course.ops.reduce import count, reduced_shape, sum
from tinygrad_course.ops.shape import reshape

__all__ = [
    "dist", "norm", "normalize", "renorm",
]


class VectorNorm(Op):
    """y = (sum |x|^p)^(1/p) over axes;  p = inf: max |x|,  p = -inf: min |x|,  p = 0: how many x are not 0.

    gx = g sign(x) (|x| / y)^(p - 1), 0 where x = 0 or y = 0;  p = inf, -inf: shared equally among the |x| = y."""

    name = "vector_norm"

    @staticmethod
    def shape(x: Shape, axes: tuple[int, ...], p: float, keepdims: bool) -> Shape:
        if (p < 0 or p == math.inf) and count(x, axes) == 0:
            raise ShapeError(f"vector_norm: the norm of no elements is not defined for p = {p}, and shape {x} has none "
                             "to reduce")
        return reduced_shape(x, axes, keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], p: float, keepdims: bool) -> Any:
        if p == 2 and x.dtype.itemsize >= 4:
            y = k.sqrt(k.sum(k.mul(x, x), axes, keepdims))
        elif p == 1 and x.dtype.itemsize >= 4:
            y = k.sum(k.abs(x), axes, keepdims)
        else:
            y = k.vector_norm(x, axes, p, keepdims)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        axes, p, _ = ctx.args
        kept = reduced_shape(x.array.shape, axes, True)
        g, y = reshape(g, kept), reshape(y, kept)
        if p == 0:
            return (mul(expand(g, x.array.shape), 0.0),)
        if p == 1:
            return (mul(g, sign(x)),)
        if math.isinf(p):
            chosen = cast(eq(abs(x), y), x.array.dtype)
            return (mul(g, mul(sign(x), div(chosen, sum(chosen, axes, True)))),)
        zero = eq(y, 0.0)
        length = where(zero, 1.0, y)
        if p == 2:  # without the sign, which would hide that the derivative by x is 1 at x = 0 too
            return (mul(x, where(zero, 0.0, div(g, length))),)
        outside = mul(g, where(zero, 0.0, pow(length, 1.0 - p)))
        corner = eq(x, 0.0)
        inside = where(corner, 0.0, mul(sign(x), pow(where(corner, 1.0, abs(x)), p - 1.0)))
        return (mul(outside, inside),)


@numpy_names
def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """(sum |x|^ord)^(1/ord) over `dim` (an axis, several, or all); see VectorNorm for inf, -inf and 0."""
    require_tensors("vector_norm", x)
    if isinstance(ord, bool | str) or not hasattr(ord, "__float__"):
        raise TypeError(f"vector_norm: the order of the norm must be a number, got {ord!r}")
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    if x.array.dtype.kind != "f":
        raise DTypeError(f"vector_norm: the input has dtype {x.array.dtype}, a norm needs floating point numbers; use "
                         "x.float()")
    return apply(VectorNorm, (x,), (normalise_axes("norm", dim, x.array.ndim), float(ord), keepdim))


@numpy_names
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm of all elements, or over `dim`.

    p: a number (see VectorNorm), 'fro' for the root of the sum of squares, or 'nuc' for the sum of the singular values of
    the matrices in the two axes `dim`."""
    require_tensors("norm", input)
    if p == "nuc":
        return _nuclear(input, dim, keepdim, dtype)
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number, 'fro' or 'nuc', got {p!r}")
    return vector_norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype)


def _nuclear(x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    from tinygrad_course.ops.factor import svdvals
    from tinygrad_course.ops.shape import permute

    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    ndim = x.array.ndim
    given = range(ndim) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    axes = [normalise_axis("norm", axis, ndim) for axis in given]
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ShapeError(f"norm: the nuclear norm is that of matrices; dim must name two different axes of {x.array.shape}, "
                         f"got {dim}")
    matrices = permute(x, [axis for axis in range(ndim) if axis not in axes] + axes)
    return reshape(sum(svdvals(matrices), -1), reduced_shape(x.array.shape, tuple(axes), keepdim))


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input - other, which broadcast."""
    return vector_norm(sub(input, other), p)


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """The input with every slice x[i] along `dim` whose p-norm is larger than `maxnorm` scaled down to it."""
    require_tensors("renorm", input)
    ndim = input.array.ndim
    if ndim < 2:
        raise ShapeError(f"renorm: the input needs at least two axes, got shape {input.array.shape}")
    p, maxnorm = number("renorm", p, "p"), number("renorm", maxnorm, "maxnorm")
    if not p > 0 or not maxnorm >= 0:
        raise ValueError(f"renorm: p must be positive and maxnorm not negative, got p = {p} and maxnorm = {maxnorm}")
    axis = normalise_axis("renorm", dim, ndim)
    lengths = vector_norm(input, p, tuple(a for a in range(ndim) if a != axis), True)
    return mul(input, where(gt(lengths, maxnorm), div(float(maxnorm), add(lengths, 1e-7)), 1.0))


@numpy_names
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """x / max(|x|_p, eps) along `dim`: vectors of length 1; a vector shorter than `eps` is divided by `eps`."""
    length = vector_norm(input, p, dim, True)
    return div(input, where(lt(length, eps), eps, length))
