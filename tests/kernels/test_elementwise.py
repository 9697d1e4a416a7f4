"""Elementwise kernels: against formulas in float64, IEEE 754 special values, each other, layouts, threads, levels."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import special

FAMILY = "elementwise"
NAN, INF = float("nan"), float("inf")

# what the kernels should compute, in the precision of the operands they get here (float64 or long double)
UNARY = {
    "neg": lambda x: -x,
    "abs": lambda x: np.where(x < 0, -x, x),
    "sign": lambda x: np.where(x > 0, 1.0, 0.0) - np.where(x < 0, 1.0, 0.0),
    "sqrt": lambda x: x**0.5,
    "exp": lambda x: np.exp(x),
    "log": lambda x: np.log(x),
    "tanh": lambda x: np.sinh(x) / np.cosh(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.where(x < 0, 0.0, x),
}
POSITIVE = ("sqrt", "log")
BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: np.exp(y * np.log(np.abs(x))),
    "maximum": lambda x, y: np.where(x > y, x, y),
    "minimum": lambda x, y: np.where(x < y, x, y),
    "tanh_grad": lambda g, y: g - g * y**2,
    "sigmoid_grad": lambda g, y: g * y - g * y**2,
    "relu_grad": lambda g, x: np.where(x > 0, g, 0.0),
}
COMPARE = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
}
TOLERANCE = {np.dtype("float16"): 2e-3, np.dtype("float32"): 1e-6, np.dtype("float64"): 1e-14}


def draw(shape, dtype, seed=0, positive=False):
    x = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(np.abs(x) + 0.1 if positive else x).astype(dtype)


def check(got, want, dtype, *operands):
    assert isinstance(got, np.ndarray)
    assert got.dtype == dtype
    assert got.shape == want.shape
    assert got.flags.writeable
    assert not any(np.shares_memory(got, operand) for operand in operands)
    tolerance = TOLERANCE.get(np.dtype(dtype), 0)
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance)


SHAPES = [(), (1,), (7,), (0,), (3, 0), (2, 3, 4), (1, 1, 1), (33, 65), (1, 270000)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unary(k, shape, dtype):
    for name, oracle in UNARY.items():
        x = draw(shape, dtype, positive=name in POSITIVE)
        before = x.copy()
        check(getattr(k, name)(x), oracle(x.astype(np.float64)), dtype, x)
        assert np.array_equal(x, before), name


PAIRS = [
    ((), ()), ((1,), (1,)), ((5,), (5,)), ((0,), (0,)), ((3, 0), (3, 0)), ((2, 3, 4), (2, 3, 4)),
    ((4, 5), ()), ((), (4, 5)), ((4, 5), (1,)), ((1,), (0,)), ((3, 0), ()), ((1, 1, 1), (5,)), ((5,), (1, 1, 1)),
    ((4, 5), (5,)), ((5,), (4, 5)), ((4, 5), (4, 1)), ((4, 1), (1, 5)), ((2, 3, 4, 5), (1, 3, 1, 1)),
    ((2, 1, 4, 1), (3, 1, 5)), ((2, 3, 1), (0,)), ((300, 1000), (1000,)), ((700, 3, 150), (3, 1)),
    ((2, 140000), (1, 140000)), ((270000,), (270000,)), ((270000,), (1,)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=str)
def test_binary(k, first, second, dtype):
    for name, oracle in {**BINARY, **COMPARE}.items():
        x, y = draw(first, dtype, 1, positive=name == "pow"), draw(second, dtype, 2)
        if name in COMPARE:
            x, y = np.asarray(np.round(x * 2)), np.asarray(np.round(y * 2))  # ties, and arrays also at 0-d
        before = x.copy(), y.copy()
        want = oracle(*np.broadcast_arrays(x.astype(np.float64), y.astype(np.float64)))
        check(getattr(k, name)(x, y), np.asarray(want), dtype if name in BINARY else np.bool_, x, y)
        assert np.array_equal(x, before[0]), name
        assert np.array_equal(y, before[1]), name


VIEWS = {
    "strided": lambda x: np.repeat(x, 3, axis=-1)[..., ::3],
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1],
    "reversed rows": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "fortran": np.asfortranarray,
    "cut out": lambda x: np.pad(x, [(1, 2)] * x.ndim)[tuple(slice(1, -2) for _ in x.shape)],
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("view", list(VIEWS))
def test_layouts_change_nothing(compiled, view, dtype):
    """Bitwise: where a number lies in memory has no influence on its result."""
    x, y = draw((9, 5, 17), dtype, 1, positive=True), draw((9, 5, 17), dtype, 2)
    row = draw((17,), dtype, 3)
    condition = y > 0
    u, v = VIEWS[view](x), VIEWS[view](y)
    for name in UNARY:
        kernel = getattr(compiled, name)
        assert np.array_equal(kernel(u), kernel(x)), name
    for name in [*BINARY, *COMPARE]:
        kernel = getattr(compiled, name)
        assert np.array_equal(kernel(u, v), kernel(x, y)), name
        assert np.array_equal(kernel(u, y), kernel(x, y)), name
        assert np.array_equal(kernel(row, v), kernel(row, y), equal_nan=True), name
    assert np.array_equal(compiled.where(VIEWS[view](condition), u, v), np.where(condition, x, y))
    assert np.array_equal(compiled.where(condition, u, row), np.where(condition, x, row))
    assert np.array_equal(compiled.cast(u, dtype), x)


def test_expanded_operands(k, dtype):
    """Operands of stride 0, both sides at once included, are read, not walked over."""
    x = np.broadcast_to(draw((4, 1), dtype), (4, 6))
    one = np.broadcast_to(np.asarray(2, dtype), (4, 6))
    np.testing.assert_array_equal(k.mul(x, one), x * 2)
    np.testing.assert_array_equal(k.add(one, one), np.full((4, 6), 4))
    np.testing.assert_array_equal(k.neg(one), np.full((4, 6), -2))
    yes = np.broadcast_to(np.asarray(True), (4, 6))
    np.testing.assert_array_equal(k.where(yes, one, x), one)
    np.testing.assert_array_equal(k.where(~yes, one, x), x)
    np.testing.assert_array_equal(k.where(x > 0, one, one), one)


def test_every_element_alone_gives_the_same_bits(compiled, dtype):
    """The vector part of a loop and its scalar rest agree."""
    x = draw((67,), dtype, positive=True) * 3
    y = draw((67,), dtype, 1)
    for name in UNARY:
        kernel = getattr(compiled, name)
        assert [v.tobytes() for v in kernel(x)] == [kernel(x[i : i + 1]).tobytes() for i in range(x.size)], name
    for name in BINARY:
        kernel = getattr(compiled, name)
        alone = [kernel(x[i : i + 1], y[i : i + 1]).tobytes() for i in range(x.size)]
        assert [v.tobytes() for v in kernel(x, y)] == alone, name


SPECIAL = [
    NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-39, 3.4e38, -3.4e38, 88.8, -88.8, -103.9, 104.5, -200.0,
]


def test_special_values(k, dtype):
    """Against libm in float64, rounded to dtype; -0 is told from 0."""
    x = np.array(SPECIAL, dtype)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        want = {
            "neg": -wide, "abs": np.abs(wide), "sign": np.sign(wide), "sqrt": np.sqrt(wide), "exp": np.exp(wide),
            "log": np.log(wide), "tanh": np.tanh(wide), "sigmoid": special.expit(wide), "relu": np.fmax(wide, 0),
        }
        want["relu"][0] = NAN
        want = {name: value.astype(dtype) for name, value in want.items()}
    tiny = np.finfo(dtype).smallest_subnormal
    for name, value in want.items():
        got = getattr(k, name)(x)
        np.testing.assert_allclose(got, value, rtol=4 * np.finfo(dtype).eps, atol=2 * tiny, err_msg=name)
        if name not in ("relu", "sign", "abs"):
            numbers = ~np.isnan(value)
            assert np.array_equal(np.signbit(got[numbers]), np.signbit(value[numbers])), name
    assert not np.signbit(k.abs(x[1:])).any()


def test_special_pairs(k, dtype):
    """All pairs of special values for the arithmetic of IEEE 754, pow as in C99."""
    values = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0], dtype)
    x, y = (np.ascontiguousarray(a) for a in np.broadcast_arrays(values[:, None], values[None, :]))
    with np.errstate(all="ignore"):
        want = {"add": x + y, "sub": x - y, "mul": x * y, "div": x / y, "pow": np.power(x, y),
                "maximum": np.maximum(x, y), "minimum": np.minimum(x, y)}
        want.update({name: oracle(x, y) for name, oracle in COMPARE.items()})
    for name, value in want.items():
        check = close if name == "pow" else np.testing.assert_array_equal
        check(getattr(k, name)(x, y), value, err_msg=name)
        for j, b in enumerate(values):  # one number on the right: pow has shortcuts there
            if (name, b) != ("pow", 0.5):
                check(getattr(k, name)(values, np.asarray(b)), value[:, j], err_msg=f"{name} {b}")


def close(got, want, err_msg):
    """To the last place, and with the sign of zero."""
    np.testing.assert_allclose(got, want, rtol=2 * np.finfo(want.dtype).eps, err_msg=err_msg)
    assert np.array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0])), err_msg


def test_pow_with_one_exponent_of_a_half_is_sqrt(compiled, dtype):
    """As in torch and NumPy: NaN for -inf and -0 for -0, where C99's pow gives +inf and +0."""
    x = np.array([4.0, 2.0, 0.0, -0.0, -1.0, -INF, INF, NAN], dtype)
    with np.errstate(all="ignore"):
        want = np.sqrt(x)
    got = compiled.pow(x, np.asarray(0.5, dtype))
    np.testing.assert_array_equal(got, want)
    assert np.array_equal(np.signbit(got[:4]), np.signbit(want[:4]))


