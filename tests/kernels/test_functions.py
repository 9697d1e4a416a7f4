"""Functions of each number against their NumPy bodies, SciPy and float64: layouts, instruction sets, numbers of threads."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import special as sp

from tinygrad_course import backend
from tinygrad_course.backend import cpu

pytestmark = pytest.mark.skipif(not backend.COMPILED, reason="built without compiled kernels")
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.0, 1e-40, -1e-40, 30.0, -30.0, 1e30, -1e30, 9.5, 4.0]
OWN = ("digamma", "erf", "erfc", "erfinv", "lgamma")  # the others are NumPy's loops, and must be NumPy's bits


def functions():
    from tinygrad_course.kernels import functions

    return functions


def body(name):
    family = "functions" if name in cpu.reference_module("functions").KERNELS else "special"
    return getattr(cpu.reference_module(family), name)


def problems(name, values):
    """Arguments in every way that has a door of its own, and some that have none."""
    if name == "clamp":
        numbers = [np.array(number, values.dtype) for number in (-0.5, 0.75, np.nan)]
        arrays = values, np.roll(values, 2), np.roll(values, 5)  # so that 0 does not meet -0, which is the same number
        mixed = [tuple([array if whole else np.array(array[7]) for array, whole in zip(arrays, which, strict=True)])
                 for which in itertools.product((True, False), repeat=3)]  # each of the three an array or a number
        return [(values, numbers[i], numbers[j]) for i, j in ((0, 1), (1, 0), (0, 0), (2, 1), (0, 2))] + [(values,) * 3] + [
            *mixed, (values[5:9, None], arrays[1], arrays[2][8:12, None])]
    loops = functions().UFUNCS.get(name)
    if loops is None or loops.nin == 1:
        return [(values,), (values[::2],), (values.reshape(-1, 1).T,), (values[:0],), (np.array(values[-1]),)]
    number, other = np.array(0.5, values.dtype), np.flip(values).copy()
    return [(values, other), (values, number), (number, values), (values[::2], other[::2]),
            (values[:9, None], other[None, :7]), (number, number), (values, other.astype(np.float64))]


def names():
    """Functions of each number: all but the gate, which has an axis."""
    return [name for name in functions().KERNELS if not name.startswith("glu")] if backend.COMPILED else []


def check(name, args, out, expected):
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    if name in OWN:
        tolerance = 2e-6 if out.dtype == np.float32 else 2e-13
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(np.signbit(out), np.signbit(expected))
    assert not any(np.shares_memory(out, arg) for arg in args)


@pytest.mark.parametrize("name", names())
def test_values_are_those_of_the_body(name, dtype):
    for values in (np.array(SPECIAL, dtype), np.random.default_rng(0).uniform(-0.999, 3.0, 50).astype(dtype)):
        for args in problems(name, values):
            before = [arg.copy() for arg in args]
            check(name, args, getattr(functions(), name)(*args), body(name)(*args))
            for arg, old in zip(args, before, strict=True):
                np.testing.assert_array_equal(arg, old)


@pytest.mark.parametrize("name", [*OWN, "clamp", "sin", "log1p", "isnan", "atan2", "fmax"])  # the others share their code
def test_threads(name, dtype, same_for_all_thread_counts):
    count = {"erf": 80_001, "erfc": 80_001}.get(name, 9_001 if name in OWN else 280_001)
    values = np.random.default_rng(0).uniform(-0.999, 3.0, count).astype(dtype)
    args = problems(name, values)[0]
    same_for_all_thread_counts(lambda: (getattr(functions(), name)(*args),))
    rest = tuple(arg[-9_001:] if arg.ndim else arg for arg in args)
    check(name, rest, np.array(getattr(functions(), name)(*args)[-9_001:]), body(name)(*rest))


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 0), ((5, 34), 1), ((3, 4, 7), 1), ((0, 2), 1), ((2, 0), 0), ((64,), 0),
                                             ((300, 600), 1), ((2, 90_000), 0)])
def test_gate(shape, axis, layout, dtype, same_for_all_thread_counts):
    rng = np.random.default_rng(0)
    x = layout(rng.standard_normal(shape).astype(dtype)) if 0 not in shape else np.empty(shape, dtype)
    if x.size > 9:
        x[(0,) * x.ndim] = x[(-1,) * x.ndim] = np.inf
    half = (*shape[:axis], shape[axis] // 2, *shape[axis + 1:])
    g = layout(rng.standard_normal(half).astype(dtype)) if 0 not in half else np.empty(half, dtype)
    tolerance = {"rtol": 2e-6, "atol": 2e-6} if dtype == np.float32 else {"rtol": 2e-13, "atol": 1e-14}
    np.testing.assert_allclose(functions().glu(x, axis), body("glu")(x, axis), **tolerance)
    np.testing.assert_allclose(functions().glu_grad(g, x, axis), body("glu_grad")(g, x, axis), **tolerance)
    same_for_all_thread_counts(lambda: (functions().glu(x, axis), functions().glu_grad(g, x, axis)))


def test_gate_errors(dtype):
    x = np.ones((2, 3), dtype)
    for axis in (1, 2, -1):
        with pytest.raises(ValueError, match=rf"glu: axis {axis} of \(2, 3\) has no halves"):
            functions().glu(x, axis)
    with pytest.raises(ValueError, match=r"glu_grad: g \(2, 3\) must be half of x \(2, 3\) along axis 0"):
        functions().glu_grad(x, x, 0)


def test_types_without_a_loop_go_to_numpy(dtype):
    assert functions().sin(np.array([0, 1])).dtype == np.float64
    half = functions().floor(np.array([1.5], np.float16))
    assert half.dtype == np.float16
    assert half == [1.0]
    np.testing.assert_array_equal(functions().clamp(np.arange(4), np.array(1), np.array(2)), [1, 1, 2, 2])
    with pytest.raises(TypeError, match=r"erf: .*float32 or float64, not int64"):
        functions().erf(np.array([1]))


@pytest.mark.parametrize("level", ["base", "v3"])
def test_erf_at_every_instruction_set(level):
    """The lower ones, in a process of their own, because the level is chosen at import.

    Errors in units of the last place, against SciPy in float64 (2 units itself)."""
    code = """
