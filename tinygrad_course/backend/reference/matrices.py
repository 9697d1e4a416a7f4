"""Factorisations and linear systems, for stacks of matrices in the last two axes.

What LAPACK has and NumPy offers goes through np.linalg; LU with pivoting, triangular systems and the symmetric indefinite
factorisation, which NumPy does not offer, are short loops over columns that work on the whole stack at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = (
    "cholesky", "cofactor", "cofactor_adjoint", "det", "eigh", "geqrf", "inv", "ldl_factor",
    "ldl_solve", "lu_factor", "matrix_exp", "pinv", "qr", "singular_values", "slogdet", "solve", "solve_triangular", "svd",
)


def _one_by_one(function: Callable[..., Array], failure: Callable[..., int], *stacks: Array) -> tuple[Array, Array]:
    """(function of every matrix of the stacks, per matrix 0 or `failure` of it).  Results that do not exist are NaN."""
    count = stacks[0].shape[:-2]
    try:
        return function(*stacks), np.zeros(count, np.int32)
    except np.linalg.LinAlgError:  # at least one failed: find out which
        batch = np.broadcast_shapes(*[stack.shape[:-2] for stack in stacks])
        wide = [np.broadcast_to(stack, batch + stack.shape[-2:]) for stack in stacks]
        out = np.full(wide[-1].shape, np.nan, stacks[0].dtype)
        info = np.zeros(batch, np.int32)
        for place in np.ndindex(batch):
            try:
                out[place] = function(*[stack[place] for stack in wide])
            except np.linalg.LinAlgError:
                info[place] = failure(wide[0][place])
        stretched = tuple(slice(None) if size == full else slice(0, 1)
                          for size, full in zip(count, batch[len(batch) - len(count):], strict=True))
        return out, np.asarray(info[(0,) * (len(batch) - len(count)) + stretched])


def _zero_pivot(x: Array) -> int:
    return int(lu_factor(x, True)[2])


def _bad_minor(x: Array) -> int:
    """Number of rows of the first leading minor that is not positive definite."""
    for n in range(1, len(x) + 1):
        try:
            np.linalg.cholesky(x[:n, :n])
        except np.linalg.LinAlgError:
            return n
    return len(x)


def inv(x: Array) -> tuple[Array, Array]:
    """(x^-1, info): info is 0, or the number of the first pivot that is zero (counted from 1); such inverses are NaN."""
    return _one_by_one(np.linalg.inv, _zero_pivot, x)


def solve(a: Array, b: Array) -> tuple[Array, Array]:
    """(x with a x = b, info as for `inv`).  a (..., n, n), b (..., n, k); leading axes broadcast."""
    axes = max(a.ndim, b.ndim)  # older NumPy takes a b with fewer axes for a stack of vectors
    return _one_by_one(np.linalg.solve, _zero_pivot, a, b.reshape((1,) * (axes - b.ndim) + b.shape))


def cholesky(x: Array) -> tuple[Array, Array]:
    """(lower L with x = L L^T, info): info is 0, or the order of the first leading minor that is not positive.

    Only the lower triangle of x is read."""
    y, info = _one_by_one(np.linalg.cholesky, _bad_minor, x)
    unknown = np.isnan(np.diagonal(y, axis1=-2, axis2=-1))  # LAPACK lets NaN pass
    if unknown.any():
        info = np.where((info == 0) & unknown.any(-1), unknown.argmax(-1) + 1, info).astype(np.int32)
    return y, info


def solve_triangular(a: Array, b: Array, upper: bool, unitriangular: bool) -> Array:
    """x with a x = b.  The other triangle of a is not read, nor the diagonal of a unit triangular one.

    Halving: the unknowns of one half are known first, and what they contribute is taken from b by one matrix product."""
    n = a.shape[-1]
    if n > 16:
        h = n // 2
        first, last = (slice(h, n), slice(0, h)) if upper else (slice(0, h), slice(h, n))
        known = solve_triangular(a[..., first, first], b[..., first, :], upper, unitriangular)
        rest = b[..., last, :] - a[..., last, first] @ known
        found = solve_triangular(a[..., last, last], rest, upper, unitriangular)
        return np.concatenate((found, known) if upper else (known, found), axis=-2)
    x = np.array(np.broadcast_to(b, np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + b.shape[-2:]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a zero on the diagonal gives inf, as in LAPACK
        for i in reversed(range(n)) if upper else range(n):
            done = slice(i + 1, n) if upper else slice(0, i)
            x[..., i, :] -= (a[..., i, None, done] @ x[..., done, :])[..., 0, :]
            if not unitriangular:
                x[..., i, :] /= a[..., i, i, None]
    return x


def lu_factor(x: Array, pivot: bool) -> tuple[Array, Array, Array]:
    """Gaussian elimination with partial pivoting: (L and U in one array, pivots, info).

    Row j was exchanged with row pivots[j] - 1; info is 0 or the number of the first zero pivot.
    x (..., m, n)  ->  (..., m, n), (..., k), (...) with k = min(m, n).
    """
    *batch, m, n = x.shape
    k = min(m, n)
    lu = np.array(x, order="C").reshape((-1, m, n) if x.size else (int(np.prod(batch)), m, n))
    each = np.arange(len(lu))
    pivots = np.empty((len(lu), k), np.int32)
    info = np.zeros(len(lu), np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        for j in range(k):
            p = j + np.argmax(np.abs(lu[:, j:, j]), axis=1) if pivot else np.full(len(lu), j)
            pivots[:, j] = p + 1
            row = lu[each, p]
            lu[each, p] = lu[:, j]
            lu[:, j] = row
            d = lu[:, j, j]
            info[(info == 0) & (d == 0)] = j + 1
            lu[:, j + 1:, j] /= np.where(d == 0, 1, d)[:, None]
            lu[:, j + 1:, j + 1:] -= lu[:, j + 1:, j, None] * lu[:, j, None, j + 1:]
    return lu.reshape(x.shape), pivots.reshape(*batch, k), np.asarray(info.reshape(batch))


def ldl_factor(x: Array) -> tuple[Array, Array, Array]:
    """(L and D in one matrix, pivots, info) of the symmetric matrices in the lower triangles of x.

    Bunch & Kaufman (1977), "Some stable methods for calculating inertia and solving symmetric linear systems", with the
    conventions of LAPACK's sytf2.  Elimination goes by one column, or by two where the diagonal is too small."""
    ld = np.array(x, order="C")
    pivots = np.empty(x.shape[:-1], np.int32)
    info = np.zeros(x.shape[:-2], np.int32)
    for place in np.ndindex(x.shape[:-2]):
        info[place] = _ldl(ld[place], pivots[place])
    return np.tril(ld), pivots, info


