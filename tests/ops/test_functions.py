"""ops/functions.py."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, away, exactly, index, normal, positive
from tests.ops.elementwise_cases import another_name, between, of_one, of_two
from tests.ops.patterns import does_not_broadcast, torch_function
from tinygrad_course.errors import DTypeError

SOME = (S(exactly([np.nan, np.inf, 0.0, -0.0, 2.0, -1.0])),)
inf, nan = np.inf, np.nan


def log_of_odds(x: Any, eps: float | None = None) -> Any:
    p = x if eps is None else np.minimum(np.maximum(x, eps), 1 - eps)
    return np.log(p) - np.log1p(-p)


def step(x: Any, y: Any) -> Any:
    return np.where(x == 0, y, np.where(x > 0, 1.0, 0.0))


CASES = (
    of_one("exp2", lambda x: 2.0**x, normal, special=SOME),
    of_one("expm1", lambda x: np.exp(x) - 1, normal, special=SOME),
    of_one("log1p", lambda x: np.log(1 + x), between(-0.5, 2.0), special=SOME),
    of_one("log2", lambda x: np.log(x) / np.log(2.0), positive),
    of_one("log10", lambda x: np.log(x) / np.log(10.0), positive),
    of_one("rsqrt", lambda x: x**-0.5, positive, special=(S(exactly([nan, inf, 0.0, 2.0, -1.0])),)),
    of_one("reciprocal", lambda x: 1 / x, away),
    of_one("square", lambda x: x**2, normal, special=SOME),
    of_two(
        "logaddexp",
        lambda x, y: np.log(np.exp(x) + np.exp(y)),
        normal,
        integers=(),
        special=(S(exactly([inf, inf, 0.0, -inf, nan]), exactly([-inf, 1.0, inf, 1.0, 1.0])),),
        errors=(
            *does_not_broadcast("logaddexp", tgc.logaddexp),
            Error(lambda: tgc.logaddexp(tgc.tensor([1]), tgc.tensor([1])), DTypeError, r"logaddexp.*int64"),
        ),
    ),
    of_two("logaddexp2", lambda x, y: np.log2(2**x + 2**y), normal, integers=(), special=()),
    of_two(
        "xlogy",
        lambda x, y: np.where((x == 0) & (y == y), 0.0, x * np.log(y)),
        away,
        positive,
        special=(S(exactly([0.0, 0.0, 0.0, 1.0, 0.0, nan]), exactly([0.0, -1.0, 2.0, 0.0, nan, 1.0])),),
    ),
    of_one("logit", log_of_odds, between(0.1, 0.9), special=(S(exactly([0.0, 1.0, -0.5, 2.0, nan])),)),
    Case(
        "logit",
        tgc.logit,
        log_of_odds,
        (S(exactly([0.05, 0.2, 0.6, 0.95]), eps=0.1), S(exactly([0.3]), args=(0.25,))),
        kinks=(S(exactly([0.25, 0.75, -1.0, 3.0]), eps=0.25),),
        torch=torch_function("logit"),
    ),
    of_two(
        "float_power",
        lambda x, y: np.exp(y * np.log(x)),
        positive,
        normal,
        out="float64",
        half=False,
        integers=(),
        special=(),
    ),
    Case(
        "float_power",
        tgc.float_power,
        lambda x, e: x**e,
        (S(away(2, 3), args=(3,)),),
        out="float64",
        torch=torch_function("float_power"),
        integers=("int64", "bool"),
    ),
    Case(
        "addcmul",
        tgc.addcmul,
        lambda x, a, b, value=1: x + value * a * b,
        (S((2, 3), (2, 3), (2, 3)), S((3,), (2, 1), (1, 3), value=-0.5), S((2, 2), (), (), value=3)),
        torch=torch_function("addcmul"),
        half=True,
    ),
    Case(
        "addcdiv",
        tgc.addcdiv,
        lambda x, a, b, value=1: x + value * a / b,
        (S((2, 3), (2, 3), positive(2, 3)), S((3,), (2, 1), positive(1, 3), value=-0.5)),
        torch=torch_function("addcdiv"),
        errors=(
            Error(
                lambda: tgc.addcdiv(tgc.ones(2), tgc.tensor([1, 2]), tgc.tensor([1, 2])),
                DTypeError,
                r"addcdiv.*int64.*float\(\)",
            ),
        ),
    ),
    Case(
        "rsub",
        tgc.rsub,
        lambda x, y, alpha=1: y - alpha * x,
        (S((2, 3), (3,)), S((2, 1), (1, 3), alpha=0.5), S((2,), args=(2.0,)), S((2,), args=(2,), alpha=3)),
        torch=torch_function("rsub"),
    ),
    of_two("ldexp", lambda x, y: x * 2.0**y, normal, special=()),
    Case("ldexp", tgc.ldexp, lambda x, n: x * 2.0**n, (S((2, 3), index(5, 3)),), torch=torch_function("ldexp")),
    Case(
        "frexp",
        tgc.frexp,
        lambda x: (x / 2.0 ** np.floor(np.log2(abs(x)) + 1), np.floor(np.log2(abs(x)) + 1)),
        (S(exactly([0.7, -3.3, 100.5, 0.1, 1.01])), S(away()), S(away(0, 2))),
        out=("same", "int32"),
        half=True,
        kinks=(S(exactly([0.5, 1.0, -8.0])),),
        torch=torch_function("frexp"),
        errors=(Error(lambda: tgc.frexp(tgc.tensor([1, 2])), DTypeError, r"frexp.*int64"),),
    ),
    of_two(
        "nextafter",
        np.nextafter,
        apart,
        lambda *shape: apart(*shape, offset=0.3),
        half=False,
        integers=(),
        special=(),
        kinks=(S(exactly([1.0, 2.0, -1.0]), exactly([1.0, 1.0, 0.0])),),
    ),
    of_two("heaviside", step, away, normal, differentiable=False),
    Case(
        "heaviside",
        tgc.heaviside,
        step,
        (S(exactly([-1.0, 0.0, 2.0, -0.0]), exactly([0.5])),),
        differentiable=False,
        errors=(Error(lambda: tgc.heaviside(tgc.ones(2), tgc.tensor([1, 2])), DTypeError, "heaviside.*float32.*int64"),),
    ),
    Case(
        "gcd",
        tgc.gcd,
        np.gcd,
        (S(index(30, 2, 3), index(30, 3)), S(exactly([0, -12, 0], "int64"), exactly([0, 18, 5], "int64"))),
        differentiable=False,
        out="int64",
        integers=("int64",),
        errors=(Error(lambda: tgc.gcd(tgc.ones(2), tgc.ones(2)), DTypeError, r"gcd.*float32.*long\(\)"),),
    ),
    Case(
        "lcm",
        tgc.lcm,
        np.lcm,
        (S(index(30, 2, 3), index(30, 3)), S(exactly([0, -4], "int64"), exactly([3, 6], "int64"))),
        differentiable=False,
        out="int64",
        errors=(Error(lambda: tgc.lcm(tgc.tensor([True]), tgc.tensor([2.0])), DTypeError, "lcm"),),
    ),
    of_one(
        "signbit",
        lambda x: np.copysign(1.0, x) < 0,
        normal,
        differentiable=False,
        out="bool",
        half=False,
        special=(S(exactly([0.0, -0.0, -inf, inf])),),
    ),
    Case(
        "positive",
        tgc.positive,
        lambda x: x,
        (S((2, 3)), S(())),
        view=True,
        torch=torch_function("positive"),
        errors=(Error(lambda: tgc.positive(tgc.tensor([True])), DTypeError, r"positive.*bool.*long\(\)"),),
    ),
    Case("sgn", tgc.sgn, np.sign, (S(away(2, 3)),), integers=("int64",), kinks=(S(exactly([0.0, 2.0])),)),
    another_name("absolute", np.abs, away(2, 3)),
    another_name("negative", lambda x: -x, away(2, 3)),
    another_name("multiply", lambda x, y: x * y, away(2, 3), away(3)),
    another_name("subtract", lambda x, y: x - y, away(2, 3), away(3)),
)


class TestBattery(Battery):
    """See battery.py."""


def test_small_numbers_keep_their_digits() -> None:
    x = tgc.tensor([1e-12], dtype="float64")
    assert tgc.expm1(x).item() == pytest.approx(1e-12, rel=1e-11)
    assert tgc.log1p(x).item() == pytest.approx(1e-12, rel=1e-11)
    assert tgc.log2(tgc.tensor([8.0, 2.0**-30])).tolist() == [3, -30]


def test_logaddexp_does_not_overflow() -> None:
    x = tgc.tensor([1e4, -1e4], dtype="float64")
    assert tgc.logaddexp(x, x).tolist() == pytest.approx([1e4 + np.log(2), -1e4 + np.log(2)])


def test_float_power_takes_a_number_on_either_side() -> None:
    y = tgc.float_power(2, tgc.tensor([1, -7]))
    assert y.dtype == np.float64
    assert y.tolist() == [2, 2.0**-7]


def test_types_of_results(torch: Any) -> None:
    """Integers and bools, where PyTorch's rule is not that of arithmetic."""
    cases = [
        ("square", ("bool",)),
        ("reciprocal", ("int64",)),
        ("ldexp", ("int64", "int64")),
        ("ldexp", ("float16", "int64")),
        ("rsub", ("int32", "float16")),
        ("addcmul", ("int64", "int64", "float32")),
        ("xlogy", ("int64", "uint8")),
        ("signbit", ("bool",)),
        ("sgn", ("bool",)),
        ("gcd", ("int32", "uint8")),
        ("heaviside", ("int64", "int64")),
    ]
    for name, types in cases:
        ours = getattr(tgc, name)(*[tgc.ones(2, dtype=kind) for kind in types])
        theirs = getattr(torch, name)(*[torch.ones(2, dtype=getattr(torch, kind)) for kind in types])
        assert (str(theirs.dtype), theirs.tolist()) == (f"torch.{ours.dtype}", ours.tolist()), name


