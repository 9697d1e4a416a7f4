"""What the rows on learning share: few labelled digits or clothes, small nets, a loop that is watched while it learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DIGIT_WHITE, load_digits, load_fashion
from tinygrad_course.nn import functional as F
from tinygrad_course.optim import Optimizer
from tinygrad_course.tensor import Tensor

N_PIXELS, N_CLASSES = 64, 10


@dataclass(frozen=True)
class Sample:
    """Patterns x (N, pixels) with values from 0 to 1, and labels y (N,)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


def digits(split: str = "train") -> Sample:
    """The shipped 8 x 8 digits: 1,438 to train on, 359 to test."""
    images, labels = load_digits(split)
    return Sample(tgc.tensor(images.reshape(-1, N_PIXELS).astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels))


def clothes(split: str = "train") -> Sample:
    """The shipped photographs of clothes, 28 x 28: 1,500 to train on, 500 to test."""
    images, labels = load_fashion(split)
    return Sample(tgc.tensor(images.reshape(len(images), -1).astype(np.float32) / 255), tgc.tensor(labels))


def draw(sizes: Sequence[int], rng: np.random.Generator, wrong: float = 0.0, source: Sample | None = None) -> list[Sample]:
    """Disjoint samples of `source` (the training digits), of the given sizes; a share `wrong` of their labels is false.

    A false label is one of the nine others, each as likely.
    """
    everything = digits() if source is None else source
    x, y = everything.x.numpy(), everything.y.numpy()
    order, samples = rng.permutation(len(y)), []
    for size in sizes:
        chosen, order = order[:size], order[size:]
        labels = y[chosen].copy()
        false = rng.permutation(size)[:round(wrong * size)]
        labels[false] = (labels[false] + rng.integers(1, N_CLASSES, len(false))) % N_CLASSES
        samples.append(Sample(tgc.tensor(x[chosen]), tgc.tensor(labels)))
    return samples


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU,
        norm: Callable[[int], nn.Module] | None = None,
        extra: Callable[[int], nn.Module] | None = None) -> nn.Sequential:
    """Linear layers of the given widths with an activation between them.

    norm(width) makes a layer in front of each activation, extra(width) one that follows each.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths[:-1]):
        layers.append(nn.Linear(n_in, n_out))
        if norm is not None:
            layers.append(norm(n_out))
        layers.append(activation())
        if extra is not None:
            layers.append(extra(n_out))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


@dataclass
class Watched:
    """Mean cross-entropy (nats) and share of errors on each watched sample, at the given numbers of steps."""

    steps: list[int] = field(default_factory=list)
    loss: dict[str, list[float]] = field(default_factory=dict)
    error: dict[str, list[float]] = field(default_factory=dict)

    def look(self, step: int, net: nn.Module, samples: dict[str, Sample]) -> None:
        """Note loss and error of the net on all samples."""
        self.steps.append(step)
        for name, sample in samples.items():
            loss, error = judge(net, sample)
            self.loss.setdefault(name, []).append(loss)
            self.error.setdefault(name, []).append(error)


def judge(net: nn.Module, sample: Sample) -> tuple[float, float]:
    """Mean cross-entropy (nats) and share of errors of a net in evaluation mode."""
    net.eval()
    with tgc.no_grad():
        scores = net(sample.x)
        loss = F.cross_entropy(scores, sample.y).item()
    net.train()
    return loss, float((scores.numpy().argmax(axis=1) != sample.y.numpy()).mean())


def fit(net: nn.Module, sample: Sample, optimizer: Optimizer, steps: int, rng: np.random.Generator, *, batch: int = 50,
        penalty: Callable[[nn.Module], Tensor] | None = None, augment: Callable[[Tensor], Tensor] | None = None,
        after: Callable[[int], object] = lambda step: None) -> list[float]:
    """Stochastic gradient learning of the cross-entropy; the loss of each step, without the penalty.

    Each pattern is used once per epoch, in a new random order; batch=len(sample) is batch learning.
    penalty   net -> what is added to the loss
    augment   distorts the inputs (N, pixels) of a batch
    after     called with the number of the step, from 1, when it is done
    """
    losses, order = [], np.empty(0, dtype=np.int64)
    net.train()
    for step in range(1, steps + 1):
        if len(order) < batch:
            order = rng.permutation(len(sample))
        index, order = tgc.tensor(order[:batch]), order[batch:]
        x = sample.x[index] if augment is None else augment(sample.x[index])
        loss = total = F.cross_entropy(net(x), sample.y[index])
        if penalty is not None:
            total = loss + penalty(net)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(loss.item())
        after(step)
    return losses
