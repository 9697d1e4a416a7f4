"""ops/regression_loss.py: losses between numbers and between distributions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, away, exactly, positive
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.regression_loss import SquaredError

Array = np.ndarray


def functional(name: str) -> Callable[..., Any]:
    """torch.nn.functional.name, looked up when PyTorch is wanted; it warns where shapes broadcast."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import warnings

        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def reduced(each: Callable[..., Array]) -> Callable[..., Array]:
    """The loss of all, by a formula for each."""

    def loss(*arrays: Any, reduction: str = "mean", **kwargs: Any) -> Array:
        values = np.asarray(each(*arrays, **kwargs))
        if reduction == "batchmean":
            return values.sum() / arrays[0].shape[0]
        return values if reduction == "none" else values.sum() if reduction == "sum" else values.sum() / values.size

    return loss


def smooth(x: Array, t: Array, beta: float = 1.0) -> Array:
    d = np.abs(x - t)
    return np.where(d < beta, d**2 / 2 / beta if beta else 0.0, d - beta / 2)


def poisson(x: Array, t: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8) -> Array:
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        loss = loss + np.where(t > 1, sp.xlogy(t, t) - t + np.log(2 * np.pi * np.where(t > 1, t, 1)) / 2, 0)
    return loss


def gaussian(x: Array, t: Array, var: Any, full: bool = False, eps: float = 1e-6) -> Array:
    if np.ndim(var) == x.ndim - 1:
        var = np.asarray(var)[..., None]
    v = np.maximum(var, eps)
    return (np.log(v) + (x - t) ** 2 / v + (np.log(2 * np.pi) if full else 0)) / 2


def broadcasting(name: str) -> tuple[Error, ...]:
    function = getattr(ops, name)
    return (
        Error(
            lambda: function(tgc.ones(4, 1), tgc.ones(4)), ShapeError, rf"{name}.*\(4, 1\).*\(4,\).*squeeze\(-1\).*unsqueeze"
        ),
        Error(lambda: function(tgc.ones(4), tgc.ones(4, 1)), ShapeError, rf"{name}.*\(4,\).*\(4, 1\).*target\.squeeze"),
        Error(lambda: function(tgc.ones(4), tgc.ones(3)), ShapeError, rf"{name}.*\(4,\).*\(3,\)"),
        Error(lambda: function(tgc.ones(4), 1.0), TypeError, f"{name}.*Tensor.*float"),
        Error(lambda: function(tgc.ones(4), tgc.ones(4), reduction="average"), ValueError, f"{name}.*'average'"),
    )


PAIRS = (
    *(S(away(2, 3), exactly(np.zeros((2, 3))), reduction=r) for r in ("mean", "sum", "none")),
    S(exactly([[0.3], [2.0]]), exactly([[1.2, -0.4, 0.1]])),
    S((), exactly([1.5])),
    S((0, 2), (0, 2), reduction="sum"),
)


def squared_error(x: Any, t: Any, reduction: str) -> Any:
    return apply(SquaredError, (x, t), (reduction,))


PROBABLE = positive(2, 3)

