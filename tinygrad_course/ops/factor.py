"""Factorisations of matrices: Cholesky, QR, eigenvectors, singular values.

In the formulas G_Y is the gradient of the factor Y, and the gradient of the matrix is written dX.
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import GraphError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import add, div, mul, neg, sub
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.diagonal import diag_embed, tril
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.linalg import _same_dtype, matmul, mT, raise_where, require_finite, require_matrices
from tinygrad_course.ops.random import draw
from tinygrad_course.ops.reduce import mean
from tinygrad_course.ops.shape import unsqueeze
from tinygrad_course.ops.solve import solve_triangular

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "geqrf", "orgqr", "ormqr", "pca_lowrank", "qr", "svd", "svd_lowrank",
]


class QR(NamedTuple):
    """Orthogonal and triangular factor."""

    Q: Any
    R: Any


class Eigh(NamedTuple):
    """Ascending eigenvalues, and eigenvectors in columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


class OldSVD(NamedTuple):
    """A = U diag(S) V^T."""

    U: Any
    S: Any
    V: Any


class CholeskyEx(NamedTuple):
    """Factor, and per matrix 0 or the order of the first leading minor that is not positive."""

    L: Any
    info: Any


class Geqrf(NamedTuple):
    """R and the Householder vectors below it in one matrix, and the factors of the reflections."""

    a: Any
    tau: Any


def columns(x: Any, start: int | None, stop: int | None) -> Any:
    """x[..., start:stop]."""
    return getitem(x, (..., slice(start, stop)))


def rows(x: Any, start: int | None, stop: int | None) -> Any:
    """x[..., start:stop, :]."""
    return getitem(x, (..., slice(start, stop), slice(None)))


def identity(n: int, dtype: Any) -> Any:
    """The unit matrix as a constant."""
    return new_tensor(np.eye(n, dtype=dtype))


# -- ops -----------------------------------------------------------------------------------------------------------------


class Cholesky(Op):
    """X = L L^T with lower triangular L, and info.  Only the lower triangle of X is read.

    dX = (L^-T S L^-1) / 2 with S = the symmetric matrix that has the lower triangle of L^T G (Murray 2016, "Differentiation
    of the Cholesky decomposition", eq. 10).  The gradient is symmetric, as X is."""

    name = "cholesky"

    @staticmethod
    def shape(x: Shape) -> tuple[Shape, Shape]:
        return x, x[:-2]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y, info = k.cholesky(x)
        ctx.save(y)
        return y, info

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        y, = ctx.saved
        s = matmul(mT(y), g)
        s = mul(add(tril(s), mT(tril(s, -1))), 0.5)
        half = solve_triangular(mT(y), s, upper=True)
        return (solve_triangular(y, half, upper=False, left=False),)


class QrOp(Op):
    """X = Q R, for X (..., m, n) with m >= n: Q (..., m, n) with orthonormal columns, R upper triangular.

    dX = (G_Q + Q S) R^-T with S = the symmetric matrix that has the lower triangle of R G_R^T - G_Q^T Q (Walter & Lehmann
    2018, "Algorithmic differentiation of linear algebra functions with application in optimum experimental design", section
    on QR; Liao et al. 2019, "Differentiable programming tensor networks", eq. 5).

    Other modes have no gradient: "complete", Q (..., m, m), whose further columns are not unique; "r", an empty Q;
    "raw", LAPACK's (R with the Householder vectors below it, tau)."""

    name = "qr"

    @staticmethod
    def shape(x: Shape, mode: str) -> tuple[Shape, Shape]:
        *batch, m, n = x
        k = min(m, n)
        shapes: dict[str, tuple[Shape, Shape]] = {
            "reduced": ((*batch, m, k), (*batch, k, n)), "complete": ((*batch, m, m), x), "r": ((0,), (*batch, k, n)),
            "raw": (x, (*batch, k))}
        return shapes[mode]

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, mode: str) -> Any:
        if mode == "raw":
            return k.geqrf(x)
        q, r = k.qr(x, "reduced" if mode == "r" else mode)
        if mode == "r":
            return q.reshape(-1)[:0].copy(), r
        ctx.save(q, r)
        return q, r

    @staticmethod
    def backward(ctx: Node, gq: Any, gr: Any) -> Any:
        if ctx.args[0] != "reduced":
            raise GraphError(_NO_GRADIENT[ctx.args[0]])
        q, r = ctx.saved
        m = None
        if gr is not None:
            m = matmul(r, mT(gr))
        if gq is not None:
            inner = matmul(mT(gq), q)
            m = neg(inner) if m is None else sub(m, inner)
        change = matmul(q, add(tril(m), mT(tril(m, -1))))
        if gq is not None:
            change = add(change, gq)
        return (solve_triangular(mT(r), change, upper=False, left=False),)


