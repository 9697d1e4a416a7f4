"""ops/piecewise.py."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly
from tests.ops.curves import CORNERS, LARGE, SPREAD, curve, functional, slope
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import piecewise

LINES = (-1.0, 2.0, ((0.5, -2.0), (2.0, 1.0), (0.0, 3.0)))


def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> np.ndarray:
    return np.clip(x, min_val, max_val)


def hardsigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x + 3, 0, 6) / 6


def prelu(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    w = w.reshape(-1, *[1] * (x.ndim - 2)) if w.size > 1 else w.reshape(())
    return np.where(x > 0, x, w * x)


CASES = (
    curve("leaky_relu", lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x), {"negative_slope": 0.3}),
    curve(
        "hardtanh",
        hardtanh,
        {"min_val": -0.5, "max_val": 3.0},
        errors=(Error(lambda: ops.hardtanh(tgc.ones(2), 2, 1), ValueError, "hardtanh.*min_val 2.*max_val 1"),),
    ),
    curve("relu6", lambda x: np.clip(x, 0, 6)),
    Case("hardsigmoid", ops.hardsigmoid, hardsigmoid, (S(SPREAD), S(away()), S((0, 2))), half=True),
    curve("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6),
    curve("hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x), {"lambd": 1.0}),
    curve(
        "softshrink",
        lambda x, lambd=0.5: x - np.clip(x, -lambd, lambd),
        {"lambd": 1.0},
        errors=(Error(lambda: ops.softshrink(tgc.ones(2), -1.0), ValueError, "softshrink.*negative.*-1"),),
    ),
    Case(
        "threshold",
        ops.threshold,
        lambda x, threshold, value: np.where(x <= threshold, value, x),
        (S(SPREAD, args=(0.1, 20.0)), S(away(), args=(0.0, 1.0))),
        kinks=(S(CORNERS, args=(1.0, -2.0)),),
        special=(S(LARGE, args=(0.5, 2.0)),),
        torch=functional("threshold"),
    ),
    Case(
        "prelu",
        ops.prelu,
        prelu,
        (S(away(2, 3), away(3)), S(away(2, 3, 2), away(3)), S(away(2, 2), away(1)), S(away(4), away(1)), S(away(), away())),
        kinks=(S(CORNERS, exactly([0.25])),),
        torch=functional("prelu"),
        errors=(
            Error(lambda: ops.prelu(tgc.ones(2, 3), tgc.ones(2)), ShapeError, r"prelu.*2 values.*\(2, 3\).*3 channels"),
            Error(lambda: ops.prelu(tgc.ones(2, 3), tgc.ones(3, 1)), ShapeError, r"prelu.*at most 1 axis.*\(3, 1\)"),
        ),
    ),
    Case(
        "piecewise_linear",
        lambda x: apply(piecewise.PiecewiseLinear, (x,), LINES),
        lambda x: np.select([x <= -1, x >= 2], [x / 2 - 2, 3 + 0 * x], 2 * x + 1),
        (S(SPREAD), S(away()), S((0, 2))),
        half=True,
    ),
    slope(
        "piecewise_linear_grad",
        piecewise.PiecewiseLinearGrad,
        lambda x: np.select([x <= -1, x >= 2], [0.5, 0.0], 2.0),
        *LINES,
    ),
    slope("hardsigmoid_grad", piecewise.HardsigmoidGrad, lambda x: np.where(np.abs(x) < 3, 1 / 6, 0)),
    slope("hardswish_grad", piecewise.HardswishGrad, lambda x: np.select([x <= -3, x >= 3], [0, 1], x / 3 + 0.5)),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", sorted(set(piecewise.__all__) - {"prelu", "threshold"}))
def test_nan_stays_nan(backend: str, name: str) -> None:
    assert np.isnan(getattr(ops, name)(tgc.tensor([1.0, np.nan])).array).tolist() == [False, True]


def test_integers_where_pytorch_takes_them(backend: str) -> None:
    x = tgc.tensor([-3, 2, 9])
    for name, wanted in {"relu6": [0, 2, 6], "hardtanh": [-1, 1, 1]}.items():
        y = getattr(ops, name)(x)
        assert y.dtype == np.int64
        assert y.tolist() == wanted


def test_corners_of_hardsigmoid_are_those_of_torch(torch: Any) -> None:
    """Apart from the battery, because PyTorch's slope is 1/6 in float32 for float64 as well, and has no derivative."""
    x = CORNERS.make(np.random.default_rng(0))
    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ops.hardsigmoid(ours).sum().backward()
    torch.nn.functional.hardsigmoid(theirs).sum().backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-7)
