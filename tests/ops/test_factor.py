"""ops/factor.py: Cholesky, QR, eigenvectors, singular values.

Eigenvectors, singular vectors and the columns of Q are unique up to their sign; their squares are compared.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.matrices import T, lower, of_torch, on, regular, symmetric
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.linalg import LinAlgError


def stacked(rule: Callable[..., Any], outputs: int = 1) -> Callable[..., Any]:
    """`rule` of every matrix of a stack."""

    def call(x: np.ndarray) -> Any:
        results = [rule(x[place]) for place in np.ndindex(x.shape[:-2])]
        columns = zip(*results, strict=True) if outputs > 1 else [results]
        found = [np.array(c).reshape(x.shape[:-2] + np.shape(c[0])) for c in columns]
        return found if outputs > 1 else found[0]

    return call


def squares(function: Callable[..., Any], which: tuple[int, ...]) -> Callable[..., Any]:
    """The results, with the squares of those whose signs are arbitrary."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return tuple(y * y if n in which else y for n, y in enumerate(function(*args, **kwargs)))

    return call


@stacked
def cholesky(x: np.ndarray) -> np.ndarray:
    """Row by row."""
    y = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i + 1):
            rest = x[i, j] - sum(y[i, :j] * y[j, :j])
            y[i, j] = np.sqrt(rest) if i == j else rest / y[j, j]
    return y


