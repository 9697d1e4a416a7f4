"""The same seed gives the same bits: for any number of threads, and run after run."""

from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import ops


def train(dtype: str, batch: int = 64) -> bytes:
    """Three steps of a small LeNet with dropout and momentum; all its parameters and losses as bytes."""
    tgc.manual_seed(1234)
    shapes = {
        "c1": (6, 1, 5, 5),
        "b1": (6,),
        "c2": (16, 6, 5, 5),
        "b2": (16,),
        "w1": (120, 400),
        "v1": (120,),
        "w2": (10, 120),
        "v2": (10,),
    }
    p = {name: (tgc.randn(*shape, dtype=dtype) * 0.1).requires_grad_() for name, shape in shapes.items()}
    momenta = {name: tgc.zeros(*shape, dtype=dtype) for name, shape in shapes.items()}
    images, labels = tgc.rand(3, batch, 1, 32, 32, dtype=dtype), tgc.randint(0, 10, (3, batch))
    losses = []
    for x, t in zip(images, labels, strict=True):
        h = ops.max_pool2d(ops.conv2d(x, p["c1"], p["b1"]).tanh(), 2)
        h = ops.avg_pool2d(ops.conv2d(h, p["c2"], p["b2"]).relu(), 2).flatten(1)
        h = ops.dropout(ops.linear(h, p["w1"], p["v1"]).sigmoid(), 0.3)
        loss = ops.cross_entropy(ops.linear(h, p["w2"], p["v2"]), t, label_smoothing=0.05)
        loss.backward()
        losses.append(loss.detach().array.tobytes())
        with tgc.no_grad():
            for name, w in p.items():
                momenta[name].mul_(0.9).add_(w.grad)
                w.sub_(momenta[name] * 0.05)
                w.grad = None
    return b"".join(losses + [w.detach().array.tobytes() for w in p.values()])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads(threads: Callable[[int], None], dtype: str) -> None:
    results = []
    for n in (1, 2, 3, 1):
        threads(n)
        results.append(train(dtype))
    assert results[0] == results[1] == results[2] == results[3]
    assert np.isfinite(np.frombuffer(results[0], dtype)).all()


def test_both_backends_train_alike() -> None:
    if not tgc.backend.COMPILED:
        pytest.skip("built without compiled kernels")
    found = []
    for name in ("compiled", "reference"):
        with tgc.backend.using(name):
            found.append(np.frombuffer(train("float64", batch=8), "float64"))
    np.testing.assert_allclose(*found, rtol=1e-7, atol=1e-9)


def test_another_seed_gives_other_numbers() -> None:
    tgc.manual_seed(1)
    a = tgc.rand(4).tolist()
    tgc.manual_seed(2)
    assert tgc.rand(4).tolist() != a
