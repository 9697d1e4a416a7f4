"""Reductions: against sums in long double and loops, for every set of axes, layout, thread count and level."""

import inspect
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

FAMILY = "reduce"
NAN, INF = float("nan"), float("inf")


def draw(shape, dtype, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) + 0.3).astype(dtype)


def all_axes(ndim):
    return [axes for n in range(ndim + 1) for axes in itertools.combinations(range(ndim), n)]


def by_loops(x, axis, keepdims, combine, start):
    """One element of x after the other."""
    shape = [1 if d in axis else n for d, n in enumerate(x.shape)]
    out = np.full(shape, start, np.longdouble)
    for place in np.ndindex(*x.shape):
        target = tuple(0 if d in axis else i for d, i in enumerate(place))
        out[target] = combine(out[target], x[place])
    return out if keepdims else out.reshape([n for d, n in enumerate(shape) if d not in axis])


def is_new(got, x):
    return isinstance(got, np.ndarray) and not np.shares_memory(got, x)


SHAPES = [
    (), (1,), (5,), (3, 4), (4, 1), (1, 4), (2, 3, 4), (3, 2, 1, 5), (2, 3, 2, 2, 2), (0,), (3, 0), (0, 3), (70, 3),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_sets_of_axes(k, shape, dtype, layout):
    x = layout(draw(shape, dtype)) if shape else draw(shape, dtype)
    before = x.copy()
    rtol = 1e-5 if dtype == np.float32 else 1e-13
    for axis, keepdims in itertools.product(all_axes(x.ndim), (False, True)):
        want = by_loops(x, axis, keepdims, lambda a, b: a + b, 0).astype(np.float64)
        count = int(np.prod([shape[a] for a in axis]))
        total = k.sum(x, axis, keepdims)
        assert is_new(total, x)
        assert total.dtype == dtype
        assert total.shape == want.shape
        np.testing.assert_allclose(total, want, rtol=rtol, atol=rtol)
        average = k.mean(x, axis, keepdims)
        assert is_new(average, x)
        assert average.dtype == dtype
        with np.errstate(invalid="ignore", divide="ignore"):
            np.testing.assert_allclose(average, want / count if count else want * NAN, rtol=rtol, atol=rtol)
        if count:
            for extreme, combine, start in ((k.max, max, -INF), (k.min, min, INF)):
                found = extreme(x, axis, keepdims)
                assert is_new(found, x)
                assert found.dtype == dtype
                np.testing.assert_array_equal(found, by_loops(x, axis, keepdims, combine, start))
        else:
            for extreme, wanted in ((k.max, "maximum"), (k.min, "minimum")):
                with pytest.raises(ValueError, match=f"no elements along axis .*{wanted}"):
                    extreme(x, axis, keepdims)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (4, 1), (2, 3, 4), (3, 0), (5, 200), (2, 64, 3), (3, 5, 130)], ids=str)
def test_argmax_and_argmin(k, shape, dtype, layout):
    x = layout(np.round(draw(shape, dtype) * 2))  # with ties
    for axis, keepdims in itertools.product(range(len(shape)), (False, True)):
        if shape[axis] == 0:
            for place, wanted in ((k.argmax, "maximum"), (k.argmin, "minimum")):
                with pytest.raises(ValueError, match=f"no elements along axis .*{wanted}"):
                    place(x, axis, keepdims)
            continue
        rows = np.moveaxis(x, axis, -1).reshape(-1, shape[axis]).tolist()
        for place, extreme in ((k.argmax, max), (k.argmin, min)):
            first = [row.index(extreme(row)) for row in rows]
            want = np.array(first, np.int64).reshape([n for d, n in enumerate(shape) if d != axis])
            got = place(x, axis, keepdims)
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, np.expand_dims(want, axis) if keepdims else want)
    assert k.argmax(np.ones((), dtype), 0, False).shape == k.argmin(np.ones((), dtype), 0, False).shape == ()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 4), (0, 3), (5, 200), (3, 9_001)], ids=str)
@pytest.mark.parametrize("source", ["bool", "float32", "int64"])
def test_all_any_and_counts(k, shape, source):
    draws = np.random.default_rng(0).random(shape)
    for share in (0.0, 0.002, 0.3, 0.998, 1.0):
        x = np.asarray(draws < share).astype(source)
        for view in (x, x.T, x[..., ::-1] if shape else x):
            held = np.asarray(view != 0)
            for axis, keepdims in itertools.product(all_axes(view.ndim), (False, True)):
                for got, want in ((k.all(view, axis, keepdims), held.all(axis, keepdims=keepdims)),
                                  (k.any(view, axis, keepdims), held.any(axis, keepdims=keepdims)),
                                  (k.sum(held, axis, keepdims), held.sum(axis, keepdims=keepdims))):
                    assert is_new(got, view)
                    assert got.dtype == np.asarray(want).dtype
                    np.testing.assert_array_equal(got, want)


