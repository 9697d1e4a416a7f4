"""ops/bessel.py, by the integral representations of DLMF 10."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, S, Sample, away, exactly, normal, positive
from tests.ops.elementwise_cases import between
from tinygrad_course import special
from tinygrad_course.errors import DependencyError

inf, nan, pi = np.inf, np.nan, np.pi


def integral(f: Callable[[Any, Any], Any], end: float) -> Callable[[Any], Any]:
    """x -> int_0^end f(x, t) dt, by 200 points of Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t, w = (nodes + 1) * end / 2, weights * end / 2
    return lambda x: (f(np.asarray(x)[..., None], t) * w).sum(-1)


def bessel_j(n: int) -> Any:  # 10.9.2
    return integral(lambda x, t: np.cos(x * np.sin(t) - n * t) / pi, pi)


def bessel_y(n: int) -> Any:  # 10.8.7: an integral over the circle, and one that decays
    around = integral(lambda x, t: np.sin(x * np.sin(t) - n * t) / pi, pi)
    along = integral(lambda x, t: (np.exp(n * t) + (-1) ** n * np.exp(-n * t)) * np.exp(-x * np.sinh(t)) / pi, 6.0)
    return lambda x: around(x) - along(x)


def bessel_i(n: int) -> Any:  # 10.32.3
    return integral(lambda x, t: np.exp(x * np.cos(t)) * np.cos(n * t) / pi, pi)


def bessel_k(n: float) -> Any:  # 10.32.9
    return integral(lambda x, t: np.exp(-x * np.cosh(t)) * np.cosh(n * t), 6.0)


def airy(x: Any) -> Any:  # 9.6.2
    return np.sqrt(x / 3) / pi * bessel_k(1 / 3)(2 / 3 * x**1.5)


def shapes(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    return S(make(2, 3)), S(make()), S(make(3, 0))


def bessel(op: str, name: str, oracle: Any, make: Callable[..., Draw], *special_values: float, **more: Any) -> Case:
    """A function of tgc.special that is applied by `op`; by what it should give at its special values."""
    function, points, values = getattr(special, name), special_values[::2], special_values[1::2]
    at = (S(exactly(points)),) if points else ()
    return Case(
        op,
        function,
        lambda x: np.array(values) if x.shape == (len(points),) and points else oracle(x),
        shapes(make),
        special=at,
        half=True,
        integers=("int64",) if make is normal else (),
        **more,
    )


CASES = (
    bessel("bessel_j", "bessel_j0", bessel_j(0), normal, 0.0, 1.0, nan, nan),
    bessel("bessel_j", "bessel_j1", bessel_j(1), normal, 0.0, 0.0, nan, nan),
    bessel("bessel_y", "bessel_y0", bessel_y(0), positive, 0.0, -inf, -1.0, nan, nan, nan),
    bessel("bessel_y", "bessel_y1", bessel_y(1), positive, 0.0, -inf, -1.0, nan, nan, nan),
    bessel("bessel_i", "i0", bessel_i(0), normal, 0.0, 1.0, nan, nan),
    bessel("bessel_i", "i1", bessel_i(1), normal, 0.0, 0.0, nan, nan),
    bessel("bessel_ie", "i0e", lambda x: bessel_i(0)(x) * np.exp(-np.abs(x)), away, 0.0, 1.0, nan, nan),
    bessel("bessel_ie", "i1e", lambda x: bessel_i(1)(x) * np.exp(-np.abs(x)), away, 0.0, 0.0, nan, nan),
    bessel("bessel_k", "modified_bessel_k0", bessel_k(0), positive, 0.0, inf, -1.0, nan, inf, 0.0, nan, nan),
    bessel("bessel_k", "modified_bessel_k1", bessel_k(1), positive, 0.0, inf, -1.0, nan, inf, 0.0, nan, nan),
    bessel("bessel_ke", "scaled_modified_bessel_k0", lambda x: bessel_k(0)(x) * np.exp(x), positive, 0.0, inf, -1.0, nan),
    bessel("bessel_ke", "scaled_modified_bessel_k1", lambda x: bessel_k(1)(x) * np.exp(x), positive, 0.0, inf, -1.0, nan),
    bessel("spherical_bessel_j", "spherical_bessel_j0", lambda x: np.sin(x) / x, away, 0.0, 1.0, nan, nan, inf, 0.0),
    bessel("airy_ai", "airy_ai", airy, between(0.5, 2.0), 0.0, 0.3550280538878172, nan, nan, differentiable=False),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", ["i0", "i1", "i0e", "i1e"])
def test_gradients_at_zero_are_those_of_torch(torch: Any, name: str) -> None:
    x = tgc.tensor([0.0, 0.5, -0.5], dtype="float64", requires_grad=True)
    y = torch.tensor([0.0, 0.5, -0.5], dtype=torch.float64, requires_grad=True)
    getattr(special, name)(x).sum().backward()
    getattr(torch.special, name)(y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-12)


def test_spherical_bessel_function_has_derivatives_at_zero() -> None:
    """j_0(x) = 1 - x^2 / 6 + x^4 / 120 - ..."""
    x = tgc.tensor([0.0], dtype="float64", requires_grad=True)
    y = special.spherical_bessel_j0(x)
    for wanted in (0.0, -1 / 3, 0.0, 1 / 5):
        (y,) = tgc.autograd.grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("call", [special.i0, special.airy_ai, special.spherical_bessel_j0, special.erfcx])
def test_without_scipy_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(DependencyError, match=r'SciPy.*pip install "tinygrad_course\[special\]"'):
        call(tgc.ones(2))