def test_relu_grad_lets_nan_pass_as_torch_does(k, torch, dtype):
    x, g = np.array(SPECIAL, dtype), np.arange(1, len(SPECIAL) + 1, dtype=dtype)
    t = torch.tensor(x, requires_grad=True)
    torch.relu(t).backward(torch.tensor(g))
    np.testing.assert_array_equal(k.relu_grad(g, x), t.grad.numpy())
    np.testing.assert_array_equal(k.relu_grad(np.full_like(g, NAN), x), np.where(x <= 0, 0, NAN))


def ulps(got, want):
    """Distance in units of the last place of float32; `want` in long double."""
    rounded = want.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    unit = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
    return float((np.abs(got[finite] - want[finite]) / unit).max())


def all_floats(step):
    x = np.arange(0, 2**32, step, dtype=np.int64).astype(np.uint32).view(np.float32)
    return x[~np.isnan(x)]


def accuracy(k, step):
    """Largest errors over every step-th float32."""
    x = all_floats(step)
    wide = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        small = np.exp(-np.abs(wide))
        return {
            "exp": ulps(k.exp(x), np.exp(wide)),
            "log": ulps(k.log(x[x >= 0]), np.log(wide[x >= 0])),
            "tanh": ulps(k.tanh(x), np.tanh(wide)),
            "sigmoid": ulps(k.sigmoid(x), np.where(wide < 0, small, 1) / (1 + small)),
        }