def test_places_of_nan(k, dtype):
    """The first NaN is both the largest and the smallest number."""
    x = draw((70, 90), dtype)
    x[3, 5], x[60, 5], x[0, 7], x[2, 7] = NAN, NAN, INF, NAN
    for place, best, position in ((k.max, INF, k.argmax), (k.min, -INF, k.argmin)):
        x[1, 8] = best
        assert np.isnan(place(x, (0,), False)[[5, 7]]).all()
        assert position(x, 0, False)[[5, 7, 8]].tolist() == [3, 2, 1]
        assert position(x, 1, False)[[3, 60, 2, 1]].tolist() == [5, 5, 7, 8]
        assert position(x[:, :20].copy(), 1, False)[[3, 60, 2, 1]].tolist() == [5, 5, 7, 8]  # without vectors
        x[1, 8] = 0


def test_nan_and_infinity(k, torch, dtype):
    x = draw((6, 70), dtype)
    x[1, 40], x[2, 3], x[2, 69], x[3, :], x[4, 5], x[5, 5], x[5, 6] = NAN, NAN, INF, -INF, INF, INF, -INF
    t = torch.tensor(x)
    for axis in (0, 1):
        np.testing.assert_array_equal(k.max(x, (axis,), False), t.amax(axis).numpy())
        np.testing.assert_array_equal(k.argmax(x, axis, False), t.argmax(axis).numpy())
        sums = k.sum(x, (axis,), False)
        np.testing.assert_allclose(sums, t.sum(axis).numpy(), rtol=1e-4)
    assert np.isnan(k.max(x, (0, 1), False))
    assert np.isnan(k.sum(x, (0, 1), False))
    assert k.max(x[3:4], (0, 1), False) == -INF


LARGE = [
    ((300_001,), (0,)), ((3, 100_003), (1,)), ((100_003, 3), (0,)), ((1000, 300), (0,)), ((1000, 300), (1,)),
    ((2, 150_000), (0,)), ((40_000, 10), (0,)), ((30_000, 10), (1,)), ((16, 6, 28, 28), (0, 2, 3)),
    ((3, 9000, 20), (1,)), ((64, 5, 33, 31), (0, 2)), ((9, 5, 7, 11, 13), (0, 2, 4)),
    ((9, 5, 7, 11, 13), (1, 3)), ((20_000, 3, 5), (0,)),
]


@pytest.mark.parametrize(("shape", "axis"), LARGE, ids=str)
def test_large(k, shape, axis, dtype):
    """Errors stay within twice those of NumPy's pairwise sum along contiguous memory."""
    x = draw(shape, dtype)
    rest = [d for d in range(x.ndim) if d not in axis]
    rows = np.ascontiguousarray(np.transpose(x, (*rest, *axis))).reshape(-1, int(np.prod([shape[a] for a in axis])))
    want = rows.astype(np.longdouble).sum(1)
    got = k.sum(x, axis, False).reshape(-1)
    pairwise = np.abs(rows.sum(1) - want).max()
    naive = np.abs(want).max() * np.finfo(dtype).eps
    assert np.abs(got - want).max() <= 2 * max(pairwise, naive) or k.__name__.endswith("reference.reduce")
    np.testing.assert_allclose(got, want.astype(np.float64), rtol=1e-5 if dtype == np.float32 else 1e-13,
                               atol=1e-5 if dtype == np.float32 else 1e-13)
    np.testing.assert_allclose(k.mean(x, axis, False).reshape(-1), got / rows.shape[1], rtol=1e-6)
    np.testing.assert_array_equal(k.max(x, axis, False).reshape(-1), rows.max(1))


def test_sums_of_equal_numbers_do_not_drift(compiled):
    """Adding 0.1 again and again rounds the same way each time; pairs, lanes and blocks keep the chains short."""
    one = np.float32(0.1)
    assert compiled.sum(np.full(1 << 20, one), (0,), False) == pytest.approx(float(one) * (1 << 20), rel=1e-6)
    for inner in (3, 64, 1000):
        got = compiled.sum(np.full((1 << 14, inner), one), (0,), False)
        np.testing.assert_allclose(got, float(one) * (1 << 14), rtol=1e-5)


def test_threads(compiled, same_for_all_thread_counts, dtype):
    for shape, axis in LARGE:
        x = draw(shape, dtype)
        for view in (x, x[..., ::-1]):
            same_for_all_thread_counts(lambda view=view, axis=axis: compiled.sum(view, axis, False))
            same_for_all_thread_counts(lambda view=view, axis=axis: compiled.max(view, axis, True))
        same_for_all_thread_counts(lambda x=x: compiled.argmax(x, x.ndim - 1, False))
        same_for_all_thread_counts(lambda x=x: compiled.argmin(x, 0, False))
    x = draw((900, 700), dtype)
    same_for_all_thread_counts(lambda: (compiled.sum(x.T, (0,), False), compiled.any(x > 3, (0,), False),
                                        compiled.all(x > -3, (1,), False)))