def test_frexp_names_its_parts_and_splits_what_is_not_finite(torch: Any) -> None:
    values = [0.0, -0.0, np.inf, np.nan, 3.0]
    ours, theirs = tgc.frexp(tgc.tensor(values)), torch.frexp(torch.tensor(values))
    np.testing.assert_array_equal(ours.mantissa.numpy(), theirs.mantissa.numpy())
    np.testing.assert_array_equal(ours.exponent.numpy(), theirs.exponent.numpy())


def test_ldexp_has_the_range_of_its_result() -> None:
    assert tgc.ldexp(tgc.ones(1, dtype="float64"), tgc.tensor([200])).item() == 2.0**200


@pytest.mark.parametrize(
    ("name", "same"), [("absolute", "abs"), ("negative", "neg"), ("multiply", "mul"), ("subtract", "sub")]
)
def test_other_names(name: str, same: str) -> None:
    assert getattr(tgc, name) is getattr(tgc, same)


def test_heaviside_keeps_large_integers(backend: str) -> None:
    large = 2**63 - 1
    assert tgc.heaviside(tgc.tensor([-5, 0, large]), tgc.tensor([large])).tolist() == [0, large, 1]


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_nothing_divided_by_zero(backend: str, name: str) -> None:
    empty, zero = tgc.zeros(0, dtype="int64"), tgc.zeros(1, dtype="int64")
    assert getattr(tgc, name)(empty, zero).shape == (0,)
    with pytest.raises(ZeroDivisionError):
        getattr(tgc, name)(zero, zero)