def _ldl(a: Array, pivots: Array) -> int:
    n, info, k = len(a), 0, 0
    a[...] = np.tril(a) + np.tril(a, -1).T
    limit = (1 + 17 ** 0.5) / 8
    while k < n:
        diagonal, other, width = abs(a[k, k]), k, 1
        column = np.abs(a[k + 1:, k])
        largest = column.max(initial=0.0)
        if max(diagonal, largest) == 0:
            info = info or k + 1
        elif diagonal < limit * largest:
            row = k + 1 + int(column.argmax())
            beside = np.delete(np.abs(a[k:, row]), row - k).max()
            if diagonal * beside < limit * largest * largest:
                other, width = row, 1 if abs(a[row, row]) >= limit * beside else 2
        last = k + width - 1
        swap, block, below = [last, other], slice(k, last + 1), slice(last + 1, n)
        a[swap, k:] = a[swap[::-1], k:]
        a[k:, swap] = a[k:, swap[::-1]]
        if max(diagonal, largest) > 0:
            factors = np.linalg.solve(a[block, block], a[block, below]).T
            a[below, below] -= factors @ a[block, below]
            a[below, block] = factors
        pivots[block] = other + 1 if width == 1 else -(other + 1)
        k = last + 1
    return info


def ldl_solve(ld: Array, pivots: Array, b: Array) -> Array:
    """x with a x = b, where a is given by what `ldl_factor` returns; leading axes broadcast."""
    batch = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    n = ld.shape[-1]
    x = np.array(np.broadcast_to(b, batch + b.shape[-2:]))
    lds, rows = np.broadcast_to(ld, (*batch, n, n)), np.broadcast_to(pivots, (*batch, n))
    for place in np.ndindex(batch):
        _ldl_solve(lds[place], rows[place], x[place])
    return x


def _ldl_solve(a: Array, pivots: Array, x: Array) -> None:
    n, k = len(a), 0
    blocks = []
    while k < n:
        blocks.append((k, k if pivots[k] > 0 else k + 1, abs(int(pivots[k])) - 1))
        k = blocks[-1][1] + 1
    for first, last, other in blocks:  # P L y = b, then D
        block, below = slice(first, last + 1), slice(last + 1, n)
        x[[last, other]] = x[[other, last]]
        x[below] -= a[below, block] @ x[block]
        d = np.tril(a[block, block]) + np.tril(a[block, block], -1).T
        x[block] = np.linalg.solve(d, x[block])
    for first, last, other in reversed(blocks):  # L^T P^T x = y
        block, below = slice(first, last + 1), slice(last + 1, n)
        x[block] -= a[below, block].T @ x[below]
        x[[last, other]] = x[[other, last]]


