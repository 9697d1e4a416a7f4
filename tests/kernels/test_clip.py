"""Norms, scaling and clamping of many arrays: against NumPy, for every memory order, and for any number of threads."""

import numpy as np
import pytest

FAMILY = "clip"
SHAPES = [(5, 7), (9,), (), (0, 3), (1,), (70, 130), (3, 100_001)]
ORDERS = [2.0, 1.0, np.inf]


def draw(dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def in_other_orders(arrays):
    """Transposed memory, every second element, and memory that ends where a page might."""
    return [x.T.copy().T if i % 3 == 0 else np.repeat(x, 2, -1)[..., ::2] if x.ndim and i % 3 == 1 else x.copy()
            for i, x in enumerate(arrays)]


def norm(x, order):
    x = np.abs(x.astype(np.longdouble)).ravel()
    return float(np.linalg.norm(x, order)) if x.size else 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("order", ORDERS)
def test_norms(k, dtype, order):
    for arrays in (draw(dtype), in_other_orders(draw(dtype))):
        before = [x.copy() for x in arrays]
        found = k.norms(arrays, order)
        assert found.dtype == np.float64
        assert found.shape == (len(arrays),)
        np.testing.assert_allclose(found, [norm(x, order) for x in arrays], rtol=1e-12)
        for x, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(x, was)
    assert k.norms([], order).shape == (0,)


@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("place", [0, 15, 16, 8191, 8192, 9999])
def test_norms_of_what_is_not_finite(k, order, place):
    for value in (np.nan, np.inf, -np.inf):
        x = np.ones(10_000, np.float32)
        x[place] = value
        with np.errstate(invalid="ignore"):
            found, = k.norms([x], order)
        assert np.isnan(found) if np.isnan(value) else found == np.inf
    x = np.full(10_000, 1e30, np.float32)  # squares beyond float32
    np.testing.assert_allclose(k.norms([x], 2.0), [1e32], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_scale_and_clamp(k, dtype):
    for arrays in (draw(dtype), in_other_orders(draw(dtype))):
        arrays[0][0, 0] = np.nan
        expected = [np.asarray(x * np.result_type(dtype, np.float32).type(0.3), dtype) for x in arrays]
        k.scale_all(arrays, 0.3)
        for x, wanted in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(x, wanted)
        k.clamp_all(arrays, -0.1, 0.25)
        for x, wanted in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(x, np.clip(wanted, dtype(-0.1), dtype(0.25)))


def test_read_only_arrays_are_refused(k):
    x = np.ones(3, np.float32)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        k.scale_all([x], 0.5)


def test_other_orders_are_refused(k):
    with pytest.raises(ValueError, match="must be 1, 2 or inf, got 3"):
        k.norms([], 3.0)


def test_any_number_of_threads_gives_the_same_bits(compiled, same_for_all_thread_counts):
    arrays = draw(np.float32) * 4
    for order in ORDERS:
        same_for_all_thread_counts(lambda order=order: compiled.norms(arrays, order))

    def changed():
        copies = [x.copy() for x in arrays]
        compiled.scale_all(copies, 0.3)
        compiled.clamp_all(copies, -0.2, 0.1)
        return copies

    same_for_all_thread_counts(changed)
