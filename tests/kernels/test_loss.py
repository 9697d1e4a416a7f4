"""Loss kernels against loops over the definition and PyTorch."""

import itertools
import math

import numpy as np
import pytest

from tinygrad_course.errors import ShapeError

FAMILY = "loss"
IGNORE = -100


def by_definition(x, target, weight, ignore_index, smoothing):
    """Loss per sample in float64, sample by sample."""
    c = x.shape[1]
    losses = []
    for row, t in zip(x.astype(np.float64), target, strict=True):
        top = row.max()
        log_sum = math.log(sum(math.exp(v - top) for v in row))
        logp = [v - top - log_sum for v in row]
        w = [1.0] * c if weight is None else [float(v) for v in weight]
        if t == ignore_index:
            losses.append(0.0)
            continue
        spread = sum(wk * lk for wk, lk in zip(w, logp, strict=True))
        losses.append(-(1 - smoothing) * w[t] * logp[t] - smoothing / c * spread)
    return np.array(losses)


def draw(n, c, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal((n, c))).astype(dtype)
    target = rng.integers(0, c, n)
    target[1::4] = IGNORE
    return x, target, rng.random(c).astype(dtype) + dtype.type(0.1), rng.standard_normal(n).astype(dtype)


@pytest.mark.parametrize("n_c", [(6, 10), (5, 3), (4, 16), (3, 33), (1, 1), (64, 10), (2, 1500)], ids=str)
@pytest.mark.parametrize(("weighted", "smoothing"), list(itertools.product([False, True], [0.0, 0.1, 1.0])))
def test_cross_entropy_is_the_definition_and_pytorchs(k, torch, n_c, weighted, smoothing, dtype):
    x, target, weight, g = draw(*n_c, dtype)
    weight = weight if weighted else None
    args = (weight, IGNORE, smoothing)
    before = x.copy(), target.copy()
    loss, logp = k.cross_entropy(x, target, *args)
    gx = k.cross_entropy_grad(g, logp, target, *args)
    t = torch.from_numpy(x.copy()).requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        t,
        torch.from_numpy(target),
        None if weight is None else torch.from_numpy(weight),
        ignore_index=IGNORE,
        reduction="none",
        label_smoothing=smoothing,
    )
    expected.backward(torch.from_numpy(g))
    tol = 3e-6 if dtype == np.float32 else 1e-13
    for out, shape in ((loss, (n_c[0],)), (logp, n_c), (gx, n_c)):
        assert out.dtype == dtype
        assert out.shape == shape
    np.testing.assert_allclose(loss, by_definition(x, target, *args), rtol=tol, atol=tol)
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=tol, atol=tol)
    np.testing.assert_allclose(gx, t.grad.numpy(), rtol=tol, atol=tol)
    np.testing.assert_allclose(logp, torch.log_softmax(t, 1).detach().numpy(), rtol=tol, atol=tol)
    assert (gx[target == IGNORE] == 0).all()
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(target, before[1])


@pytest.mark.parametrize("n_c", [(6, 10), (1, 1), (64, 10), (1000, 3)], ids=str)
@pytest.mark.parametrize(("weighted", "smoothing"), list(itertools.product([False, True], [0.0, 0.1])))
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_cross_entropy_reduced(k, torch, n_c, weighted, smoothing, reduction, dtype):
    x, target, weight, _ = draw(*n_c, dtype, seed=5)
    weight = weight if weighted else None
    args = (weight, IGNORE, smoothing)
    loss, logp = k.cross_entropy(x, target, *args, reduction)
    g = np.array(0.7, dtype)
    gx = k.cross_entropy_grad(g, logp, target, *args, reduction)
    assert isinstance(loss, np.ndarray)
    assert loss.shape == ()
    assert loss.dtype == gx.dtype == dtype
    t = torch.from_numpy(x.copy()).requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        t,
        torch.from_numpy(target),
        None if weight is None else torch.from_numpy(weight),
        ignore_index=IGNORE,
        reduction=reduction,
        label_smoothing=smoothing,
    )
    expected.backward(torch.from_numpy(g))
    tol = 3e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=tol)
    total = 1.0
    if reduction == "mean":
        total = sum(1.0 if weight is None else float(weight[c]) for c in target if c != IGNORE)
    np.testing.assert_allclose(loss, by_definition(x, target, *args).sum() / total, rtol=tol)
    np.testing.assert_allclose(gx, t.grad.numpy(), rtol=tol, atol=tol)


def test_a_mean_over_no_sample_is_nan(k, dtype):
    x, target = np.ones((2, 3), dtype), np.full(2, IGNORE)
    loss, logp = k.cross_entropy(x, target, None, IGNORE, 0.0, "mean")
    assert np.isnan(loss)
    assert (k.cross_entropy_grad(np.ones((), dtype), logp, target, None, IGNORE, 0.0, "mean") == 0).all()
    assert np.isnan(k.cross_entropy(x[:0], target[:0], None, IGNORE, 0.0, "mean")[0])
    assert k.cross_entropy(x, target, None, IGNORE, 0.0, "sum")[0] == 0


