"""ops/rounding.py."""

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, exactly
from tests.ops.elementwise_cases import another_name, of_one
from tests.ops.patterns import INTEGERS, does_not_broadcast, torch_function
from tinygrad_course.errors import DTypeError, OperandError

inf, nan = np.inf, np.nan
HALVES = (S(exactly([0.5, 1.5, 2.5, -0.5, -1.5, 2.0, -3.0, 0.0])),)
QUOTIENTS = (
    S(exactly([[7.3, -7.3, 5.5], [-5.5, 0.4, -0.4]]), exactly([[2.1, 2.1, -1.7], [-1.7, 3.0, 3.0]])),
    S(exactly([[7.3], [-8.2]]), exactly([2.1, -3.3])),
    S(exactly(7.3), exactly([2.1, -2.2])),
    S(exactly(np.ones((2, 0))), exactly([[1.0]])),
)
MEETING = (S(exactly([6.0, -6.0, 6.0, -6.0]), exactly([2.0, 2.0, -3.0, -3.0])),)  # the quotient is whole: a jump
WHOLE = (S(exactly([7, -7, 7, -7, 6, 0], "int64"), exactly([2, 2, -2, -2, 3, 5], "int64")),)
NOT_FINITE = (S(exactly([nan, inf, 1.0, 1.0, 5.0, -5.0]), exactly([1.0, 1.0, nan, 0.0, inf, inf])),)
BY_ZERO = "zero.*floating point"


def broken(*shape: int) -> Draw:
    """Numbers of either sign, at least 0.2 from an integer."""
    return Draw(lambda rng: np.asarray(rng.integers(-4, 4, shape) + rng.uniform(0.2, 0.8, shape)))


def floor_of_quotient(x: Any, y: Any) -> Any:
    return np.vectorize(math.floor, otypes=[x.dtype])(x / y)


def trunc_of_quotient(x: Any, y: Any) -> Any:
    return np.vectorize(math.trunc, otypes=[x.dtype])(x / y)


