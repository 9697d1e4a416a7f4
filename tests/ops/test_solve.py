"""ops/solve.py: linear systems, inverses, determinants, least squares."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly
from tests.ops.matrices import T, lower, of_torch, on, regular, symmetric
from tinygrad_course.autograd import grad
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.linalg import LinAlgError
from tinygrad_course.ops.solve import Cofactor, CofactorAdjoint


def each(rule: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
    """`rule` of every matrix of a stack."""

    def call(x: np.ndarray) -> np.ndarray:
        out = [rule(m) for m in x.reshape(-1, *x.shape[-2:])] if x.size else []
        tail = np.asarray(rule(np.ones(x.shape[-2:]) if 0 in x.shape[:-2] else np.zeros(x.shape[-2:]))).shape
        return np.array(out or [rule(x[place]) for place in np.ndindex(x.shape[:-2])]).reshape(x.shape[:-2] + tail)

    return call


def leibniz(x: np.ndarray) -> float:
    """The sum over all permutations."""
    total = 0.0
    for order in itertools.permutations(range(len(x))):
        inversions = sum(order[i] > order[j] for i, j in itertools.combinations(range(len(x)), 2))
        total += (-1) ** inversions * float(np.prod([x[i, j] for i, j in enumerate(order)]))
    return total


def adjugate(x: np.ndarray) -> np.ndarray:
    """The inverse by Cramer's rule."""
    minors = [
        [(-1) ** (i + j) * leibniz(np.delete(np.delete(x, i, 0), j, 1)) for i in range(len(x))] for j in range(len(x))
    ]
    return np.array(minors).reshape(x.shape) / (leibniz(x) or 1.0)


det, inv = each(leibniz), each(adjugate)


def solve(a: np.ndarray, b: np.ndarray, left: bool = True) -> np.ndarray:
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        return np.einsum("...ij,...j->...i", inv(a), b)
    return inv(a) @ b if left else b @ inv(a)


def pseudo(x: np.ndarray) -> np.ndarray:
    """Of matrices of full rank."""
    m, n = x.shape[-2:]
    return inv(T(x) @ x) @ T(x) if m >= n else T(x) @ inv(x @ T(x))


def least(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...ij,...j->...i", pseudo(a), b) if b.shape == a.shape[:-1] else pseudo(a) @ b


def triangular(a: np.ndarray, b: np.ndarray, upper: bool, left: bool = True, unitriangular: bool = False) -> np.ndarray:
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        a = a - a * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    return solve(a, b, left)


def second_derivative(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """d <g, cofactors of x> / dx.  Along one element det is a straight line, so differences are exact."""
    out = np.zeros(x.shape)
    for place in np.ndindex(x.shape[:-2]):
        for i, j in np.ndindex(x.shape[-2:]):
            for k, n in np.ndindex(x.shape[-2:]):
                if i != k and j != n:
                    corners = []
                    for a, b in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
                        moved = x[place].copy()
                        moved[i, j] += a
                        moved[k, n] += b
                        corners.append(leibniz(moved))
                    out[(*place, i, j)] += g[(*place, k, n)] * (corners[3] - corners[2] - corners[1] + corners[0])
    return out


SQUARES = {shape: np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape) for shape in ((3, 3), (2, 2, 2), (1, 1))}
SQUARE = (S((3, 3)), S((2, 2, 2)), S((1, 1)), S((0, 0)), S((0, 2, 2)))
SINGULAR = lambda: tgc.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]])  # noqa: E731


def shape_errors(name: str, call: Callable[..., Any]) -> tuple[Error, ...]:
    return (
        Error(lambda: call(tgc.ones(3)), ShapeError, rf"{name}.*matrix.*\(3,\)"),
        Error(lambda: call(tgc.ones(2, 3)), ShapeError, rf"{name}.*square.*2 x 3"),
        Error(lambda: call(tgc.eye(2).long()), DTypeError, rf"{name}.*int64.*float\(\)"),
    )


