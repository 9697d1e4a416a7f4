"""Activation kernels against SciPy and the NumPy bodies: every layout, instruction set and number of threads."""

import numpy as np
import pytest
from scipy import special as sp

FAMILY = "activation"

LINES = (-1.5, 1.5, ((0.25, -1.0), (1.0, 0.0), (0.0, 1.5)))
ARGUMENTS = {"elu": (0.7, 1.3, 0.9), "softplus": (1.5, 10.0), "piecewise_linear": LINES}
NAMES = (
    "elu", "gelu", "gelu_tanh", "hardsigmoid", "hardswish", "mish", "piecewise_linear", "silu", "softplus", "softsign",
)  # fmt: skip
names = pytest.mark.parametrize("name", NAMES)
SIZES = [(0,), (), (1,), (3,), (17,), (2, 0, 3), (5, 7), (4, 3, 33), (1000,)]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3.0, -3.0, 1e30, -1e30, 90.0, -90.0, 15.0, -15.0, 40.0]


def both(module, name, g, x):
    """Value and gradient."""
    args = ARGUMENTS.get(name, ())
    return getattr(module, name)(x, *args), getattr(module, f"{name}_grad")(g, x, *args)


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 2e-6} if dtype == np.float32 else {"rtol": 3e-13, "atol": 1e-14}


@names
def test_values_are_those_of_numpy(reference, compiled, name, dtype, layout):
    rng = np.random.default_rng(0)
    for shape in SIZES:
        x, g = (np.asarray(3 * rng.standard_normal(shape), dtype) for _ in range(2))
        if shape:
            x, g = layout(x), layout(g)
        before = x.copy()
        for out, expected in zip(both(compiled, name, g, x), both(reference, name, g, x), strict=True):
            assert out.shape == shape
            assert out.dtype == dtype
            assert out.flags.c_contiguous
            np.testing.assert_allclose(out, expected, **tolerance(dtype), err_msg=f"{name} {shape}")
        np.testing.assert_array_equal(x, before)


@names
def test_special_values(reference, compiled, name, dtype):
    x = np.array(SPECIAL, dtype)
    g = np.full_like(x, 0.5)
    for out, expected in zip(both(compiled, name, g, x), both(reference, name, g, x), strict=True):
        near = np.abs(x) < 1e20  # where a function is nan at -inf, rounding decides about -1e30
        np.testing.assert_allclose(out[near], expected[near], **tolerance(dtype), err_msg=name)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(expected), err_msg=name)


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_every_instruction_set(level):
    """In a process of its own, because the level is chosen at import."""
    import os
    import subprocess
    import sys

    code = """
import numpy as np
from scipy import special as sp
from tinygrad_course.kernels import activation as a, elementwise as e
for dtype, tolerance in (("float32", 2e-6), ("float64", 2e-13)):
    x = np.linspace(-8, 8, 1003).astype(dtype)
    g, w = np.ones_like(x), x.astype("float64")
    for out, exact in (
        (a.gelu(x), w * sp.ndtr(w)), (a.silu(x), w * sp.expit(w)), (a.softplus(x, 1, 20), np.logaddexp(w, 0)),
        (a.elu(x, 1, 1, 1), np.where(w > 0, w, np.expm1(w))), (a.mish(x), w * np.tanh(np.logaddexp(w, 0))),
        (a.silu_grad(g, x), sp.expit(w) * (1 + w * sp.expit(-w))), (e.tanh(x), np.tanh(w)), (e.exp(x), np.exp(w)),
    ):
        np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance / 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TINYGRAD_COURSE_ISA": level}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@names
def test_threads(compiled, same_for_all_thread_counts, name, dtype):
    rng = np.random.default_rng(2)
    for n in (300_001, 70_003):
        x, g = (rng.standard_normal(n).astype(dtype) for _ in range(2))
        same_for_all_thread_counts(lambda x=x, g=g: both(compiled, name, g, x))


@names
def test_every_element_alone_gives_the_same_bits(compiled, name, dtype):
    x = np.random.default_rng(3).standard_normal(37).astype(dtype)
    for whole, parts in zip(
        both(compiled, name, x, x),
        zip(*[both(compiled, name, x[i : i + 1].copy(), x[i : i + 1].copy()) for i in range(37)], strict=True),
        strict=True,
    ):
        assert whole.tobytes() == np.concatenate(parts).tobytes()


@names
def test_float32_is_as_accurate_as_pytorch(compiled, torch, name):
    """Against float64; the bound is twice PyTorch's error."""
    calls = {
        "elu": lambda f, x: f.elu(x, 0.7),
        "gelu_tanh": lambda f, x: f.gelu(x, approximate="tanh"),
        "softplus": lambda f, x: f.softplus(x, 1.5, 10.0),
        "piecewise_linear": lambda f, x: f.hardtanh(x),
    }
    mine = {**ARGUMENTS, "elu": (0.7, 1.0, 1.0), "piecewise_linear": (-1.0, 1.0, ((0.0, -1.0), (1.0, 0.0), (0.0, 1.0)))}
    x = (3 * np.random.default_rng(4).standard_normal(100_000)).astype(np.float32)
    g = np.random.default_rng(5).standard_normal(100_000).astype(np.float32)
    results = []
    for dtype in (torch.float32, torch.float64):
        t = torch.tensor(x, dtype=dtype, requires_grad=True)
        y = calls[name](torch.nn.functional, t) if name in calls else getattr(torch.nn.functional, name)(t)
        (slope,) = torch.autograd.grad(y, t, torch.tensor(g, dtype=dtype))
        results.append((y.detach().numpy(), slope.numpy()))
    args = mine.get(name, ())
    ours = getattr(compiled, name)(x, *args), getattr(compiled, f"{name}_grad")(g, x, *args)
    for out, theirs, exact in zip(ours, *results, strict=True):
        assert np.abs(out - exact).max() <= 2 * np.abs(theirs - exact).max() + 1e-9


@pytest.mark.parametrize(("function", "low", "high", "bound"), [
    ("exp", -700, 700, 1.5), ("log", 1e-300, 1e300, 1.5), ("tanh", -20, 20, 2.0), ("sigmoid", -700, 700, 3.0),
])  # fmt: skip
def test_float64_in_units_of_the_last_place(function, low, high, bound):
    """The vectorised functions of elementwise.pyx, against extended precision."""
    from tinygrad_course.kernels import elementwise

    rng = np.random.default_rng(6)
    x = np.concatenate([rng.uniform(low, high, 50_000), rng.uniform(max(low, -3), 3, 50_000)])
    wide = x.astype(np.longdouble)
    exact = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}[function](wide)
    out = getattr(elementwise, function)(x)
    error = np.abs(out - exact) / np.spacing(np.abs(exact).astype(np.float64))
    assert error.max() < bound


def test_normal_tail_of_float32(compiled):
    x = np.linspace(-12, 0, 1000).astype(np.float32)
    exact = x.astype(np.float64) * sp.ndtr(x.astype(np.float64))
    np.testing.assert_allclose(compiled.gelu(x), exact, rtol=1e-6)


@names
def test_shapes_must_agree(k, name):
    with pytest.raises(ValueError, match=rf"{name}_grad: g \(2,\) must have the shape of x, \(3,\)"):
        both(k, name, np.ones(2, np.float32), np.ones(3, np.float32))


def test_other_dtypes(compiled):
    with pytest.raises(TypeError, match="gelu: the compiled kernel takes float32 or float64, not int64"):
        compiled.gelu(np.ones(2, np.int64))
