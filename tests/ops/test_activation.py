"""ops/activation.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly
from tests.ops.patterns import THREADED_GRAD, gradient_kernel, one, same_shapes
from tinygrad_course import ops
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import activation

SPREAD = exactly([[-7.3, -3.4, -2.1, -0.7], [-0.2, 0.3, 0.8, 1.6], [2.9, 3.7, 6.5, 25.0]])  # at no corner of any function
CORNERS = exactly([-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0])
LARGE = exactly([np.inf, 1e4, -1e4, 0.0])


def functional(name: str) -> Callable[..., Any]:
    """torch.nn.functional.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def curve(name: str, oracle: Callable[..., Any], *variants: dict[str, Any], errors: tuple[Error, ...] = ()) -> Case:
    """A function of one tensor: its whole range, a number, nothing, each variant of its arguments; corners; large."""
    samples = (S(SPREAD), S(away()), S((0, 2)), *(S(SPREAD, **variant) for variant in variants))
    corners = (S(CORNERS), *(S(CORNERS, **variant) for variant in variants))
    return Case(
        name,
        getattr(ops, name),
        oracle,
        samples,
        kinks=corners,
        special=(S(LARGE),),
        errors=errors,
        torch=functional(name),
        half=True,
        tolerance=1e-6,
    )


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(x))


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "none":
        return x * sp.ndtr(x)
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> np.ndarray:
    return np.clip(x, min_val, max_val)


def hardsigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x + 3, 0, 6) / 6


def prelu(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    w = w.reshape(-1, *[1] * (x.ndim - 2)) if w.size > 1 else w.reshape(())
    return np.where(x > 0, x, w * x)


def glu(x: np.ndarray, dim: int = -1) -> np.ndarray:
    a, b = np.split(x, 2, axis=dim)
    return a * sp.expit(b)


CASES = (
    one("tanh", np.tanh, away),
    one("sigmoid", sp.expit, away),
    one("relu", lambda x: np.where(x < 0, 0.0, x), away, kinks=(S(exactly([0.0, -0.0, 1.0, -1.0])),)),
    Case(
        "tanh_grad",
        gradient_kernel(activation.TanhGrad),
        lambda g, y: g * (1 - y) * (1 + y),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
    Case(
        "sigmoid_grad",
        gradient_kernel(activation.SigmoidGrad),
        lambda g, y: g * (y - y**2),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
    Case(
        "relu_grad",
        gradient_kernel(activation.ReluGrad),
        lambda g, x: np.array([a if b > 0 else 0 for a, b in zip(g.flat, x.flat, strict=True)]).reshape(g.shape),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
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
        {"approximate": "tanh"},
        errors=(Error(lambda: ops.gelu(tgc.ones(2), "fast"), ValueError, "gelu.*'none' or 'tanh'.*'fast'"),),
    ),
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
    curve("tanhshrink", lambda x: x - np.tanh(x)),
    curve(
        "softplus",
        softplus,
        {"beta": 2.0, "threshold": 3.0},
        errors=(Error(lambda: ops.softplus(tgc.ones(2), 0), ValueError, "softplus.*beta"),),
    ),
    curve("softsign", lambda x: x / (1 + np.abs(x))),
    curve("silu", lambda x: x * sp.expit(x)),
    curve("mish", lambda x: x * np.tanh(np.logaddexp(0, x))),
    curve("logsigmoid", sp.log_expit),
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
        "glu",
        ops.glu,
        glu,
        (S((2, 4)), S((4, 3), dim=0), S((2, 2, 3), dim=-2), S((0, 2))),
        torch=functional("glu"),
        errors=(
            Error(lambda: ops.glu(tgc.ones(2, 3)), ShapeError, r"glu.*dim -1.*\(2, 3\).*even"),
            Error(lambda: ops.glu(tgc.tensor(1.0)), ShapeError, "glu"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", sorted(set(activation.__all__) - {"glu", "prelu", "threshold"}))
def test_nan_stays_nan(backend: str, name: str) -> None:
    assert np.isnan(getattr(ops, name)(tgc.tensor([1.0, np.nan])).array).tolist() == [False, True]


def test_integers_where_pytorch_takes_them(backend: str) -> None:
    x = tgc.tensor([-3, 2, 9])
    for name, wanted in {"relu6": [0, 2, 6], "hardtanh": [-1, 1, 1], "relu": [0, 2, 9]}.items():
        y = getattr(ops, name)(x)
        assert y.dtype == np.int64
        assert y.tolist() == wanted


@pytest.mark.parametrize(
    "name", ["relu", "relu6", "elu", "selu", "celu", "leaky_relu", "hardtanh", "hardsigmoid", "hardswish", "silu", "mish"]
)
def test_inplace_gives_a_new_tensor(name: str) -> None:
    x = tgc.tensor([-1.5, 2.0])
    y = getattr(ops, name)(x, inplace=True)
    assert x.tolist() == [-1.5, 2.0]
    assert y.tolist() == getattr(ops, name)(x).tolist()
    assert not np.shares_memory(x.array, y.array)


def test_corners_of_hardsigmoid_are_those_of_torch(torch: Any) -> None:
    """Apart from the battery, because PyTorch's slope is 1/6 in float32 for float64 as well, and has no derivative."""
    x = CORNERS.make(np.random.default_rng(0))
    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ops.hardsigmoid(ours).sum().backward()
    torch.nn.functional.hardsigmoid(theirs).sum().backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-7)


def test_logsigmoid_is_accurate_in_its_tail() -> None:
    np.testing.assert_allclose(ops.logsigmoid(tgc.tensor([40.0], dtype="float64")).array, [-np.exp(-40.0)], rtol=1e-12)
