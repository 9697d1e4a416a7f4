"""Pooling kernels against PyTorch and against loops over windows."""

import math

import numpy as np
import pytest

from tinygrad_course.backend.reference.pool import pool_size
from tinygrad_course.errors import ShapeError

FAMILY = "pool"

# shape, kernel, stride, padding, dilation, ceil_mode
GEOMETRIES = [
    ((2, 3, 8, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((1, 2, 28, 39), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 1, 13, 40), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 1, 12, 11), (3, 3), (2, 2), (0, 0), (1, 1), True),
    ((1, 2, 9, 36), (3, 2), (1, 1), (1, 1), (1, 1), False),
    ((1, 2, 9, 8), (3, 3), (1, 2), (1, 0), (2, 3), False),
    ((1, 2, 11, 8), (2, 3), (3, 3), (1, 1), (2, 1), True),
    ((1, 1, 5, 6), (4, 4), (5, 5), (2, 2), (1, 1), True),
    ((3, 2, 6, 7), (6, 7), (1, 1), (0, 0), (1, 1), False),
    ((2, 2, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 2, 3, 300), (2, 3), (1, 1), (0, 1), (1, 1), False),
]
ids = [str(i) for i in range(len(GEOMETRIES))]
geometry = pytest.mark.parametrize("case", GEOMETRIES, ids=ids)
average_only = [c for c in GEOMETRIES if c[4] == (1, 1)]


def draw(shape, dtype, seed=0):
    """Few distinct values, so that windows have ties."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype) / 2


def windows(size, kernel, stride, padding, dilation, ceil_mode):
    """Input positions of the taps of each window along one axis, by the definition."""
    taps = []
    for o in range(pool_size(size, kernel, stride, padding, dilation, ceil_mode)):
        start = o * stride - padding
        taps.append([i for i in range(start, start + kernel * dilation, dilation) if 0 <= i < size])
    return taps


def max_by_loops(x, kernel, stride, padding, dilation, ceil_mode):
    rows, cols = (windows(x.shape[a + 2], kernel[a], stride[a], padding[a], dilation[a], ceil_mode) for a in (0, 1))
    y = np.empty((*x.shape[:2], len(rows), len(cols)), x.dtype)
    index = np.empty(y.shape, np.int32)
    for n, c, i, j in np.ndindex(y.shape):
        places = [(h, w) for h in rows[i] for w in cols[j]]
        best = max(places, key=lambda at: x[n, c, at[0], at[1]])  # max() keeps the first of equals
        y[n, c, i, j], index[n, c, i, j] = x[(n, c, *best)], best[0] * x.shape[3] + best[1]
    return y, index


def avg_by_loops(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    rows, cols = (windows(x.shape[a + 2], kernel[a], stride[a], padding[a], 1, ceil_mode) for a in (0, 1))
    y = np.zeros((*x.shape[:2], len(rows), len(cols)), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        total = sum(float(x[n, c, h, w]) for h in rows[i] for w in cols[j])
        count = len(rows[i]) * len(cols[j])
        if count_include_pad:
            count = math.prod(
                min(o * stride[a] - padding[a] + kernel[a], x.shape[a + 2] + padding[a]) - (o * stride[a] - padding[a])
                for a, o in enumerate((i, j))
            )
        y[n, c, i, j] = total / (divisor_override or count)
    return y


@geometry
def test_max_pool_is_the_first_maximum_of_each_window(k, case, dtype):
    shape, *args = case
    x = draw(shape, dtype)
    before = x.copy()
    y, index = k.max_pool2d(x, *args)
    expected_y, expected_index = max_by_loops(x, *args)
    assert y.dtype == dtype
    assert index.dtype == np.int32
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_array_equal(x, before)


@geometry
def test_max_pool_is_pytorchs(k, torch, case, dtype):
    shape, *args = case
    x = draw(shape, dtype, seed=1)
    if x.size > 8:
        x.reshape(-1)[::7] = np.nan
        x.reshape(-1)[3::5] = -np.inf
    y, index = k.max_pool2d(x, *args)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), *args, return_indices=True)
    np.testing.assert_array_equal(y, expected[0].numpy())
    np.testing.assert_array_equal(index, expected[1].numpy())


@geometry
def test_max_pool_backward_and_gather_are_pytorchs(k, torch, case, dtype):
    shape, *args = case
    x = draw(shape, dtype, seed=2)
    t = torch.from_numpy(x).requires_grad_()
    out = torch.nn.functional.max_pool2d(t, *args)
    g = np.random.default_rng(3).standard_normal(out.shape).astype(dtype)
    y, index = k.max_pool2d(x, *args)
    gx = k.max_pool2d_backward(g, index, shape)
    out.backward(torch.from_numpy(g))
    assert gx.dtype == dtype
    np.testing.assert_allclose(gx, t.grad.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(k.max_pool2d_gather(x, index), y)


def test_max_pool_backward_takes_any_index(k, dtype):
    """A plane of 2x2 outputs need not come from 2x2 windows, and a transposed index is not contiguous."""
    g = np.arange(1, 9, dtype=dtype).reshape(2, 1, 2, 2)
    index = np.array([0, 0, 15, 5, 0, 3, 8, 10], np.int32).reshape(2, 1, 2, 2)
    expected = np.zeros((2, 1, 16), dtype)
    for n, o in np.ndindex(2, 4):
        expected[n, 0, index[n, 0].flat[o]] += g[n, 0].flat[o]
    np.testing.assert_array_equal(k.max_pool2d_backward(g, index, (2, 1, 4, 4)), expected.reshape(2, 1, 4, 4))
    swapped = k.max_pool2d_backward(g.transpose(0, 1, 3, 2), index.transpose(0, 1, 3, 2), (2, 1, 4, 4))
    np.testing.assert_array_equal(swapped, expected.reshape(2, 1, 4, 4))


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("divisor", [None, 3])
@pytest.mark.parametrize("case", average_only, ids=str)
def test_avg_pool_is_pytorchs_and_the_loops(k, torch, case, dtype, include, divisor):
    shape, kernel, stride, padding, _, ceil_mode = case
    args = (kernel, stride, padding, ceil_mode, include, divisor)
    x = draw(shape, dtype, seed=4)
    before = x.copy()
    y = k.avg_pool2d(x, *args)
    t = torch.from_numpy(x.copy()).requires_grad_()
    out = torch.nn.functional.avg_pool2d(t, *args)
    tol = 1e-6 if dtype == np.float32 else 1e-14
    assert y.dtype == dtype
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=tol, atol=tol)
    np.testing.assert_allclose(y, avg_by_loops(x, *args), rtol=tol, atol=tol)
    np.testing.assert_array_equal(x, before)

    g = np.random.default_rng(5).standard_normal(y.shape).astype(dtype)
    gx = k.avg_pool2d_backward(g, shape, *args)
    out.backward(torch.from_numpy(g))
    assert gx.dtype == dtype
    np.testing.assert_allclose(gx, t.grad.numpy(), rtol=10 * tol, atol=10 * tol)


def test_layouts(k, layout, dtype):
    x = layout(draw((2, 3, 9, 12), dtype, seed=6))
    flat = np.ascontiguousarray(x)
    for args in [((2, 2), (2, 2), (0, 0), (1, 1), False), ((3, 3), (2, 2), (1, 1), (1, 1), False)]:
        y, index = k.max_pool2d(x, *args)
        for a, b in zip((y, index), k.max_pool2d(flat, *args), strict=True):
            np.testing.assert_array_equal(a, b)
        g = layout(np.random.default_rng(7).standard_normal(y.shape).astype(dtype))
        np.testing.assert_array_equal(
            k.max_pool2d_backward(g, layout(index), x.shape),
            k.max_pool2d_backward(np.ascontiguousarray(g), index, x.shape),
        )
        np.testing.assert_array_equal(k.max_pool2d_gather(x, layout(index)), y)
    average = ((2, 3), (2, 2), (1, 1), False, True, None)
    y = k.avg_pool2d(x, *average)
    np.testing.assert_array_equal(y, k.avg_pool2d(flat, *average))
    np.testing.assert_array_equal(
        k.avg_pool2d_backward(layout(y), x.shape, *average), k.avg_pool2d_backward(y, x.shape, *average)
    )


def test_backward_is_the_adjoint(k):
    """<avg(x), g> = <x, avg_backward(g)>, and the same for picking at an index."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((2, 3, 11, 10))
    average = ((3, 4), (2, 3), (1, 2), True, False, None)
    y = k.avg_pool2d(x, *average)
    g = rng.standard_normal(y.shape)
    assert np.vdot(y, g) == pytest.approx(np.vdot(x, k.avg_pool2d_backward(g, x.shape, *average)))
    y, index = k.max_pool2d(x, (3, 4), (2, 1), (1, 2), (1, 1), True)
    other, g = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
    left = np.vdot(k.max_pool2d_gather(other, index), g)
    assert left == pytest.approx(np.vdot(other, k.max_pool2d_backward(g, index, x.shape)))


