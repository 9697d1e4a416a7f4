"""ops/unpool.py: maxima back at their places."""

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.unpool import MaxUnpool


def different(total: int, *shape: int) -> Draw:
    """Indices 0..total-1, no two of a plane equal."""
    planes = math.prod(shape[:2])
    return Draw(
        lambda rng: np.stack([rng.permutation(total)[: math.prod(shape[2:])] for _ in range(planes)])
        .reshape(shape)
        .astype(np.int64)
    )


def placed(x: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    y = np.zeros((*x.shape[:2], size))
    for n, c, p in np.ndindex(x.shape):
        y[n, c, index[n, c, p]] = x[n, c, p]
    return y


def unpooled(n: int) -> Any:
    def oracle(
        x: np.ndarray, index: np.ndarray, kernel_size: int, stride: Any = None, padding: int = 0, output_size: Any = None
    ) -> np.ndarray:
        stride = stride or kernel_size
        size = tuple((m - 1) * stride - 2 * padding + kernel_size for m in x.shape[-n:])
        size = size if output_size is None else tuple(output_size)[-n:]
        lead = x.shape[:-n]
        flat = [a.reshape(-1, lead[-1], math.prod(x.shape[-n:])) for a in (x, index)]
        return placed(*flat, math.prod(size)).reshape(*lead, *size)

    return oracle


def torch_call(name: str) -> Any:
    def call(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, index, *args, **kwargs)

    return call


def case(n: int) -> Case:
    name = f"max_unpool{n}d"
    function = getattr(tgc.ops, name)
    small = (2, 1, 2)[:n]
    total = math.prod(2 * m for m in small)
    odd = tuple(2 * m + 1 for m in small)

    def call(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        return lambda: function(tgc.ones(x), index, *args, **kwargs)

    zeros = tgc.zeros((1, 1, *small)).long()
    return Case(
        name,
        function,
        unpooled(n),
        (
            S((2, 2, *small), different(total, 2, 2, *small), kernel_size=2),
            S((1, 2, *small), different(math.prod(odd), 1, 2, *small), kernel_size=2, output_size=odd, note="odd"),
            S((1, 1, *small), different(math.prod(m + 2 for m in small), 1, 1, *small), kernel_size=3, stride=1),
        ),
        torch=torch_call(name),
        errors=(
            Error(call((1, 1, *small), zeros, 0), ShapeError, rf"{name}.*kernel_size.*at least 1"),
            Error(call((1, 2, *small), zeros, 2), ShapeError, rf"{name}.*one shape.*\(1, 2"),
            Error(call((1, 1, *small), zeros.float(), 2), DTypeError, rf"{name}.*integers.*float32"),
            Error(call((1, 1, *small), zeros, 2, output_size=(9,) * n), ShapeError, rf"{name}.*output_size.*stride"),
            Error(call((1, 1, *small), zeros + 99, 2), IndexError, rf"{name}.*index 99"),
            Error(call((1, 1, *small), zeros - 1, 2), IndexError, rf"{name}.*index -1"),
        ),
    )


CASES = (
    Case(
        "max_unpool",
        lambda x, i, size: apply(MaxUnpool, (x, i), (size,)),
        placed,
        (S((2, 2, 3), different(5, 2, 2, 3), args=(5,)),),
        half=True,
        errors=(
            Error(
                lambda: apply(MaxUnpool, (tgc.ones(1, 1, 2), tgc.zeros(1, 1, 3).long()), (4,)),
                ShapeError,
                r"max_unpool.*\(1, 1, 2\).*\(1, 1, 3\)",
            ),
        ),
    ),
    case(1),
    case(2),
    case(3),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("n", [1, 2, 3])
def test_there_and_back(backend: str, n: int) -> None:
    """The maxima stay, everything else is 0; also for a single image, which has no batch."""
    (x,) = S((3, *(4, 6, 4)[:n])).arrays("there")
    x += 10
    y, index = getattr(tgc.ops, f"max_pool{n}d")(tgc.tensor(x), 2, return_indices=True)
    back = getattr(tgc.ops, f"max_unpool{n}d")(y, index, 2).numpy()
    assert sorted(back[back != 0]) == sorted(y.numpy().ravel())
    np.testing.assert_array_equal(back[back != 0], x[back != 0])


def test_repeated_indices(backend: str, torch: Any) -> None:
    """The last value stays; every one of them gets the gradient, as in PyTorch."""
    index = np.array([[[1, 1, 0]]])
    x = tgc.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    y = tgc.ops.max_unpool1d(x, tgc.tensor(index), 2, stride=1)
    assert y.tolist() == [[[3, 2, 0, 0]]]
    y.backward(tgc.tensor([[[5.0, 7.0, 0.0, 0.0]]]))
    theirs = torch.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    wanted = torch.nn.functional.max_unpool1d(theirs, torch.tensor(index), 2, stride=1)
    wanted.backward(torch.tensor([[[5.0, 7.0, 0.0, 0.0]]]))
    assert x.grad.tolist() == theirs.grad.tolist() == [[[7, 7, 5]]]