LEVEL = """
import hashlib
import sys
sys.path[:0] = {path!r}
import importlib.util
import numpy as np
spec = importlib.util.spec_from_file_location("cases", {file!r})
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
from tinygrad_course.kernels import reduce as k
for dtype in (np.dtype("float32"), np.dtype("float64")):
    for shape in cases.SHAPES:
        cases.test_all_sets_of_axes(k, shape, dtype, np.ascontiguousarray)
    for shape, axis in cases.LARGE[:9]:
        cases.test_large(k, shape, axis, dtype)
    for shape in ((5, 200), (3, 5, 130)):
        cases.test_argmax_and_argmin(k, shape, dtype, np.ascontiguousarray)
    cases.test_places_of_nan(k, dtype)
print("passed", hashlib.sha256(k.sum(cases.draw((1000, 300), np.float32), (1,), False).tobytes()).hexdigest())
"""


def test_every_instruction_set(compiled):
    """All levels pass, and since sums have the same lanes everywhere, they agree in the last bit."""
    code = LEVEL.format(path=[p for p in sys.path if p], file=__file__)
    printed = set()
    for level in ("base", "v3", "v4"):
        run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TINYGRAD_COURSE_ISA": level},
                             capture_output=True, text=True, check=False)
        assert run.stdout.startswith("passed"), run.stderr
        printed.add(run.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("source", ["bool", "uint8", "int32", "int64"])
def test_sums_of_integers_are_int64(k, source):
    x = np.arange(300).reshape(3, 100).astype(source)
    for axis in all_axes(2):
        got = k.sum(x, axis, False)
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, by_loops(x, axis, False, lambda a, b: a + b, 0))
        largest = k.max(x, axis, False)
        assert isinstance(largest, np.ndarray)
        assert largest.dtype == source
        assert not np.shares_memory(largest, x)
        np.testing.assert_array_equal(largest, by_loops(x, axis, False, max, -1))
    assert k.argmax(x, 1, False).dtype == np.int64
    np.testing.assert_array_equal(k.argmax(x, 1, False), x.argmax(1))


def test_float16_adds_up_in_float32(k):
    x = np.full((1, 5000), 1.0, np.float16)
    for got in (k.sum(x, (1,), False), k.sum(x, (0, 1), False)):
        assert got.dtype == np.float16
        assert got.item() == 5000  # in float16 the sum stops at 2048
    assert k.mean(x, (0, 1), False) == 1
    assert k.mean(x, (0, 1), False).dtype == np.float16


def test_expanded_input(k, dtype):
    x = np.broadcast_to(draw((3, 1), dtype), (3, 400))
    np.testing.assert_allclose(k.sum(x, (1,), False), x[:, 0] * 400, rtol=1e-5)
    np.testing.assert_allclose(k.sum(x, (0, 1), False), x[:, 0].sum() * 400, rtol=1e-5)
    np.testing.assert_allclose(k.mean(x, (1,), True), x[:, :1], rtol=1e-5)
    np.testing.assert_array_equal(k.max(x, (1,), False), x[:, 0])


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((2, 3), (3,)), ((2, 3), (1, 3)), ((2, 3), (2, 1)), ((2, 3), ()), ((2, 3), (1,)), ((2, 3), (1, 1)),
        ((2, 3), (2, 3)), ((4, 2, 3), (2, 1)), ((4, 2, 3), (1, 2, 1)), ((2, 3, 4, 5), (1, 3, 1, 1)), ((), ()),
        ((1, 1), ()), ((0, 3), (3,)), ((0, 3), (1, 3)), ((3, 0), (3, 1)), ((1, 3), (1, 3)),
        ((5, 1, 3), (1, 3)), ((64, 3000), (3000,)),
    ],
    ids=str,
)
def test_sum_to(k, shape, target, dtype, layout):
    """The adjoint of broadcasting: <sum_to(g), x> = <g, broadcast(x)> for every x."""
    g = layout(draw(shape, dtype)) if shape else draw(shape, dtype)
    got = k.sum_to(g, target)
    assert is_new(got, g)
    assert got.shape == target
    assert got.dtype == dtype
    x = draw(target, np.float64, 1)
    left = float((got.astype(np.float64) * x).sum())
    right = float((g.astype(np.float64) * np.broadcast_to(x, shape)).sum())
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4 if dtype == np.float32 else 1e-11)
    integers = np.ones(shape, np.int32)
    assert k.sum_to(integers, target).dtype == np.int32
    assert k.sum_to(integers, target).sum() == integers.sum()


def test_compiled_and_reference_have_the_same_signatures(reference, compiled):
    assert sorted(reference.KERNELS) == sorted(compiled.KERNELS)
    for name in reference.KERNELS:
        ours, theirs = (list(inspect.signature(getattr(m, name)).parameters.values()) for m in (reference, compiled))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 3, 15, 16, 17, 31, 32, 33, 49, 64, 100, 255, 256, 257, 511, 512, 513])
def test_a_run_sums_to_the_same_bits_among_others(compiled, dtype, n):
    """Many short runs are summed side by side, in the order of a run that stands alone."""
    x = np.random.default_rng(0).standard_normal((37, n)).astype(dtype)
    together = compiled.sum(x, (1,), False)
    alone = np.array([compiled.sum(row.copy(), (0,), False) for row in x])
    assert together.tobytes() == alone.tobytes()
    np.testing.assert_allclose(together, x.astype(np.float64).sum(1), rtol=0, atol=1e-4 if dtype == "float32" else 1e-12)