def det(x: Array) -> Array:
    """Determinant, from an LU factorisation."""
    return np.asarray(np.linalg.det(x), x.dtype)


def slogdet(x: Array) -> tuple[Array, Array]:
    """(sign, ln |det|): (0, -inf) for a singular matrix."""
    sign, logarithm = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(logarithm, x.dtype)


def cofactor(x: Array) -> Array:
    """det(x) x^-T without a division, so for singular x too.

    x = U S V^T has the cofactors det(U) det(V) U diag(product of the other singular values) V^T."""
    u, s, vh = np.linalg.svd(x)
    others = np.where(np.eye(s.shape[-1], dtype=bool), np.ones((), x.dtype), s[..., None, :]).prod(-1)
    return np.asarray((u * (others * _turned(u, vh))[..., None, :]) @ vh, x.dtype)


def cofactor_adjoint(x: Array, g: Array) -> Array:
    """d <g, cofactor(x)> / dx, for singular x too.

    The second derivatives of det at diag(S) are products of all singular values but two: P_ij by the elements ii and jj,
    -P_ij by ij and ji, and 0 by all others."""
    u, s, vh = np.linalg.svd(x)
    one = np.eye(s.shape[-1], dtype=bool)
    pairs = np.where(one[:, None] | one[None], np.ones((), x.dtype), s[..., None, None, :]).prod(-1)
    pairs = np.where(one, 0, pairs)
    w = np.swapaxes(u, -1, -2) @ g @ np.swapaxes(vh, -1, -2)
    along = (pairs * np.diagonal(w, axis1=-2, axis2=-1)[..., None, :]).sum(-1)
    h = np.where(one, along[..., None], -pairs * np.swapaxes(w, -1, -2))
    return np.asarray(u @ (h * _turned(u, vh)[..., None]) @ vh, x.dtype)


def _turned(u: Array, vh: Array) -> Array:
    """det(U) det(V): 1 or -1."""
    return np.asarray(np.linalg.slogdet(u)[0] * np.linalg.slogdet(vh)[0])[..., None]


def eigh(x: Array, uplo: Literal["L", "U"]) -> tuple[Array, Array]:
    """(ascending eigenvalues, eigenvectors in columns) of the symmetric matrix in one triangle of x."""
    w, v = np.linalg.eigh(x, uplo)
    return w, v


def svd(x: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
    """(U, S, V^T) with x = U diag(S) V^T."""
    u, s, vh = np.linalg.svd(x, full_matrices)
    return u, s, vh


def singular_values(x: Array) -> Array:
    """Singular values, descending."""
    return np.asarray(np.linalg.svd(x, compute_uv=False))


def qr(x: Array, mode: Literal["reduced", "complete"]) -> tuple[Array, Array]:
    """(Q, R); mode "reduced" or "complete"."""
    q, r = np.linalg.qr(x, mode)
    return q, r


def geqrf(x: Array) -> tuple[Array, Array]:
    """LAPACK's form of QR: (R with the Householder vectors below it, their factors tau)."""
    h, tau = np.linalg.qr(x, mode="raw")
    return np.swapaxes(h, -1, -2).copy(), tau


def pinv(x: Array, atol: Array, rtol: Array, hermitian: bool) -> Array:
    """Moore-Penrose inverse V S^+ U^T; singular values up to max(atol, rtol * the largest) count as 0."""
    if hermitian:
        s, u = np.linalg.eigh(x)
        vh = np.swapaxes(u, -1, -2)
    else:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
    size = np.abs(s)
    limit = np.maximum(atol, rtol * size.max(-1, initial=0.0))[..., None]
    inverse = np.where(size > limit, 1 / np.where(size > limit, s, 1), 0).astype(x.dtype)
    return np.asarray(np.swapaxes(vh, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2)), x.dtype)


_PADE = (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
         670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1)


def matrix_exp(x: Array) -> Array:
    """e^x by the [13/13] Pade approximant, scaling and squaring.  Higham (2005), "The scaling and squaring method for the
    matrix exponential revisited", eq. 2.3 and table 2.3.  Computed in float64."""
    a = x.astype(np.float64)
    norm = np.abs(a).sum(-2).max(-1, initial=0.0)  # the largest column sum
    with np.errstate(divide="ignore", invalid="ignore"):
        squarings = np.nan_to_num(np.maximum(np.ceil(np.log2(norm / 5.371920351148152)), 0), nan=0, posinf=0).astype(np.int64)
    a = a * (0.5 ** squarings)[..., None, None]
    one, a2, b = np.eye(a.shape[-1]), a @ a, _PADE
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one)
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    y = np.linalg.solve(even - odd, even + odd)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(int(squarings.max(initial=0))):
            y = np.where((squarings > step)[..., None, None], y @ y, y)
        return y.astype(x.dtype)
