"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g^2;  p = p - lr * d,  d = g / (sqrt(v) + eps).

    Tieleman & Hinton 2012, "Neural networks for machine learning", lecture 6.5.  With `momentum` b = momentum b + d stands
    for d.  `centered` divides by the standard deviation, sqrt(v - a^2) with a = alpha a + (1 - alpha) g: Graves 2013,
    arXiv:1308.0850, equations 38 to 41.  foreach and capturable are accepted and change nothing here.
    """

    _required = ("step", "square_avg")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("epsilon value", group["eps"])
        check_number("momentum value", group["momentum"])
        check_number("alpha value", group["alpha"])

    def _update(self, group: Group, params: list[Any]) -> None:
        moving, centered = group["momentum"] > 0, bool(group["centered"])
        memory = {"square_avg": 0, **({"momentum_buffer": 0} if moving else {}), **({"grad_avg": 0} if centered else {})}
        for kernels, part, _ in self._advance(params, memory):
            kernels.rmsprop_step(
                arrays_of(part), gradients_of(part), self._memories(part, "square_avg"),
                self._memories(part, "grad_avg") if centered else [],
                self._memories(part, "momentum_buffer") if moving else [], as_number(group["lr"]), group["alpha"],
                group["eps"], group["weight_decay"], group["momentum"], centered, group["maximize"])