def gram_schmidt(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = min(x.shape)
    q, r = np.zeros((len(x), k)), np.zeros((k, x.shape[1]))
    for j in range(x.shape[1]):
        rest = x[:, j].copy()
        for i in range(min(j, k)):
            r[i, j] = q[:, i] @ x[:, j]
            rest -= r[i, j] * q[:, i]
        if j < k:
            r[j, j] = np.sqrt(rest @ rest)
            q[:, j] = rest / r[j, j]
    return q, r


qr = stacked(gram_schmidt, 2)
eigh = stacked(scipy.linalg.eigh, 2)
svd = stacked(lambda x: scipy.linalg.svd(x, full_matrices=False, lapack_driver="gesvd"), 3)


def inverse(x: np.ndarray) -> np.ndarray:
    return stacked(lambda m: scipy.linalg.inv(m))(x)


def reflections(a: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """The product of all 1 - tau v v^T."""
    q = np.eye(len(a))
    for i in range(len(tau)):
        v = np.concatenate((np.zeros(i), [1.0], a[i + 1 :, i]))
        q = q @ (np.eye(len(a)) - tau[i] * np.outer(v, v))
    return q


def turned(a: np.ndarray, tau: np.ndarray, c: np.ndarray, left: bool = True, transpose: bool = False) -> np.ndarray:
    q = reflections(a, tau).T if transpose else reflections(a, tau)
    return q @ c if left else c @ q


def seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same draw in every call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        tgc.manual_seed(0)
        return function(*args, **kwargs)

    return call


def best(x: np.ndarray, q: int, shift: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All directions: with as many as there are nothing is left to chance."""
    u, s, vh = svd(x - x.mean(-2, keepdims=True) if shift else x)
    return u[..., :q], s[..., :q], T(vh)[..., :q]


def halves(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a full svd of a 3 x 2 or 2 x 3 matrix what is unique."""

    def call(x: Any) -> Any:
        u, s, vh = function(x)
        return u[:, :2] * u[:, :2], s, vh[:2] * vh[:2]

    return call


SQUARE = (S((3, 3)), S((2, 2, 2)), S((1, 1)))
NAN = lambda: tgc.full((2, 2), float("nan"))  # noqa: E731

CASES = (
    Case(
        "cholesky",
        on(tgc.cholesky, symmetric),
        on(lambda x, upper=False: T(cholesky(x)) if upper else cholesky(x), symmetric),
        (*SQUARE[:3], S((2, 2), upper=True)),
        torch=on(of_torch("linalg.cholesky"), symmetric),
        errors=(
            Error(
                lambda: tgc.cholesky(tgc.tensor([[1.0, 2.0], [2.0, 1.0]])),
                LinAlgError,
                "cholesky: the matrix is not positive definite: its leading minor of order 2",
            ),
            Error(lambda: tgc.cholesky(tgc.ones(2, 3)), ShapeError, "cholesky.*square.*2 x 3"),
            Error(lambda: tgc.cholesky(tgc.eye(2).long()), DTypeError, "cholesky.*int64"),
        ),
    ),
    Case(
        "cholesky_solve",
        lambda b, x, upper=False: tgc.cholesky_solve(b, T(lower(x)) if upper else lower(x), upper),
        lambda b, x, upper=False: inverse(lower(x) @ T(lower(x))) @ b,
        (S((2, 2), (2, 2)), S((2, 1), (2, 2), upper=True), S((3, 2, 1), (2, 2))),
        torch=lambda b, x, upper=False: of_torch("cholesky_solve")(b, T(lower(x)) if upper else lower(x), upper),
    ),
    Case(
        "cholesky_inverse",
        lambda x, upper=False: tgc.cholesky_inverse(T(lower(x)) if upper else lower(x), upper),
        lambda x, upper=False: inverse(lower(x) @ T(lower(x))),
        (S((2, 2)), S((2, 2), upper=True), S((2, 2, 2))),
        torch=lambda x, upper=False: of_torch("cholesky_inverse")(T(lower(x)) if upper else lower(x), upper),
    ),
    Case(
        "qr",
        squares(on(tgc.qr, regular), (0, 1)),
        squares(on(qr, regular), (0, 1)),
        (S((3, 3)), S((4, 2)), S((2, 3)), S((2, 3, 2))),
        torch=squares(on(of_torch("qr"), regular), (0, 1)),
        errors=(
            Error(lambda: tgc.linalg.qr(tgc.eye(2), "full"), ValueError, "qr.*'full'.*'reduced'"),
            Error(lambda: tgc.qr(tgc.ones(3)), ShapeError, "qr.*matrix"),
            Error(
                lambda: tgc.linalg.qr(tgc.ones(3, 2, requires_grad=True), "complete").Q.sum().backward(),
                GraphError,
                "qr.*mode='complete'.*not unique.*reduced",
            ),
            Error(
                lambda: tgc.linalg.qr(tgc.ones(3, 2, requires_grad=True), "r").R.sum().backward(),
                GraphError,
                "qr.*mode='r'",
            ),
            Error(
                lambda: tgc.geqrf(tgc.ones(3, 2, requires_grad=True)).a.sum().backward(), GraphError, "geqrf: has no"
            ),
        ),
    ),
    Case(
        "geqrf",
        lambda x: tgc.geqrf(regular(x).detach()),
        lambda x: scipy.linalg.lapack.dgeqrf(regular(x))[:2],
        (S((3, 2)), S((2, 3)), S((1, 1))),
        differentiable=False,
    ),
    Case(
        "orgqr",
        tgc.orgqr,
        lambda a, tau: reflections(a, tau)[:, : a.shape[1]],
        (S((3, 3), (3,)), S((3, 2), (2,)), S((3, 2), (1,)), S((2, 2), (0,))),
        torch=of_torch("orgqr"),
        errors=(Error(lambda: tgc.orgqr(tgc.ones(2, 3), tgc.ones(2)), ShapeError, r"householder_product.*\(2, 3\)"),),
    ),
    Case(
        "ormqr",
        tgc.ormqr,
        turned,
        (
            S((3, 2), (2,), (3, 2)),
            S((3, 2), (2,), (3, 2), transpose=True),
            S((2, 2), (2,), (3, 2), left=False),
            S((3, 1), (1,), (2, 3), left=False, transpose=True),
        ),
        torch=of_torch("ormqr"),
        errors=(
            Error(
                lambda: tgc.ormqr(tgc.ones(2, 2), tgc.ones(2), tgc.ones(3, 2)),
                ShapeError,
                "ormqr.*size 2.*needs size 3",
            ),
        ),
    ),
    Case(
        "eigh",
        squares(on(tgc.linalg.eigh, symmetric), (1,)),
        squares(on(lambda x, UPLO="L": eigh(x), symmetric), (1,)),
        (*SQUARE[:3], S((2, 2), UPLO="U")),
        torch=squares(on(of_torch("linalg.eigh"), symmetric), (1,)),
        errors=(
            Error(lambda: tgc.linalg.eigh(tgc.ones(2, 3)), ShapeError, "eigh.*square"),
            Error(lambda: tgc.linalg.eigh(tgc.eye(2), "X"), ValueError, "eigh.*'X'"),
            Error(lambda: tgc.linalg.eigh(NAN()), LinAlgError, "eigh.*NaN"),
        ),
    ),
    Case(
        "eigh",
        on(tgc.linalg.eigvalsh, symmetric),
        on(lambda x: eigh(x)[0], symmetric),
        (S((3, 3), note="eigvalsh"),),
        torch=on(of_torch("linalg.eigvalsh"), symmetric),
    ),
    Case(
        "svd",
        squares(on(tgc.svd, regular), (0, 2)),
        squares(on(lambda x: (svd(x)[0], svd(x)[1], T(svd(x)[2])), regular), (0, 2)),
        (S((3, 3)), S((3, 2)), S((2, 4)), S((2, 2, 2)), S((1, 1))),
        torch=squares(on(of_torch("svd"), regular), (0, 2)),
        errors=(
            Error(
                lambda: tgc.linalg.svd(tgc.ones(3, 2, requires_grad=True)).U.sum().backward(),
                GraphError,
                "svd.*full_matrices=True.*last 1 vectors of U.*full_matrices=False",
            ),
            Error(
                lambda: tgc.linalg.svd(tgc.ones(2, 4, requires_grad=True)).Vh.sum().backward(),
                GraphError,
                "last 2 vectors of Vh",
            ),
            Error(lambda: tgc.linalg.svd(NAN()), LinAlgError, "svd.*NaN"),
        ),
    ),
    Case(
        "svd",
        on(halves(tgc.linalg.svd), regular),
        on(halves(svd), regular),
        (S((3, 2), note="full"), S((2, 3), note="full")),
        torch=on(halves(of_torch("linalg.svd")), regular),
    ),
    Case(
        "svd",
        on(tgc.linalg.svdvals, regular),
        on(lambda x: svd(x)[1], regular),
        (S((2, 3), note="svdvals"), S((2, 2, 2), note="svdvals")),
        torch=on(of_torch("linalg.svdvals"), regular),
    ),
    *(
        Case(
            name,
            squares(on(seeded(call), regular), (0, 2)),
            squares(on(functools.partial(best, shift=shift), regular), (0, 2)),
            (S((3, 2), q=2), S((2, 3), q=2)) if name == "svd_lowrank" else (S((2, 4, 2), q=2),),
            tolerance=1e-6,
            errors=(
                Error(lambda: tgc.svd_lowrank(tgc.ones(2, 3), 3), ShapeError, "svd_lowrank.*q = 3.*between 0 and 2"),
            ),
        )
        for name, call, shift in (("svd_lowrank", tgc.svd_lowrank, False), ("pca_lowrank", tgc.pca_lowrank, True))
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_names_of_the_fields(backend: str) -> None:
    x = tgc.eye(2)
    assert tgc.qr(x)._fields == ("Q", "R")
    assert tgc.geqrf(x)._fields == ("a", "tau")
    assert tgc.linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert tgc.linalg.svd(x)._fields == ("U", "S", "Vh")
    assert tgc.svd(x)._fields == ("U", "S", "V")
    assert tgc.linalg.cholesky_ex(x)._fields == ("L", "info")


def test_cholesky_of_a_batch_with_bad_matrices(backend: str) -> None:
    x = tgc.tensor([[[4.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]])
    y, info = tgc.linalg.cholesky_ex(x)
    assert info.tolist() == [0, 2, 1]
    assert y[0].tolist() == [[2, 0], [0, 1]]
    assert np.isnan(y[1:].array).all()
    with pytest.raises(LinAlgError, match=r"matrix 1 of the batch.*order 2"):
        tgc.cholesky(x)


def test_cholesky_of_nan_is_an_error(backend: str) -> None:
    x = tgc.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    assert tgc.linalg.cholesky_ex(tgc.stack([tgc.eye(2), x])).info.tolist() == [0, 2]
    with pytest.raises(LinAlgError, match="order 2"):
        tgc.cholesky(x)


def test_only_one_triangle_is_read(backend: str) -> None:
    x = np.array([[4.0, 7.0], [2.0, 5.0]])
    np.testing.assert_allclose(tgc.linalg.cholesky(tgc.tensor(x)).array, [[2, 0], [1, 2]])
    np.testing.assert_allclose(tgc.linalg.cholesky(tgc.tensor(x.T), upper=True).array, [[2, 1], [0, 2]])
    low, up = (tgc.linalg.eigvalsh(tgc.tensor(x), uplo).array for uplo in "LU")
    np.testing.assert_allclose(low.prod(), 16)
    np.testing.assert_allclose(up.prod(), -29)


def test_complete_factors(backend: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 2))
    q, r = (y.array for y in tgc.linalg.qr(tgc.tensor(x), "complete"))
    assert q.shape == (2, 4, 4)
    assert r.shape == (2, 4, 2)
    np.testing.assert_allclose(q @ r, x, atol=1e-14)
    np.testing.assert_allclose(T(q) @ q, np.broadcast_to(np.eye(4), q.shape), atol=1e-14)
    empty, only = (y.array for y in tgc.linalg.qr(tgc.tensor(x), "r"))
    assert empty.shape == (0,)
    np.testing.assert_allclose(only, r[:, :2])
    u, s, vh = (y.array for y in tgc.linalg.svd(tgc.tensor(x)))
    assert u.shape == (2, 4, 4)
    np.testing.assert_allclose(u[..., :2] * s[:, None] @ vh, x, atol=1e-14)
    a, tau = tgc.geqrf(tgc.tensor(x))
    np.testing.assert_allclose(tgc.orgqr(a, tau).array, q[..., :2], atol=1e-14)


def test_svd_without_vectors(backend: str) -> None:
    u, s, v = tgc.svd(tgc.ones(3, 2, requires_grad=True), compute_uv=False)
    assert s.requires_grad
    assert u.tolist() == np.zeros((3, 3)).tolist()
    assert v.tolist() == np.zeros((2, 2)).tolist()


def test_equal_eigenvalues_have_a_gradient_themselves(backend: str) -> None:
    """The sum of all does not depend on which eigenvectors were chosen; a gradient through these is NaN."""
    x = tgc.eye(2, dtype="float64").requires_grad_()
    tgc.linalg.eigvalsh(x).sum().backward()
    np.testing.assert_allclose(x.grad.array, np.eye(2))
    x.grad = None
    tgc.linalg.eigh(x).eigenvectors[0, 1].backward()
    assert not np.isfinite(x.grad.array).all()


def test_low_rank_finds_the_largest(backend: str, rng: np.random.Generator) -> None:
    u, v = np.linalg.qr(rng.standard_normal((30, 3)))[0], np.linalg.qr(rng.standard_normal((20, 3)))[0]
    x = u * [5.0, 3.0, 1.0] @ v.T + 1e-6 * rng.standard_normal((30, 20))
    tgc.manual_seed(0)
    a, s, b = (y.array for y in tgc.svd_lowrank(tgc.tensor(x), 3))
    np.testing.assert_allclose(s, [5, 3, 1], atol=1e-5)
    np.testing.assert_allclose(a * s @ b.T, x, atol=1e-4)
    np.testing.assert_allclose(tgc.svd_lowrank(tgc.tensor(x), 1, M=tgc.tensor(x))[1].array, [0], atol=1e-12)
    assert tgc.pca_lowrank(tgc.tensor(x))[1].shape == (6,)
