"""ops/softmax.py: softmax, softmin, the logarithm of softmax, and their gradients."""

from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, exactly
from tinygrad_course.autograd import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.softmax import LogSoftmaxGrad, SoftmaxGrad


def samples(inputs: int) -> tuple[Sample, ...]:
    shapes = [
        ((2, 3), 1),
        ((2, 3), 0),
        ((4,), -1),
        ((2, 3, 4), 1),
        ((1,), 0),
        ((3, 1), 1),
        ((), 0),
        ((0, 3), 1),
        ((3, 0), 1),
    ]
    return tuple(S(*[shape] * inputs, args=(dim,), note=f"{shape}{dim}".replace(" ", "")) for shape, dim in shapes)


def softmax(x: np.ndarray, dim: int) -> np.ndarray:
    return sp.softmax(x, axis=dim) if x.size and x.ndim else np.ones_like(x)


def log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    return sp.log_softmax(x, axis=dim) if x.size and x.ndim else np.zeros_like(x)


def by_rows(rule: Any, g: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """`rule` for every row along `dim`."""
    out = np.zeros_like(g)
    for place in np.ndindex(g.shape[:dim] + g.shape[dim + 1 :] if g.ndim else ()):
        key = (*place[:dim], slice(None), *place[dim:]) if g.ndim else ()
        out[key] = rule(np.atleast_1d(g[key]), np.atleast_1d(y[key])).reshape(np.shape(g[key]))
    return out


def softmax_grad(g: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """The Jacobian diag(y) - y y^T times g."""
    return by_rows(lambda a, b: (np.diag(b) - np.outer(b, b)) @ a, g, y, dim % max(1, g.ndim))


def log_softmax_grad(g: np.ndarray, y: np.ndarray, dim: int) -> np.ndarray:
    """The transposed Jacobian 1 - e^y (1, ..., 1) times g."""
    return by_rows(lambda a, b: (np.eye(len(a)) - np.outer(np.exp(b), np.ones(len(a)))) @ a, g, y, dim % max(1, g.ndim))


def torch_call(name: str) -> Any:
    def call(x: Any, dim: int) -> Any:
        return getattr(x, name)(dim)

    return call


EXTREME = exactly([[1000.0, 0.0, -1000.0], [-1e30, 1e30, 0.0], [-np.inf, 0.0, 1.0], [-1e5, -1e5, -1e5]])
HOPELESS = exactly([[np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0], [-np.inf, -np.inf, -np.inf]])


def nan_rows(x: np.ndarray, dim: int) -> np.ndarray:
    return np.full_like(x, np.nan)


def errors(op: str, call: Any) -> tuple[Error, ...]:
    return (
        Error(lambda: call(tgc.ones(2, 3), 2), ShapeError, rf"{op}.*dim 2.*2 axes"),
        Error(lambda: call(tgc.ones(2, 3), None), ShapeError, rf"{op}: dim is needed.*1 for logits"),
        Error(lambda: call(tgc.ones(2, 3), 1.0), TypeError, rf"{op}.*integer"),
    )


THREADED = (S((700, 600), args=(1,)), S((700, 600), args=(0,)), S((30, 40, 500), args=(1,)))
THREADED_GRAD = (S((700, 600), (700, 600), args=(1,)), S((700, 600), (700, 600), args=(0,)))

CASES = (
    Case(
        "softmax",
        tgc.softmax,
        softmax,
        samples(1),
        torch=torch_call("softmax"),
        half=True,
        threaded=THREADED,
        special=(S(EXTREME, args=(1,)),),
        errors=errors("softmax", tgc.softmax),
    ),
    Case(
        "log_softmax",
        tgc.log_softmax,
        log_softmax,
        samples(1),
        torch=torch_call("log_softmax"),
        half=True,
        threaded=THREADED,
        special=(S(EXTREME, args=(1,)),),
        errors=errors("log_softmax", tgc.log_softmax),
    ),
    Case("softmax", tgc.softmax, nan_rows, (), special=(S(HOPELESS, args=(1,)),)),
    Case(
        "log_softmax",
        tgc.log_softmax,
        nan_rows,
        (),
        special=(S(exactly([[np.nan, 0.0], [-np.inf, -np.inf]]), args=(1,)),),
    ),
    Case(
        "softmin",
        tgc.softmin,
        lambda x, dim: softmax(-x, dim),
        samples(1)[:7],
        torch=lambda x, dim: __import__("torch").nn.functional.softmin(x, dim),
        half=True,
        special=(S(EXTREME, args=(1,)),),
        integers=("int64", "uint8", "bool"),
        errors=errors("softmin", tgc.softmin),
    ),
    Case(
        "softmax_grad",
        lambda g, y, dim: apply(SoftmaxGrad, (g, y), (dim % max(1, g.ndim),)),
        softmax_grad,
        samples(2),
        half=True,
        threaded=THREADED_GRAD,
        errors=(
            Error(
                lambda: apply(SoftmaxGrad, (tgc.ones(2), tgc.ones(3)), (0,)),
                ShapeError,
                r"softmax_grad.*\(2,\).*\(3,\)",
            ),
        ),
    ),
    Case(
        "log_softmax_grad",
        lambda g, y, dim: apply(LogSoftmaxGrad, (g, y), (dim % max(1, g.ndim),)),
        log_softmax_grad,
        samples(2),
        half=True,
        threaded=THREADED_GRAD,
        errors=(
            Error(
                lambda: apply(LogSoftmaxGrad, (tgc.ones(2), tgc.ones(3)), (0,)),
                ShapeError,
                r"log_softmax_grad.*\(2,\).*\(3,\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_become_floating_point(backend: str, dtype: str) -> None:
    y = tgc.tensor([0, 1], dtype=dtype).softmax(0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, sp.softmax([0.0, 1.0]), rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_dtype_argument(backend: str, name: str) -> None:
    x = tgc.tensor([1.0, 2.0], dtype="float32", requires_grad=True)
    y = getattr(tgc, name)(x, axis=0, dtype="float64")
    assert y.dtype == np.float64
    y[0].backward()
    assert x.grad.dtype == np.float32
