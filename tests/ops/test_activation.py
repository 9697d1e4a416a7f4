"""ops/activation.py."""

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, S, away, exactly
from tests.ops.patterns import THREADED_GRAD, gradient_kernel, one, same_shapes
from tinygrad_course import ops
from tinygrad_course.ops import activation

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
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", sorted(activation.__all__))
def test_nan_stays_nan(backend: str, name: str) -> None:
    assert np.isnan(getattr(ops, name)(tgc.tensor([1.0, np.nan])).array).tolist() == [False, True]


def test_relu_of_integers(backend: str) -> None:
    y = ops.relu(tgc.tensor([-3, 2, 9]))
    assert y.dtype == np.int64
    assert y.tolist() == [0, 2, 9]