CASES = (
    Case(
        "det",
        on(tgc.det, regular),
        on(det, regular),
        SQUARE,
        torch=on(of_torch("det"), regular),
        errors=shape_errors("det", tgc.det),
    ),
    Case(
        "slogdet",
        on(tgc.slogdet, regular),
        on(lambda x: (np.sign(det(x)), np.log(np.abs(det(x)))), regular),
        SQUARE,
        torch=on(of_torch("slogdet"), regular),
        errors=shape_errors("slogdet", tgc.slogdet),
    ),
    Case(
        "logdet",
        on(tgc.logdet, regular),
        on(lambda x: np.log(det(x)), regular),
        SQUARE[:3],
        special=(S(exactly([[[-9.0, 0.0], [0.0, 2.0]], [[-40.0, 0.0], [0.0, -40.0]]])),),
        torch=on(of_torch("logdet"), regular),
    ),
    Case(
        "cofactor",
        lambda x: apply(Cofactor, (regular(x),)),
        on(lambda x: det(x)[..., None, None] * T(inv(x)), regular),
        SQUARE[:4],
    ),
    Case(
        "cofactor_adjoint",
        lambda g: apply(CofactorAdjoint, (tgc.tensor(SQUARES[g.shape], dtype=g.dtype), g)),
        lambda g: second_derivative(SQUARES[g.shape], g),
        (S((3, 3)), S((2, 2, 2)), S((1, 1))),
    ),
    *(
        Case(
            name,
            on(call, regular),
            on(inv, regular),
            SQUARE,
            torch=on(of_torch("linalg.inv"), regular),
            errors=(
                *shape_errors("inv", call),
                Error(lambda: tgc.inverse(SINGULAR()), LinAlgError, "inv: matrix 1 of the batch is singular: pivot 2"),
                Error(lambda: tgc.linalg.inv(tgc.zeros(2, 2)), LinAlgError, "inv: the matrix is singular: pivot 1"),
            ),
        )
        for name, call in (("inv", tgc.linalg.inv), ("inverse", tgc.inverse))
    ),
    Case(
        "solve",
        on(tgc.linalg.solve, regular),
        on(solve, regular),
        (
            S((3, 3), (3, 2)),
            S((3, 3), (3,)),
            S((2, 2, 2), (2, 2)),
            S((2, 2, 2), (2,)),
            S((2, 1, 2, 2), (3, 2, 1)),
            S((3, 3), (2, 3), left=False),
            S((2, 2), (2, 3, 2), left=False),
            S((2, 2), (2, 0)),
            S((0, 0), (0, 2)),
        ),
        torch=on(of_torch("linalg.solve"), regular),
        errors=(
            Error(
                lambda: tgc.linalg.solve(SINGULAR(), tgc.ones(2, 1)),
                LinAlgError,
                "solve: matrix 1 of the batch is singular",
            ),
            Error(
                lambda: tgc.linalg.solve(tgc.eye(2), tgc.ones(3, 1)),
                ShapeError,
                r"solve: A \(2, 2\).*B \(3, 1\) has 3 rows",
            ),
            Error(lambda: tgc.linalg.solve(tgc.eye(2), tgc.ones(3)), ShapeError, r"solve.*vector \(3,\)"),
            Error(lambda: tgc.linalg.solve(tgc.eye(2), tgc.ones(2), left=False), ShapeError, "left=False.*vectors"),
            Error(lambda: tgc.linalg.solve(tgc.eye(2), tgc.ones(2, 1).double()), DTypeError, "solve.*float64"),
        ),
    ),
    Case(
        "solve",
        on(tgc.linalg.tensorsolve, lambda x: regular(x.reshape(4, 4)).reshape(x.shape)),
        lambda a, b, dims=None: solve(
            regular(a.reshape(4, 4)).reshape(a.shape).transpose((0, 2, 1, 3) if dims else range(4)).reshape(4, 4),
            b.reshape(4),
        ).reshape((2, 2) if dims is None else (a.shape[1], a.shape[3])),
        (S((2, 2, 2, 2), (2, 2), dims=(1, 3), note="tensorsolve"),),
        torch=on(of_torch("linalg.tensorsolve"), lambda x: regular(x.reshape(4, 4)).reshape(x.shape)),
        errors=(
            Error(
                lambda: tgc.linalg.tensorsolve(tgc.ones(2, 3, 5), tgc.ones(2, 3)), ShapeError, "tensorsolve.*6.*got 5"
            ),
            Error(lambda: tgc.linalg.tensorinv(tgc.ones(2, 3, 5)), ShapeError, "tensorinv.*6 x 5"),
            Error(lambda: tgc.linalg.tensorinv(tgc.ones(2, 2), 0), ShapeError, "tensorinv.*ind.*0"),
        ),
    ),
    Case(
        "inv",
        on(tgc.linalg.tensorinv, lambda x: regular(x.reshape(4, 4)).reshape(x.shape)),
        lambda x, ind=2: inv(regular(x.reshape(4, 4))).reshape(x.shape[ind:] + x.shape[:ind]),
        (S((4, 2, 2), ind=1, note="tensorinv"),),
        torch=on(of_torch("linalg.tensorinv"), lambda x: regular(x.reshape(4, 4)).reshape(x.shape)),
    ),
    Case(
        "solve_triangular",
        on(tgc.linalg.solve_triangular, regular),
        on(triangular, regular),
        (
            S((3, 3), (3, 2), upper=True),
            S((3, 3), (3, 2), upper=False),
            S((2, 2), (3, 2), upper=True, left=False),
            S((2, 2), (3, 2), upper=False, left=False, unitriangular=True),
            S((2, 1, 2, 2), (3, 2, 1), upper=True, unitriangular=True),
            S((0, 0), (0, 2), upper=True),
        ),
        torch=on(of_torch("linalg.solve_triangular"), regular),
        errors=(
            Error(
                lambda: tgc.linalg.solve_triangular(tgc.eye(2), tgc.ones(3, 1), upper=True),
                ShapeError,
                r"solve_triangular: A \(2, 2\).*3 rows",
            ),
        ),
    ),
    Case(
        "triangular_solve",
        lambda b, a, **how: tgc.triangular_solve(b, regular(a), **how),
        lambda b, a, upper=True, transpose=False, unitriangular=False: (
            triangular(
                T(np.triu(regular(a)) if upper else np.tril(regular(a))) if transpose else regular(a),
                b,
                upper != transpose,
                unitriangular=unitriangular,
            ),
            regular(a),
        ),
        (
            S((3, 2), (3, 3)),
            S((2, 3, 2), (2, 3, 3), upper=False, transpose=True),
            S((2, 1), (2, 2), unitriangular=True),
        ),
        torch=lambda b, a, **how: tuple(of_torch("triangular_solve")(b, regular(a), **how)),
    ),
    *(
        Case(
            name,
            on(call, regular),
            on(pseudo, regular),
            (S((3, 2)), S((2, 3)), S((2, 2, 2)), S((1, 3)), S((0, 2, 3))),
            torch=on(of_torch("linalg.pinv"), regular),
            errors=(
                Error(lambda: tgc.pinverse(tgc.ones(3)), ShapeError, "pinv.*matrix"),
                Error(lambda: tgc.linalg.pinv(tgc.full((2, 2), np.nan)), LinAlgError, "pinv.*NaN"),
            ),
        )
        for name, call in (("pinv", tgc.linalg.pinv), ("pinverse", tgc.pinverse))
    ),
    Case(
        "pinv",
        on(lambda x: tgc.linalg.pinv(x, hermitian=True), symmetric),
        on(inv, symmetric),
        (S((3, 3), note="hermitian"), S((2, 2, 2), note="hermitian")),
        torch=on(lambda x: of_torch("linalg.pinv")(x, hermitian=True), symmetric),
    ),
    Case(
        "pinv",
        on(lambda a, b: tgc.linalg.lstsq(a, b, driver="gels")[:2], regular),
        on(lambda a, b: (least(a, b), (a.shape[-2] > a.shape[-1]) * ((a @ least(a, b) - b) ** 2).sum(-2)), regular),
        (S((4, 2), (4, 2), note="lstsq"), S((2, 3, 2), (2, 3, 1), note="lstsq")),
        torch=on(lambda a, b: tuple(of_torch("linalg.lstsq")(a, b, driver="gels"))[:2], regular),
        errors=(
            Error(lambda: tgc.linalg.lstsq(tgc.ones(2, 3), tgc.ones(3, 1)), ShapeError, "lstsq.*number of rows"),
            Error(lambda: tgc.linalg.lstsq(tgc.ones(2, 3), tgc.ones(2, 1), driver="qr"), ValueError, "lstsq.*'qr'"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_names_of_the_fields(backend: str) -> None:
    x = tgc.eye(2)
    assert tgc.slogdet(x)._fields == ("sign", "logabsdet")
    assert tgc.linalg.inv_ex(x)._fields == ("inverse", "info")
    assert tgc.linalg.solve_ex(x, x)._fields == ("result", "info")
    assert tgc.triangular_solve(x, x)._fields == ("solution", "cloned_coefficient")
    assert tgc.linalg.lstsq(x, x)._fields == ("solution", "residuals", "rank", "singular_values")


def test_info_of_singular_matrices(backend: str) -> None:
    """LAPACK's: the number of the first zero pivot, from 1.  Regular neighbours in the batch keep their results."""
    y, info = tgc.linalg.inv_ex(SINGULAR())
    assert info.tolist() == [0, 2]
    assert info.dtype == np.int32
    assert y[0].tolist() == [[1, 0], [0, 1]]
    assert np.isnan(y[1].array).all()
    x, info = tgc.linalg.solve_ex(SINGULAR(), tgc.ones(3, 1, 2, 1))
    assert info.tolist() == [0, 2]
    assert x.shape == (3, 2, 2, 1)
    assert x[:, 0].reshape(-1).tolist() == [1] * 6
    assert tgc.linalg.inv_ex(tgc.zeros(2, 2)).info.item() == 1
    with pytest.raises(LinAlgError, match="inv_ex: matrix 1"):
        tgc.linalg.inv_ex(SINGULAR(), check_errors=True)
    with pytest.raises(LinAlgError, match=r"matrix \(1, 0\) of the batch"):
        tgc.linalg.inv(tgc.stack([tgc.eye(2), tgc.zeros(2, 2)])[:, None])


def test_determinant_of_a_singular_matrix(backend: str) -> None:
    """det is a polynomial: its first and second derivative exist everywhere, and a third is refused, not infinite."""
    x = tgc.tensor([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 1.0, 3.0]], dtype="float64", requires_grad=True)
    y = tgc.det(x)
    assert y.item() == pytest.approx(0, abs=1e-14)
    (g,) = grad(y, x, create_graph=True)
    np.testing.assert_allclose(g.array, [[12, -6, 2], [-6, 3, -1], [0, 0, 0]], atol=1e-13)
    (h,) = grad(g[0, 0], x, create_graph=True)  # of x11 x22 - x12 x21, the cofactor of x00
    np.testing.assert_allclose(h.array, [[0, 0, 0], [0, 3, -1], [0, 0, 4]], atol=1e-13)
    with pytest.raises(GraphError, match=r"det.*third derivative.*singular"):
        grad(h.sum(), x)
    zero = tgc.zeros(2, 2, dtype="float64", requires_grad=True)
    (g,) = grad(tgc.det(zero), zero, create_graph=True)
    assert g.tolist() == [[0, 0], [0, 0]]
    assert grad(g[0, 1], zero)[0].tolist() == [[0, 0], [-1, 0]]


def test_logarithm_of_the_determinant_of_singular_and_negative_matrices(backend: str) -> None:
    x = tgc.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]], requires_grad=True)
    sign, logarithm = tgc.slogdet(x)
    assert sign.tolist() == [0, -1]
    assert logarithm.tolist() == [-np.inf, 0]
    np.testing.assert_array_equal(tgc.logdet(x).array, [-np.inf, np.nan])
    with pytest.raises(GraphError, match=r"slogdet.*singular"):
        logarithm.sum().backward()
    assert tgc.slogdet(tgc.eye(300) * 0.01).logabsdet.item() == pytest.approx(300 * np.log(0.01))  # det is 0 in float32


