"""ops/axis_product.py: products with sparse matrices along an axis."""

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.axis_product import SparseMatrix, averages, axis_product, windows

# 4 x 3: row 0 has two entries for one column, row 2 none, row 3 comes before row 1
MIXED = SparseMatrix(4, 3, [0, 3, 0, 1, 3, 0], [2, 0, 2, 1, 1, 0], np.array([2.0, -1.0, 0.5, 3.0, 1.5, 4.0]))
PICKS = SparseMatrix(3, 4, [0, 2], [3, 3])
EMPTY = SparseMatrix(2, 3, np.zeros(0, int), np.zeros(0, int))


def dense(matrix: SparseMatrix) -> np.ndarray:
    out = np.zeros((matrix.n_out, matrix.n_in))
    weights = np.ones(matrix.rows.size) if matrix.weights is None else matrix.weights
    for row, col, weight in zip(matrix.rows, matrix.cols, weights, strict=True):
        out[row, col] += weight
    return out


def oracle(x: np.ndarray, axis: int, matrix: SparseMatrix) -> np.ndarray:
    return np.moveaxis(np.tensordot(dense(matrix), x, (1, axis)), 0, axis)


CASES = (
    Case(
        "axis_product",
        axis_product,
        oracle,
        (
            S((2, 3, 2), args=(1, MIXED), note="mixed"),
            S((3,), args=(0, MIXED), note="vector"),
            S((2, 4), args=(1, PICKS), note="picks"),
            S((2, 3), args=(1, EMPTY), note="no entries"),
            S((0, 3), args=(1, MIXED), note="empty"),
            S((2, 4), args=(1, MIXED.transposed), note="transposed"),
        ),
        half=True,
        errors=(
            Error(
                lambda: axis_product(tgc.ones(2, 4), 1, MIXED),
                ShapeError,
                r"axis_product.*axis 1 of \(2, 4\).*4 x 3.*needs 3",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_the_transposed_of_the_transposed_is_the_matrix() -> None:
    assert MIXED.transposed.transposed is MIXED
    np.testing.assert_array_equal(dense(MIXED.transposed), dense(MIXED).T)


def test_integers_keep_their_type(backend: str) -> None:
    y = axis_product(tgc.tensor([1, 2, 3, 4]), 0, PICKS)
    assert y.dtype == np.int64
    assert y.tolist() == [4, 0, 4]


def test_windows() -> None:
    """Two taps, 2 apart, every second place, one zero before: the places -1, 1, 3 and 1, 3, 5 of an axis of 5."""
    rows = dense(windows(5, 2, 2, 1, 2, 3)).reshape(2, 3, 5)
    assert [[list(np.flatnonzero(row)) for row in tap] for tap in rows] == [[[], [1], [3]], [[1], [3], []]]


def test_small_matrices_are_kept() -> None:
    assert averages(7, 2) is averages(7, 2)
    assert averages(5000, 2) is not averages(5000, 2)


def test_averages_overlap_and_sum_to_one() -> None:
    np.testing.assert_allclose(dense(averages(5, 3)), [[1 / 2, 1 / 2, 0, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3, 0],
                                                       [0, 0, 0, 1 / 2, 1 / 2]])
    np.testing.assert_allclose(dense(averages(2, 3)), [[1, 0], [0.5, 0.5], [0, 1]])
    assert dense(averages(4, 0)).shape == (0, 4)
