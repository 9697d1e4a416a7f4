"""Linear systems, inverses and determinants.

The derivatives are those of M. Giles (2008), "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation", section 2.  G is the gradient of the result.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import GraphError, ShapeError
from tinygrad_course.ops.arguments import integer, integers, number
from tinygrad_course.ops.arithmetic import add, mul, neg, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import broadcast_shape, expand, sum_to
from tinygrad_course.ops.cast import clone
from tinygrad_course.ops.comparison import lt, where
from tinygrad_course.ops.diagonal import tril, triu
from tinygrad_course.ops.dtypes import int64, require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.linalg import _same_dtype, matmul, mT, raise_where, require_finite, require_matrices
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import permute, reshape, squeeze, unsqueeze

__all__ = [
    "det", "inverse", "logdet", "pinverse", "slogdet", "triangular_solve",
]

_SINGULAR = "singular: pivot {} of its LU factorisation is 0"


class SlogDet(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


class InvEx(NamedTuple):
    """Inverse, and per matrix 0 or the number of the first pivot that is 0."""

    inverse: Any
    info: Any


class SolveEx(NamedTuple):
    """Solution, and per matrix 0 or the number of the first pivot that is 0."""

    result: Any
    info: Any


class TriangularSolve(NamedTuple):
    """Solution, and a copy of the triangular matrix."""

    solution: Any
    cloned_coefficient: Any


class LeastSquares(NamedTuple):
    """Result of lstsq; what was not computed is empty."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


class Inv(Op):
    """Y = X^-1 and the info of the factorisation.  dX = -Y^T G Y^T (Giles 2.2.3)."""

    name = "inv"

    @staticmethod
    def shape(x: Shape) -> tuple[Shape, Shape]:
        return x, x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y, info = k.inv(x)
        ctx.save(y)
        return y, info

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        yt = mT(ctx.saved[0])
        return (neg(matmul(matmul(yt, g), yt)),)


class Solve(Op):
    """X with A X = B, and the info of the factorisation.  dB = A^-T G, dA = -dB X^T (Giles 2.3.1).

    A (..., n, n), B (..., n, k); leading axes broadcast."""

    name = "solve"

    @staticmethod
    def shape(a: Shape, b: Shape) -> tuple[Shape, Shape]:
        if a[-1] != b[-2]:
            raise ShapeError(f"solve: A {a} has {a[-1]} columns, B {b} has {b[-2]} rows; they must be equal")
        return (*broadcast_shape("solve (leading axes)", a[:-2], b[:-2]), *b[-2:]), a[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, a: Any, b: Any) -> Any:
        x, info = k.solve(a, b)
        ctx.save(a, x)
        ctx.constants = b.shape
        return x, info

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        a, x = ctx.saved
        gb = apply(Solve, (mT(a), g))[0]
        return (sum_to(neg(matmul(gb, mT(x))), a.array.shape) if ctx.needs[0] else None,
                sum_to(gb, ctx.constants) if ctx.needs[1] else None)


