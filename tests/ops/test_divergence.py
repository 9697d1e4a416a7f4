"""ops/divergence.py."""

from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.test_regression_loss import reduced
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.divergence import GaussianKLGrad


def gaussian_kl(m: np.ndarray, v: np.ndarray) -> np.ndarray:
    """By its definition, the expectation of ln q - ln p under q, with the nodes of Gauss and Hermite."""
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    z = m[..., None] + np.exp(v / 2)[..., None] * node
    return (((z**2 - node**2) / 2 - v[..., None] / 2) * weight).sum(-1) / weight.sum()


CASES = (
    Case(
        "gaussian_kl", ops.gaussian_kl, reduced(gaussian_kl),
        (*(S((2, 3), (2, 3), reduction=r) for r in ("mean", "sum", "none", "batchmean")), S((), ()),
         S((0, 2), (0, 2), reduction="sum")),
        errors=(
            Error(lambda: ops.gaussian_kl(tgc.ones(2, 3), tgc.ones(3)), ShapeError,
                  r"gaussian_kl: the means have shape \(2, 3\).*logarithms.*\(3,\).*equal"),
            Error(lambda: ops.gaussian_kl(tgc.ones(2), 0.0), TypeError, "gaussian_kl.*Tensor.*float"),
            Error(lambda: ops.gaussian_kl(tgc.ones(2), tgc.ones(2), "average"), ValueError, "gaussian_kl.*'average'"),
        ),
    ),
    Case(
        "gaussian_kl_grad", lambda g, m, v: apply(GaussianKLGrad, (g, m, v)),
        lambda g, m, v: (g * m, g * np.expm1(v) / 2),
        (S((2, 3), (2, 3), (2, 3)), S((), (2, 3), (2, 3)), S((), (), ())),
        errors=(Error(lambda: apply(GaussianKLGrad, (tgc.ones(2), tgc.ones(3), tgc.ones(3))), ShapeError,
                      r"gaussian_kl_grad.*\(2,\).*number.*\(3,\)"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_gaussian_kl_of_the_prior_and_beside_it(backend: str) -> None:
    """As written in the paper, 1 + l - m^2 - e^l is rounded to 0 for variances near 1; the divergence is l^2 / 4 there."""
    v = tgc.tensor([0.0, 1e-4, -1e-4], requires_grad=True)
    y = tgc.nn.functional.gaussian_kl(tgc.zeros(3), v, reduction="none")
    np.testing.assert_allclose(y.tolist(), [0.0, 2.5e-9, 2.5e-9], rtol=1e-3)
    y.sum().backward()
    np.testing.assert_allclose(v.grad.tolist(), [0.0, 5e-5, -5e-5], rtol=1e-4)


def test_gaussian_kl_is_that_of_torch_distributions(torch: Any, backend: str, rng: np.random.Generator) -> None:
    m, v = (rng.standard_normal((4, 5)).astype(np.float32) for _ in range(2))
    theirs = [torch.tensor(array, requires_grad=True) for array in (m, v)]
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(theirs[0], (theirs[1] / 2).exp()), normal(0.0, 1.0)).sum() / 4
    expected.backward()
    ours = [tgc.tensor(array, requires_grad=True) for array in (m, v)]
    y = tgc.nn.functional.gaussian_kl(*ours, reduction="batchmean")
    y.backward()
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-5)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-4, atol=1e-6)
