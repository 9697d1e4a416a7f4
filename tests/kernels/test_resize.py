"""Products with sparse matrices along an axis, against dense matrices: every axis, layout and number of threads."""

import numpy as np
import pytest

from tinygrad_course.ops.axis_product import SparseMatrix

FAMILY = "resize"


def random_matrix(rng, out, size, most):
    """Up to `most` entries per row, some rows without any."""
    rows = np.repeat(np.arange(out), rng.integers(0, most + 1, out)) if size else np.empty(0, int)
    cols = rng.integers(0, max(size, 1), rows.size)
    return SparseMatrix(out, size, rows, cols, rng.standard_normal(rows.size) if most % 2 else None)


def dense(matrix):
    full = np.zeros((matrix.n_out, matrix.n_in))
    np.add.at(full, (matrix.rows, matrix.cols), 1.0 if matrix.weights is None else matrix.weights)
    return full


@pytest.mark.parametrize("shape", [(5,), (4, 7), (2, 3, 5), (3, 1, 4, 2), (2, 3, 33, 70), (1, 9, 9000), (0, 3), (3, 0, 2)])
def test_all_axes(k, dtype, layout, shape):
    rng = np.random.default_rng(len(shape))
    for axis in range(len(shape)):
        for out, most in ((1, 1), (6, 2), (3, 5), (40, 4), (0, 1)):
            x = layout(rng.standard_normal(shape).astype(dtype))
            matrix = random_matrix(rng, out, shape[axis], most)
            y = k.axis_product(x, axis, out, matrix.layers)
            expected = np.moveaxis(np.tensordot(dense(matrix), x.astype(np.float64), (1, axis)), 0, axis)
            assert y.dtype == dtype
            assert y.flags.c_contiguous
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-5 if dtype == np.float32 else 1e-12)


def test_rows_without_entries_are_zero_beside_infinity(k, dtype):
    """What fills up a row must not turn infinity into NaN."""
    matrix = SparseMatrix(3, 2, [0, 0, 2], [0, 1, 1], np.array([1.0, 2.0, 3.0]))
    for shape, axis in (((2,), 0), ((2, 2), 0), ((2, 2), 1)):
        y = k.axis_product(np.full(shape, np.inf, dtype), axis, 3, matrix.layers)
        np.testing.assert_array_equal(np.moveaxis(y, axis, 0)[1], 0)
        assert np.isinf(np.moveaxis(y, axis, 0)[[0, 2]]).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_threads(compiled, same_for_all_thread_counts, dtype, axis):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((70, 61, 130)).astype(dtype)
    matrix = random_matrix(rng, 200, x.shape[axis], 3)
    same_for_all_thread_counts(lambda: compiled.axis_product(x, axis, 200, matrix.layers))


def test_refusals(compiled):
    layers = SparseMatrix(2, 9, [0, 1], [0, 8]).layers
    with pytest.raises(ValueError, match=r"axis_product: the matrix has columns from 0 to 8, axis 0 .*\(3,\).*size 3"):
        compiled.axis_product(np.ones(3, np.float32), 0, 2, layers)
    with pytest.raises(ValueError, match="axis_product: axis 1 of an input with 1"):
        compiled.axis_product(np.ones(9, np.float32), 1, 2, layers)
    with pytest.raises(TypeError, match="axis_product: the compiled kernel takes float32 or float64"):
        compiled.axis_product(np.ones(9, np.int64), 0, 2, layers)