_NO_GRADIENT = {
    "complete": "qr: with mode='complete' and more rows than columns the last columns of Q are not unique, so there is no "
                "gradient; use mode='reduced'",
    "r": "qr: the gradient needs Q, which mode='r' does not compute; use mode='reduced'",
    "raw": "geqrf: has no gradient; use linalg.qr",
}


class EighOp(Op):
    """X = V diag(w) V^T for symmetric X, of which one triangle is read.

    dX = V (diag(G_w) + K / E) V^T with E_ij = w_j - w_i and K = (V^T G_V - G_V^T V) / 2 (Giles 2008, section 3.1, made
    symmetric as X is).  Eigenvectors of equal eigenvalues have no derivative: it is infinite or NaN."""

    name = "eigh"

    @staticmethod
    def shape(x: Shape, uplo: str) -> tuple[Shape, Shape]:
        return x[:-1], x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, uplo: str) -> Any:
        w, v = k.eigh(x, uplo)
        ctx.save(w, v)
        return w, v

    @staticmethod
    def backward(ctx: Node, gw: Any, gv: Any) -> Any:
        w, v = ctx.saved
        vt = mT(v)
        if gv is None:
            return (matmul(mul(v, unsqueeze(gw, -2)), vt),)
        vtg = matmul(vt, gv)
        inside = _over_differences(mul(sub(vtg, mT(vtg)), 0.5), w)
        if gw is not None:
            inside = add(inside, diag_embed(gw))
        return (matmul(matmul(v, inside), vt),)


class Svd(Op):
    """X = U diag(S) V^T, X (..., m, n), U (..., m, k), V^T (..., k, n), k = min(m, n).

    dX = U ((A S + S B) + diag(G_S)) V^T + (1 - U U^T) G_U S^-1 V^T + U S^-1 G_V^T (1 - V V^T) with
    A = (U^T G_U - G_U^T U) / E, B = (V^T G_V - G_V^T V) / E and E_ij = s_j^2 - s_i^2 (Townsend 2016, "Differentiating the
    singular value decomposition", eq. 31; Wan & Zhang 2019, "Automatic differentiation for complex valued SVD").
    Singular vectors of equal singular values have no derivative: it is infinite or NaN.  With full_matrices the further
    columns of U and V are not unique; a gradient for them is an error."""

    name = "svd"

    @staticmethod
    def shape(x: Shape, full_matrices: bool) -> tuple[Shape, Shape, Shape]:
        *batch, m, n = x
        k = min(m, n)
        return (*batch, m, m if full_matrices else k), (*batch, k), (*batch, n if full_matrices else k, n)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, full_matrices: bool) -> Any:
        u, s, vh = k.svd(x, full_matrices)
        ctx.save(u, s, vh)
        return u, s, vh

    @staticmethod
    def backward(ctx: Node, gu: Any, gs: Any, gvh: Any) -> Any:
        u, s, vh = ctx.saved
        k = s.array.shape[-1]
        if ctx.args[0]:
            u, vh = columns(u, None, k), rows(vh, None, k)
            gu = None if gu is None else _unique("U", gu, columns(gu, None, k), columns(gu, k, None))
            gvh = None if gvh is None else _unique("Vh", gvh, rows(gvh, None, k), rows(gvh, k, None))
        row = unsqueeze(s, -2)
        inside = None if gs is None else diag_embed(gs)
        outside = None
        if gu is not None:
            utg = matmul(mT(u), gu)
            inside = _plus(inside, mul(_over_differences(sub(utg, mT(utg)), mul(s, s)), row))
            if u.array.shape[-2] > k:
                outside = matmul(sub(div(gu, row), matmul(u, div(utg, row))), vh)
        if gvh is not None:
            column = unsqueeze(s, -1)
            vtg = matmul(vh, mT(gvh))
            inside = _plus(inside, mul(_over_differences(sub(vtg, mT(vtg)), mul(s, s)), column))
            if vh.array.shape[-1] > k:
                right = sub(div(gvh, column), matmul(div(mT(vtg), column), vh))
                outside = _plus(outside, matmul(u, right))
        return (_plus(outside, matmul(matmul(u, inside), vh)),)


def _plus(x: Any, y: Any) -> Any:
    return y if x is None else add(x, y)


def _unique(name: str, g: Any, used: Any, rest: Any) -> Any:
    if np.any(rest.array):
        count = rest.array.shape[-1 if name == "U" else -2]
        raise GraphError(f"svd: with full_matrices=True the last {count} vectors of {name} are not unique, so a result that "
                         "depends on them has no gradient; use full_matrices=False")
    return used


def _over_differences(x: Any, w: Any) -> Any:
    """x_ij / (w_j - w_i), 0 on the diagonal."""
    e = sub(unsqueeze(w, -2), unsqueeze(w, -1))
    diagonal = new_tensor(np.eye(w.array.shape[-1], dtype=bool))
    return where(diagonal, 0.0, div(x, where(diagonal, 1.0, e)))