def quotient(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    return {None: lambda x, y: x / y, "floor": floor_of_quotient, "trunc": trunc_of_quotient}[rounding_mode](x, y)


def in_modes(samples: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(S(*sample.inputs, rounding_mode=mode) for sample in samples for mode in ("floor", "trunc"))


def integers(op: str, oracle: Any) -> Case:
    """The same for int64."""
    function = getattr(tgc, op)
    divides_bools = Error(lambda: function(tgc.tensor([True]), tgc.tensor([True])), DTypeError, f"{op}.*bool")
    by_zero = Error(lambda: function(tgc.tensor([1, 2]), tgc.tensor([1, 0])), ZeroDivisionError, BY_ZERO)
    return Case(op, function, oracle, WHOLE, out="int64", errors=(*does_not_broadcast(op, function), divides_bools, by_zero))


def not_for_bools(function: Any) -> Error:
    return Error(lambda: function(tgc.tensor([True])), DTypeError, f"{function.__name__}.*bool")


CASES = (
    of_one("floor", np.floor, broken, kinks=HALVES, errors=(not_for_bools(tgc.floor),)),
    of_one("ceil", np.ceil, broken, kinks=HALVES, errors=(not_for_bools(tgc.ceil),)),
    of_one("trunc", np.trunc, broken, kinks=HALVES, errors=(not_for_bools(tgc.trunc),)),
    of_one(
        "round",
        np.rint,
        lambda *shape: Draw(lambda rng: np.asarray(rng.integers(-4, 4, shape) + rng.uniform(-0.3, 0.3, shape))),
        integers=(),
        kinks=HALVES,
        errors=(not_for_bools(tgc.round),),
    ),
    Case(
        "round",
        tgc.round,
        lambda x, decimals: np.vectorize(round, otypes=[float])(x, decimals),
        (
            S(exactly([0.123, -1.377, 52.02]), decimals=1),
            S(exactly([1234.0, -77.0]), decimals=-2),
            S(broken(0, 2), decimals=3),
        ),
        torch=torch_function("round"),
        tolerance=1e-6,
        errors=(Error(lambda: tgc.round(tgc.tensor([12]), decimals=-1), DTypeError, "round.*decimals=-1.*int64"),),
    ),
    of_one(
        "frac",
        lambda x: x - np.trunc(x),
        broken,
        integers=(),
        kinks=HALVES,
        special=(S(exactly([nan, inf])),),
        errors=(Error(lambda: tgc.frac(tgc.tensor([1])), DTypeError, "frac.*int64"),),
    ),
    another_name("fix", np.trunc, broken(2, 3)),
    Case("floor_divide", tgc.floor_divide, floor_of_quotient, QUOTIENTS, half=True),
    integers("floor_divide", floor_of_quotient),
    Case("trunc_divide", lambda x, y: tgc.divide(x, y, rounding_mode="trunc"), trunc_of_quotient, QUOTIENTS),
    Case(
        "divide", tgc.divide, quotient, in_modes(QUOTIENTS), kinks=in_modes(MEETING), torch=torch_function("div"), half=True
    ),
    Case(
        "divide",
        tgc.divide,
        quotient,
        QUOTIENTS[:2],
        torch=torch_function("div"),
        errors=(
            Error(lambda: tgc.divide(tgc.ones(1), 2.0, rounding_mode="up"), OperandError, "divide.*'trunc' or 'floor'.*'up'"),
            Error(lambda: tgc.divide(tgc.tensor([1]), 0, rounding_mode="trunc"), ZeroDivisionError, BY_ZERO),
        ),
    ),
    Case("divide", tgc.divide, quotient, in_modes(WHOLE), out="int64"),
    Case("true_divide", tgc.true_divide, quotient, QUOTIENTS[:2], torch=torch_function("true_divide")),
    Case(
        "fmod",
        tgc.fmod,
        np.vectorize(math.fmod, otypes=[float]),
        QUOTIENTS,
        kinks=MEETING,
        torch=torch_function("fmod"),
        half=True,
    ),
    Case("fmod", tgc.fmod, np.fmod, (), special=NOT_FINITE, torch=torch_function("fmod")),
    integers("fmod", lambda x, y: np.vectorize(lambda a, b: int(math.fmod(a, b)))(x, y)),
    Case(
        "remainder",
        tgc.remainder,
        np.vectorize(lambda a, b: a % b, otypes=[float]),
        QUOTIENTS,
        kinks=MEETING,
        torch=torch_function("remainder"),
        half=True,
    ),
    Case("remainder", tgc.remainder, np.remainder, (), special=NOT_FINITE, torch=torch_function("remainder")),
    integers("remainder", lambda x, y: np.vectorize(lambda a, b: a % b)(x, y)),
)


class TestBattery(Battery):
    """See battery.py."""


def test_rounded_division_by_zero_and_of_infinity(torch: Any) -> None:
    x, y = np.meshgrid([0.0, 1.0, -1.0, inf, -inf, nan], [0.0, -0.0, 2.0, inf, -inf, nan])
    for mode in ("floor", "trunc"):
        ours = tgc.divide(tgc.tensor(x), tgc.tensor(y), rounding_mode=mode)
        theirs = torch.div(torch.tensor(x), torch.tensor(y), rounding_mode=mode)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), mode)


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_keep_their_type(kind: str) -> None:
    x = tgc.tensor([7, 8], dtype=kind)
    for y in (
        tgc.floor(x),
        tgc.round(x),
        tgc.floor_divide(x, 2),
        tgc.remainder(x, 3),
        tgc.divide(x, 2, rounding_mode="trunc"),
    ):
        assert y.dtype == kind
    assert tgc.floor(x).tolist() == [7, 8]


def test_a_number_may_come_first() -> None:
    """As in 7 % x."""
    assert tgc.remainder(7, tgc.tensor([4, -4])).tolist() == [3, -1]
    assert tgc.fmod(-7, tgc.tensor([4.0])).tolist() == [-3]


def test_all_signs_of_integer_division(torch: Any) -> None:
    """Every pair of small int8 numbers, against PyTorch."""
    x, y = np.meshgrid(np.arange(-9, 10, dtype=np.int8), np.array([-4, -3, -1, 1, 2, 5], np.int8))
    for name in ("floor_divide", "fmod", "remainder"):
        ours = getattr(tgc, name)(tgc.tensor(x), tgc.tensor(y))
        np.testing.assert_array_equal(ours.numpy(), getattr(torch, name)(torch.tensor(x), torch.tensor(y)).numpy())