def test_cross_entropy_of_certain_logits_does_not_overflow(k, dtype):
    x = np.array([[1e4, 0, -1e4], [0, -1e30, 0]], dtype)
    loss, _ = k.cross_entropy(x, np.array([1, 0]), None, IGNORE, 0.0)
    np.testing.assert_allclose(loss, [1e4, math.log(2)], rtol=1e-6)


def test_cross_entropy_layouts_and_int_targets(k, layout, dtype):
    x, target, weight, g = draw(8, 7, dtype, seed=1)
    for args in ((None, IGNORE, 0.0), (weight, IGNORE, 0.2)):
        loss, logp = k.cross_entropy(x, target, *args)
        other = k.cross_entropy(layout(x), layout(target.astype(np.int32)), *args)
        np.testing.assert_allclose(other[0], loss, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(
            k.cross_entropy_grad(layout(g), layout(logp), layout(target), *args),
            k.cross_entropy_grad(g, logp, target, *args),
            rtol=1e-6,
            atol=1e-7,
        )


def test_no_samples(k, dtype):
    x, target = np.zeros((0, 3), dtype), np.zeros(0, np.int64)
    loss, logp = k.cross_entropy(x, target, None, IGNORE, 0.1)
    assert loss.shape == (0,)
    assert loss.dtype == dtype
    assert logp.shape == (0, 3)
    assert k.cross_entropy_grad(loss, logp, target, None, IGNORE, 0.1).shape == (0, 3)


@pytest.mark.parametrize("wrong", [3, -1, 2**40])
def test_a_class_that_does_not_exist_is_an_index_error(k, wrong, dtype):
    x, target = np.zeros((3, 3), dtype), np.array([0, IGNORE, wrong])
    with pytest.raises(IndexError, match=rf"target\[2\] is {wrong}, but there are 3 classes"):
        k.cross_entropy(x, target, None, IGNORE, 0.0)
    with pytest.raises(IndexError, match="0 to 2"):
        k.cross_entropy_grad(x[0], x, target, None, IGNORE, 0.0)


def test_wrong_shapes_are_refused(compiled):
    with pytest.raises(ShapeError, match=r"huber: x \(2,\) and target \(3,\) must have one shape"):
        compiled.huber(np.ones(2), np.ones(3), 1.0)
    x = np.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(3,\)"):
        compiled.cross_entropy(x, np.zeros(3, np.int64), None, IGNORE, 0.0)
    with pytest.raises(ShapeError, match="3 classes"):
        compiled.cross_entropy(x, np.zeros(2, np.int64), np.zeros(2), IGNORE, 0.0)
    with pytest.raises(ShapeError, match=r"reduction='mean'.*\(\), got \(2,\)"):
        compiled.cross_entropy_grad(x[:, 0], x, np.zeros(2, np.int64), None, IGNORE, 0.0, "mean")
    with pytest.raises(ShapeError, match="one shape"):
        compiled.bce_with_logits(x, x[0])
    with pytest.raises(ShapeError, match="one shape"):
        compiled.bce(x, x[0])
    with pytest.raises(ShapeError, match="one shape"):
        compiled.bce_grad(x[0], x, x)


def test_bce_with_logits(k, torch, layout, dtype):
    rng = np.random.default_rng(2)
    x = layout((10 * rng.standard_normal((9, 30))).astype(dtype))
    t = layout(rng.random((9, 30)).astype(dtype))
    x[0, :4] = [0, 200, -200, 1e-30]
    before = x.copy()
    loss = k.bce_with_logits(x, t)
    assert loss.dtype == dtype
    wide = x.astype(np.longdouble)
    exact = np.maximum(wide, 0) - wide * t + np.log1p(np.exp(-np.abs(wide)))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(loss, exact.astype(dtype), rtol=8 * eps, atol=float(4 * eps * np.abs(wide).max()))
    torchs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(x.copy()), torch.tensor(t.copy()), reduction="none"
    )
    np.testing.assert_allclose(loss, torchs.numpy(), rtol=8 * eps, atol=float(8 * eps * np.abs(wide).max()))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("size", [(9, 57), (2, 1), (1, 3)], ids=str)
