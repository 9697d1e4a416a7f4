"""Random programs: directed graphs of up to 15 ops, values and gradients against PyTorch in float64.

A program is drawn once from its number.  Every tensor is (2, 3), so that any op can follow any other; the ops between
them change shapes and back, branch, join and use a tensor several times."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import ops
from tinygrad_course.autograd import grad

PLACES = np.array([[2, 0, 1], [1, 1, 0]])


def gather(lib: Any, x: Any) -> Any:
    return x.gather(1, lib.tensor(PLACES))


def conv(lib: Any, x: Any, y: Any) -> Any:
    function = ops.conv2d if lib is tgc else lib.nn.functional.conv2d
    return (
        function(x.reshape(1, 1, 2, 3), y.reshape(1, 1, 2, 3)[:, :, :, 1:], padding=(1, 1))
        .reshape(-1)[:6]
        .reshape(2, 3)
    )


def pool(lib: Any, x: Any) -> Any:
    function = ops.max_pool2d if lib is tgc else lib.nn.functional.max_pool2d
    return function(x.reshape(1, 1, 2, 3), (1, 2), stride=(1, 1)).reshape(2, 2).sum(1, keepdim=True).expand(2, 3)


def mean_pool(lib: Any, x: Any) -> Any:
    function = ops.avg_pool2d if lib is tgc else lib.nn.functional.avg_pool2d
    return function(x.reshape(1, 1, 2, 3), 3, stride=1, padding=1).reshape(2, 3)


def loss(lib: Any, x: Any) -> Any:
    function = ops.cross_entropy if lib is tgc else lib.nn.functional.cross_entropy
    return function(x, lib.tensor(np.array([2, 0])), reduction="none", label_smoothing=0.1).reshape(2, 1) * x


ONE: list[Callable[[Any, Any], Any]] = [
    lambda lib, x: x.tanh(),
    lambda lib, x: x.sigmoid(),
    lambda lib, x: (x * 0.3).exp(),
    lambda lib, x: x.relu() + 0.1 * x,
    lambda lib, x: (x * x + 1.0).log(),
    lambda lib, x: (x * x + 0.5).sqrt(),
    lambda lib, x: x.abs(),
    lambda lib, x: -x,
    lambda lib, x: x.sum(0, keepdim=True).expand(2, 3),
    lambda lib, x: x - x.mean(1, keepdim=True),
    lambda lib, x: x.amax(0) + x,
    lambda lib, x: x.max(1)[0].unsqueeze(1) * x,
    lambda lib, x: x.mT.reshape(2, 3),
    lambda lib, x: x[:, [2, 0, 1]],
    lambda lib, x: x.reshape(3, 2).permute(1, 0),
    lambda lib, x: lib.cat([x[1:], x[:1] * 2.0]),
    gather,
    pool,
    mean_pool,
    loss,
    lambda lib, x: lib.stack([x[0], x[1]], 1).mT,
    lambda lib, x: x.softmax(1),
    lambda lib, x: x.log_softmax(0) * 0.5,
    lambda lib, x: x.sign() * x,
    lambda lib, x: x.float().double() * 0.5,
    lambda lib, x: x.clone(),
    lambda lib, x: x**2 * 0.3,
    lambda lib, x: x.detach() * x,
    lambda lib, x: 1.0 / (x * x + 2.0),
]
TWO: list[Callable[[Any, Any, Any], Any]] = [
    lambda lib, x, y: x + y,
    lambda lib, x, y: x - y[0],
    lambda lib, x, y: x * y,
    lambda lib, x, y: x / (y * y + 1.0),
    lambda lib, x, y: x @ y.mT @ (y * 0.3),
    lambda lib, x, y: x.maximum(y) if lib is tgc else lib.maximum(x, y),
    lambda lib, x, y: x.minimum(y) if lib is tgc else lib.minimum(x, y),
    lambda lib, x, y: lib.where(x > y, x * 2.0, y),
    lambda lib, x, y: x * y[:, :1] + y[1],
    lambda lib, x, y: lib.cat([x, y], 1)[:, 1:4],
    conv,
    lambda lib, x, y: x.scatter_add(1, lib.tensor(PLACES), y * 0.5),
    lambda lib, x, y: (x * x + 0.5) ** (y * 0.2),
]


def run(lib: Any, inputs: list[Any], number: int) -> Any:
    """The program of that number on tensors of one library."""
    rng = np.random.default_rng(number)
    made = list(inputs)
    for _ in range(int(rng.integers(3, 16))):
        if rng.random() < 0.55:
            made.append(ONE[rng.integers(len(ONE))](lib, made[rng.integers(len(made))]))
        else:
            x, y = made[rng.integers(len(made))], made[rng.integers(len(made))]
            made.append(TWO[rng.integers(len(TWO))](lib, x, y))
    return (made[-1] * made[len(made) // 2].tanh() + made[-2] * 0.5).sum()


def inputs(number: int) -> list[np.ndarray]:
    rng = np.random.default_rng([number, 1])
    return [rng.standard_normal((2, 3)) for _ in range(3)]


@pytest.mark.parametrize("block", range(10))
def test_programs(backend: str, torch: Any, block: int) -> None:
    for number in range(block * 30, block * 30 + 30):
        values = inputs(number)
        ours = [tgc.tensor(v, requires_grad=True) for v in values]
        theirs = [torch.tensor(v, requires_grad=True) for v in values]
        y, z = run(tgc, ours, number), run(torch, theirs, number)
        assert y.requires_grad == z.requires_grad
        np.testing.assert_allclose(y.item(), z.item(), rtol=1e-9, atol=1e-9, err_msg=f"program {number}")
        found = grad(y, ours, create_graph=True, allow_unused=True)
        wanted = torch.autograd.grad(z, theirs, create_graph=True, allow_unused=True)
        compare(found, wanted, f"gradient of program {number}")
        second = [second_gradient(grad, found, ours), second_gradient(torch.autograd.grad, wanted, theirs)]
        compare(*second, f"second derivative of program {number}")
        y.backward()
        z.backward()
        compare([x.grad for x in ours], [x.grad for x in theirs], f".grad of program {number}")


def second_gradient(differentiate: Any, gradients: Any, points: list[Any]) -> Any:
    terms = [(g * g).sum() for g in gradients if g is not None and g.requires_grad]
    return differentiate(terms, points, retain_graph=True, allow_unused=True) if terms else [None] * len(points)


def compare(ours: Any, theirs: Any, what: str) -> None:
    """PyTorch's None and our zeros mean the same, and the other way round."""
    for a, b in zip(ours, theirs, strict=True):
        left = np.zeros((2, 3)) if a is None else a.detach().array
        right = np.zeros((2, 3)) if b is None else b.numpy(force=True)
        scale = max(1.0, float(np.abs(right).max()))
        # x.float() rounds to 24 bits in both, but not always at the same place
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6 * scale, err_msg=what)