def test_accuracy_of_float32(reference, compiled):
    bound = {"exp": 1.5, "log": 1.5, "tanh": 1.5, "sigmoid": 2.5}
    for name, error in accuracy(compiled, 10007).items():
        assert error <= bound[name], (name, error)
    assert max(accuracy(reference, 40009).values()) <= 5  # NumPy's own functions have errors, too


LEVEL = """
import sys
sys.path[:0] = {path!r}
import importlib.util
import numpy as np
spec = importlib.util.spec_from_file_location("cases", {file!r})
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
from tinygrad_course.kernels import elementwise as k
worst = cases.accuracy(k, 40009)
assert max(worst.values()) <= 3, worst
for dtype in (np.dtype("float32"), np.dtype("float64")):
    cases.test_special_values(k, dtype)
    cases.test_special_pairs(k, dtype)
    cases.test_every_element_alone_gives_the_same_bits(k, dtype)
    cases.test_layouts_change_nothing(k, "strided", dtype)
    cases.test_binary(k, (33, 65), (65,), dtype)
    cases.test_unary(k, (33, 65), dtype)
print("passed")
"""


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_every_instruction_set(compiled, level):
    code = LEVEL.format(path=[p for p in sys.path if p], file=__file__)
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TINYGRAD_COURSE_ISA": level},
                         capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "passed", run.stderr


def test_unknown_instruction_set(compiled):
    code = "import tinygrad_course.kernels.elementwise"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         env={**os.environ, "TINYGRAD_COURSE_ISA": "v5", "PYTHONPATH": os.pathsep.join(sys.path)})
    assert "TINYGRAD_COURSE_ISA must be base, v3, v4 or amx" in run.stderr


def test_threads(compiled, same_for_all_thread_counts, dtype):
    x, y = draw((700, 601), dtype, 1, positive=True), draw((700, 601), dtype, 2)
    for name in UNARY:
        same_for_all_thread_counts(lambda name=name: getattr(compiled, name)(x))
        same_for_all_thread_counts(lambda name=name: getattr(compiled, name)(x.T))
    for name in [*BINARY, *COMPARE]:
        same_for_all_thread_counts(lambda name=name: getattr(compiled, name)(x, y))
        same_for_all_thread_counts(lambda name=name: getattr(compiled, name)(x, y[0]))
        same_for_all_thread_counts(lambda name=name: getattr(compiled, name)(x, y[:, :1]))
    same_for_all_thread_counts(lambda: compiled.where(y > 0, x, y))


