"""Products with sparse matrices along an axis, against dense matrices: every axis, layout and number of threads; grids."""

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


MODES = [(mode, padding, align) for mode in ("nearest", "bilinear", "bicubic")
         for padding in ("zeros", "border", "reflection") for align in (False, True)]


@pytest.mark.parametrize(("mode", "padding", "align"), MODES)
def test_grids_lead_nowhere_and_pixels_are_not_finite(reference, compiled, dtype, mode, padding, align):
    """NaN and Inf come out where the NumPy body has them, from pixels and from places; a pixel outside adds nothing."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 2, 4, 5)).astype(dtype), rng.standard_normal((2, 2, 3, 50)).astype(dtype)
    x[0, 0, 0, 0], x[1, 1, 2, 2] = np.inf, np.nan
    grid = rng.uniform(-1.6, 1.6, (2, 3, 50, 2)).astype(dtype)
    far = 41.03 if padding == "reflection" else 1e30  # where a huge number is mirrored to, rounding decides
    grid[0, 0, :6, 0] = grid[1, 1, 3:9, 1] = [np.nan, np.inf, -np.inf, far, -far, 7.03]
    with np.errstate(all="ignore"):
        for name, args in [("grid_sample", (x, grid)), ("grid_sample_input", (g, grid, (4, 5))),
                           ("grid_sample_grid", (g, x, grid))]:
            got, want = (getattr(module, name)(*args, mode, padding, align, (0, 0)) for module in (compiled, reference))
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-4 if dtype == np.float32 else 1e-11, err_msg=name)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_grid_threads(compiled, same_for_all_thread_counts, dtype, mode):
    rng = np.random.default_rng(1)
    x, grid = rng.standard_normal((3, 9, 70, 61)).astype(dtype), rng.uniform(-1.2, 1.2, (3, 80, 77, 2)).astype(dtype)
    g, how = rng.standard_normal((3, 9, 80, 77)).astype(dtype), (mode, "reflection", False, (0, 0))
    same_for_all_thread_counts(lambda: (compiled.grid_sample(x, grid, *how), compiled.grid_sample_grid(g, x, grid, *how),
                                        compiled.grid_sample_input(g, grid, (70, 61), *how)))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_grid_precision(compiled, torch, mode):
    """float32 is as near to float64 as PyTorch's, up to a factor of two."""
    rng = np.random.default_rng(2)
    x, g = rng.standard_normal((1, 3, 200, 190)), rng.standard_normal((1, 3, 60, 70))
    grid = rng.uniform(-0.95, 0.95, (1, 60, 70, 2)).astype(np.float32).astype(np.float64)
    how, number = (mode, "zeros", False, (0, 0)), {"bilinear": 0, "bicubic": 2}[mode]

    def ours(x, grid, g):
        return (compiled.grid_sample(x, grid, *how), compiled.grid_sample_input(g, grid, x.shape[2:], *how),
                compiled.grid_sample_grid(g, x, grid, *how))

    def theirs(x, grid, g):
        x, grid, g = (torch.from_numpy(value) for value in (x, grid, g))
        back = torch.ops.aten.grid_sampler_2d_backward(g, x, grid, number, 0, False, [True, True])
        return [y.numpy() for y in (torch.grid_sampler(x, grid, number, 0, False), *back)]

    single = [value.astype(np.float32) for value in (x, grid, g)]
    for exact, mine, other in zip(ours(x, grid, g), ours(*single), theirs(*single), strict=True):
        np.testing.assert_allclose(theirs(x, grid, g)[0], ours(x, grid, g)[0], atol=1e-12)
        assert np.abs(mine - exact).max() < 2 * np.abs(other - exact).max()


def test_grid_refusals(compiled):
    x, grid, how = np.ones((1, 2, 3, 4), np.float32), np.ones((1, 5, 6, 2), np.float32), ("bilinear", "zeros", False, (0, 0))
    for call in (lambda: compiled.grid_sample(x, np.ones((1, 5, 6, 3), np.float32), *how),
                 lambda: compiled.grid_sample(x, np.ones((2, 5, 6, 2), np.float32), *how),
                 lambda: compiled.grid_sample(x[0], grid, *how),
                 lambda: compiled.grid_sample(x, grid, *how[:3], (0, 0, 0)),
                 lambda: compiled.grid_sample_input(x, grid, (3, 4), *how),
                 lambda: compiled.grid_sample_input(np.ones((1, 2, 5, 6), np.float32), grid, (3,), *how),
                 lambda: compiled.grid_sample_grid(x, x, grid, *how),
                 lambda: compiled.grid_sample_grid(np.ones((1, 3, 5, 6), np.float32), x, grid, *how)):
        with pytest.raises(ValueError, match=r"grid_sample.*: g, images and grid of the shapes .*do not fit each other"):
            call()
    with pytest.raises(ValueError, match=r"grid_sample: a channel of \(0, 4\) has 0 pixels"):
        compiled.grid_sample(x[:, :, :0], grid, *how)
    with pytest.raises(ValueError, match="no bicubic mode for volumes"):
        compiled.grid_sample(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 3)), "bicubic", "zeros", False, (0, 0, 0))