import numpy as np
from scipy import special as sp
from tinygrad_course.kernels import functions
x = np.concatenate([np.linspace(-7, 7, 40_001), np.linspace(-1e-3, 1e-3, 1001), 10.0 ** np.arange(-38, 0)])
for dtype, bound in ((np.float32, 1.5), (np.float64, 4.5)):
    values = x.astype(dtype)
    exact = sp.erf(values.astype(np.float64))
    error = np.abs(functions.erf(values) - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert error.max() < bound, (dtype, error.max())
    special = np.array([np.inf, -np.inf, -0.0, np.nan], dtype)
    assert functions.erf(special).tobytes() == np.array([1, -1, -0.0, np.nan], dtype).tobytes()
values = np.concatenate([x, np.linspace(7, 11, 4001)]).astype(np.float32)  # to the smallest numbers and to 0
exact = sp.erfc(values.astype(np.float64))
error = np.abs(functions.erfc(values) - exact) / np.spacing(np.abs(exact).astype(np.float32))
assert error.max() < 0.65, error.max()
np.testing.assert_array_equal(functions.erfc(np.float32([np.inf, -np.inf, 1e30, np.nan])), np.float32([0, 2, 0, np.nan]))
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TINYGRAD_COURSE_ISA": level}, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "low", "high"),
                         [("erfc", -5, 9), ("erfinv", -1, 1), ("lgamma", 0.01, 30), ("digamma", 2, 30)])
def test_slow_functions_are_rounded_once(name, low, high):
    x = np.random.default_rng(1).uniform(low, high, 2000).astype(np.float32)
    exact = getattr(sp, {"lgamma": "gammaln"}.get(name, name))(x.astype(np.float64))
    np.testing.assert_array_max_ulp(getattr(functions(), name)(x), exact.astype(np.float32), 1)


@pytest.mark.parametrize("which", ["compiled", "body"])
def test_digamma_near_its_poles(which):
    """psi(-n + e) is -1 / e + psi(n + 1) up to a multiple of e; SciPy loses the second summand."""
    e = np.array([-1e-30, 1e-30, -2.0**-20, 2.0**-30])
    n = np.array([0, 0, 1, 3])
    out = (functions().digamma if which == "compiled" else body("digamma"))(e - n)
    np.testing.assert_allclose(out, -1 / e + sp.digamma(n + 1), rtol=1e-11)
