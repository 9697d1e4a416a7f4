"""Softmax kernels against float64 formulas and PyTorch."""

import numpy as np
import pytest

FAMILY = "softmax"

# shape, axis
SHAPES = [
    ((4, 10), 1),
    ((4, 10), 0),
    ((3, 1), 1),
    ((1, 1), 0),
    ((2, 5, 3, 4), 1),
    ((2, 3, 40), 1),
    ((2, 21, 37), 1),
    ((5, 16), 1),
    ((3, 1000), 1),
    ((2, 2100), 1),
    ((3, 0), 1),
    ((0, 3), 1),
    ((7,), 0),
    ((), 0),
]
shapes = pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)


def exact(x, axis):
    """log softmax in extended precision."""
    x = x.astype(np.longdouble)
    if x.size == 0:
        return x
    return x - np.max(x, axis, keepdims=True) - np.log(
        np.sum(np.exp(x - np.max(x, axis, keepdims=True)), axis, keepdims=True)
    )


@shapes
def test_forward_is_accurate(k, shape, axis, dtype):
    x = np.asarray(5 * np.random.default_rng(0).standard_normal(shape), dtype)
    before = x.copy()
    y, logy = k.softmax(x, axis), k.log_softmax(x, axis)
    for out in (y, logy):
        assert isinstance(out, np.ndarray)
        assert out.shape == shape
        assert out.dtype == dtype
    expected, eps = exact(x, axis), np.finfo(dtype).eps
    # The difference x - max is rounded, to eps / 2 of its size, before exp makes that a relative error.
    assert (np.abs(y - np.exp(expected)) <= eps * (4 + np.abs(expected)) * np.exp(expected)).all()
    assert (np.abs(logy - expected) <= eps * (2 + 2 * np.abs(expected))).all()
    np.testing.assert_array_equal(x, before)


@shapes
def test_gradients_are_pytorchs(k, torch, shape, axis, dtype):
    rng = np.random.default_rng(1)
    x = np.asarray(rng.standard_normal(shape), dtype)
    g = np.asarray(rng.standard_normal(shape), dtype)
    tol = 1e-6 if dtype == np.float32 else 1e-14
    for name in ("softmax", "log_softmax"):
        t = torch.from_numpy(x.copy()).requires_grad_()
        out = getattr(torch, name)(t, axis)
        out.backward(torch.from_numpy(g))
        y = getattr(k, name)(x, axis)
        gx = getattr(k, name + "_grad")(g, y, axis)
        assert isinstance(gx, np.ndarray)
        assert gx.dtype == dtype
        np.testing.assert_allclose(y, out.detach().numpy(), rtol=tol, atol=10 * tol)
        np.testing.assert_allclose(gx, t.grad.numpy(), rtol=tol, atol=10 * tol)


def test_extreme_rows_are_pytorchs(k, torch, dtype):
    inf, nan = np.inf, np.nan
    rows = np.array(
        [
            [1e30, 1e30, -1e30],
            [-inf, 0, 1],
            [-inf, -inf, -inf],
            [inf, 0, 1],
            [nan, 0, 1],
            [0, 1, nan],
            [88, -104, 3],
            [-1000, -1001, -1002],
        ],
        dtype,
    )
    for x, axis in ((rows, 1), (np.ascontiguousarray(rows.T), 0), (np.repeat(rows, 9, axis=1), 1)):
        for name in ("softmax", "log_softmax"):
            with np.errstate(invalid="ignore"):
                y = getattr(k, name)(x, axis)
            expected = getattr(torch, name)(torch.from_numpy(x), axis).numpy()
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-30)


def test_layouts(k, layout, dtype):
    rng = np.random.default_rng(2)
    x = layout(rng.standard_normal((3, 18, 5)).astype(dtype))
    g = layout(rng.standard_normal(x.shape).astype(dtype))
    for axis in range(3):
        for name in ("softmax", "log_softmax"):
            y = getattr(k, name)(x, axis)
            np.testing.assert_allclose(y, getattr(k, name)(np.ascontiguousarray(x), axis), rtol=1e-6)
            grad = getattr(k, name + "_grad")
            np.testing.assert_allclose(
                grad(g, layout(y), axis), grad(np.ascontiguousarray(g), y, axis), rtol=1e-5, atol=1e-6
            )


def test_half_precision_sums_in_float32(reference):
    x = np.zeros((1, 60000), np.float16)
    y = reference.log_softmax(x, 1)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, -np.log(60000), rtol=1e-3)


def test_long_rows_keep_their_precision(k):
    x = np.random.default_rng(3).standard_normal((1, 200_000)).astype(np.float32)
    np.testing.assert_allclose(k.log_softmax(x, 1), exact(x, 1).astype(np.float32), rtol=3e-7)


def test_a_wrong_axis_is_refused(k):
    with pytest.raises(np.exceptions.AxisError):
        k.softmax(np.zeros((2, 3)), 2)


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    rng = np.random.default_rng(4)
    for shape, axis in (((700, 300), 1), ((5, 100, 515), 1)):
        x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        for name in ("softmax", "log_softmax"):
            same_for_all_thread_counts(lambda x=x, axis=axis, name=name: getattr(compiled, name)(x, axis))
            same_for_all_thread_counts(
                lambda g=g, x=x, axis=axis, name=name: getattr(compiled, name + "_grad")(g, x, axis)
            )