# -- Cholesky ------------------------------------------------------------------------------------------------------------

_INDEFINITE = "not positive definite: its leading minor of order {} is not positive"


def _cholesky(op: str, x: Any, upper: bool) -> tuple[Any, Any]:
    require_matrices(op, x, square=True)
    y, info = apply(Cholesky, (mT(x) if upper else x,))
    return mT(y) if upper else y, info


def cholesky(input: Any, upper: bool = False) -> Any:
    """Lower triangular L with L L^T = input, or upper triangular U with U^T U = input.  Raises LinAlgError if the matrix is
    not positive definite.  The other triangle of the input is not read; the gradient is symmetric."""
    y, info = _cholesky("cholesky", input, upper)
    raise_where("cholesky", info, _INDEFINITE)
    return y


def cholesky_ex(A: Any, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info) of `cholesky`, without an error unless check_errors: where there is no factor it is NaN."""
    y, info = _cholesky("cholesky_ex", A, upper)
    if check_errors:
        raise_where("cholesky_ex", info, _INDEFINITE)
    return CholeskyEx(y, info)


def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:
    """X with A X = input, where A = L L^T (or U^T U) is given by its Cholesky factor."""
    require_matrices("cholesky_solve", input)
    require_matrices("cholesky_solve", L, square=True)
    first, second = (mT(L), L) if upper else (L, mT(L))
    return solve_triangular(second, solve_triangular(first, input, upper=False), upper=True)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """Inverse of A = L L^T (or U^T U) from its Cholesky factor."""
    require_matrices("cholesky_inverse", L, square=True)
    return cholesky_solve(identity(L.array.shape[-1], L.array.dtype), L, upper)


# -- QR ------------------------------------------------------------------------------------------------------------------


def linalg_qr(A: Any, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q R, Q with orthonormal columns, R upper triangular.

    mode: "reduced" Q (m, k), R (k, n) with k = min(m, n); "complete" Q (m, m), R (m, n), differentiable if m <= n;
    "r" R alone, not differentiable."""
    require_matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr: mode {mode!r} is none of 'reduced', 'complete', 'r'")
    m, n = A.array.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        return QR(*apply(QrOp, (A,), (mode,)))
    if m >= n:
        return QR(*apply(QrOp, (A,), ("reduced",)))
    q, r = apply(QrOp, (columns(A, None, m),), ("reduced",))  # of the square on the left; Q^T turns the other columns
    return QR(q, cat((r, matmul(mT(q), columns(A, m, None))), -1))


def qr(input: Any, some: bool = True) -> Any:
    """(Q, R) with input = Q R; reduced if `some`, else complete."""
    return linalg_qr(input, "reduced" if some else "complete")


def geqrf(input: Any) -> Any:
    """(a, tau): R with the Householder vectors below it, and the factors of the reflections 1 - tau v v^T."""
    require_matrices("geqrf", input)
    return Geqrf(*apply(QrOp, (input,), ("raw",)))


def _reflected(vectors: Any, tau: Any, x: Any, forwards: bool) -> Any:
    """H_1 H_2 ... H_k x (or H_k ... H_1 x if `forwards`) with H_i = 1 - tau_i v_i v_i^T, the v_i below the diagonal."""
    m, k = vectors.array.shape[-2], tau.array.shape[-1]
    unit = new_tensor(np.eye(m, vectors.array.shape[-1], dtype=vectors.array.dtype))
    v = add(tril(vectors, -1), unit)
    for i in range(k) if forwards else reversed(range(k)):
        column = columns(v, i, i + 1)
        factor = unsqueeze(columns(tau, i, i + 1), -1)
        x = sub(x, mul(factor, matmul(column, matmul(mT(column), x))))
    return x


def householder_product(input: Any, tau: Any) -> Any:
    """The first n columns of H_1 H_2 ... H_k, where H_i = 1 - tau[i] v_i v_i^T and v_i is column i of the input below its
    diagonal, with 1 on it and 0 above.  input (..., m, n), tau (..., k), k <= n <= m."""
    require_matrices("householder_product", input)
    require_tensors("householder_product", input, tau)
    _same_dtype("householder_product", input, tau)
    (*batch, m, n), t = input.array.shape, tau.array.shape
    if not (m >= n and t[:-1] == tuple(batch) and t and t[-1] <= n):
        raise ShapeError(f"householder_product: input {input.array.shape} must have at least as many rows as columns, and "
                         f"tau {t} the same leading axes and at most as many elements as there are columns")
    # The first columns of the identity; chosen by `where`, because without reflections they still belong to the graph.
    start = where(new_tensor(np.zeros((1, 1), bool)), input, new_tensor(np.eye(m, n, dtype=input.array.dtype)))
    return _reflected(input, tau, start, forwards=False)


