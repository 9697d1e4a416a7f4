"""ops/huber.py; their weights and derivatives at the ends are tested beside the other losses."""

import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly
from tests.ops.test_regression_loss import PAIRS, broadcasting, functional, reduced, smooth
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.huber import Huber

CASES = (
    Case(
        "smooth_l1_loss", ops.smooth_l1_loss, reduced(smooth),
        (*PAIRS, S((2, 3), (2, 3), beta=0.3), S(away(3), away(3), beta=0)),
        kinks=(S(exactly([1.0, -1.0, 0.0]), exactly([0.0, 0.0, 0.0])),),
        torch=functional("smooth_l1_loss"),
        errors=(
            *broadcasting("smooth_l1_loss"),
            Error(lambda: ops.smooth_l1_loss(tgc.ones(2), tgc.ones(2), beta=-1), ValueError, "smooth_l1_loss.*beta.*-1"),
        ),
    ),
    Case(
        "huber_loss", ops.huber_loss, reduced(lambda x, t, delta=1.0: delta * smooth(x, t, delta)),
        (*PAIRS, S((2, 3), (2, 3), delta=0.3)),
        kinks=(S(exactly([1.0, -1.0, 0.0]), exactly([0.0, 0.0, 0.0])),),
        torch=functional("huber_loss"),
        errors=(
            *broadcasting("huber_loss"),
            Error(lambda: ops.huber_loss(tgc.ones(2), tgc.ones(2), delta=0), ValueError, "huber_loss.*delta.*0"),
        ),
    ),
    Case(
        "huber", lambda x, t, delta, reduction: apply(Huber, (x, t), (delta, reduction)),
        lambda x, t, delta, reduction: reduced(lambda x, t: delta * smooth(x, t, delta))(x, t, reduction=reduction),
        tuple(S((2, 3), (2, 3), args=(delta, reduction)) for delta in (0.3, 1.0) for reduction in ("none", "sum", "mean")),
        errors=(Error(lambda: apply(Huber, (tgc.ones(2, 1), tgc.ones(2)), (1.0, "mean")), ShapeError,
                      r"huber.*\(2, 1\).*\(2,\).*equal"),),
    ),
)


@pytest.mark.filterwarnings("ignore:.*both are stretched:UserWarning")
class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize(("dtype", "beta"), [(tgc.float16, 1e-5), (tgc.float32, 1e-40), (tgc.float64, 1e-310)])
def test_a_beta_whose_inverse_overflows(dtype, beta):
    x = tgc.tensor([2.0, -0.5, 0.0], dtype=dtype, requires_grad=True)
    loss = ops.smooth_l1_loss(x, tgc.zeros(3, dtype=dtype), reduction="none", beta=beta)
    loss.backward(tgc.tensor([0.5, 3.0, 7.0], dtype=dtype))
    assert loss.tolist() == [2.0, 0.5, 0.0]
    assert x.grad.tolist() == [0.5, -3.0, 0.0]
