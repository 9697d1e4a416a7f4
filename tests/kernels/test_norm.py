"""Normalisation kernels: the compiled twins against the NumPy ones and PyTorch, accuracy, layouts, thread counts."""

import itertools

import numpy as np
import pytest

FAMILY = "norm"

SHAPES = [
    (4, 3),
    (128, 256),
    (1, 5, 7),
    (3, 4, 8, 8),
    (2, 3, 9, 15),
    (70, 5, 3, 3),
    (2, 2, 100, 50),
    (0, 3, 2),
    (33, 1, 1),
    (5, 300),
    (2, 7, 63),
    (2, 7, 64),
    (2, 7, 65),
    (3, 0, 4),
]
# rows, groups, D, S
ROWS = [
    (4, 1, 10, 1),
    (200, 1, 64, 1),
    (6, 3, 2, 5),
    (6, 2, 4, 100),
    (3, 3, 1, 7),
    (4, 2, 3, 1),
    (5, 1, 5000, 1),
    (2, 1, 2, 5000),
    (0, 1, 3, 1),
    (130, 1, 1, 1),
]


def assert_all_near(found, wanted, tolerance):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def drawn(rng, dtype, *shapes):
    return [None if shape is None else np.asarray(rng.standard_normal(shape) * 2 + 0.5, dtype) for shape in shapes]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_twins(compiled, reference, shape, dtype):
    rng, c, tolerance = np.random.default_rng(0), shape[1], 2e-5 if dtype == np.float32 else 1e-12
    for weighted, biased, mode, training in itertools.product((0, 1), (0, 1), ("", "relu", "residual"), (True, False)):
        x, g, w, b, r = drawn(
            rng, dtype, shape, shape, c if weighted else None, c if biased else None, shape if mode == "residual" else None
        )
        runs = []
        for module in (compiled, reference):
            running = np.ones(c, dtype), np.full(c, 2.0, dtype)
            out = module.batch_norm(x, w, b, r, *running, training, 0.1, 1e-5, mode != "")
            runs.append((*out, *running))
        assert_all_near(*runs, tolerance)
        args = (g, x, w, b, r, *runs[1][1:3], training, 1e-5, mode != "")
        pre = reference.batch_norm(x, w, b, None, *runs[1][1:3], False, 0.0, 1e-5, False)[0]
        if mode and np.abs(pre if r is None else pre + r).min(initial=1) < 1e-5:
            continue  # a value at the kink may fall on either side
        assert_all_near(compiled.batch_norm_grad(*args), reference.batch_norm_grad(*args), 5 * tolerance)


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("centred", [True, False])
def test_group_norm_twins(compiled, reference, rows, centred, dtype):
    rng, tolerance = np.random.default_rng(1), 2e-5 if dtype == np.float32 else 1e-12
    size, channels = rows[0] * rows[2] * rows[3], rows[1] * rows[2]
    for weighted, biased in itertools.product((0, 1), (0, 1)):
        x, g, w, b = drawn(rng, dtype, size, size, channels if weighted else None, channels if biased else None)
        runs = [module.group_norm(x, w, b, rows, 0.01, centred) for module in (compiled, reference)]
        assert_all_near(*runs, tolerance)
        runs = [module.group_norm_grad(g, x, w, *runs[1][1:], rows, 0.01, centred) for module in (compiled, reference)]
        assert_all_near(*runs, 10 * tolerance)


@pytest.mark.parametrize("shape", [(64, 3, 12, 12), (300, 5), (20, 6, 4, 4)], ids=str)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_error_is_not_above_twice_that_of_pytorch(compiled, torch, shape, offset):
    rng = np.random.default_rng(2)
    x = (rng.standard_normal(shape) + offset).astype(np.float32)
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    exact = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-5)
    ours = compiled.batch_norm(x, None, None, None, None, None, True, 0.1, 1e-5, False)[0]
    theirs = torch.nn.functional.batch_norm(torch.from_numpy(x), None, None, training=True).numpy()
    assert np.abs(ours - exact).max() <= 2 * np.abs(theirs - exact).max() + 2e-7


def test_nan_and_infinity_stay_in_their_channel(k):
    for shape in ((4, 3, 5), (4, 3, 10, 10)):
        x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
        x[1, 0, 2], x[2, 2, 3] = np.nan, np.inf
        for relu in (False, True):
            with np.errstate(invalid="ignore"):
                y = k.batch_norm(x, None, None, None, None, None, True, 0.1, 1e-5, relu)[0]
            assert np.isnan(y[:, 0]).all()
            assert np.isnan(y[:, 2]).all()
            assert np.isfinite(y[:, 1]).all()


def test_layouts(k, layout, dtype):
    rng = np.random.default_rng(4)
    x, g = (layout(rng.standard_normal((3, 6, 5)).astype(dtype)) for _ in range(2))
    plain, plain_g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    y, m, v = k.batch_norm(x, None, None, g, None, None, True, 0.1, 1e-5, True)
    np.testing.assert_allclose(
        y, k.batch_norm(plain, None, None, plain_g, None, None, True, 0.1, 1e-5, True)[0], rtol=1e-5, atol=1e-5
    )
    for a, b in zip(
        k.batch_norm_grad(g, x, None, None, None, m, v, True, 1e-5, False),
        k.batch_norm_grad(plain_g, plain, None, None, None, m, v, True, 1e-5, False),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    rng = np.random.default_rng(5)
    for shape in ((16, 20, 12, 12), (40, 30, 10, 10), (300, 700), (20, 130, 7, 7)):
        x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        m, v = compiled.batch_norm(x, None, None, None, None, None, True, 0.1, 1e-5, False)[1:]
        for relu in (False, True):
            same_for_all_thread_counts(
                lambda x=x, r=relu: compiled.batch_norm(x, None, None, None, None, None, True, 0.1, 1e-5, r)
            )
            same_for_all_thread_counts(
                lambda g=g, x=x, m=m, v=v, r=relu: compiled.batch_norm_grad(g, x, None, None, None, m, v, True, 1e-5, r)
            )
    for rows in ((1000, 1, 200, 1), (400, 4, 10, 50)):
        x, g = (rng.standard_normal(rows[0] * rows[2] * rows[3]).astype(dtype) for _ in range(2))
        m, v = compiled.group_norm(x, None, None, rows, 1e-5, True)[1:]
        same_for_all_thread_counts(lambda x=x, rows=rows: compiled.group_norm(x, None, None, rows, 1e-5, True))
        same_for_all_thread_counts(
            lambda g=g, x=x, m=m, v=v, rows=rows: compiled.group_norm_grad(g, x, None, m, v, rows, 1e-5, True)
        )