def orgqr(input: Any, tau: Any) -> Any:
    """LAPACK's name of linalg.householder_product."""
    return householder_product(input, tau)


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Q other, or other Q with left=False; Q^T for Q if `transpose`.  Q (m, m) is the product of the reflections that geqrf
    returns as (input, tau)."""
    require_matrices("ormqr", input)
    require_matrices("ormqr", other)
    require_tensors("ormqr", input, tau)
    if not tau.array.ndim:
        raise ShapeError("ormqr: tau needs an axis of reflections, got a tensor without axes; give what geqrf returned")
    _same_dtype("ormqr", input, tau)
    _same_dtype("ormqr", input, other)
    m = other.array.shape[-2 if left else -1]
    if input.array.shape[-2] != m or tau.array.shape[-1] > input.array.shape[-1]:
        raise ShapeError(f"ormqr: input {input.array.shape} with tau {tau.array.shape} is a product of reflections of size "
                         f"{input.array.shape[-2]}, other {other.array.shape} needs size {m}")
    if left:
        return _reflected(input, tau, other, forwards=transpose)
    return mT(_reflected(input, tau, mT(other), forwards=not transpose))  # other Q = (Q^T other^T)^T


# -- eigenvalues and singular values -------------------------------------------------------------------------------------


def eigh(A: Any, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of symmetric matrices, ascending; the triangle "L" or "U" is read.

    Eigenvectors are unique up to their sign only; a gradient through them is right where the result does not depend on it,
    and infinite or NaN where eigenvalues are equal."""
    require_matrices("eigh", A, square=True)
    require_finite("eigh", A)
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"eigh: UPLO is 'L' or 'U', got {UPLO!r}")
    return Eigh(*apply(EighOp, (A,), (UPLO.upper(),)))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Ascending eigenvalues of symmetric matrices; the triangle "L" or "U" is read."""
    return eigh(A, UPLO).eigenvalues


def linalg_svd(A: Any, full_matrices: bool = True, driver: str | None = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh, the singular values descending.

    U (m, m) and Vh (n, n), or with full_matrices=False (m, k) and (k, n), k = min(m, n).  Singular vectors are unique up to
    a common sign only.  `driver` is for the GPU alone."""
    require_matrices("svd", A)
    require_finite("svd", A)
    return SVD(*apply(Svd, (A,), (bool(full_matrices),)))


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with input = U diag(S) V^T; without compute_uv U and V are zeros and have no gradient."""
    if compute_uv:
        u, s, vh = linalg_svd(input, not some)
        return OldSVD(u, s, mT(vh))
    s = svdvals(input)
    *batch, m, n = input.array.shape
    return OldSVD(*[x if x is s else new_tensor(np.zeros((*batch, x, x), input.array.dtype)) for x in (m, s, n)])


def svdvals(A: Any, driver: str | None = None) -> Any:
    """Singular values, descending."""
    return linalg_svd(A, False).S


# -- low rank ------------------------------------------------------------------------------------------------------------


def svd_lowrank(A: Any, q: int = 6, niter: int = 2, M: Any = None) -> Any:
    """(U, S, V) of the q largest singular values of A, or of A - M, approximately: A = U diag(S) V^T.

    The columns of A times q random vectors span nearly what the largest singular vectors span, the nearer the more
    iterations (Halko, Martinsson & Tropp 2009, "Finding structure with randomness", algorithms 4.4 and 5.1)."""
    require_matrices("svd_lowrank", A)
    if M is not None:
        A = sub(A, M)
    m, n = A.array.shape[-2:]
    q, niter = integer("svd_lowrank", "q", q), integer("svd_lowrank", "niter", niter)
    if not 0 <= q <= min(m, n):
        raise ShapeError(f"svd_lowrank: q = {q} must be between 0 and {min(m, n)}, the smaller size of {A.array.shape}")
    if m < n:
        u, s, v = svd_lowrank(mT(A), q, niter)
        return v, s, u
    basis = linalg_qr(matmul(A, new_tensor(draw("normal", (n, q), A.array.dtype, None)))).Q
    for _ in range(niter):
        basis = linalg_qr(matmul(mT(A), basis)).Q
        basis = linalg_qr(matmul(A, basis)).Q
    u, s, vh = linalg_svd(matmul(mT(basis), A), False)
    return matmul(basis, u), s, mT(vh)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """(U, S, V): the q principal directions of the rows of A in the columns of V, by svd_lowrank of A without its mean.

    q is 6 or the smaller size of A, whichever is less; center=False leaves the mean in."""
    require_matrices("pca_lowrank", A)
    q = min(6, *A.array.shape[-2:]) if q is None else q
    return svd_lowrank(sub(A, mean(A, -2, True)) if center else A, q, niter)
