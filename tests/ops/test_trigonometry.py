"""ops/trigonometry.py."""

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly, normal
from tests.ops.elementwise_cases import another_name, between, of_one, of_two
from tests.ops.patterns import does_not_broadcast, torch_function
from tinygrad_course.errors import DTypeError

inside, beyond = between(-0.8, 0.8), between(1.3, 3.0)

CASES = (
    of_one("sin", np.sin, normal),
    of_one("cos", np.cos, normal),
    of_one("tan", np.tan, between(-1.0, 1.0), special=(S(exactly([np.nan, np.inf, 0.0, -0.0])),)),
    of_one("asin", np.arcsin, inside),
    of_one("acos", np.arccos, inside),
    of_one("atan", np.arctan, normal),
    of_two(
        "atan2",
        np.arctan2,
        away,
        kinks=(S(exactly([0.0, 0.0, 1.0, -1.0]), exactly([0.0, 1.0, 0.0, 0.0])),),
        special=(S(exactly([np.inf, np.nan, 1.0, 0.0, -0.0]), exactly([1.0, 1.0, -np.inf, -2.0, -2.0])),),
        errors=does_not_broadcast("atan2", tgc.atan2),
    ),
    of_one("sinh", np.sinh, normal),
    of_one("cosh", np.cosh, normal),
    of_one("asinh", np.arcsinh, normal, special=(S(exactly([np.nan, np.inf, -np.inf, 0.0])),)),
    of_one("acosh", np.arccosh, beyond),
    of_one("atanh", np.arctanh, inside),
    of_one("deg2rad", np.radians, normal),
    of_one("rad2deg", np.degrees, normal, special=(S(exactly([np.nan, np.inf, 0.0])),)),
    of_one("sinc", np.sinc, normal, kinks=(S(exactly([0.0, 1.0, -2.0])),), special=(S(exactly([np.nan, 0.0])),)),
    Case("sinc", tgc.sinc, np.sinc, (S(exactly([0.2, 0.999, 1.0, -1.001, 7.3])),), torch=torch_function("sinc")),
    of_two(
        "hypot",
        np.hypot,
        away,
        integers=(),
        special=(S(exactly([np.nan, 0.0, np.inf]), exactly([np.inf, 0.0, 1.0])),),
        errors=(Error(lambda: tgc.hypot(tgc.tensor([3]), tgc.tensor([4])), DTypeError, r"hypot.*int64.*float\(\)"),),
    ),
    another_name("arcsin", np.arcsin, inside(2, 3)),
    another_name("arccos", np.arccos, inside(2, 3)),
    another_name("arctan", np.arctan, normal(2, 3)),
    another_name("arctan2", np.arctan2, away(2, 3), away(3)),
    another_name("arcsinh", np.arcsinh, normal(2, 3)),
    another_name("arccosh", np.arccosh, beyond(2, 3)),
    another_name("arctanh", np.arctanh, inside(2, 3)),
)


class TestBattery(Battery):
    """See battery.py."""


def test_derivatives_of_sinc_at_zero() -> None:
    """f(x) = sum_k (-1)^k (pi x)^2k / (2k+1)!: PyTorch's second derivative is nan at 0."""
    x = tgc.tensor([0.0, 1e-9], dtype="float64", requires_grad=True)
    y = tgc.sinc(x)
    for wanted in (0.0, -(math.pi**2) / 3, 0.0, math.pi**4 / 5):
        (y,) = tgc.autograd.grad(y.sum(), x, create_graph=True)
        assert y.tolist() == pytest.approx([wanted] * 2, rel=1e-6, abs=1e-6)


def test_sinc_is_zero_at_whole_numbers() -> None:
    assert np.abs(tgc.sinc(tgc.tensor([1.0, 2.0, -3.0, 1e6, 1e15], dtype="float64")).numpy()).max() < 1e-16


@pytest.mark.parametrize("function", [tgc.atan2, tgc.hypot])
def test_a_number_may_stand_for_a_tensor(function: Any) -> None:
    x = tgc.tensor([3.0, 4.0], dtype="float64")
    assert function(x, 2).tolist() == function(x, tgc.full((2,), 2.0, dtype="float64")).tolist()
    assert function(2, x).dtype == np.float64


def test_hypot_does_not_overflow() -> None:
    x = tgc.tensor([3e200], dtype="float64", requires_grad=True)
    y = tgc.hypot(x, tgc.tensor([4e200], dtype="float64"))
    y.backward()
    assert y.item() == pytest.approx(5e200)
    assert x.grad.item() == pytest.approx(0.6)


def test_integers_become_floating_point_numbers_at_once(backend: str) -> None:
    """Not by way of the other one's type, in which -1 is 255 or nothing at all."""
    x = tgc.tensor([0, 1], dtype="uint8")
    for other in (-1, tgc.tensor(-1, dtype="int8")):
        assert tgc.atan2(x, other).tolist() == pytest.approx([math.pi, 0.75 * math.pi])
        assert tgc.copysign(x, other).tolist() == [0.0, -1.0]
        assert tgc.ldexp(x, other).tolist() == [0.0, 0.5]
    assert tgc.atan2(x, tgc.ones(2, dtype="float16")).dtype == "float16"
