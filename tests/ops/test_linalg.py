"""ops/linalg.py: matmul and linear."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.linalg import LinearGrad, LinearWeight


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows times columns, one number at a time."""
    left = x[None, :] if x.ndim == 1 else x
    right = y[:, None] if y.ndim == 1 else y
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(a, batch + a.shape[-2:]) for a in (left, right))
    out = np.zeros((*batch, left.shape[-2], right.shape[-1]), x.dtype)
    for place in np.ndindex(out.shape):
        *b, i, j = place
        for k in range(left.shape[-1]):
            out[place] += left[(*b, i, k)] * right[(*b, k, j)]
    if x.ndim == 1:
        out = out[..., 0, :]
    return out[..., 0] if y.ndim == 1 else out


def linear_weight(g: Any, x: Any) -> Any:
    return apply(LinearWeight, (g, x))


def linear_grad(g: Any, x: Any, w: Any, *needs: bool) -> Any:
    return apply(LinearGrad, (g, x, w), needs)


def gradients_of_affine(g: np.ndarray, x: np.ndarray, w: np.ndarray, *needs: bool) -> tuple[np.ndarray, ...]:
    return tuple(a for a, wanted in zip((product(g, w), product(g.T, x), g.sum(0)), needs, strict=True) if wanted)


def affine(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    rows = [
        [sum(row * weights) + (0 if b is None else b[m]) for m, weights in enumerate(w)]
        for row in x.reshape(-1, w.shape[1])
    ]
    return np.array(rows, x.dtype).reshape(*x.shape[:-1], w.shape[0])


def torch_linear(x: Any, w: Any, b: Any = None) -> Any:
    import torch

    return torch.nn.functional.linear(x, w, b)


def shapes(*pairs: Any) -> tuple[Any, ...]:
    return tuple(S(*p, note=str(p).replace(" ", "")) for p in pairs)


CASES = (
    Case(
        "matmul",
        tgc.matmul,
        product,
        shapes(
            ((2, 3), (3, 4)),
            ((1, 1), (1, 1)),
            ((3,), (3,)),
            ((3,), (3, 2)),
            ((2, 3), (3,)),
            ((2, 2, 3), (2, 3, 2)),
            ((2, 2, 3), (3, 2)),
            ((2, 3), (2, 3, 2)),
            ((2, 1, 2, 2), (3, 2, 1)),
            ((1, 2, 3), (4, 3, 1)),
            ((3,), (2, 3, 2)),
            ((2, 2, 3), (3,)),
            ((0, 3), (3, 2)),
            ((2, 0), (0, 3)),
            ((2, 3), (3, 0)),
            ((0, 2, 3), (3, 1)),
            ((5, 1), (1, 7)),
        ),
        torch=lambda x, y: x @ y,
        half=True,
        integers=("int64", "int32"),
        special=(S(exactly([[np.nan, 1.0], [np.inf, 1.0], [2.0, 1.0]]), exactly([[1.0, 0.0], [-1.0, np.inf]])),),
        threaded=(S((300, 310), (310, 290)), S((12, 70, 80), (12, 80, 90)), S((12, 70, 80), (80, 90))),
        errors=(
            Error(
                lambda: tgc.ones(2, 3) @ tgc.ones(4, 5), ShapeError, r"matmul: \(2, 3\) @ \(4, 5\).*size 3.*4.*equal"
            ),
            Error(lambda: tgc.ones(2, 3) @ tgc.ones(2, 3), ShapeError, r"Did you mean x @ y\.mT"),
            Error(lambda: tgc.ones(3, 2) @ tgc.ones(3, 4), ShapeError, r"Did you mean x\.mT @ y"),
            Error(lambda: tgc.ones(3) @ tgc.ones(2), ShapeError, r"matmul.*\(3,\).*\(2,\)"),
            Error(lambda: tgc.ones(3) @ tgc.ones(2, 2), ShapeError, "matmul.*size 3"),
            Error(lambda: tgc.ones(2, 2, 3) @ tgc.ones(3, 3, 2), ShapeError, r"matmul.*\(2,\).*\(3,\)"),
            Error(lambda: tgc.ones(()) @ tgc.ones(2), ShapeError, r"matmul.*\(\).*\*"),
            Error(lambda: tgc.ones(2, 2) @ tgc.ones(2, 2, dtype="float64"), DTypeError, "matmul.*float32.*float64"),
            Error(lambda: tgc.ones(2, 2) @ tgc.ones(2, 2).long(), DTypeError, "matmul.*float32.*int64"),
            Error(lambda: tgc.ones(2, 2) @ 3.0, TypeError, "Tensor, got float"),
            Error(lambda: tgc.matmul(tgc.ones(2, 2), [[1.0]]), TypeError, "matmul.*list"),
        ),
    ),
    Case(
        "linear_weight",
        linear_weight,
        lambda g, x: product(g.T, x),
        (S((4, 2), (4, 3)), S((1, 1), (1, 1)), S((0, 2), (0, 3)), S((3, 5), (3, 1))),
        half=True,
        threaded=(S((310, 300), (310, 290)),),
        errors=(Error(lambda: linear_weight(tgc.ones(2, 3), tgc.ones(4, 5)), ShapeError,
                      r"linear_weight.*\(2, 3\).*\(4, 5\)"),),
    ),
    Case(
        "linear_grad",
        linear_grad,
        gradients_of_affine,
        (
            S((4, 2), (4, 3), (2, 3), args=(True, True, True)),
            S((1, 1), (1, 1), (1, 1), args=(False, True, True)),
            S((3, 5), (3, 1), (5, 1), args=(True, False, False)),
            S((0, 2), (0, 3), (2, 3), args=(True, True, True)),
        ),
        differentiable=False,
        half=True,
        errors=(
            Error(
                lambda: linear_grad(tgc.ones(2, 3), tgc.ones(2, 5), tgc.ones(4, 5), True, True, True),
                ShapeError,
                r"linear_grad.*\(2, 3\).*\(2, 5\).*\(4, 5\)",
            ),
        ),
    ),
    Case(
        "linear",
        tgc.ops.linear,
        affine,
        (
            S((2, 3), (4, 3), (4,)),
            S((2, 3), (4, 3), None),
            S((2, 3), (4, 3)),
            S((3,), (4, 3), (4,)),
            S((2, 2, 3), (4, 3), (4,)),
            S((0, 3), (2, 3), (2,)),
            S((1, 1), (1, 1), (1,)),
            S((2, 0, 3), (2, 3), (2,)),
            S((2, 3), (0, 3), (0,)),
        ),
        torch=torch_linear,
        half=True,
        threaded=(S((300, 310), (290, 310), (290,)),),
        errors=(
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(4, 5)),
                ShapeError,
                r"linear.*3 features.*\(2, 3\).*\(4, 5\).*Linear\(3, 4\)",
            ),
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 2, 3), tgc.ones(4, 5)),
                ShapeError,
                r"linear.*3 features.*\(2, 2, 3\)",
            ),
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(4, 3), tgc.ones(3)),
                ShapeError,
                r"linear.*bias.*\(3,\).*\(4,\)",
            ),
            Error(lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(2, 4, 3)), ShapeError, "linear.*matrix"),
            Error(lambda: tgc.ops.linear(tgc.ones(()), tgc.ones(3, 3)), ShapeError, "linear.*0-d"),
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(4, 3, dtype="float64")),
                DTypeError,
                "linear.*float32.*float64",
            ),
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(4, 3), tgc.ones(4, dtype="float64")),
                DTypeError,
                "linear.*float32.*float64",
            ),
            Error(
                lambda: tgc.ops.linear(tgc.ones(2, 3), tgc.ones(4, 3), tgc.ones(4).long()), DTypeError, "linear.*int64"
            ),
            Error(lambda: tgc.ops.linear(np.ones((2, 3)), tgc.ones(4, 3)), TypeError, "linear.*Tensor.*ndarray"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("n", [1, 2, 5, 7, 8, 9, 12, 16, 17, 31, 33, 48, 97])
def test_all_edges_of_the_tiles(backend: str, rng: np.random.Generator, n: int) -> None:
    """Sizes around the micro-kernel's, against einsum, with operands in either order in memory."""
    for m, k in [(1, n), (n, 1), (n, n + 1), (n + 3, 5)]:
        x, y = rng.standard_normal((n, k)), rng.standard_normal((k, m))
        wanted = np.einsum("ik,kj->ij", x, y, optimize=False)
        for left in (x, np.asfortranarray(x), x[::-1][::-1]):
            for right in (y, np.asfortranarray(y)):
                found = tgc.from_numpy(left) @ tgc.from_numpy(right)
                np.testing.assert_allclose(found.array, wanted, rtol=1e-11, atol=1e-12)


def test_matmul_with_numpy(backend: str) -> None:
    x = tgc.tensor([[1.0, 2.0]], dtype="float64")
    assert (x @ np.eye(2)).tolist() == [[1, 2]]
    assert (np.ones((1, 1)) @ x).tolist() == [[1, 2]]


def test_linear_with_one_feature_as_a_vector(backend: str, torch: Any) -> None:
    for shape in ((3,), (2, 3), (2, 4, 3)):
        x, w, b = np.arange(float(np.prod(shape))).reshape(shape), np.array([1.0, -2.0, 3.0]), np.array(0.5)
        wanted = torch.nn.functional.linear(torch.tensor(x), torch.tensor(w)) + 0.5
        weight = tgc.tensor(w, requires_grad=True)
        y = tgc.nn.functional.linear(tgc.tensor(x), weight, tgc.tensor(b))
        assert y.tolist() == wanted.tolist()
        y.sum().backward()
        assert weight.grad.tolist() == x.reshape(-1, 3).sum(0).tolist()
    with pytest.raises(ShapeError, match=r"4.*3|3.*4"):
        tgc.nn.functional.linear(tgc.ones(2, 4), tgc.ones(3))