class SolveTriangular(Op):
    """X with A X = B for triangular A.  dB = A^-T G, dA = -dB X^T within the triangle that is read."""

    name = "solve_triangular"

    @staticmethod
    def shape(a: Shape, b: Shape, upper: bool, unitriangular: bool) -> Shape:
        if a[-1] != b[-2]:
            raise ShapeError(f"solve_triangular: A {a} has {a[-1]} columns, B {b} has {b[-2]} rows; they must be equal")
        return (*broadcast_shape("solve_triangular (leading axes)", a[:-2], b[:-2]), *b[-2:])

    @staticmethod
    def forward(ctx: Node, k: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
        x = k.solve_triangular(a, b, upper, unitriangular)
        ctx.save(a, x)
        ctx.constants = b.shape
        return x

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        a, x = ctx.saved
        upper, unit = ctx.args
        gb = apply(SolveTriangular, (mT(a), g), (not upper, unit))
        ga = None
        if ctx.needs[0]:
            triangle = sum_to(neg(matmul(gb, mT(x))), a.array.shape)
            ga = triu(triangle, int(unit)) if upper else tril(triangle, -int(unit))
        return ga, sum_to(gb, ctx.constants) if ctx.needs[1] else None


class Det(Op):
    """y = det X.  dX = g times the cofactors of X, which for invertible X are y X^-T (Giles 2.2.4)."""

    name = "det"

    @staticmethod
    def shape(x: Shape) -> Shape:
        return x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.det(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(apply(Cofactor, (x,)), reshape(g, (*g.array.shape, 1, 1))),)


class Cofactor(Op):
    """C = det(X) X^-T, also where X is singular.

    With Y = X^-T:  dX = det(X) (<G, Y> Y - Y G^T Y), where <,> is the sum of the products of all elements."""

    name = "cofactor"

    @staticmethod
    def shape(x: Shape) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        ctx.constants = k.singular_values(x)
        return k.cofactor(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        s = ctx.constants
        if (s.min(-1, initial=np.inf) <= np.sqrt(np.finfo(s.dtype).eps) * s.max(-1, initial=0.0)).any():
            return (apply(CofactorAdjoint, (x, g)),)  # the formula above would take a small difference of large numbers
        y = mT(apply(Inv, (x,))[0])
        d = det(x)
        change = sub(mul(sum(mul(g, y), (-2, -1), True), y), matmul(matmul(y, mT(g)), y))
        return (mul(change, reshape(d, (*d.array.shape, 1, 1))),)


class CofactorAdjoint(Op):
    """d <G, cofactors of X> / dX, also where X is singular: the second derivative of det, which is symmetric."""

    name = "cofactor_adjoint"

    @staticmethod
    def shape(x: Shape, g: Shape) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, g: Any) -> Any:
        ctx.save(x)
        return k.cofactor_adjoint(x, g)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        if ctx.needs[0]:
            raise GraphError("det: a third derivative at a matrix that is singular, or nearly so, is not implemented")
        return None, apply(CofactorAdjoint, (ctx.saved[0], v))


class LogDet(Op):
    """(sign, ln |det X|).  dX = g X^-T for the logarithm; the sign is constant."""

    name = "slogdet"

    @staticmethod
    def shape(x: Shape) -> tuple[Shape, Shape]:
        return x[:-2], x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.slogdet(x)

    @staticmethod
    def backward(ctx: Node, _: Any, g: Any) -> Any:
        x, = ctx.saved
        if g is None:
            return (mul(x, 0.0),)
        y, info = apply(Inv, (x,))
        if info.array.any():
            raise GraphError("slogdet: a matrix is singular, where the logarithm of the determinant has no derivative")
        return (mul(mT(y), reshape(g, (*g.array.shape, 1, 1))),)


class Pinv(Op):
    """P = X^+, the Moore-Penrose inverse.  While the rank stays the same (Golub & Pereyra 1973, eq. 4.12):

    dX = -P^T G P^T + (1 - X P) G^T P P^T + P^T P G^T (1 - P X)."""

    name = "pinv"

    @staticmethod
    def shape(x: Shape, atol: Any, rtol: Any, hermitian: bool) -> Shape:
        return (*x[:-2], x[-1], x[-2])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
        p = k.pinv(x, atol, rtol, hermitian)
        ctx.save(x, p)
        return p

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, p = ctx.saved
        pt, gt = mT(p), mT(g)
        right = matmul(matmul(gt, p), pt)
        left = matmul(pt, matmul(p, gt))
        change = add(sub(right, matmul(x, matmul(p, right))), sub(left, matmul(matmul(left, p), x)))
        return (sub(change, matmul(matmul(pt, g), pt)),)


# -- systems -------------------------------------------------------------------------------------------------------------


def _solve(op: str, A: Any, B: Any, left: bool) -> tuple[Any, Any]:
    require_matrices(op, A, square=True)
    require_tensors(op, A, B)
    _same_dtype(op, A, B)
    a, b = A.array.shape, B.array.shape
    if len(b) == 1 or (len(a) - 1 == len(b) and b == a[:-1]):
        if not left:
            raise ShapeError(f"{op}: left=False needs matrices on the right side, got vectors {b}")
        if a[-1] != b[-1]:
            raise ShapeError(f"{op}: A {a} has {a[-1]} columns, the vector {b} has {b[-1]} elements; they must be equal")
        x, info = apply(Solve, (A, unsqueeze(B, -1)))
        return squeeze(x, -1), info
    require_matrices(op, B)
    if left:
        x, info = apply(Solve, (A, B))
    else:
        x, info = apply(Solve, (mT(A), mT(B)))  # X A = B  <=>  A^T X^T = B^T
        x = mT(x)
    return x, info


def solve(A: Any, B: Any, left: bool = True) -> Any:
    """X with A X = B (or X A = B with left=False), for a vector, a matrix or stacks of them; leading axes broadcast.

    B counts as a stack of vectors if it has the shape of A without its last axis.  Raises LinAlgError if A is singular."""
    x, info = _solve("solve", A, B, left)
    raise_where("solve", info, _SINGULAR)
    return x


def solve_ex(A: Any, B: Any, left: bool = True, check_errors: bool = False) -> Any:
    """(result, info) of `solve`, without an error for singular matrices unless check_errors: their results are NaN."""
    x, info = _solve("solve_ex", A, B, left)
    if check_errors:
        raise_where("solve_ex", info, _SINGULAR)
    return SolveEx(x, info)


def solve_triangular(A: Any, B: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """X with A X = B (or X A = B with left=False) for a triangular A, whose other triangle is not read.

    unitriangular: the diagonal is taken for 1.  A zero on the diagonal gives infinity."""
    require_matrices("solve_triangular", A, square=True)
    require_matrices("solve_triangular", B)
    _same_dtype("solve_triangular", A, B)
    if left:
        return apply(SolveTriangular, (A, B), (bool(upper), bool(unitriangular)))
    return mT(apply(SolveTriangular, (mT(A), mT(B)), (not upper, bool(unitriangular))))


def triangular_solve(input: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """(X with A X = input, a copy of A) for a triangular A, or with A^T for A if `transpose`.

    The older form of linalg.solve_triangular."""
    require_matrices("triangular_solve", input)
    require_matrices("triangular_solve", A, square=True)
    _same_dtype("triangular_solve", input, A)
    batch = broadcast_shape("triangular_solve (leading axes)", input.array.shape[:-2], A.array.shape[:-2])
    x = solve_triangular(mT(A) if transpose else A, input, upper != transpose, unitriangular=unitriangular)
    return TriangularSolve(x, clone(expand(A, (*batch, *A.array.shape[-2:]))))


def inv(A: Any) -> Any:
    """Inverse of square matrices; raises LinAlgError if one is singular."""
    require_matrices("inv", A, square=True)
    y, info = apply(Inv, (A,))
    raise_where("inv", info, _SINGULAR)
    return y


def inverse(input: Any) -> Any:
    """The same as linalg.inv."""
    return inv(input)


def inv_ex(A: Any, check_errors: bool = False) -> Any:
    """(inverse, info), without an error for singular matrices unless check_errors: their inverses are NaN."""
    require_matrices("inv_ex", A, square=True)
    y, info = apply(Inv, (A,))
    if check_errors:
        raise_where("inv_ex", info, _SINGULAR)
    return InvEx(y, info)


# -- determinants --------------------------------------------------------------------------------------------------------


def det(input: Any) -> Any:
    """Determinant of square matrices, (..., n, n) -> (...)."""
    require_matrices("det", input, square=True)
    return apply(Det, (input,))


def slogdet(input: Any) -> Any:
    """(sign, ln |det|) of square matrices, which neither overflows nor underflows; (0, -inf) if a matrix is singular."""
    require_matrices("slogdet", input, square=True)
    return SlogDet(*apply(LogDet, (input,)))


def logdet(input: Any) -> Any:
    """ln det of square matrices; -inf if a matrix is singular, NaN if its determinant is negative."""
    sign, logarithm = slogdet(input)
    return where(lt(sign, 0.0), math.nan, logarithm)


# -- least squares -------------------------------------------------------------------------------------------------------


def tolerances(op: str, x: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """(atol, rtol) as arrays: below max(atol, rtol * the largest) a singular value counts as 0.

    Without both rtol is max(m, n) eps; with a positive atol it is 0."""
    xp = backend.array_module(x.array)
    dtype = x.array.dtype

    def array(value: Any) -> Any:
        return xp.asarray(value.array if isinstance(value, TensorBase) else number(op, value, "tolerance"), dtype)

    absolute = array(0.0 if atol is None else atol)
    if rtol is None:
        usual = max(x.array.shape[-2:]) * np.finfo(dtype).eps
        return absolute, xp.where(absolute > 0, xp.zeros((), dtype), xp.asarray(usual, dtype))
    return absolute, array(rtol)


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, atol: Any = None, rtol: Any = None) -> Any:
    """Moore-Penrose inverse, from the singular values above max(atol, rtol * the largest).

    Without both, rtol is max(m, n) eps.  rcond is the older name of rtol; hermitian: A is symmetric, and only its lower
    triangle is read."""
    require_matrices("pinv", A, square=hermitian)
    require_finite("pinv", A)
    return apply(Pinv, (A,), (*tolerances("pinv", A, atol, rcond if rtol is None else rtol), bool(hermitian)))


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """Moore-Penrose inverse, from the singular values above rcond times the largest."""
    return pinv(input, rtol=rcond)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, atol: Any = None, rtol: Any = None) -> Any:
    """Number of singular values above max(atol, rtol * the largest); without both rtol is max(m, n) eps.

    tol is the older form of atol, with rtol = 0.  hermitian: A is symmetric, and only its lower triangle is read."""
    require_matrices("matrix_rank", A, square=hermitian)
    require_finite("matrix_rank", A)
    absolute, relative = tolerances("matrix_rank", A, atol if tol is None else tol, rtol if tol is None else 0.0)
    kernels = backend.kernels_for("matrix_rank", [A.array])
    s = abs(kernels.eigh(A.array, "L")[0]) if hermitian else kernels.singular_values(A.array)
    limit = np.maximum(absolute, relative * s.max(-1, initial=0.0))
    return new_tensor(np.asarray((s > limit[..., None]).sum(-1)).astype(int64))


def lstsq(A: Any, B: Any, rcond: Any = None, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of the least squares problem min |A X - B|, from the pseudo-inverse.

    driver: as in LAPACK, decides which of the results are given: "gelsy" (the default) rank; "gels", for full rank, the
    residuals; "gelsd" and "gelss" rank, residuals and singular values.  The others are empty.  residuals are the squared
    distances of the columns, if A has more rows than columns and full rank."""
    require_matrices("lstsq", A)
    require_tensors("lstsq", A, B)
    _same_dtype("lstsq", A, B)
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise ValueError(f"lstsq: driver {driver!r} is none of 'gels', 'gelsy', 'gelsd', 'gelss'")
    a, b = A.array.shape, B.array.shape
    vector = len(a) - 1 == len(b) and b == a[:-1]
    right = unsqueeze(B, -1) if vector else B
    if right.array.ndim < 2 or right.array.shape[-2] != a[-2]:
        raise ShapeError(f"lstsq: A {a} and B {b} must have the same number of rows")
    solution = matmul(pinv(A, rtol=rcond), right)
    m, n = a[-2:]
    rank = new_tensor(np.zeros(0, int64)) if driver == "gels" else matrix_rank(A, rtol=rcond)
    residuals = getitem(reshape(solution, (-1,)), (slice(0, 0),))  # empty, but in the graph as in PyTorch
    if m > n and driver != "gelsy" and (driver == "gels" or bool((rank.array == n).all())):
        error = sub(matmul(A, solution), right)
        residuals = sum(mul(error, error), -2)
    values = np.zeros(0, A.array.dtype)
    if driver in ("gelsd", "gelss"):
        values = backend.kernels_for("lstsq", [A.array]).singular_values(A.array)
    return LeastSquares(squeeze(solution, -1) if vector else solution, residuals, rank, new_tensor(values))


# -- tensors as matrices -------------------------------------------------------------------------------------------------


def tensorinv(A: Any, ind: int = 2) -> Any:
    """Inverse of A as a matrix from its axes after the first `ind` to those: tensordot(tensorinv(A, ind), B, ind) = X with
    tensordot(A, X, X.ndim) = B."""
    require_tensors("tensorinv", A)
    shape = A.array.shape
    ind = integer("tensorinv", "ind", ind)
    if ind <= 0:
        raise ShapeError(f"tensorinv: ind must be positive, got {ind}")
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise ShapeError(f"tensorinv: {shape} with ind = {ind} is a matrix of {rows} x {columns}, which must be square")
    return reshape(inv(reshape(A, (rows, columns))), (*shape[ind:], *shape[:ind]))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """X with tensordot(A, X, X.ndim) = B.  dims: axes of A that are moved to its end first."""
    require_tensors("tensorsolve", A, B)
    if dims is not None:
        moved = [normalise_axis("tensorsolve", d, A.array.ndim) for d in integers("tensorsolve", "dims", dims)]
        A = permute(A, [d for d in range(A.array.ndim) if d not in moved] + moved)
    shape = A.array.shape[B.array.ndim:]
    rows, columns = B.array.size, math.prod(shape)
    if rows != columns or math.prod(A.array.shape[:B.array.ndim]) != rows:
        raise ShapeError(f"tensorsolve: A {A.array.shape} must have {rows} = {B.array.shape} values along its first "
                         f"{B.array.ndim} axes and as many along the others, got {columns}")
    return reshape(solve(reshape(A, (rows, columns)), reshape(B, (rows,))), shape)
