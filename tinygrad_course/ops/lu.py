"""LU and LDL^T factorisations, in LAPACK's packed form and unpacked, and systems solved with them."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.grad_mode import is_grad_enabled
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.arithmetic import add, sub
from tinygrad_course.ops.broadcast import broadcast_shape
from tinygrad_course.ops.diagonal import tril, triu
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.factor import columns, identity, rows
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.linalg import _same_dtype, matmul, mT, raise_where, require_matrices
from tinygrad_course.ops.solve import solve_triangular

__all__ = [
    "lu", "lu_solve", "lu_unpack",
]


class PLU(NamedTuple):
    """A = P L U."""

    P: Any
    L: Any
    U: Any


class LUFactor(NamedTuple):
    """L and U in one matrix, and the row exchanges."""

    LU: Any
    pivots: Any


class LUFactorEx(NamedTuple):
    """L and U in one matrix, the row exchanges, and per matrix 0 or the number of the first pivot that is 0."""

    LU: Any
    pivots: Any
    info: Any


class LDL(NamedTuple):
    """L and D in one matrix, and the row exchanges."""

    LD: Any
    pivots: Any


class LDLEx(NamedTuple):
    """L and D in one matrix, the row exchanges, and per matrix 0 or the number of the first block of D that is 0."""

    LD: Any
    pivots: Any
    info: Any


class LU(Op):
    """P X = L U, with L and U in one matrix; pivots and info.

    For square X:  dX = P^T L^-T (tril(L^T G_L, -1) + triu(G_U U^T)) U^-T.  In a tall matrix the rows of L below the square
    are X_2 U^-1, in a wide one the columns of U beyond it are L^-1 X_2; their gradients flow on to X_2, U and L."""

    name = "lu_factor"

    @staticmethod
    def shape(x: Shape, pivot: bool) -> tuple[Shape, Shape, Shape]:
        return x, (*x[:-2], min(x[-2:])), x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, pivot: bool) -> Any:
        lu, pivots, info = k.lu_factor(x, pivot)
        ctx.save(lu)
        ctx.constants = pivots
        return lu, pivots, info

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any, __: Any) -> Any:
        y, = ctx.saved
        m, n = y.array.shape[-2:]
        k = min(m, n)
        square, gsquare = rows(columns(y, None, k), None, k), rows(columns(g, None, k), None, k)
        lower = add(tril(square, -1), identity(k, y.array.dtype))
        upper = triu(square)
        gl, gu = tril(gsquare, -1), triu(gsquare)
        rest = None
        if m > n:
            rest = solve_triangular(mT(upper), rows(g, k, None), upper=False, left=False)
            gu = sub(gu, matmul(mT(rows(y, k, None)), rest))
        elif m < n:
            rest = solve_triangular(mT(lower), columns(g, k, None), upper=True, unitriangular=True)
            gl = sub(gl, matmul(rest, mT(columns(y, k, None))))
        inside = add(tril(matmul(mT(lower), gl), -1), triu(matmul(gu, mT(upper))))
        gx = solve_triangular(mT(lower), inside, upper=True, unitriangular=True)
        gx = solve_triangular(mT(upper), gx, upper=False, left=False)
        if rest is not None:
            gx = cat((gx, rest), -2 if m > n else -1)
        return (matmul(_permutation(ctx.constants, m, y.array.dtype), gx),)


def _permutation(pivots: Any, m: int, dtype: Any) -> Any:
    """P with A = P L U from the row exchanges."""
    *batch, k = pivots.shape
    order = np.tile(np.arange(m), (*batch, 1))
    for j in range(k):
        other = pivots[..., j, None].astype(np.int64) - 1
        moved = np.take_along_axis(order, other, -1)
        np.put_along_axis(order, other, order[..., j, None].copy(), -1)
        order[..., j] = moved[..., 0]
    # Row i of L U is row order[i] of A, so P has a 1 there.
    return new_tensor((order[..., None, :] == np.arange(m)[:, None]).astype(dtype))


class LdlFactor(Op):
    """X = P L D L^T P^T for symmetric X, of which the lower triangle is read.

    D has blocks of 1 x 1 and 2 x 2.  No gradient."""

    name = "ldl_factor"
    differentiable = False

    @staticmethod
    def shape(x: Shape) -> tuple[Shape, Shape, Shape]:
        return x, x[:-1], x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.ldl_factor(x)


class LdlSolve(Op):
    """Y with X Y = B, where X is given by what ldl_factor returns.  No gradient."""

    name = "ldl_solve"
    differentiable = False

    @staticmethod
    def shape(ld: Shape, pivots: Shape, b: Shape) -> Shape:
        return (*broadcast_shape("ldl_solve (leading axes)", ld[:-2], b[:-2]), *b[-2:])

    @staticmethod
    def forward(ctx: Node, k: Any, ld: Any, pivots: Any, b: Any) -> Any:
        return k.ldl_solve(ld, pivots, b)


# -- LU ------------------------------------------------------------------------------------------------------------------


def lu_factor_ex(A: Any, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info): L (unit lower triangular) and U in one matrix, the row exchanges counted from 1, and 0 or the
    number of the first pivot that is 0."""
    require_matrices("lu_factor", A)
    y, pivots, info = apply(LU, (A,), (bool(pivot),))
    if check_errors:
        raise_where("lu_factor", info, "singular: pivot {} of its LU factorisation is 0")
    return LUFactorEx(y, pivots, info)


def lu_factor(A: Any, pivot: bool = True) -> Any:
    """(LU, pivots): L (unit lower triangular) and U in one matrix, and the row exchanges, counted from 1."""
    return LUFactor(*lu_factor_ex(A, pivot)[:2])