@pytest.mark.parametrize("other", ["float16", "int64", "int32", "uint8", "bool"])
def test_other_dtypes(reference, compiled, other):
    """Same dtype, shape and values as the reference; results stay arrays at 0-d."""
    x = np.asarray(draw((3, 4), np.float64, 1) * 3).astype(other)
    y = np.asarray(np.abs(draw((4,), np.float64, 2)) * 3 + 1).astype(other)
    for a, b in ((x, y), (x.T, y[:3]), (x[0, 0:1].reshape(()), y[0:1].reshape(()))):
        for name in [*BINARY, *COMPARE]:
            if (other == "bool" and name == "sub") or (other != "float16" and name.endswith("_grad")):
                continue
            got, want = getattr(compiled, name)(a, b), getattr(reference, name)(a, b)
            assert isinstance(got, np.ndarray)
            assert isinstance(want, np.ndarray)
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=2e-3, err_msg=name)
        for name in [*UNARY, "logical_not"]:
            undefined = {"bool": ("neg", "sign", "sigmoid", "relu"), "uint8": ("sigmoid", "relu")}
            if name in undefined.get(other, ()):
                continue
            got, want = getattr(compiled, name)(a), getattr(reference, name)(a)
            assert isinstance(got, np.ndarray)
            assert got.dtype == want.dtype or name in UNARY
            np.testing.assert_allclose(got, want, rtol=2e-3, err_msg=name)
        np.testing.assert_array_equal(compiled.where(np.asarray(a > b), a, b), np.where(a > b, a, b))


@pytest.mark.parametrize("source", ["float16", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("target", ["float16", "float32", "float64", "int64", "int32", "uint8", "bool"])
def test_cast(k, source, target):
    x = (np.random.default_rng(0).integers(0, 3, (4, 5)) * 1.25).astype(source)
    for view in (x, x.T, x[0, 0:1].reshape(()), x[:0]):
        got = k.cast(view, np.dtype(target))
        assert got.dtype == target
        assert not np.shares_memory(got, view)
        assert got.shape == view.shape
        want = np.array([target_of(v, target) for v in view.ravel()], target).reshape(view.shape)
        np.testing.assert_array_equal(got, want)


def target_of(value, target):
    """One element at a time, through Python numbers."""
    return bool(value) if target == "bool" else float(value) if target.startswith("float") else int(value)


def test_cast_does_not_warn(k):
    k.cast(np.array([NAN, INF, 1e300]), np.dtype("float32"))
    k.cast(np.array([NAN, INF]), np.dtype("int64"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16", "bool"])
def test_logical_not(k, dtype):
    x = np.array([[0, 1, 2], [3, 0, 0]]).astype(dtype)
    got = k.logical_not(x)
    assert got.dtype == np.bool_
    assert got.tolist() == [[True, False, False], [False, True, True]]
    assert k.logical_not(np.zeros((), dtype)).shape == ()


def test_where(k, dtype):
    rng = np.random.default_rng(0)
    x, y = draw((6, 700, 100), dtype, 1), draw((6, 700, 100), dtype, 2)
    condition = rng.random((6, 700, 100)) < 0.5
    for c, a, b in ((condition, x, y), (condition[:1, :2], x[:1, :2], y[:1, :2]), (condition, x, y[0, 0]),
                    (condition, np.asarray(0, dtype), y), (condition, x, np.asarray(0, dtype)),
                    (condition[0, 0, :1].reshape(()), x, y), (condition[:, :, :1], x, y),
                    (condition[:0], x[:0], y[:0])):
        want = np.empty(np.broadcast_shapes(c.shape, a.shape, b.shape), dtype)
        full_c, full_a, full_b = np.broadcast_arrays(c, a, b)
        want[full_c], want[~full_c] = full_a[full_c], full_b[~full_c]
        got = k.where(c, a, b)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)


def test_shapes_that_do_not_broadcast(k):
    with pytest.raises(ValueError, match="broadcast"):
        k.add(np.zeros((2, 3), np.float32), np.zeros((4,), np.float32))


def test_compiled_and_reference_have_the_same_signatures(reference, compiled):
    assert sorted(reference.KERNELS) == sorted(compiled.KERNELS)
    for name in reference.KERNELS:
        ours, theirs = (list(inspect.signature(getattr(m, name)).parameters.values()) for m in (reference, compiled))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name
