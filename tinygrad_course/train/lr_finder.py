"""Which learning rates a training can use: the loss while the rate grows from tiny to absurd.

L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.
"""

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.data import DataLoader
from tinygrad_course.errors import DataError
from tinygrad_course.nn import Module
from tinygrad_course.ops.random import Generator, default_generator
from tinygrad_course.optim import Optimizer
from tinygrad_course.train.evaluate import ComputeLoss, LossFunction, as_tuple, choose_loss, modes_kept


@dataclass(frozen=True)
class LRFinder:
    """Learning rates, the loss of the step at each, and the smoothed loss; viz.plot_lr_finder draws them."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def suggestion(self) -> float:
        """The middle of the decade of rates over which the smoothed loss falls fastest, before its minimum.

        A rate to start from, or the largest of a schedule.  The slope is that of a line through the whole decade: from
        one step to the next the loss falls fastest at the very beginning, where few batches make the mean.  If the loss
        never falls it is the smallest rate tried.
        """
        end = int(np.argmin(self.smoothed)) + 1
        if end < 3:
            return self.rates[0]
        x, y = np.log10(self.rates[:end]), np.asarray(self.smoothed[:end])
        step = x[1] - x[0]
        half = max(min(0.5, (x[-1] - x[0]) / 2), step)  # a line needs the neighbours, however far they are
        slopes = {}
        for i in range(end):
            if x[0] - step < x[i] - half and x[i] + half < x[-1] + step:
                near = np.abs(x - x[i]) <= half + step / 2
                slopes[i] = np.polyfit(x[near], y[near], 1)[0]
        return self.rates[min(slopes, key=lambda i: slopes[i])]


def lr_finder(model: Module, optimizer: Optimizer, loss_fn: LossFunction | None, loader: DataLoader, *,
              low: float = 1e-6, high: float = 10.0, steps: int = 100, smoothing: float = 0.9,
              compute_loss: ComputeLoss | None = None, generators: Mapping[str, Generator] | None = None) -> LRFinder:
    """Train for `steps` steps while the learning rate grows from `low` to `high`, evenly in its logarithm.

    It ends early when the smoothed loss is four times its minimum, or no number.  Afterwards model, optimiser, loader and
    generators are as they were.

    loss_fn, compute_loss  as for Trainer
    smoothing   beta of the running mean  m_t = beta m_(t-1) + (1 - beta) loss_t,  shown as m_t / (1 - beta^t)
    generators  that the model draws from, beside the default one

    Raises DataError for a loader without batches, StateDictError for one whose order cannot be restored (samplers).
    """
    if not 0 < low < high or steps < 2 or not 0 <= smoothing < 1:
        raise ValueError(f"lr_finder: low={low}, high={high}, steps={steps}, smoothing={smoothing}; needed are "
                         "0 < low < high, steps >= 2 and 0 <= smoothing < 1")
    compute = choose_loss("lr_finder", loss_fn, compute_loss)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    with _put_back(model, optimizer, loader, {"default": default_generator, **(generators or {})}):
        model.train()
        running = 0.0
        for step, batch in enumerate(itertools.islice(_endless(loader), steps)):
            rate = low * (high / low) ** (step / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = as_tuple(compute(model, batch))[0]
            value = loss.item()
            if not math.isfinite(value):
                break
            running = smoothing * running + (1 - smoothing) * value
            rates.append(rate)
            losses.append(value)
            smoothed.append(running / (1 - smoothing ** (step + 1)))
            if smoothed[-1] > 4 * min(smoothed):
                break
            loss.backward()
            optimizer.step()
    if not rates:
        raise DataError("lr_finder: the loss is no number before the first step. Look at the data and at the weights.")
    return LRFinder(rates, losses, smoothed)


def _endless(loader: DataLoader) -> Iterator[Any]:
    while True:
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise DataError("lr_finder: the loader gives no batches. Give it data, and drop_last=False if there are fewer "
                            "samples than batch_size.")


@contextmanager
def _put_back(model: Module, optimizer: Optimizer, loader: DataLoader, generators: Mapping[str, Generator]) -> Iterator[None]:
    """Whatever the block does to them, they are as before afterwards."""
    weights = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    state, place = copy.deepcopy(optimizer.state_dict()), loader.state_dict()
    positions = {name: generator.get_state() for name, generator in generators.items()}
    for parameter, _ in gradients:
        parameter.grad = None  # what is there is put back, and must not be added to
    try:
        with modes_kept(model):
            yield
    finally:
        with no_grad():
            for tensor, before in weights:
                tensor.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        optimizer.load_state_dict(state)
        loader.load_state_dict(place)
        for name, generator in generators.items():
            generator.set_state(positions[name])
