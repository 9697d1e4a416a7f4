"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class Adadelta(Optimizer):
    """v = rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) * g;  u = rho u + (1 - rho) d^2;  p = p - lr * d.

    Zeiler 2012, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, algorithm 1 (there lr = 1): steps have the
    unit of the parameters.  foreach and capturable are accepted and change nothing here.
    """

    _required = ("step", "square_avg", "acc_delta")

    def __init__(self, params: Iterable[Any], lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
                 foreach: bool | None = None, *, capturable: bool = False, maximize: bool = False,
                 differentiable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("rho value", group["rho"], up_to=1.0)
        check_number("epsilon value", group["eps"])

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, _ in self._advance(params, {"square_avg": 0, "acc_delta": 0}):
            kernels.adadelta_step(
                arrays_of(part), gradients_of(part), self._memories(part, "square_avg"), self._memories(part, "acc_delta"),
                as_number(group["lr"]), group["rho"], group["eps"], group["weight_decay"], group["maximize"])