CASES = (
    Case(
        "l1_loss", ops.l1_loss, reduced(lambda x, t: abs(x - t)), PAIRS,
        kinks=(S(exactly([1.0, 2.0]), exactly([1.0, 1.0])),), torch=functional("l1_loss"), errors=broadcasting("l1_loss"),
    ),
    Case(
        "mse_loss", ops.mse_loss, reduced(lambda x, t: (x - t) ** 2), PAIRS, torch=functional("mse_loss"),
        errors=broadcasting("mse_loss"), half=True,
    ),
    Case(
        "squared_error", squared_error, lambda x, t, reduction: reduced(lambda x, t: (x - t) ** 2)(x, t, reduction=reduction),
        (*[S(shape, shape, args=(reduction,)) for shape in [(2, 3), (1,), (), (5, 1, 2)]
           for reduction in ("none", "sum", "mean")], S((0, 2), (0, 2), args=("sum",))),
        half=True,
        threaded=(S((700, 500), (700, 500), args=("none",)),),
        errors=(Error(lambda: squared_error(tgc.ones(2, 1), tgc.ones(2), "mean"), ShapeError,
                      r"squared_error.*\(2, 1\).*\(2,\).*equal"),),
    ),
    Case(
        "kl_div", ops.kl_div,
        reduced(lambda x, t, log_target=False: np.exp(t) * (t - x) if log_target else sp.xlogy(t, t) - t * x),
        (
            *(S((2, 3), PROBABLE, reduction=r) for r in ("mean", "sum", "none", "batchmean")),
            S((2, 3), (2, 3), log_target=True, reduction="batchmean"),
        ),
        torch=functional("kl_div"), errors=broadcasting("kl_div"),
    ),
    Case(
        "poisson_nll_loss", ops.poisson_nll_loss, reduced(poisson),
        (
            *(S((2, 3), positive(2, 3), reduction=r) for r in ("mean", "sum", "none")),
            S(positive(2, 3), positive(2, 3), log_input=False, eps=0.1),
            S((4,), exactly([0.2, 0.9, 1.2, 5.0]), full=True),
        ),
        torch=functional("poisson_nll_loss"), errors=broadcasting("poisson_nll_loss"),
    ),
    Case(
        "gaussian_nll_loss", ops.gaussian_nll_loss, reduced(gaussian),
        (
            *(S((2, 3), (2, 3), positive(2, 3), reduction=r) for r in ("mean", "sum", "none")),
            S((2, 3), (2, 3), positive(2), full=True),
            S((2, 3), (2, 3), positive(1, 3)),
        ),
        torch=functional("gaussian_nll_loss"),
        errors=(
            Error(
                lambda: ops.gaussian_nll_loss(tgc.ones(2, 3), tgc.ones(2, 3), tgc.ones(3)),
                ShapeError, r"gaussian_nll_loss.*\(2, 3\).*\(3,\)",
            ),
            Error(
                lambda: ops.gaussian_nll_loss(tgc.ones(2), tgc.ones(2), tgc.tensor([1.0, -2.0])),
                ValueError, "gaussian_nll_loss.*negative.*-2",
            ),
        ),
    ),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*both are stretched:UserWarning")
class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_are_those_of_torch(torch: Any, name: str, reduction: str) -> None:
    x, t, w = S((2, 3), (2, 3), positive(2, 3)).arrays(name)
    y = getattr(ops, name)(tgc.tensor(x), tgc.tensor(t), reduction=reduction, weight=tgc.tensor(w))
    z = functional(name)(torch.tensor(x), torch.tensor(t), reduction=reduction, weight=torch.tensor(w))
    np.testing.assert_allclose(y.array, z.numpy(), rtol=1e-12)
    with pytest.raises(ShapeError, match=rf"{name}.*weight.*\(3,\).*\(2, 3\)"):
        getattr(ops, name)(tgc.tensor(x), tgc.tensor(t), weight=tgc.ones(3))


def test_a_target_probability_of_zero_counts_nothing(torch: Any) -> None:
    x, t = [-1.0, -2.0, -0.5], [0.0, 0.4, 0.6]
    loss = ops.kl_div(tgc.tensor(x), tgc.tensor(t), reduction="sum").item()
    assert loss == pytest.approx(0.4 * (np.log(0.4) + 2.0) + 0.6 * (np.log(0.6) + 0.5), rel=1e-6)


def test_a_variance_below_eps_has_the_gradient_at_eps(torch: Any) -> None:
    for lib, function in ((tgc, ops.gaussian_nll_loss), (torch, functional("gaussian_nll_loss"))):
        var = lib.tensor([0.0, 1e-4, 1.0], requires_grad=True)
        function(lib.tensor([1.0, 0.1, 2.0]), lib.tensor([0.0, 0.0, 0.0]), var, eps=0.01).backward()
        np.testing.assert_allclose(np.asarray(var.grad.tolist()), [-1650.0, 0.0, -0.5], rtol=1e-5, atol=1e-3)


def test_a_number_as_variance() -> None:
    x, t = tgc.randn(3), tgc.randn(3)
    assert ops.gaussian_nll_loss(x, t, 2.0).item() == pytest.approx(ops.gaussian_nll_loss(x, t, tgc.full((3,), 2.0)).item())


@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss"])
def test_the_slope_at_infinity_is_that_of_the_line(backend: str, torch: Any, name: str) -> None:
    for lib, function in ((tgc, getattr(ops, name)), (torch, functional(name))):
        x = lib.tensor([np.inf, -np.inf, 1e30, 0.5], requires_grad=True)
        function(x, lib.zeros(4), reduction="sum").backward()
        assert x.grad.tolist() == [1.0, -1.0, 1.0, 0.5]
