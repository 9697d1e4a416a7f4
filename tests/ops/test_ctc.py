"""ops/ctc.py: by adding up every path."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course import ops
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.ctc import Steps

Array = np.ndarray


def read(path: tuple[int, ...], blank: int) -> list[int]:
    """What a path says: repetitions, then blanks removed."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


def ctc(x: Array, targets: Any, times: Any, sizes: Any, blank: int = 0, reduction: str = "mean", **_: Any) -> Array:
    """Over all C^T paths, from logits."""
    logp = sp.log_softmax(x, axis=-1)
    if x.ndim == 2:
        return ctc(x[:, None], [targets], [times], [sizes], blank, "sum")
    losses, flat = [], list(itertools.chain.from_iterable(targets)) if np.ndim(targets) == 2 else list(targets)
    starts = np.cumsum([0, *sizes]) if np.ndim(targets) == 1 else np.arange(len(sizes)) * np.shape(targets)[1]
    for n, (time, size) in enumerate(zip(times, sizes, strict=True)):
        target = flat[starts[n] : starts[n] + size]
        paths = [p for p in itertools.product(range(x.shape[2]), repeat=time) if read(p, blank) == target]
        scores = [sum(logp[t, n, k] for t, k in enumerate(p)) for p in paths]
        losses.append(-sp.logsumexp(scores) if scores else np.inf)
    loss = np.array(losses)
    if reduction == "mean":
        return np.mean(loss / np.maximum(1, sizes))
    return loss.sum() if reduction == "sum" else loss


def ours(x: Any, targets: Any, times: Any, sizes: Any, **kwargs: Any) -> Any:
    return ops.ctc_loss(ops.log_softmax(x, -1), tgc.tensor(targets), times, sizes, **kwargs)


def theirs(x: Any, targets: Any, times: Any, sizes: Any, **kwargs: Any) -> Any:
    import torch

    x = x.log_softmax(-1)
    return torch.nn.functional.ctc_loss(x, torch.tensor(targets), torch.tensor(times), torch.tensor(sizes), **kwargs)


def classes(*values: int) -> Any:
    return tgc.tensor(list(values))


PADDED = ([[1, 2], [2, 2], [1, 0]], [4, 4, 3], [2, 2, 1])
CALLS = (
    S((4, 3, 3), args=PADDED),
    S((3, 2, 3), args=([0, 2, 0], [3, 2], [2, 1]), blank=1, reduction="none"),
    S((3, 2, 2), args=([[1], [0]], [3, 2], [1, 0]), reduction="none"),
    S((3, 3), args=([1, 2], 3, 2), reduction="sum"),
)
X = tgc.zeros(3, 2, 4)

CASES = (
    Case("ctc_steps", lambda x: apply(Steps, (x,)), lambda x: list(x), (S((3, 2, 2)), S((1, 2))), out="same"),
    Case(
        "ctc_loss",
        ours,
        ctc,
        CALLS,
        errors=(
            Error(lambda: ops.ctc_loss(X, tgc.ones(2, 2), [3, 3], [2, 2]), DTypeError, r"ctc_loss.*float32.*long\(\)"),
            Error(lambda: ops.ctc_loss(X, classes(1, 2, 3), [3, 3], [2, 2]), ShapeError, r"ctc_loss.*all 4 labels.*\(3,\)"),
            Error(lambda: ops.ctc_loss(X, classes(1, 4), [3, 3], [1, 1]), IndexError, r"ctc_loss.*0\.\.3.*4"),
            Error(lambda: ops.ctc_loss(X, classes(1, 2), [3, 4], [1, 1]), ValueError, "ctc_loss.*input_lengths.*3.*4"),
            Error(lambda: ops.ctc_loss(X, classes(1, 2), [3], [1, 1]), ShapeError, "ctc_loss.*input_lengths.*2 samples"),
            Error(lambda: ops.ctc_loss(X, classes(1, 2), [3, 3], [1, 1], blank=4), ValueError, "blank 4.*4 classes"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_gradient_is_that_of_torch_for_any_input(backend: str, torch: Any, number: int) -> None:
    """PyTorch has no second derivative of it, so that the battery cannot ask it."""
    sample = CALLS[number]
    (x,) = sample.arrays("ctc")
    a, b = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a, *sample.args, **sample.kwargs), theirs(b, *sample.args, **sample.kwargs)
    (g,) = S(y.shape).arrays("upstream")
    y.backward(tgc.tensor(g))
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(y.detach().array, z.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_target_that_does_not_fit(torch: Any, zero_infinity: bool) -> None:
    """Two equal labels need a blank between them: three steps."""
    x, args = np.zeros((2, 2, 3)), ([[1, 1], [1, 2]], [2, 2], [2, 2])
    a, b = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = ours(a, *args, reduction="none", zero_infinity=zero_infinity)
    z = theirs(b, *args, reduction="none", zero_infinity=zero_infinity)
    np.testing.assert_allclose(y.detach().array, z.detach().numpy())
    y.sum().backward()
    z.sum().backward()
    if zero_infinity:
        np.testing.assert_allclose(a.grad.array, b.grad.numpy(), atol=1e-12)
    else:
        assert not np.isfinite(a.grad.array[:, 0]).any()
        np.testing.assert_allclose(a.grad.array[:, 1], b.grad.numpy()[:, 1], atol=1e-12)


def test_gradient_at_the_log_probabilities_is_that_of_torch(torch: Any) -> None:
    """The one behind log_softmax, exp(x) - P(label at time t | target), and 0 after a sample's end."""
    x, (targets, times, sizes) = sp.log_softmax(S((4, 3, 3)).arrays("ctc")[0], axis=-1), PADDED
    a, b = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ops.ctc_loss(a, tgc.tensor(targets), tgc.tensor(times), tgc.tensor(sizes)).backward()
    torch.nn.functional.ctc_loss(b, torch.tensor(targets), torch.tensor(times), torch.tensor(sizes)).backward()
    np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-10, atol=1e-13)
