"""Convolutions as matrix products, with a 1x1 kernel or one as large as the image, and the forms of the product that serve
them, against float64."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_course import kernels

FAMILY = "conv"
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}  # of the sum of absolute products

# n, c, h, w, o: images narrower than a vector, panels over several images, one row, one column, several slices of k
CASES = [
    (1, 1, 1, 1, 1), (3, 5, 1, 1, 7), (2, 3, 5, 7, 1), (4, 30, 7, 7, 40), (5, 17, 3, 3, 33), (2, 600, 14, 14, 20),
    (40, 9, 1, 2, 9), (3, 16, 8, 8, 32), (1, 3, 40, 33, 15), (7, 20, 4, 4, 1), (2, 1, 6, 6, 50), (3, 70, 31, 1, 1030),
]


@pytest.fixture
def compiled():
    if not kernels.AVAILABLE:
        pytest.skip("built without compiled kernels")
    module = importlib.import_module("tinygrad_course.kernels.conv")
    module.force_algorithm("product")
    yield module
    module.force_algorithm(None)


def draw(case, dtype):
    n, c, h, w, o = case
    rng = np.random.default_rng(list(case))
    shapes = (n, c, h, w), (o, c, 1, 1), (o,), (n, o, h, w)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def assert_sums(z, subscripts, x, y, bias=0):
    """z is the einsum of x and y, plus bias, to a few roundings of the sum of absolute values."""
    x, y = x.astype("float64"), y.astype("float64")
    size = np.einsum(subscripts, np.abs(x), np.abs(y)) + np.abs(bias)
    assert np.all(np.abs(z - np.einsum(subscripts, x, y) - bias) <= TOLERANCE[str(z.dtype)] * size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_float64(compiled, case, dtype):
    x, w, b, g = draw(case, dtype)
    matrix = w[:, :, 0, 0]
    assert_sums(compiled.conv2d(x, w), "oc,nchw->nohw", matrix, x)
    assert_sums(compiled.conv2d(x, w, b), "oc,nchw->nohw", matrix, x, b[:, None, None])
    assert_sums(compiled.conv2d_input(g, w, x.shape), "oc,nohw->nchw", matrix, g)
    assert_sums(compiled.conv2d_weight(x, g, w.shape)[:, :, 0, 0], "nohw,nchw->oc", g, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [(4, 300, 7, 7, 200), (16, 48, 14, 14, 40), (2, 20, 56, 57, 30)], ids=str)
def test_threads_do_not_change_a_bit(compiled, same_for_all_thread_counts, case, dtype):
    x, w, b, g = draw(case, dtype)
    same_for_all_thread_counts(lambda: compiled.conv2d(x, w, b))
    same_for_all_thread_counts(lambda: compiled.conv2d_input(g, w, x.shape))
    same_for_all_thread_counts(lambda: compiled.conv2d_weight(x, g, w.shape))


# n, c, h, w, o, stride, dilation: a row, a column, one number, several slices of k; a stride that nobody takes
WHOLE = [
    (5, 7, 3, 4, 11, 1, 1), (1, 30, 5, 5, 70, 2, 1), (33, 40, 4, 4, 1, 3, 1), (1, 1, 2, 3, 1, 1, 1), (40, 3, 1, 1, 9, 2, 5),
    (20, 60, 6, 2, 37, 1, 1), (3, 9, 1, 7, 260, 1, 1),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_kernel_as_large_as_the_image(compiled, same_for_all_thread_counts, case, dtype):
    n, c, h, w, o, s, d = case
    rng = np.random.default_rng(list(case))
    x, kernel, b, g = (rng.standard_normal(shape).astype(dtype) for shape in ((n, c, h, w), (o, c, h, w), (o,), (n, o, 1, 1)))
    options = {"stride": (s, s), "dilation": (d, d)}
    assert compiled.costs(x.shape, kernel.shape, **options)["conv2d"][0] == "product"
    assert_sums(compiled.conv2d(x, kernel, **options)[:, :, 0, 0], "nchw,ochw->no", x, kernel)
    assert_sums(compiled.conv2d(x, kernel, b, **options)[:, :, 0, 0], "nchw,ochw->no", x, kernel, b)
    assert_sums(compiled.conv2d_input(g, kernel, x.shape, **options), "no,ochw->nchw", g[:, :, 0, 0], kernel)
    assert_sums(compiled.conv2d_weight(x, g, kernel.shape, **options), "no,nchw->ochw", g[:, :, 0, 0], x)
    same_for_all_thread_counts(lambda: (compiled.conv2d(x, kernel, b, **options),
                                        compiled.conv2d_input(g, kernel, x.shape, **options),
                                        compiled.conv2d_weight(x, g, kernel.shape, **options)))


def test_nan_and_infinity_stay_in_their_pixel(compiled):
    x, w, _, g = draw((3, 5, 3, 3, 20), "float32")
    x[1, 2, 0, 1] = np.nan
    g[2, 0, 1, 1] = np.inf
    y, gx = compiled.conv2d(x, w), compiled.conv2d_input(g, w, x.shape)
    assert not np.isfinite(y[1, :, 0, 1]).any()
    assert np.isfinite(y).sum() == y.size - y.shape[1]
    assert not np.isfinite(gx[2, :, 1, 1]).any()
    assert np.isfinite(gx).sum() == gx.size - gx.shape[1]


def test_what_it_takes(compiled):
    def reason(x, w, **options):
        return compiled.costs(x, w, **options)["conv2d"][1]["product"]["why_not"]

    assert reason((4, 8, 7, 7), (6, 8, 1, 1)) == ""
    assert reason((4, 8, 7, 7), (6, 8, 1, 1), double=True) == ""
    assert reason((4, 8, 7, 7), (6, 8, 3, 1)) == "kernel neither 1x1 nor the whole image"
    assert reason((4, 8, 7, 5), (6, 8, 7, 5), stride=(2, 2)) == ""
    assert reason((4, 8, 1, 5), (6, 8, 1, 5), dilation=(2, 1)) == ""
    assert reason((4, 8, 7, 7), (6, 8, 1, 1), stride=(1, 2)) == "stride not 1"
    assert reason((4, 8, 7, 7), (6, 8, 1, 1), padding=(1, 0)) == "padding not 0"
    assert reason((4, 8, 7, 7), (6, 4, 1, 1), groups=2) == "groups not 1"
    assert reason((0, 8, 7, 7), (6, 8, 1, 1)) == "nothing to compute"
    assert compiled.costs((4, 512, 14, 14), (512, 512, 1, 1))["conv2d_weight"][0] == "product"


# Products with a small side are turned; their tiles leave through a transposition, and the bias goes by rows.
LEVEL_SCRIPT = """
import numpy as np
from tinygrad_course.kernels import conv, gemm, threads
rng = np.random.default_rng(0)
sizes = [(1, 5), (3, 17), (5, 33), (6, 100), (7, 31), (10, 129), (13, 65), (15, 250), (29, 70), (100, 1), (64, 10), (70, 3)]
for dtype, tolerance in (("float32", 3e-6), ("float64", 1e-14)):
    for n, m in sizes:
        for k in (1, 7, 64, 333, 600):
            x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((n, k), (m, k), m))
            exact, size = x.astype("d") @ w.T.astype("d") + b, np.abs(x).astype("d") @ np.abs(w.T).astype("d") + np.abs(b)
            results = []
            for count in (1, 2, 8):
                threads.set_num_threads(count)
                results += [gemm.linear(x, w, b), gemm.linear(x, np.ascontiguousarray(w.T).T, b),
                            gemm.linear(np.ascontiguousarray(x.T).T, w, b)]
            for z in results:
                assert np.all(np.abs(z - exact) <= tolerance * size), (dtype, n, k, m)
            assert all(np.array_equal(results[i], results[i % 3]) for i in range(len(results))), (dtype, n, k, m)
    conv.force_algorithm("product")
    for n, c, h, o, k in [(3, 5, 1, 7, 1), (4, 30, 7, 40, 1), (5, 17, 3, 33, 1), (2, 16, 8, 31, 1), (6, 9, 5, 12, 5)]:
        y = h - k + 1
        x, w, b, g = (rng.standard_normal(s).astype(dtype) for s in ((n, c, h, h), (o, c, k, k), o, (n, o, y, y)))
        one = [conv.conv2d(x, w, b), conv.conv2d_input(g, w, x.shape), conv.conv2d_weight(x, g, w.shape)]
        conv.force_algorithm("direct")
        two = [conv.conv2d(x, w, b), conv.conv2d_input(g, w, x.shape), conv.conv2d_weight(x, g, w.shape)]
        conv.force_algorithm("product")
        assert all(np.allclose(p, q, 10 * tolerance, 100 * tolerance) for p, q in zip(one, two))
    for n, c, h, o, k, stride, padding in [(20, 2, 6, 5, 3, 1, 1), (2, 5, 40, 300, 2, 2, 1), (3, 3, 21, 7, 5, 3, 2)]:
        y = (h + 2 * padding - k) // stride + 1
        w, g = rng.standard_normal((o, c, k, k)).astype(dtype), rng.standard_normal((n, o, y, y)).astype(dtype)
        results = []
        for name in ("direct", "fold"):
            conv.force_algorithm(name)
            results.append(conv.conv2d_input(g, w, (n, c, h, h), (stride, stride), (padding, padding)))
        assert np.allclose(*results, 10 * tolerance, 100 * tolerance)
"""


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_turned_products_with_bias_at_every_level(compiled, level):
    environment = {**os.environ, "TINYGRAD_COURSE_ISA": level}
    done = subprocess.run([sys.executable, "-c", LEVEL_SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
