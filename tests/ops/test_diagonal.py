"""ops/diagonal.py: diagonals and triangles of matrices."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.moving import INTEGERS, each_place, same
from tinygrad_course.errors import ShapeError


def embedded(x: np.ndarray, offset: int = 0, dim1: int = -2, dim2: int = -1) -> np.ndarray:
    size = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], size, size), x.dtype)
    for k in range(x.shape[-1]):
        out[..., k - min(offset, 0), k + max(offset, 0)] = x[..., k]
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def scattered(x: np.ndarray, src: np.ndarray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> np.ndarray:
    out = np.moveaxis(x.copy(), (dim1, dim2), (-2, -1))
    for k in range(src.shape[-1]):
        out[..., k - min(offset, 0), k + max(offset, 0)] = src[..., k]
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def triangle(keep: Any) -> Any:
    def oracle(x: np.ndarray, diagonal: int = 0) -> np.ndarray:
        return each_place(x.shape, lambda *at: x[at] if keep(at[-1] - at[-2], diagonal) else 0, x.dtype)

    return oracle


def places(keep: Any) -> Any:
    def oracle(row: int, col: int, offset: int = 0) -> np.ndarray:
        found = [(i, j) for i in range(row) for j in range(col) if keep(j - i, offset)]
        return np.array(found, np.int64).reshape(-1, 2).T

    return oracle


LOWER, UPPER = lambda d, k: d <= k, lambda d, k: d >= k
DIAGONAL = (
    S((3, 4)),
    S((3, 4), args=(1,)),
    S((4, 3), args=(-2,)),
    S((2, 3, 4), args=(0, 0, -1)),
    S((2, 3, 4), args=(1, 2, 1)),
    S((2, 3), args=(5,)),
    S((0, 2)),
)
EMBED = (
    S((3,)),
    S((2, 2), args=(1,)),
    S((2, 2), args=(-1, 0, 2)),
    S((2, 3), args=(0, 1, 0)),
    S((0,), args=(1,)),
    S((2, 0)),
)
TRIANGLE = (S((3, 4)), S((4, 3), args=(1,)), S((2, 2, 3), args=(-1,)), S((2, 2), args=(5,)), S((0, 2)))


def triangle_case(name: str, keep: Any) -> Case:
    return same(
        name,
        triangle(keep),
        TRIANGLE,
        half=True,
        errors=(Error(lambda: getattr(tgc, name)(tgc.ones(3)), ShapeError, rf"{name}: expects matrices.*\(3,\)"),),
    )


def indices_case(name: str, keep: Any) -> Case:
    return same(
        name,
        places(keep),
        (S(args=(3, 3)), S(args=(2, 4, 1)), S(args=(4, 2, -1)), S(args=(0, 3)), S(args=(2, 2, -5))),
        differentiable=False,
        out="int64",
        integers=(),
        errors=(Error(lambda: getattr(tgc, name)(-1, 2), ShapeError, rf"{name}.*\(-1, 2\)"),),
    )


CASES = (
    same(
        "diagonal",
        np.diagonal,
        DIAGONAL,
        half=True,
        errors=(
            Error(lambda: tgc.diagonal(tgc.ones(3)), ShapeError, "diagonal.*two axes, it has 1"),
            Error(lambda: tgc.diagonal(tgc.ones(3, 3), 0, 1, -1), ShapeError, "diagonal.*different axes, both are 1"),
            Error(lambda: tgc.diagonal(tgc.ones(3, 3), 0, 0, 2), ShapeError, "diagonal.*dim 2"),
        ),
    ),
    same("diagonal_copy", np.diagonal, (S((3, 4), args=(1,)), S((2, 2, 3), args=(0, 0, 1)))),
    same(
        "diag_embed",
        embedded,
        EMBED,
        errors=(Error(lambda: tgc.diag_embed(tgc.ones(())), ShapeError, "diag_embed.*at least one axis"),),
    ),
    same(
        "diag",
        np.diag,
        (S((3, 4)), S((3, 4), args=(-1,)), S((3,)), S((2,), args=(2,)), S((0,))),
        errors=(Error(lambda: tgc.diag(tgc.ones(1, 2, 3)), ShapeError, r"diag: expects.*\(1, 2, 3\)"),),
    ),
    same("diagflat", np.diagflat, (S((2, 2)), S((3,), args=(-1,)), S(()))),
    same(
        "diagonal_scatter",
        scattered,
        (
            S((3, 4), (3,)),
            S((3, 4), (2,), args=(-1,)),
            S((2, 3, 2), (3, 2), args=(0, 0, -1)),
            S((2, 3), (0,), args=(7,)),
        ),
        errors=(Error(lambda: tgc.diagonal_scatter(tgc.ones(3, 3), tgc.ones(2)), ShapeError, r"src.*\(2,\).*\(3,\)"),),
    ),
    same(
        "trace",
        np.trace,
        (S((3, 3)), S((2, 4)), S((0, 2))),
        integers=("int64", "int32", "uint8"),
        errors=(Error(lambda: tgc.trace(tgc.ones(3)), ShapeError, r"trace: expects a matrix, got shape \(3,\)"),),
    ),
    triangle_case("tril", LOWER),
    triangle_case("triu", UPPER),
    indices_case("tril_indices", LOWER),
    indices_case("triu_indices", UPPER),
)


class TestBattery(Battery):
    """See battery.py."""


def test_a_diagonal_is_a_view(backend: str) -> None:
    x = tgc.zeros(2, 3)
    y = (x * tgc.ones(2, 3, requires_grad=True)).sum()  # saves x
    tgc.diagonal(x, 1).fill_(1)
    assert x.tolist() == [[0, 1, 0], [0, 0, 1]]
    with pytest.raises(tgc.errors.GraphError, match="fill_"):
        y.backward()
    tgc.diag(x, 1).fill_(5)  # a copy
    assert x.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_nan_outside_a_triangle_is_gone(backend: str) -> None:
    x = tgc.tensor([[1.0, np.nan], [np.nan, 2.0]])
    assert tgc.triu(tgc.tril(x)).tolist() == [[1, 0], [0, 2]]


def test_types(backend: str) -> None:
    assert tgc.trace(tgc.tensor([[200]], dtype="uint8")).dtype == np.int64
    assert tgc.tril_indices(2, 2, dtype="int32").dtype == np.int32
    for dtype in INTEGERS:
        assert tgc.triu(tgc.ones(2, 2, dtype=dtype)).dtype == np.dtype(dtype)
