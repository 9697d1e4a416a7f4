"""ops/choice.py."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, away, exactly, positive
from tests.ops.elementwise_cases import of_two
from tests.ops.patterns import does_not_broadcast, torch_function
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

inf, nan = np.inf, np.nan


def limited(x: Any, low: Any = None, high: Any = None, **names: Any) -> Any:
    low, high = names.get("min", low), names.get("max", high)
    y = x if low is None else np.where(x < low, low, np.where(low != low, nan, x))
    return y if high is None else np.where(y > high, high, np.where(high != high, nan, y))


def cleaned(x: Any, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Any:
    if x.dtype.kind != "f":
        return x
    y = np.where(np.isnan(x), 0.0 if nan is None else nan, x)
    y = np.where(y == inf, np.finfo(x.dtype).max if posinf is None else posinf, y)
    return np.where(y == -inf, np.finfo(x.dtype).min if neginf is None else neginf, y)


def other(*shape: int) -> Any:
    return apart(*shape, offset=0.3)


TIES = exactly([0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 1.5]), exactly([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0]), exactly([1.0] * 6 + [1.5])

CASES = (
    # x stretched to its bounds: PyTorch has no gradient for it.
    Case("clamp", tgc.clamp, limited, (S(apart(4), other(3, 1), exactly(0.75)),)),
    Case("clamp_min", tgc.clamp_min, limited, (S(apart(3), other(2, 1)),)),
    Case("clamp_max", tgc.clamp_max, lambda x, high: np.minimum(x, high), (S(apart(3), other(2, 1)),)),
    Case(
        "clamp",
        tgc.clamp,
        limited,
        (
            S(apart(3, 4), other(4), exactly(0.75)),
            S(apart(3, 4), args=(-0.5, 0.7)),
            S(apart(), exactly(-0.35), exactly(0.35)),
            S(apart(0, 2), args=(0, 1)),
        ),
        kinks=(S(*TIES), S(exactly([0.0, 1.0, 2.0, 3.0]), args=(1.0, 2.0)), S(exactly([0.0, 1.0, 2.0]), args=(2.0, 1.0))),
        special=(
            S(exactly([nan, inf, -inf, 0.5]), args=(0.0, 1.0)),
            S(exactly([1.0, 2.0]), exactly([nan, 0.0]), exactly([3.0, nan])),
        ),
        torch=torch_function("clamp"),
        half=True,
        integers=("int64",),
        errors=(
            Error(lambda: tgc.clamp(tgc.ones(2)), OperandError, "clamp.*min and max.*None"),
            Error(lambda: tgc.clamp(tgc.ones(2), tgc.ones(3), tgc.ones(2)), ShapeError, r"clamp.*\(2,\).*\(3,\)"),
        ),
    ),
    Case(
        "clamp_min",
        tgc.clamp_min,
        limited,
        (S(apart(3, 4), args=(0.35,)), S(apart(2, 3), other(3))),
        kinks=(S(exactly([1.0, 0.0, 2.0]), exactly([1.0, 1.0, 1.0])), S(exactly([1.0, 0.0]), args=(1.0,))),
        special=(S(exactly([nan, inf, -inf]), args=(0.0,)), S(exactly([1.0, 2.0]), exactly([nan, 0.0]))),
        torch=torch_function("clamp_min"),
        half=True,
    ),
    Case(
        "clamp_max",
        tgc.clamp_max,
        lambda x, high: limited(x, None, high),
        (S(apart(3, 4), args=(0.35,)), S(apart(2, 3), other(3))),
        kinks=(S(exactly([1.0, 0.0, 2.0]), exactly([1.0, 1.0, 1.0])), S(exactly([1.0, 3.0]), args=(1.0,))),
        special=(S(exactly([nan, inf, -inf]), args=(0.0,)),),
        torch=torch_function("clamp_max"),
        half=True,
    ),
    Case(
        "clamp_min",
        tgc.clamp,
        limited,
        (S(apart(3, 4), min=-0.35), S(apart(2, 3), other(1, 1))),
        torch=torch_function("clamp"),
    ),
    Case(
        "clamp_max",
        tgc.clamp,
        limited,
        (S(apart(3, 4), max=0.35),),
        special=(S(exactly([1.0, 2.0]), max=nan),),
        torch=torch_function("clamp"),
    ),
    Case("clip", tgc.clip, limited, (S(apart(3, 4), args=(-0.5, 0.7)),), torch=torch_function("clip")),
    of_two(
        "fmax",
        lambda x, y: np.where((x >= y) | (y != y), x, y),
        apart,
        other,
        errors=does_not_broadcast("fmax", tgc.fmax),
        kinks=(S(exactly([1.0, 2.0]), exactly([1.0, 2.0])),),
    ),
    of_two(
        "fmin",
        lambda x, y: np.where((x <= y) | (y != y), x, y),
        apart,
        other,
        kinks=(S(exactly([1.0, 2.0]), exactly([1.0, 2.0])),),
    ),
    of_two(
        "copysign",
        lambda x, y: np.where(np.signbit(y), -np.abs(x), np.abs(x)),
        away,
        kinks=(S(exactly([0.0, 1.0, -1.0, 0.0]), exactly([-1.0, -0.0, 0.0, 2.0])),),
        special=(S(exactly([nan, 1.0, -1.0]), exactly([1.0, inf, -inf])),),
    ),
    Case(
        "nan_to_num",
        tgc.nan_to_num,
        cleaned,
        (S((2, 3)), S(()), S((0, 2)), S((2,), nan=1.0)),
        half=True,
        integers=("int64", "bool"),
        torch=torch_function("nan_to_num"),
        special=(S(exactly([nan, inf, -inf, 2.0]), args=(1.0, 2.0, 3.0)), S(exactly([nan, 1.0]), nan=7.0)),
    ),
    Case(
        "lerp",
        tgc.lerp,
        lambda x, end, weight: (1 - weight) * x + weight * end,
        (
            S((2, 3), (2, 3), args=(0.3,)),
            S((2, 3), (3,), positive(2, 1)),
            S((), (2, 2), (2,)),
            S((2, 0), (2, 0), args=(2.0,)),
        ),
        kinks=(S((2,), (2,), exactly([0.5, 1.0])),),
        torch=torch_function("lerp"),
        half=True,
        errors=(
            Error(lambda: tgc.lerp(tgc.ones(2), tgc.ones(2, dtype="float64"), 0.5), DTypeError, "lerp.*float32, float64"),
            Error(lambda: tgc.lerp(tgc.tensor([1]), tgc.tensor([2]), 0.5), DTypeError, "lerp.*int64"),
            Error(lambda: tgc.lerp(tgc.ones(2), 3.0, 0.5), OperandError, "lerp.*float"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_not_finite_numbers_become_the_largest_of_the_type(torch: Any) -> None:
    for kind in ("float16", "float32", "float64"):
        values = [nan, inf, -inf, 1.0]
        ours = tgc.nan_to_num(tgc.tensor(values, dtype=kind))
        assert ours.dtype == kind
        assert ours.tolist() == torch.nan_to_num(torch.tensor(values, dtype=getattr(torch, kind))).tolist()


@pytest.mark.parametrize(("low", "high"), [(0.5, None), (0.5, 3), (None, 2.5), (1, 3), (0, None)])
@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float16"])
def test_bounds_take_part_in_the_type(torch: Any, kind: str, low: Any, high: Any) -> None:
    ours = tgc.clamp(tgc.tensor([1, 0], dtype=kind), low, high)
    theirs = torch.clamp(torch.tensor([1, 0], dtype=getattr(torch, kind)), low, high)
    assert (str(theirs.dtype), theirs.tolist()) == (f"torch.{ours.dtype}", ours.tolist())


def test_lerp_arrives() -> None:
    """x + 1 (end - x) would be 0 here."""
    assert tgc.lerp(tgc.tensor([1e20]), tgc.tensor([3.0]), 1.0).item() == 3.0


def test_a_weight_without_axes_may_be_of_another_type() -> None:
    x = tgc.tensor([0.0, 2.0], dtype="float64")
    y = tgc.lerp(x, x + 1, tgc.tensor(0.5))
    assert y.dtype == np.float64
    assert y.tolist() == [0.5, 2.5]


def test_only_one_bound_wants_a_gradient() -> None:
    low = tgc.tensor([0.5], requires_grad=True)
    tgc.clamp(tgc.tensor([0.0, 1.0, 3.0]), low, 2.0).sum().backward()
    assert low.grad.tolist() == [1.0]
