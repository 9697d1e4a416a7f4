"""Matrix product kernels against float64 sums by einsum, over layouts, sizes, thread counts and instruction sets."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_course import kernels

FAMILY = "linalg"
DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}  # of the sum of absolute products

# n, k, m: around the tiles (6, 14 rows; 8, 16, 32 columns), around the slice of k, empty and single
SIZES = [
    (1, 1, 1), (4, 2, 2), (5, 3, 1), (1, 7, 5), (0, 3, 4), (3, 0, 4), (3, 4, 0), (6, 8, 8), (7, 9, 17), (13, 33, 31),
    (14, 16, 32), (15, 17, 33), (29, 255, 65), (28, 257, 64), (64, 400, 120), (1, 300, 70), (70, 300, 1), (450, 20, 40),
    (20, 40, 530), (100, 513, 35),
]


@pytest.fixture
def compiled():
    """The compiled module of the family linalg is called gemm."""
    if not kernels.AVAILABLE:
        pytest.skip("built without compiled kernels")
    return importlib.import_module("tinygrad_course.kernels.gemm")


def draw(shape, dtype, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def assert_product(z, x, y, bias=None):
    """z = x @ y within a few roundings of the sum of absolute values, dtype and layout included."""
    exact = np.einsum("...ik,...kj->...ij", x.astype(np.float64), y.astype(np.float64))
    size = np.einsum("...ik,...kj->...ij", np.abs(x).astype(np.float64), np.abs(y).astype(np.float64))
    if bias is not None:
        exact, size = exact + bias, size + np.abs(bias)
    assert type(z) is np.ndarray
    assert z.shape == exact.shape
    assert z.dtype == x.dtype
    assert np.all(np.abs(z - exact) <= TOLERANCE[str(x.dtype)] * size)


def transposed(x):
    return np.ascontiguousarray(x.T).T


def every_other(x):
    wide = np.full((2 * x.shape[0], 3 * x.shape[1]), np.nan, x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def backwards(x):
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def misaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1 : x.nbytes + 1].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


LAYOUTS = [np.ascontiguousarray, transposed, every_other, backwards, misaligned, swapped]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(k, size, dtype):
    n, depth, m = size
    x, y = draw((n, depth), dtype), draw((depth, m), dtype, 1)
    assert_product(k.matmul(x, y), x, y)
    assert_product(k.matmul(x, transposed(y)), x, y)
    assert_product(k.matmul(transposed(x), y), x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ly", LAYOUTS)
@pytest.mark.parametrize("lx", LAYOUTS)
def test_layouts(compiled, lx, ly, dtype):
    for n, depth, m in [(3, 2, 5), (31, 50, 41), (1, 60, 40), (40, 60, 1)]:
        x, y = draw((n, depth), dtype), draw((depth, m), dtype, 1)
        assert_product(compiled.matmul(lx(x), ly(y)), x, y)


@pytest.mark.parametrize("shapes", [
    ((2, 3, 4), (4, 5)), ((4, 3), (2, 3, 5)), ((7, 1, 2, 3), (5, 3, 4)), ((2, 1, 3, 4), (1, 6, 4, 2)),
    ((0, 3, 4), (4, 5)), ((2, 0, 4), (2, 4, 3)), ((3, 1, 5), (3, 5, 1)), ((3, 1, 50), (50, 40)),
    ((2, 3, 1, 50), (1, 3, 50, 40)), ((6, 20, 30), (1, 30, 40)), ((1, 20, 30), (6, 30, 40)),
], ids=str)
def test_batches(k, shapes):
    x, y = draw(shapes[0], "float32"), draw(shapes[1], "float32", 1)
    assert_product(k.matmul(x, y), x, y)


def test_batches_of_views(compiled):
    x = draw((5, 4, 30, 20), "float64").transpose(1, 0, 3, 2)  # (4, 5, 20, 30)
    y = draw((4, 1, 40, 30), "float64").swapaxes(2, 3)
    assert_product(compiled.matmul(x, y), x, y)
    assert_product(compiled.matmul(x[::-1, ::2], y[::-1]), x[::-1, ::2], y[::-1])
    wide = np.broadcast_to(draw((20, 30), "float64"), (3, 20, 30))
    assert_product(compiled.matmul(wide, y[0, 0]), wide, y[0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_linear(k, size, dtype):
    n, depth, m = size
    x, w, b = draw((n, depth), dtype), draw((m, depth), dtype, 1), draw((m,), dtype, 2)
    assert_product(k.linear(x, w), x, w.T)
    assert_product(k.linear(x, w, b), x, w.T, b)
    assert_product(k.linear(every_other(x), transposed(w), np.repeat(b, 2)[::2]), x, w.T, b)


def test_integers_have_a_reference(reference):
    x = np.arange(6).reshape(2, 3)
    assert reference.matmul(x, x.T).tolist() == [[5, 14], [14, 50]]


def test_nan_and_infinity_stay_where_they_belong(compiled):
    x, y = draw((20, 40), "float32"), draw((40, 50), "float32")
    x[3, 39], y[0, 49] = np.nan, np.inf
    z = compiled.matmul(x, y)
    expected = np.zeros(z.shape, bool)
    expected[3], expected[:, 49] = True, True
    assert np.array_equal(~np.isfinite(z), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_a_bit(compiled, same_for_all_thread_counts, dtype):
    for n, depth, m in [(300, 700, 500), (64, 784, 600), (3000, 600, 20), (1, 3000, 2000), (2000, 3000, 1)]:
        x, y, b = draw((n, depth), dtype), draw((m, depth), dtype, 1), draw((m,), dtype, 2)
        same_for_all_thread_counts(lambda x=x, y=y: compiled.matmul(x, y.T))
        same_for_all_thread_counts(lambda x=x, y=y, b=b: compiled.linear(x, y, b))


def test_rejects_what_it_cannot_do(compiled):
    x = draw((2, 3), "float32")
    with pytest.raises(TypeError, match="float32 and float64"):
        compiled.matmul(x, x.T.astype("float64"))
    with pytest.raises(TypeError, match="int64"):
        compiled.matmul(x.astype("int64"), x.T.astype("int64"))
    with pytest.raises(ValueError, match="3 columns against 2 rows"):
        compiled.matmul(x, x)
    with pytest.raises(ValueError, match="do not broadcast"):
        compiled.matmul(np.zeros((2, 3, 4)), np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="at least 2-D"):
        compiled.matmul(x[0], x.T)
    with pytest.raises(ValueError, match="bias"):
        compiled.linear(x, x, x[0])
    with pytest.raises(TypeError):
        compiled.matmul([[1.0]], x)


@pytest.mark.parametrize("size", [
    (1, 784, 256), (1, 4096, 10), (2, 600, 70), (4, 1024, 1024), (4, 512, 4096), (10, 784, 100), (12, 1024, 300),
    (20, 400, 128), (64, 784, 256), (512, 512, 512), (1024, 1024, 1), (1024, 1024, 4), (300, 3000, 3), (128, 8192, 16),
], ids=str)
def test_error_at_most_twice_that_of_torch(compiled, size):
    torch = pytest.importorskip("torch")
    n, depth, m = size
    for lx, ly in [(np.array, np.array), (np.array, transposed), (transposed, np.array), (transposed, transposed)]:
        ours, theirs = 0.0, 0.0
        for seed in range(3):
            x, y = lx(draw((n, depth), "float32", 2 * seed)), ly(draw((depth, m), "float32", 2 * seed + 1))
            exact = x.astype("float64") @ y.astype("float64")
            ours += np.sqrt(np.mean((compiled.matmul(x, y) - exact) ** 2))
            theirs += np.sqrt(np.mean((torch.from_numpy(x).mm(torch.from_numpy(y)).numpy() - exact) ** 2))
        assert ours <= 2 * theirs, (lx, ly)


LEVEL_SCRIPT = """
import numpy as np
from tinygrad_course.kernels import conv, gemm
rng = np.random.default_rng(0)
for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-13)):
    for n, k, m in [(1, 1, 1), (5, 3, 2), (13, 300, 31), (64, 84, 10), (1, 90, 40), (100, 64, 100)]:
        x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((n, k), (m, k), m))
        assert np.allclose(gemm.linear(x, w, b), x.astype("d") @ w.T.astype("d") + b, tolerance, tolerance * k)
    for o, c, size, stride, padding in [(6, 1, 12, 1, 0), (16, 6, 14, 1, 2), (20, 40, 7, 2, 1), (1, 3, 9, 3, 0)]:
        x, w = (rng.standard_normal(s).astype(dtype) for s in ((3, c, size, size + 1), (o, c, 3, 2)))
        args = ((stride, stride), (padding, padding), (1, 1), 1)
        y = conv.conv2d(x, w, None, *args)
        g = rng.standard_normal(y.shape).astype(dtype)
        one = np.vdot(y.astype("d"), g.astype("d"))      # the three are derivatives of one number
        gx, gw = conv.conv2d_input(g, w, x.shape, *args), conv.conv2d_weight(x, g, w.shape, *args)
        for other in (np.vdot(gx, x), np.vdot(gw, w)):
            assert abs(one - other) <= 20 * tolerance * (np.abs(g).sum() + 1), (one, other)
