"""ops/smooth.py."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away
from tests.ops.curves import CORNERS, FINITE, SPREAD, curve, functional, slope
from tinygrad_course import ops
from tinygrad_course.ops import smooth


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(x))


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "none":
        return x * sp.ndtr(x)
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def density(x: np.ndarray) -> np.ndarray:
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def difference(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The derivative, by central differences in extended precision."""

    def derivative(x: np.ndarray) -> np.ndarray:
        wide, h = x.astype(np.longdouble), np.longdouble(1e-5)
        y = [function(wide + k * h) for k in (-2, -1, 1, 2)]
        return ((y[0] - 8 * y[1] + 8 * y[2] - y[3]) / (12 * h)).astype(np.float64)

    return derivative


def mish(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(np.logaddexp(0, x))


CASES = (
    curve("elu", elu, {"alpha": 0.4}),
    curve("selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    curve(
        "celu",
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        {"alpha": 2.5},
        errors=(Error(lambda: ops.celu(tgc.ones(2), 0.0), ValueError, "celu.*alpha.*not be 0"),),
    ),
    curve(
        "gelu",
        gelu,
        errors=(Error(lambda: ops.gelu(tgc.ones(2), "fast"), ValueError, "gelu.*'none' or 'tanh'.*'fast'"),),
    ),
    curve("tanhshrink", lambda x: x - np.tanh(x)),
    curve(
        "softplus",
        softplus,
        {"beta": 2.0, "threshold": 3.0},
        errors=(Error(lambda: ops.softplus(tgc.ones(2), 0), ValueError, "softplus.*beta"),),
    ),
    curve("softsign", lambda x: x / (1 + np.abs(x)), large=FINITE),
    curve("silu", lambda x: x * sp.expit(x)),
    curve("mish", mish, large=FINITE),
    curve("logsigmoid", sp.log_expit),
    Case(
        "gelu_tanh",
        lambda x: ops.gelu(x, "tanh"),
        lambda x: gelu(x, "tanh"),
        (S(SPREAD), S(away()), S((0, 2))),
        kinks=(S(CORNERS),),
        torch=lambda x: functional("gelu")(x, approximate="tanh"),
        half=True,
        tolerance=1e-6,
    ),
    slope("gelu_grad", smooth.GeluGrad, lambda x: sp.ndtr(x) + x * density(x)),
    slope("gelu_tanh_grad", smooth.GeluTanhGrad, difference(lambda x: gelu(x, "tanh"))),
    slope("silu_grad", smooth.SiluGrad, lambda x: sp.expit(x) * (1 + x * sp.expit(-x))),
    slope("mish_grad", smooth.MishGrad, difference(mish)),
    slope("softsign_grad", smooth.SoftsignGrad, lambda x: 1 / (1 + np.abs(x)) ** 2),
    slope("elu_grad", smooth.EluGrad, lambda x: np.where(x > 0, 2.0, 2.0 * 0.5 * 0.7 * np.exp(0.7 * x)), 0.5, 2.0, 0.7),
    slope("softplus_grad", smooth.SoftplusGrad, lambda x: np.where(2 * x > 3, 1, sp.expit(2 * x)), 2.0, 3.0),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", smooth.__all__)
def test_nan_stays_nan(backend: str, name: str) -> None:
    assert np.isnan(getattr(ops, name)(tgc.tensor([1.0, np.nan])).array).tolist() == [False, True]


def test_logsigmoid_is_accurate_in_its_tail() -> None:
    np.testing.assert_allclose(ops.logsigmoid(tgc.tensor([40.0], dtype="float64")).array, [-np.exp(-40.0)], rtol=1e-12)


def test_gelu_is_accurate_in_its_tail() -> None:
    """1 + erf would lose all digits there."""
    x = np.linspace(-12.0, -3.0, 50)
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-13)):  # as exact as SciPy is
        at = x.astype(dtype)
        exact = at.astype(np.float64) * sp.ndtr(at.astype(np.float64))
        np.testing.assert_allclose(ops.gelu(tgc.tensor(at)).array, exact, rtol=tolerance)
