"""ops/norms.py: norms and distances."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, away, exactly
from tests.ops.patterns import torch_function
from tests.ops.test_reduce import fold
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.norms import vector_norm

INF = math.inf


def length(p: float) -> Callable[[list[float]], float]:
    """The p-norm of a list."""

    def rule(values: list[float]) -> float:
        sizes = [abs(v) for v in values]
        if p == 0:
            return float(sum(v != 0 for v in sizes))
        if math.isinf(p):
            return max(sizes) if p > 0 else min(sizes)
        return sum(np.power(v, p) for v in sizes) ** (1 / p)

    return rule


def norm(x: np.ndarray, p: Any = 2, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return fold(x, dim, keepdim, length(2 if p == "fro" else p))


def orders(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    smooth = tuple(S(make(2, 3), args=(p,), dim=1) for p in (2, 1, 3, 1.5, 0.5, -1, INF, -INF))
    return (*smooth, S(make(2, 3), args=(2,)), S(make(), args=(3,)), S(make(2, 3, 2), args=(1,), dim=(0, -1), keepdim=True))


def torch_norm(x: Any, *args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.linalg.vector_norm(x, *args, **kwargs)


HOLES = exactly([[0.0, 3.0, -3.0], [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])


def shortened(x: np.ndarray, p: float, dim: int, maxnorm: float) -> np.ndarray:
    out = x.copy()
    rows = np.moveaxis(out, dim, 0)
    for row in rows:
        size = length(p)(list(row.flat))
        if size > maxnorm:
            row *= maxnorm / (size + 1e-7)
    return out


def unit(x: np.ndarray, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> np.ndarray:
    return x / np.maximum(norm(x, p, dim, True), eps)


def torch_functional(x: Any, *args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.nn.functional.normalize(x, *args, **kwargs)


CASES = (
    Case(
        "vector_norm",
        vector_norm,
        norm,
        orders(apart),
        kinks=tuple(S(HOLES, args=(p,), dim=1) for p in (2, 1, 3, 1.5, INF, -INF)),
        special=(S(exactly([[np.inf, 1.0], [-np.inf, 1.0], [1e30, 0.0]]), args=(1,), dim=1),),
        torch=torch_norm,
        half=True,
        errors=(
            Error(lambda: vector_norm(tgc.ones(2, 0), INF, 1), ShapeError, r"vector_norm.*p = inf.*\(2, 0\)"),
            Error(lambda: vector_norm(tgc.ones(0), -1), ShapeError, r"vector_norm.*p = -1"),
            Error(lambda: vector_norm(tgc.tensor([1])), DTypeError, r"vector_norm.*int64.*float\(\)"),
            Error(lambda: vector_norm(tgc.ones(2), "fro"), TypeError, r"vector_norm.*'fro'"),
            Error(lambda: vector_norm(tgc.ones(2), 2, 1), ShapeError, r"norm.*dim 1"),
        ),
    ),
    Case("vector_norm", vector_norm, norm, (S(HOLES, args=(0,), dim=1), S((0,)), S((2, 0), args=(3,), dim=1))),
    Case(
        "norm",
        tgc.norm,
        norm,
        (
            S(away(2, 3)),
            S(away(2, 3), p="fro", dim=0),
            S(away(2, 3), args=(1,), keepdim=True),
            S(away(2, 2, 2), p=3, dim=(0, 2)),
        ),
        torch=lambda x, p="fro", dim=None, keepdim=False: __import__("torch").norm(x, p, dim, keepdim),
        kinks=(S(HOLES, dim=1),),
        errors=(
            Error(lambda: tgc.norm(tgc.ones(2), "max"), ValueError, r"norm: p must be.*'max'"),
            Error(lambda: tgc.norm([1.0]), TypeError, r"norm.*must be a Tensor"),
        ),
    ),
    Case(
        "dist",
        tgc.dist,
        lambda x, y, p=2: norm(x - y, p),
        (S((2, 3), (2, 3)), S((2, 3), (3,), p=1), S((), (2,), p=3)),
        kinks=(S(exactly([1.0, 2.0]), exactly([1.0, 2.0])), S(exactly([1.0, 2.0]), exactly([1.0, 3.0]), p=INF)),
        torch=torch_function("dist"),
    ),
    Case(
        "renorm",
        tgc.renorm,
        shortened,
        (S(away(3, 2), args=(2, 0, 1.0)), S(away(2, 2, 2), args=(1, -1, 2.0)), S(away(2, 3), args=(INF, 1, 0.8))),
        kinks=(S(HOLES, args=(2, 0, 3.0)), S(HOLES, args=(2, 0, 0.0))),
        torch=torch_function("renorm"),
        errors=(
            Error(lambda: tgc.renorm(tgc.ones(3), 2, 0, 1.0), ShapeError, r"renorm.*two axes.*\(3,\)"),
            Error(lambda: tgc.renorm(tgc.ones(3, 3), 0, 0, 1.0), ValueError, r"renorm: p must be positive.*p = 0"),
            Error(lambda: tgc.renorm(tgc.ones(3, 3), 2, 0, -1.0), ValueError, r"renorm.*maxnorm = -1"),
        ),
    ),
    Case(
        "normalize",
        tgc.normalize,
        unit,
        (S(away(2, 3)), S(away(2, 3), p=1, dim=0), S(away(3), dim=-1, eps=10.0), S(away(2, 2, 2), p=3, dim=2)),
        kinks=(S(HOLES, eps=0.5),),
        torch=torch_functional,
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("p", [0.5, -1])
def test_gradient_at_zeros(backend: str, p: float) -> None:
    """Infinite slopes at 0 are taken as 0."""
    x = tgc.tensor([0.0, 4.0], dtype="float64", requires_grad=True)
    vector_norm(x, p).backward()
    assert x.grad.tolist() == ([0.0, 1.0] if p > 0 else [0.0, 0.0])


def test_second_derivative_where_an_element_is_zero(backend: str) -> None:
    """|x| at (0, 3): the second derivative across the radius is 1 / 3."""
    x = tgc.tensor([0.0, 3.0], dtype="float64", requires_grad=True)
    (g,) = tgc.autograd.grad(tgc.norm(x), [x], create_graph=True)
    assert tgc.autograd.grad(g[0], [x])[0].tolist() == [pytest.approx(1 / 3), 0.0]


def test_dtype(backend: str) -> None:
    assert tgc.norm(tgc.tensor([3, 4]), dtype="float64").item() == 5.0
    assert vector_norm(tgc.ones(2), dtype="float64").dtype == "float64"


def test_nuclear_norm(backend: str) -> None:
    """The sum of the singular values of each matrix."""
    a = np.random.default_rng(0).standard_normal((2, 3, 4))
    wanted = [np.linalg.svd(m, compute_uv=False).sum() for m in a]
    found = tgc.norm(tgc.tensor(a.transpose(1, 0, 2).copy()), "nuc", (0, 2), keepdim=True)
    assert found.shape == (1, 2, 1)
    np.testing.assert_allclose(found.array.ravel(), wanted)
    np.testing.assert_allclose(tgc.norm(tgc.tensor(a[0]), "nuc").item(), wanted[0])
    with pytest.raises(ShapeError, match=r"norm: the nuclear norm.*\(2, 3, 4\), got None"):
        tgc.norm(tgc.tensor(a), "nuc")


def test_a_norm_that_does_not_fit_into_its_type_is_infinite(backend: str) -> None:
    x = tgc.tensor([6e4, 6e4], dtype="float16")
    assert tgc.norm(x).item() == math.inf
    assert tgc.ops.normalize(x, dim=0).tolist() == [0.0, 0.0]