print(gemm.isa())
"""


def run_with_isa(level, script=LEVEL_SCRIPT):
    environment = {**os.environ, "TINYGRAD_COURSE_ISA": level}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_every_instruction_set(compiled, level):
    best = ["base", "v3", "v4"].index(run_with_isa("v4").stdout.strip() or "base")
    done = run_with_isa(level)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ["base", "v3", "v4"][min(best, ["base", "v3", "v4"].index(level))]


FEW_ROWS_SCRIPT = """
import numpy as np
from tinygrad_course.kernels import gemm

rng = np.random.default_rng(0)
for dtype, tolerance in (("float32", 1e-6), ("float64", 2e-15)):
    for k in (*range(16, 34), 100, 2048, 2049, 5000):
        for n in (2, 3, 4, 5, 6, 7, 9, 10, 12):
            m = 40 + n
            x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((n, k), (m, k), (m,)))
            exact, size = x.astype(np.longdouble) @ w.T.astype(np.longdouble), np.abs(x) @ np.abs(w.T)
            assert np.all(np.abs(gemm.linear(x, w) - exact) <= tolerance * size), (n, k)
            assert np.all(np.abs(gemm.linear(x, w, b) - exact - b) <= tolerance * (size + np.abs(b))), (n, k)
            x[0, -1] = w[3, 0] = np.nan  # a read beside a row or column would carry them elsewhere
            wrong = np.isnan(gemm.linear(x, w, b))
            assert wrong[0].all() and wrong[:, 3].all() and wrong.sum() == m + n - 1, (n, k)
"""


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_few_rows(compiled, level):
    """A small batch through a large layer, as dot products: rows, columns and k with every remainder, k in several slices."""
    done = run_with_isa(level, FEW_ROWS_SCRIPT)
    assert done.returncode == 0, done.stderr


def test_unknown_instruction_set(compiled):
    done = run_with_isa("avx9000")
    assert done.returncode != 0
    assert "ImportError" in done.stderr
    assert all(name in done.stderr for name in ("TINYGRAD_COURSE_ISA", "base", "v3", "v4"))
