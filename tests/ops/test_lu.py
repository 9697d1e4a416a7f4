"""ops/lu.py: LU and LDL^T factorisations."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.matrices import T, mixed, of_torch, on, symmetric
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.linalg import LinAlgError


def packed(x: np.ndarray) -> np.ndarray:
    """L and U in one array, by eliminating column by column."""
    m, n = x.shape[-2:]
    out = x.copy()
    for place in np.ndindex(x.shape[:-2]):
        a = out[place]
        for j in range(min(m, n)):
            p = j + int(np.argmax(np.abs(a[j:, j])))
            a[[j, p]] = a[[p, j]]
            for i in range(j + 1, m):
                a[i, j] /= a[j, j]
                for k in range(j + 1, n):
                    a[i, k] -= a[i, j] * a[j, k]
    return out


def three(x: np.ndarray) -> list[np.ndarray]:
    parts = [scipy.linalg.lu(x[place]) for place in np.ndindex(x.shape[:-2])]
    return [np.array(part).reshape(x.shape[:-2] + part[0].shape) for part in zip(*parts, strict=True)]


def through(call: Any) -> Any:
    """lu_solve of the factorisation of a regular matrix."""
    return lambda a, b, **how: call(*tgc.linalg.lu_factor(mixed(a)), b, **how)


def solved(a: np.ndarray, b: np.ndarray, left: bool = True, adjoint: bool = False) -> np.ndarray:
    inverse = np.linalg.inv(mixed(a))
    inverse = T(inverse) if adjoint else inverse
    return inverse @ b if left else b @ inverse


SHAPES = (S((3, 3)), S((2, 2, 2)), S((4, 2)), S((2, 3)), S((1, 1)))

CASES = (
    Case(
        "lu_factor",
        on(lambda x: tgc.linalg.lu_factor(x).LU, mixed),
        on(packed, mixed),
        SHAPES,
        torch=on(lambda x: of_torch("linalg.lu_factor")(x)[0], mixed),
        errors=(
            Error(lambda: tgc.linalg.lu_factor(tgc.ones(3)), ShapeError, "lu_factor.*matrix"),
            Error(
                lambda: tgc.linalg.lu_factor_ex(tgc.ones(2, 2), check_errors=True),
                LinAlgError,
                "lu_factor.*singular: pivot 2",
            ),
        ),
    ),
    Case(
        "lu",
        on(lambda x: tgc.lu(x)[0], mixed),
        on(packed, mixed),
        SHAPES[:1],
        torch=on(lambda x: of_torch("lu")(x)[0], mixed),
    ),
    Case(
        "lu_unpack",
        on(lambda x: tgc.lu_unpack(*tgc.lu(x))[1:], mixed),
        on(lambda x: three(x)[1:], mixed),
        SHAPES[:4],
        torch=on(lambda x: tuple(of_torch("lu_unpack")(*of_torch("linalg.lu_factor")(x)))[1:], mixed),
        errors=(Error(lambda: tgc.lu_unpack(tgc.eye(2), tgc.tensor([1, 2])), DTypeError, "lu_unpack.*int32.*int64"),),
    ),
    Case(
        "lu_factor",
        on(lambda x: tgc.linalg.lu(x)[1:], mixed),
        on(lambda x: three(x)[1:], mixed),
        (S((3, 2), note="linalg.lu"),),
    ),
    Case(
        "lu_solve",
        lambda a, b: tgc.lu_solve(b, *tgc.linalg.lu_factor(mixed(a))),
        solved,
        (S((2, 2), (2, 1)), S((2, 2, 2), (2, 2, 2)), S((2, 2), (3, 2, 1))),
        torch=lambda a, b: of_torch("linalg.lu_solve")(*of_torch("linalg.lu_factor")(mixed(a)), b),
    ),
    Case(
        "lu_factor",
        through(tgc.linalg.lu_solve),
        solved,
        (
            S((2, 2), (2, 3), adjoint=True, note="lu_solve"),
            S((2, 2), (3, 2), left=False, note="lu_solve"),
            S((2, 2), (3, 2), left=False, adjoint=True, note="lu_solve"),
        ),
    ),
    Case(
        "ldl_factor",
        lambda x: tgc.linalg.ldl_factor(symmetric(x).detach()),
        lambda x: (np.tril(scipy.linalg.lapack.dsytrf(symmetric(x), lower=1)[0]), np.arange(1, len(x) + 1)),
        (S((3, 3)), S((4, 4)), S((1, 1))),
        differentiable=False,
        out=("same", "int32"),
        errors=(
            Error(
                lambda: tgc.linalg.ldl_factor(tgc.eye(2, requires_grad=True)), GraphError, "ldl_factor: has no gradient"
            ),
            Error(lambda: tgc.linalg.ldl_factor(tgc.zeros(2, 2)), LinAlgError, "ldl_factor.*block 1 of D"),
        ),
    ),
    Case(
        "ldl_solve",
        lambda a, b: tgc.linalg.ldl_solve(*tgc.linalg.ldl_factor(symmetric(a).detach()), b.detach()),
        lambda a, b: np.linalg.inv(symmetric(a)) @ b,
        (S((3, 3), (3, 2)), S((2, 2, 2), (2, 1)), S((2, 2), (2, 2, 1))),
        differentiable=False,
        errors=(
            Error(
                lambda: tgc.linalg.ldl_solve(tgc.eye(2), tgc.tensor([1, 2], dtype="int32"), tgc.ones(3, 1)),
                ShapeError,
                r"ldl_solve.*\(2, 2\).*\(3, 1\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_pivots_and_permutation(backend: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5, 4))
    lu, pivots, info = tgc.linalg.lu_factor_ex(tgc.tensor(x))
    assert pivots.dtype == info.dtype == np.int32
    assert info.tolist() == [0, 0, 0]
    for place in range(3):
        np.testing.assert_array_equal(pivots.array[place], scipy.linalg.lapack.dgetrf(x[place])[1] + 1)
    p, low, up = (y.array for y in tgc.linalg.lu(tgc.tensor(x)))
    np.testing.assert_allclose(p @ low @ up, x, atol=1e-14)
    none = tgc.lu_unpack(lu, pivots, unpack_data=False)
    np.testing.assert_array_equal(none.P.array, p)
    assert none.L.shape == none.U.shape == (0,)
    assert tgc.lu_unpack(lu, pivots, unpack_pivots=False).P.shape == (0,)
    assert len(tgc.lu(tgc.tensor(x), get_infos=True)) == 3


def test_zero_pivots_are_told(backend: str) -> None:
    assert tgc.linalg.lu_factor_ex(tgc.ones(2, 2)).info.item() == 2
    assert tgc.linalg.lu_factor_ex(tgc.zeros(2, 2)).info.item() == 1
    assert tgc.linalg.lu_factor_ex(tgc.zeros(0, 2)).info.item() == 0


def test_without_pivoting_rows_stay(backend: str) -> None:
    lu, pivots = tgc.linalg.lu_factor(tgc.tensor([[1.0, 2.0], [4.0, 3.0]]), pivot=False)
    assert lu.tolist() == [[1, 2], [4, -5]]
    assert pivots.tolist() == [1, 2]


def test_ldl_with_blocks(backend: str, rng: np.random.Generator) -> None:
    """Zeros on the diagonal need blocks of 2 x 2, which have negative pivots."""
    y = rng.standard_normal((6, 6))
    x = (y + y.T) * (1 - np.eye(6))
    ld, pivots, info = tgc.linalg.ldl_factor_ex(tgc.tensor(x))
    wanted, rows, _ = scipy.linalg.lapack.dsytrf(x, lower=1)
    np.testing.assert_allclose(ld.array, np.tril(wanted), atol=1e-13)
    assert (pivots.array < 0).any()
    np.testing.assert_array_equal(np.abs(pivots.array), np.abs(rows))
    b = rng.standard_normal((6, 2))
    np.testing.assert_allclose(x @ tgc.linalg.ldl_solve(ld, pivots, tgc.tensor(b)).array, b, atol=1e-12)
    assert info.item() == 0


def test_names_of_the_fields(backend: str) -> None:
    x = tgc.eye(2)
    assert tgc.linalg.lu(x)._fields == ("P", "L", "U")
    assert tgc.linalg.lu_factor(x)._fields == ("LU", "pivots")
    assert tgc.linalg.lu_factor_ex(x)._fields == ("LU", "pivots", "info")
    assert tgc.linalg.ldl_factor(x)._fields == ("LD", "pivots")
    assert tgc.linalg.ldl_factor_ex(x)._fields == ("LD", "pivots", "info")
    with pytest.raises(LinAlgError):
        tgc.linalg.ldl_factor_ex(tgc.zeros(2, 2), check_errors=True)