def lu(input: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots) or (LU, pivots, infos); see linalg.lu_factor_ex."""
    y, pivots, info = lu_factor_ex(input, pivot)
    return (y, pivots, info) if get_infos else (y, pivots)


def linalg_lu(A: Any, pivot: bool = True) -> Any:
    """(P, L, U) with A = P L U: a permutation, a unit lower triangular and an upper triangular matrix."""
    y, pivots, _ = lu_factor_ex(A, pivot)
    return lu_unpack(y, pivots)


def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """(P, L, U) from what lu_factor returns; what is not unpacked is empty."""
    require_matrices("lu_unpack", LU_data)
    require_tensors("lu_unpack", LU_data, LU_pivots)
    m, n = LU_data.array.shape[-2:]
    k, dtype = min(m, n), LU_data.array.dtype
    permutation = new_tensor(np.zeros(0, dtype))
    lower = upper = permutation
    if unpack_pivots:
        _check_pivots("lu_unpack", LU_data.array.shape, LU_pivots)
        permutation = _permutation(LU_pivots.array, m, dtype)
    if unpack_data:
        lower = add(tril(columns(LU_data, None, k), -1), new_tensor(np.eye(m, k, dtype=dtype)))
        upper = triu(rows(LU_data, None, k))
    return PLU(permutation, lower, upper)


def _check_pivots(op: str, lu: Shape, pivots: Any) -> None:
    """Raise unless the row exchanges are those of matrices LU of that shape: they say which rows are read."""
    if pivots.array.dtype != np.int32:
        raise DTypeError(f"{op}: the pivots must be int32, as lu_factor returns them, got {pivots.array.dtype}")
    wanted = (*lu[:-2], min(lu[-2:]))
    if pivots.array.shape != wanted:
        raise ShapeError(f"{op}: LU of shape {lu} needs pivots of shape {wanted}, got {pivots.array.shape}; give both as "
                         "lu_factor returned them")
    if pivots.array.size and (pivots.array.min() < 1 or pivots.array.max() > lu[-2]):
        raise IndexError(f"{op}: the pivots must be between 1 and {lu[-2]}, the number of rows; they are between "
                         f"{pivots.array.min()} and {pivots.array.max()}")


def linalg_lu_solve(LU: Any, pivots: Any, B: Any, left: bool = True, adjoint: bool = False) -> Any:
    """X with A X = B (X A = B with left=False, A^T for A if `adjoint`), where A is given by what lu_factor returns."""
    require_matrices("lu_solve", LU, square=True)
    require_tensors("lu_solve", LU, pivots)
    _check_pivots("lu_solve", LU.array.shape, pivots)
    require_matrices("lu_solve", B)
    _same_dtype("lu_solve", LU, B)
    if not left:
        return mT(linalg_lu_solve(LU, pivots, mT(B), adjoint=not adjoint))
    p = lu_unpack(LU, pivots, unpack_data=False).P
    if adjoint:
        y = solve_triangular(mT(LU), B, upper=False)
        return matmul(p, solve_triangular(mT(LU), y, upper=True, unitriangular=True))
    y = solve_triangular(LU, matmul(mT(p), B), upper=False, unitriangular=True)
    return solve_triangular(LU, y, upper=True)


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """X with A X = b, where A is given by what lu_factor returns."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


# -- LDL^T ---------------------------------------------------------------------------------------------------------------


def ldl_factor_ex(A: Any, hermitian: bool = False, check_errors: bool = False) -> Any:
    """(LD, pivots, info) of symmetric matrices, of which the lower triangle is read.

    LD is unit lower triangular L with the blocks of D on and below its diagonal; row i was exchanged with row pivots[i] - 1,
    and two equal negative pivots -p stand for a block of 2 x 2, whose second row was exchanged with row p - 1.
    For real matrices `hermitian` makes no difference.  It has no gradient, as in PyTorch."""
    require_matrices("ldl_factor", A, square=True)
    _refuse_gradient("ldl_factor", A)
    ld, pivots, info = apply(LdlFactor, (A,))
    if check_errors:
        raise_where("ldl_factor", info, "singular: block {} of D is 0")
    return LDLEx(ld, pivots, info)


def ldl_factor(A: Any, hermitian: bool = False) -> Any:
    """(LD, pivots) of symmetric matrices; see ldl_factor_ex."""
    return LDL(*ldl_factor_ex(A, hermitian, check_errors=True)[:2])


def ldl_solve(LD: Any, pivots: Any, B: Any, hermitian: bool = False) -> Any:
    """X with A X = B, where A is given by what ldl_factor returns.  It has no gradient, as in PyTorch."""
    require_matrices("ldl_solve", LD, square=True)
    require_matrices("ldl_solve", B)
    _same_dtype("ldl_solve", LD, B)
    _refuse_gradient("ldl_solve", LD, B)
    if LD.array.shape[-1] != B.array.shape[-2] or pivots.array.shape != LD.array.shape[:-1]:
        raise ShapeError(f"ldl_solve: LD {LD.array.shape}, pivots {pivots.array.shape} and B {B.array.shape} do not fit: "
                         "pivots have the shape of LD without its last axis, B as many rows as LD")
    return apply(LdlSolve, (LD, pivots, B))


def _refuse_gradient(op: str, *tensors: Any) -> None:
    if is_grad_enabled() and any(tensor.track for tensor in tensors):
        raise GraphError(f"{op}: has no gradient, but an input requires one; use x.detach() or no_grad()")
