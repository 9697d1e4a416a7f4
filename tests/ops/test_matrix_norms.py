"""ops/matrix_norms.py: norms and condition numbers of matrices."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away
from tests.ops.matrices import of_torch, on, regular
from tinygrad_course.errors import DTypeError, ShapeError

INF = float("inf")


def matrix_norm(x: np.ndarray, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> np.ndarray:
    moved = np.moveaxis(x, dim, (-2, -1))
    out = np.zeros(moved.shape[:-2])
    for place in np.ndindex(out.shape):
        m = moved[place]
        s = scipy.linalg.svdvals(m)
        rows, columns = np.abs(m).sum(1), np.abs(m).sum(0)
        out[place] = {
            "fro": np.sqrt((m * m).sum()),
            "nuc": s.sum(),
            2: s.max(),
            -2: s.min(),
            1: columns.max(),
            -1: columns.min(),
            INF: rows.max(),
            -INF: rows.min(),
        }[ord]
    return np.expand_dims(out, tuple(d % x.ndim for d in dim)) if keepdim else out


def norm(x: np.ndarray, ord: Any = None, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    if ord is None:
        axes = tuple(range(x.ndim)) if dim is None else dim
        return np.sqrt((x * x).sum(axes, keepdims=keepdim))
    if isinstance(dim, tuple) or (dim is None and x.ndim == 2):
        return matrix_norm(x, ord, dim or (0, 1), keepdim)
    return (np.abs(x) ** ord).sum(dim, keepdims=keepdim) ** (1 / ord)


def cond(x: np.ndarray, p: Any = None) -> np.ndarray:
    if p in (None, 2, -2):
        s = [scipy.linalg.svdvals(x[place]) for place in np.ndindex(x.shape[:-2])]
        return np.array([v[-1] / v[0] if p == -2 else v[0] / v[-1] for v in s]).reshape(x.shape[:-2])
    return matrix_norm(x, p) * matrix_norm(np.linalg.inv(x), p)


CASES = (
    Case(
        "matrix_norm",
        on(tgc.linalg.matrix_norm, regular),
        on(matrix_norm, regular),
        (
            S((2, 3)),
            *(S((2, 2, 3), ord=p) for p in ("nuc", 2, -2)),
            *(S((2, 3), ord=p) for p in (1, -1, INF, -INF)),
            S((2, 2, 3), ord=INF, dim=(2, 0)),
            S((2, 3, 2), ord="nuc", dim=(0, -1), keepdim=True),
            S((2, 2, 3), ord=1, keepdim=True),
        ),
        torch=on(of_torch("linalg.matrix_norm"), regular),
        errors=(
            Error(lambda: tgc.linalg.matrix_norm(tgc.ones(2)), ShapeError, "matrix_norm.*matrix"),
            Error(lambda: tgc.linalg.matrix_norm(tgc.ones(2, 2), 3), ValueError, "matrix_norm.*'nuc'.*got 3"),
            Error(lambda: tgc.linalg.matrix_norm(tgc.ones(2, 2), dim=(1, 1)), ShapeError, "matrix_norm.*twice"),
            Error(lambda: tgc.linalg.matrix_norm(tgc.ones(2, 2), dim=1), ShapeError, "matrix_norm.*two axes"),
        ),
    ),
    Case(
        "linalg_norm",
        tgc.linalg.norm,
        norm,
        (
            S((2, 3, 2)),
            S((2, 3), dim=(0, 1), keepdim=True),
            S(away(3), ord=3),
            S(away(2, 3), ord=1, dim=1),
            S(away(2, 3), ord=1),
            S((2, 3), ord="nuc", dim=(1, 0)),
        ),
        torch=of_torch("linalg.norm"),
        errors=(
            Error(lambda: tgc.linalg.norm(tgc.ones(2, 2, 2), 1), ShapeError, r"norm.*ord = 1.*\(2, 2, 2\)"),
            Error(lambda: tgc.linalg.norm(tgc.ones(2, 2), 3), ValueError, "matrix_norm.*got 3"),
        ),
    ),
    Case(
        "cond",
        on(tgc.linalg.cond, regular),
        on(cond, regular),
        (S((3, 3)), S((2, 3), p=-2), S((2, 2, 2), p=2)),
        torch=on(of_torch("linalg.cond"), regular),
    ),
    Case(
        "cond",  # for these PyTorch's own has no gradient: it changes the inverse in place
        on(tgc.linalg.cond, regular),
        on(cond, regular),
        (*(S((2, 2), p=p) for p in ("fro", "nuc", 1, -INF)), S((2, 2, 2), p=INF)),
        errors=(Error(lambda: tgc.linalg.cond(tgc.ones(2, 3), 1), ShapeError, "cond.*square"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_condition_of_a_singular_matrix_is_infinite(backend: str) -> None:
    x = tgc.tensor([[1.0, 2.0], [2.0, 4.0]])
    assert tgc.linalg.cond(x, 1).item() == INF
    assert tgc.linalg.cond(tgc.zeros(0, 0)).item() == 0
    assert tgc.linalg.cond(tgc.stack([x, tgc.eye(2)]), 1).tolist() == [INF, 1]


def test_other_names_and_types(backend: str) -> None:
    x = tgc.ones(2, 3)
    assert tgc.linalg.norm(x, axis=1, keepdims=True).shape == (2, 1)
    assert tgc.linalg.matrix_norm(x, dtype="float64").dtype == np.float64
    assert tgc.linalg.diagonal(tgc.tensor(np.arange(12.0).reshape(3, 2, 2))).tolist() == [[0, 3], [4, 7], [8, 11]]


def test_equal_sums_share_the_gradient(backend: str) -> None:
    x = tgc.eye(2, requires_grad=True)
    tgc.linalg.matrix_norm(x, 1).backward()
    assert x.grad.tolist() == [[0.5, 0], [0, 0.5]]


def test_norms_of_empty_matrices(backend: str, torch: Any) -> None:
    """0 is the largest of nothing that cannot be negative; a smallest there is not."""
    for shape in ((0, 0), (0, 3), (3, 0)):
        for order in (1, -1, 2, -2, INF, -INF, "fro", "nuc"):
            try:
                wanted = torch.linalg.norm(torch.zeros(shape), order)
            except IndexError:
                with pytest.raises(ShapeError):
                    tgc.linalg.norm(tgc.zeros(shape), order)
            else:
                assert tgc.linalg.norm(tgc.zeros(shape), order).item() == wanted.item() == 0
    assert tgc.linalg.norm(tgc.zeros(2, 0, 3), 2, (1, 2), True).shape == (2, 1, 1)


def test_norms_of_halves_that_need_no_singular_values(backend: str) -> None:
    x = tgc.ones(2, 2, dtype="float16")
    assert [tgc.linalg.matrix_norm(x, order).item() for order in ("fro", 1, -1, INF)] == [2, 2, 2, 2]
    with pytest.raises(DTypeError, match=r"matrix_norm.*float16"):
        tgc.linalg.matrix_norm(x, 2)


def test_nuclear_condition_of_a_singular_matrix(backend: str) -> None:
    assert tgc.linalg.cond(tgc.ones(2, 2), "nuc").item() == INF