@pytest.mark.parametrize(("upper", "n"), [(True, 17), (False, 33), (True, 40)])
def test_large_triangular_systems(backend: str, rng: np.random.Generator, upper: bool, n: int) -> None:
    """More unknowns than the loop takes at once; the other triangle is full of NaN."""
    a = np.where(np.tri(n, k=0) if not upper else np.tri(n).T, rng.standard_normal((n, n)) * 0.1 + 3 * np.eye(n), 0.0)
    b = rng.standard_normal((n, 3))
    dirty = np.where(a == 0, np.nan, a)
    x = tgc.linalg.solve_triangular(tgc.tensor(dirty), tgc.tensor(b), upper=upper).array
    np.testing.assert_allclose(a @ x, b, atol=1e-12)


def test_pinv_counts_small_singular_values_as_zero(backend: str) -> None:
    x = tgc.tensor(np.diag([4.0, 1.0, 0.1]))
    assert tgc.linalg.pinv(x, atol=0.5).array.diagonal().tolist() == [0.25, 1, 0]
    assert tgc.linalg.pinv(x, rtol=0.5).array.diagonal().tolist() == [0.25, 0, 0]
    assert tgc.linalg.pinv(x, atol=tgc.tensor(0.5), rtol=tgc.tensor(0.01)).array.diagonal().tolist() == [0.25, 1, 0]
    assert tgc.linalg.pinv(-x, hermitian=True, atol=0.5).array.diagonal().tolist() == [-0.25, -1, 0]
    np.testing.assert_allclose(tgc.linalg.pinv(tgc.ones(2, 2)).array, np.full((2, 2), 0.25), rtol=1e-6)


