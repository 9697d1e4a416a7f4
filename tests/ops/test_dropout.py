"""ops/dropout.py: what a network draws.  The battery gives every call a fresh generator, so that the mask stays the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp
from scipy import stats

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away
from tests.ops.test_random import words
from tinygrad_course import ops
from tinygrad_course.errors import DTypeError, ShapeError

Array = np.ndarray
SEED = 7
FLOOR = -1.7580993408473766  # SELU(-inf)


def generator() -> Any:
    return tgc.Generator().manual_seed(SEED)


def keep(shape: tuple[int, ...], p: float) -> Array:
    """Which are kept, from the words of the stream."""
    return np.array([word >= round(p * 2**32) for word in words(SEED, int(np.prod(shape)))], bool).reshape(shape)


def uniform(shape: tuple[int, ...], dtype: str) -> Array:
    """What the generator draws; test_random.py has shown that it is right."""
    return tgc.rand(*shape, generator=generator(), dtype=dtype).array if shape else np.asarray(0.0)


def seeded(name: str) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: getattr(ops, name)(x, *args, **kwargs, generator=generator())


def dropped(channels: bool) -> Callable[..., Array]:
    def dropout(x: Array, p: float) -> Array:
        return x * keep(x.shape[:2] + (1,) * (x.ndim - 2) if channels else x.shape, p) / (1 - p)

    return dropout


CHANNELS = (S((3, 4, 2), args=(0.5,)), S((2, 3, 1, 2), args=(0.2,)), S((0, 2, 3), args=(0.5,)))


def refused(name: str) -> tuple[Error, ...]:
    function = getattr(ops, name)
    return (
        Error(lambda: function(tgc.ones(2, 3), 1.5), ValueError, f"{name}.*between 0 and 1.*1.5"),
        Error(lambda: function(tgc.ones(2, 3), -0.1), ValueError, f"{name}.*-0.1"),
        Error(lambda: function(tgc.ones(2, 3).long()), DTypeError, rf"{name}.*int64.*float\(\)"),
    )


CASES = (
    Case(
        "dropout",
        seeded("dropout"),
        dropped(False),
        tuple(S(shape, args=(p,)) for shape, p in [((3, 4), 0.5), ((2, 2, 2), 0.9), ((), 0.5), ((0, 3), 0.5)]),
        half=True,
        threaded=(S((650, 640), args=(0.3,)),),
        errors=(*refused("dropout"), Error(lambda: ops.dropout([1.0]), TypeError, "dropout.*Tensor.*list")),
    ),
    Case("dropout1d", seeded("dropout1d"), dropped(True), CHANNELS[::2], errors=refused("dropout1d")),
    Case("dropout2d", seeded("dropout2d"), dropped(True), CHANNELS[1:2], errors=refused("dropout2d")),
    Case("dropout3d", seeded("dropout3d"), dropped(True), (S((2, 3, 1, 2, 1), args=(0.4,)),), errors=refused("dropout3d")),
    Case(
        "feature_dropout",
        seeded("feature_dropout"),
        dropped(True),
        CHANNELS,
        errors=(Error(lambda: ops.feature_dropout(tgc.ones(3)), ShapeError, r"feature_dropout.*\(N, C, ...\).*\(3,\)"),),
    ),
    *(
        Case(
            name,
            lambda x, p, name=name: getattr(ops, name)(x.double(), p, True, generator=generator()).to(x.dtype),
            lambda x, p, name=name: alpha(x, p, name == "feature_alpha_dropout"),
            CHANNELS[:2],
            errors=refused(name),
        )
        for name in ("alpha_dropout", "feature_alpha_dropout")
    ),
    Case(
        "rrelu",
        lambda x: ops.rrelu(x.double(), 0.2, 0.6, True, generator=generator()).to(x.dtype),
        lambda x: np.where(x > 0, x, x * (0.2 + 0.4 * uniform(x.shape, "float64"))),
        (S(away(2, 3)), S(away(0, 2))),
        errors=(Error(lambda: ops.rrelu(tgc.ones(2), 0.5, 0.1), ValueError, r"rrelu.*0\.5.*0\.1"),),
    ),
    Case(
        "gumbel_softmax",
        lambda x, **kwargs: ops.gumbel_softmax(x.double(), **kwargs, generator=generator()).to(x.dtype),
        lambda x, tau=1.0, dim=-1: sp.softmax((x - np.log(-np.log(uniform(x.shape, "float64")))) / tau, axis=dim),
        (S((3, 4)), S((2, 3), tau=2.0, dim=0)),
    ),
)


def alpha(x: Array, p: float, channels: bool) -> Array:
    """Mean 0 and variance 1 stay: a (x or FLOOR) + b with a = 1 / sqrt(variance of x or FLOOR), b = -a times its mean."""
    kept = uniform(x.shape[:2] + (1,) * (x.ndim - 2) if channels else x.shape, "float64") >= p
    mean, square = p * FLOOR, (1 - p) + p * FLOOR**2
    a = (square - mean**2) ** -0.5
    return a * (np.where(kept, x, FLOOR) - mean)


class TestBattery(Battery):
    """See battery.py."""


def test_dropout_keeps_the_mean_and_rests_outside_training(backend: str) -> None:
    x = tgc.ones(20000)
    y = ops.dropout(x, 0.25, generator=generator())
    assert set(np.unique(y.array)) == {np.float32(0), np.float32(4 / 3)}
    assert abs(y.mean().item() - 1) < 0.02
    for name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
        assert getattr(ops, name)(x, 0.25, training=False) is x
        assert getattr(ops, name)(tgc.ones(2, 3), 1.0, training=True).abs().sum().item() == 0


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    y = ops.alpha_dropout(tgc.randn(40000, generator=generator()), 0.3, True, generator=generator())
    assert abs(y.array.mean()) < 0.03
    assert abs(y.array.var() - 1) < 0.03


@pytest.mark.parametrize(("name", "shape"), [("dropout1d", (5, 4)), ("dropout3d", (5, 2, 2, 2))])
def test_without_samples_the_first_axis_holds_the_channels(name: str, shape: tuple[int, ...]) -> None:
    y = getattr(ops, name)(tgc.ones(*shape), 0.5, generator=generator())
    wanted = np.where(keep((5,), 0.5), 2.0, 0.0)
    np.testing.assert_array_equal(y.array, np.broadcast_to(wanted.reshape(-1, *[1] * (len(shape) - 1)), shape))


def test_dropout2d_warns_of_three_axes_as_pytorch_does() -> None:
    with pytest.warns(UserWarning, match="dropout2d.*dropout1d"):
        y = ops.dropout2d(tgc.ones(2, 3, 4), 0.5, generator=generator())
    np.testing.assert_array_equal(y.array != 0, np.broadcast_to(keep((2, 3, 1), 0.5), (2, 3, 4)))


def test_rrelu_has_the_mean_slope_outside_training(torch: Any) -> None:
    x = np.array([-2.0, 0.0, 3.0])
    theirs = torch.nn.functional.rrelu(torch.tensor(x), 0.1, 0.5)
    np.testing.assert_allclose(ops.rrelu(tgc.tensor(x), 0.1, 0.5).array, theirs.numpy())


def test_hard_gumbel_is_one_hot_and_has_the_gradient_of_the_soft_one() -> None:
    gradients = []
    for hard in (False, True):
        x = tgc.tensor([[0.3, 1.0, -0.5], [0.0, 0.1, 2.0]], requires_grad=True)
        y = ops.gumbel_softmax(x, 0.7, hard, generator=generator())
        y.backward(tgc.tensor([[1.0, 2.0, 4.0], [0.5, 0.0, -1.0]]))
        gradients.append(x.grad)
        if hard:
            np.testing.assert_allclose(np.sort(y.detach().array), [[0, 0, 1]] * 2, atol=1e-6)
    np.testing.assert_array_equal(gradients[0].array, gradients[1].array)


def test_gumbel_draws_classes_as_often_as_they_are_probable() -> None:
    logits = tgc.tensor([0.0, 1.0, -1.0]).reshape((1, 3)) + tgc.zeros(6000, 3)
    drawn = ops.gumbel_softmax(logits, hard=True, generator=generator()).array.sum(0)
    assert stats.chisquare(drawn, 6000 * sp.softmax([0.0, 1.0, -1.0])).pvalue > 1e-3
