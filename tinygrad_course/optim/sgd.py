# cython: annotation_typing=False
"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course import backend
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.optim.optimizer import Optimizer, arrays_of, by_device, gradients_of
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class SGD(Optimizer):
    """g = grad + weight_decay * p;  v = momentum * v + (1 - dampening) * g (v = g at the first step);  p = p - lr * v.

    With nesterov the step is lr * (g + momentum * v); Sutskever et al. 2013, ICML.  maximize=True climbs.
    foreach and fused choose among PyTorch's implementations; they are accepted and change nothing here, where a step
    is one kernel call for all parameters of a group.
    """

    def __init__(self, params: Iterable[Any], lr: Any = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
            "fused": fused})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("momentum value", group["momentum"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening, got "
                             f"momentum={group['momentum']}, dampening={group['dampening']}")

    def _update(self, group: Group, params: list[Any]) -> None:
        for device, part in by_device(params):
            remembers = bool(group["momentum"])
            momenta = [self._memory(param, "momentum_buffer") if remembers else None for param in part]
            updated = backend.get(device).sgd_step(
                arrays_of(part), gradients_of(part), momenta, as_number(group["lr"]),
                group["momentum"], group["dampening"], group["weight_decay"], group["nesterov"], group["maximize"])
            if remembers:
                for param, before, after in zip(part, momenta, updated, strict=True):
                    if before is None:
                        self.state[param]["momentum_buffer"] = new_tensor(after)