def test_bce_and_its_gradient(k, torch, layout, size, dtype):
    rng = np.random.default_rng(4)
    x = layout(rng.random(size).astype(dtype))
    t, g = (layout(rng.random(size).astype(dtype)) for _ in range(2))
    if x.shape[1] >= 6:
        x[0, :6] = [0, 1, 1e-30, 1e-9, 1 - 2**-24, 0.5]
    before = x.copy()
    loss, gx = k.bce(x, t), k.bce_grad(g, x, t)
    assert loss.dtype == gx.dtype == dtype
    assert loss.shape == gx.shape == x.shape
    wide = x.astype(np.longdouble)
    with np.errstate(divide="ignore"):
        exact = -t * np.maximum(np.log(wide), -100) - (1 - t) * np.maximum(np.log1p(-wide), -100)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, exact.astype(dtype), rtol=8 * eps, atol=0)
    variable = torch.tensor(x.copy(), requires_grad=True)
    torchs = torch.nn.functional.binary_cross_entropy(variable, torch.tensor(t.copy()), reduction="none")
    torchs.backward(torch.tensor(g.copy()))
    np.testing.assert_allclose(loss, torchs.detach().numpy(), rtol=8 * eps, atol=0)
    slope = g * (wide - t) / np.maximum(wide * (1 - wide), 1e-12)
    np.testing.assert_allclose(gx, slope.astype(dtype), rtol=8 * eps, atol=0)
    np.testing.assert_allclose(gx, variable.grad.numpy(), rtol=1e-6, atol=0)  # whose 1e-12 is a float32 for doubles, too
    np.testing.assert_array_equal(x, before)


def test_bce_without_axes_and_without_elements(k, dtype):
    for size in ((), (0, 3)):
        half = np.full(size, 0.5, dtype)
        for out in (k.bce(half, half), k.bce_grad(half, half, half)):
            assert isinstance(out, np.ndarray)
            assert out.shape == size
            assert out.dtype == dtype


def test_bce_of_nan_is_nan(k, dtype):
    nan, half = np.full(3, np.nan, dtype), np.full(3, 0.5, dtype)
    assert np.isnan(k.bce(nan, half)).all()
    assert np.isnan(k.bce(half, nan)).all()
    assert np.isnan(k.bce_grad(half, nan, half)).all()
    assert np.isnan(k.bce_grad(nan, half, half)).all()


def test_huber(k, torch, layout, dtype):
    rng = np.random.default_rng(0)
    for shape, delta in (((3, 50), 1.0), ((3, 5), 0.3), ((60, 2000), 2.5)):
        x, target = (layout((2 * rng.standard_normal(shape)).astype(dtype)) for _ in range(2))
        want = torch.nn.functional.huber_loss(torch.tensor(x.copy()), torch.tensor(target.copy()), "none", delta)
        got = k.huber(x, target, delta)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want.numpy(), rtol=2e-6 if dtype == np.float32 else 1e-14, atol=1e-7)
    special = np.array([np.inf, -np.inf, np.nan, 3.0], dtype)
    np.testing.assert_array_equal(k.huber(special, np.zeros(4, dtype), 1.0), np.array([np.inf, np.inf, np.nan, 2.5], dtype))


def test_targets_of_another_type(k, dtype):
    """They are taken in the type of x."""
    x, target = np.array([0.25, 0.5, 0.75], dtype), np.array([0, 1, 1])
    for other in (np.float32, np.float64, np.int64):
        given = target.astype(other)
        for found, want in ((k.bce(x, given), k.bce(x, target.astype(dtype))),
                            (k.bce_with_logits(x, given), k.bce_with_logits(x, target.astype(dtype))),
                            (k.huber(x, given, 1.0), 0.5 * (x - target) ** 2)):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, want, rtol=1e-6)


def test_bce_with_logits_keeps_small_losses(k, dtype):
    """For a sure and right answer the loss is exp(-x), not 0."""
    x = np.array([20.0, 60.0], dtype)
    np.testing.assert_allclose(k.bce_with_logits(x, np.ones_like(x)), np.exp(-x.astype(np.float64)), rtol=1e-6)
    assert np.isnan(k.bce_with_logits(np.array([np.nan], dtype), np.ones(1, dtype))).all()
    scalar = k.bce_with_logits(np.zeros((), dtype), np.ones((), dtype))
    assert isinstance(scalar, np.ndarray)
    assert scalar == pytest.approx(math.log(2))
    assert k.bce_with_logits(np.zeros((0, 2), dtype), np.zeros((0, 2), dtype)).shape == (0, 2)


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    x, target, weight, g = draw(900, 170, dtype, seed=3)
    args = (weight, IGNORE, 0.1)
    same_for_all_thread_counts(lambda: compiled.cross_entropy(x, target, *args))
    _, logp = compiled.cross_entropy(x, target, *args)
    same_for_all_thread_counts(lambda: compiled.cross_entropy(x, target, *args, "mean"))
    same_for_all_thread_counts(lambda: compiled.cross_entropy_grad(g, logp, target, *args))
    same_for_all_thread_counts(lambda: compiled.bce_with_logits(x, np.abs(x)))
    chance = np.exp(logp)
    same_for_all_thread_counts(lambda: compiled.bce(chance, chance[::-1]))
    same_for_all_thread_counts(lambda: compiled.bce_grad(x, chance, chance[::-1]))
