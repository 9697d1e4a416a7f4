"""Averages of weights over a run: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.norm import _BatchNorm
from tinygrad_course.ops.creation import tensor
from tinygrad_course.optim.lr_scheduler.base import LRScheduler, per_group
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.tensor import Tensor

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
           "update_bn"]

Average = Callable[[Tensor, Tensor, Any], Any]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Exponential moving average: avg = decay * avg + (1 - decay) * p.  Polyak & Juditsky 1992."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """Plain mean: avg = avg + (p - avg) / (n + 1), where n parameters are in the average already."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (float(num_averaged) + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """As get_ema_avg_fn, on lists of tensors and in place."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], _: Any) -> None:
        _approach(ema_param_list, current_param_list, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Averages:
    """As get_swa_avg_fn, on lists of tensors and in place."""

    @no_grad()
    def swa_update(averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any) -> None:
        _approach(averaged_param_list, current_param_list, 1 / (float(num_averaged) + 1))

    return swa_update


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _approach(averages: Sequence[Tensor], values: Sequence[Tensor], share: float) -> None:
    """avg = avg + share * (p - avg); whole numbers, for example counters among the buffers, are rounded towards 0."""
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value, share)
        else:
            average.copy_(average + share * (value - average))


class AveragedModel(Module):
    """A copy of a model, `module`, whose parameters are averages; `n_averaged` counts what is in them.

        averaged = AveragedModel(model)
        for epoch ...:
            train(model)
            averaged.update_parameters(model)
        update_bn(loader, averaged)

    avg_fn        (average, parameter, number averaged) -> the new average; the plain mean without it
    multi_avg_fn  the same in place on lists of all
    use_buffers   average buffers as well; else they are copied

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407.
    """

    n_averaged: Tensor

    def __init__(self, model: Module, device: Any = None, avg_fn: Average | None = None,
                 multi_avg_fn: Averages | None = None, use_buffers: bool = False) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype="int64", device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the average; the first ones are copied."""
        own, new = self._tensors(self.module, self.use_buffers), self._tensors(model, self.use_buffers)
        new = [value.to(average.device) for value, average in zip(new, own, strict=True)]
        if self.n_averaged.item() == 0:
            _copy(new, own)
        elif self.avg_fn is not None:
            _copy([self.avg_fn(average, value, self.n_averaged) for average, value in zip(own, new, strict=True)], own)
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(own, new, self.n_averaged)
        if not self.use_buffers:
            _copy([buffer.detach() for buffer in model.buffers()], [buffer.detach() for buffer in self.module.buffers()])
        self.n_averaged += 1

    @staticmethod
    def _tensors(model: Module, buffers: bool) -> list[Tensor]:
        """What is averaged, without its graph; writes go through."""
        return [value.detach() for value in [*model.parameters(), *(model.buffers() if buffers else [])]]


def _copy(values: Iterable[Any], places: Iterable[Tensor]) -> None:
    for value, place in zip(values, places, strict=True):
        place.copy_(value)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Let batch norm layers see `loader` once: their running statistics become the means over its batches.

    After an average of weights, for which no statistics were ever collected.  Batches are inputs, or tuples or lists that
    begin with the input.  The model's mode is restored; without batch norm nothing is done.
    """
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # the plain mean
    try:
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for module, momentum in momenta.items():
            module.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the present rate to swa_lr in anneal_epochs steps, in a line or along a cosine, and constant afterwards."""

    def __init__(self, optimizer: Optimizer, swa_lr: float | list[float], anneal_epochs: int = 10,
                 anneal_strategy: str = "cos", last_epoch: int = -1) -> None:
        for group, rate in zip(optimizer.param_groups, per_group("swa_lr", optimizer, swa_lr), strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if isinstance(anneal_epochs, bool) or not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of swa_lr is in the rate of a step, 0 to 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _rates(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            # The rate at the beginning follows from the present one, which other schedulers may have changed.
            first = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * now + first * (1 - now))
        return rates
