"""ops/activation.py."""

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly
from tests.ops.curves import functional
from tests.ops.patterns import THREADED_GRAD, gradient_kernel, one, same_shapes
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import activation


def glu(x: np.ndarray, dim: int = -1) -> np.ndarray:
    a, b = np.split(x, 2, axis=dim)
    return a * sp.expit(b)


def glu_grad(g: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    a, b = np.split(x, 2, axis=axis)
    return np.concatenate((g * sp.expit(b), g * a * sp.expit(b) * sp.expit(-b)), axis)


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
    Case(
        "glu",
        ops.glu,
        glu,
        (S((2, 4)), S((4, 3), dim=0), S((2, 2, 3), dim=-2), S((0, 2)), S((2,))),
        torch=functional("glu"),
        threaded=(S((300, 600)),),
        errors=(
            Error(lambda: ops.glu(tgc.ones(2, 3)), ShapeError, r"glu.*dim -1.*\(2, 3\).*even"),
            Error(lambda: ops.glu(tgc.tensor(1.0)), ShapeError, "glu"),
        ),
    ),
    Case(
        "glu_grad",
        lambda g, x, axis: apply(activation.GluGrad, (g, x), (axis,)),
        glu_grad,
        (S((2, 2), (2, 4), args=(1,)), S((2, 3), (4, 3), args=(0,)), S((2, 1, 3), (2, 2, 3), args=(1,))),
        threaded=(S((300, 300), (300, 600), args=(1,)),),
        errors=(Error(lambda: apply(activation.GluGrad, (tgc.ones(2, 4), tgc.ones(2, 4)), (1,)), ShapeError,
                      r"glu_grad.*\(2, 4\).*half.*axis 1"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", sorted(set(activation.__all__) - {"glu"}))
def test_nan_stays_nan(backend: str, name: str) -> None:
    assert np.isnan(getattr(ops, name)(tgc.tensor([1.0, np.nan])).array).tolist() == [False, True]


def test_relu_of_integers(backend: str) -> None:
    y = ops.relu(tgc.tensor([-3, 2, 9]))
    assert y.dtype == np.int64
    assert y.tolist() == [0, 2, 9]
