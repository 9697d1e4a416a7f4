"""ops/gates.py."""

import numpy as np
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.curves import functional
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.gates import GluGrad


def glu(x: np.ndarray, dim: int = -1) -> np.ndarray:
    a, b = np.split(x, 2, axis=dim)
    return a * sp.expit(b)


def glu_grad(g: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    a, b = np.split(x, 2, axis=axis)
    return np.concatenate((g * sp.expit(b), g * a * sp.expit(b) * sp.expit(-b)), axis)


CASES = (
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
        lambda g, x, axis: apply(GluGrad, (g, x), (axis,)),
        glu_grad,
        (S((2, 2), (2, 4), args=(1,)), S((2, 3), (4, 3), args=(0,)), S((2, 1, 3), (2, 2, 3), args=(1,))),
        threaded=(S((300, 300), (300, 600), args=(1,)),),
        errors=(Error(lambda: apply(GluGrad, (tgc.ones(2, 4), tgc.ones(2, 4)), (1,)), ShapeError,
                      r"glu_grad.*\(2, 4\).*half.*axis 1"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""