def test_matrix_rank(backend: str) -> None:
    x = tgc.tensor(np.stack([np.diag([4.0, 1.0, 0.1]), np.ones((3, 3))]))
    rank = tgc.linalg.matrix_rank(x)
    assert rank.tolist() == [3, 1]
    assert rank.dtype == np.int64
    assert tgc.linalg.matrix_rank(x, atol=0.5).tolist() == [2, 1]
    assert tgc.linalg.matrix_rank(x, 0.5).tolist() == [2, 1]
    assert tgc.linalg.matrix_rank(x, rtol=0.5, hermitian=True).tolist() == [1, 1]
    assert tgc.linalg.matrix_rank(tgc.ones(2, 0)).item() == 0


def test_lstsq_gives_what_the_driver_gives(backend: str) -> None:
    a, b = tgc.tensor(np.eye(3, 2)), tgc.tensor([1.0, 2.0, 3.0], dtype="float64")
    plain = tgc.linalg.lstsq(a, b)
    np.testing.assert_allclose(plain.solution.array, [1, 2])
    assert plain.rank.item() == 2
    assert plain.residuals.shape == plain.singular_values.shape == (0,)
    full = tgc.linalg.lstsq(a, b[:, None], driver="gelsd")
    np.testing.assert_allclose(full.residuals.array, [9])
    np.testing.assert_allclose(full.singular_values.array, [1, 1])
    assert tgc.linalg.lstsq(a, b[:, None], driver="gels").rank.shape == (0,)
    deficient = tgc.linalg.lstsq(tgc.ones(3, 2), tgc.ones(3, 1), driver="gelss")
    assert deficient.rank.item() == 1
    assert deficient.residuals.shape == (0,)
    np.testing.assert_allclose(deficient.solution.array, [[0.5], [0.5]], rtol=1e-5)


def test_gradient_stays_in_the_triangle(backend: str) -> None:
    a = tgc.tensor(lower(np.ones((3, 3))), requires_grad=True)
    tgc.linalg.solve_triangular(a, tgc.ones(3, 1, dtype="float64"), upper=False).sum().backward()
    assert (np.triu(a.grad.array, 1) == 0).all()
    assert (a.grad.array[np.tril_indices(3)] != 0).all()


def test_the_name_of_the_matrix_is_that_of_torch(backend: str) -> None:
    x = tgc.eye(2) * 2.0
    assert tgc.det(input=x).item() == tgc.linalg.det(A=x).item() == 4.0
    assert tgc.slogdet(input=x).sign.item() == tgc.linalg.slogdet(A=x).sign.item() == 1.0