def test_a_kernel_that_does_not_fit_is_a_shape_error(k):
    x = np.zeros((1, 1, 3, 3))
    with pytest.raises(ShapeError, match="3 x 3"):
        k.max_pool2d(x, (4, 4), (1, 1), (0, 0), (1, 1), False)
    with pytest.raises(ShapeError, match="0 x 2"):
        k.avg_pool2d(np.zeros((1, 1, 1, 4)), (2, 2), (2, 2), (0, 0), False, True, None)


def test_an_index_outside_the_plane_is_refused(compiled):
    index = np.array([[[[4]]]], np.int32)
    with pytest.raises(IndexError, match="2 x 2"):
        compiled.max_pool2d_backward(np.ones((1, 1, 1, 1)), index, (1, 1, 2, 2))
    with pytest.raises(IndexError, match="2 x 2"):
        compiled.max_pool2d_gather(np.ones((1, 1, 2, 2)), -index)


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((16, 8, 64, 65)).astype(dtype)
    for args in [((2, 2), (2, 2), (0, 0), (1, 1), False), ((3, 3), (2, 2), (1, 1), (1, 1), False)]:
        same_for_all_thread_counts(lambda args=args: compiled.max_pool2d(x, *args))
        y, index = compiled.max_pool2d(x, *args)
        g = rng.standard_normal(y.shape).astype(dtype)
        same_for_all_thread_counts(lambda g=g, index=index: compiled.max_pool2d_backward(g, index, x.shape))
        same_for_all_thread_counts(lambda index=index: compiled.max_pool2d_gather(x, index))
        average = (*args[:3], False, True, None)
        same_for_all_thread_counts(lambda average=average: compiled.avg_pool2d(x, *average))
        same_for_all_thread_counts(lambda g=g, average=average: compiled.avg_pool2d_backward(g, x.shape, *average))
