"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_betas, check_number
from tinygrad_course.optim.state import Group


class Adamax(Optimizer):
    """m = b1 m + (1 - b1) g;  u = max(b2 u, |g| + eps);  p = p - lr * m / (1 - b1^t) / u.

    Adam with the largest gradient in place of the root of the mean square: Kingma & Ba 2015, arXiv:1412.6980, algorithm 2.
    foreach and capturable are accepted and change nothing here.
    """

    _required = ("step", "exp_avg", "exp_inf")

    def __init__(self, params: Iterable[Any], lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("epsilon value", group["eps"])
        check_betas(group["betas"])

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, step in self._advance(params, {"exp_avg": 0, "exp_inf": 0}):
            kernels.adamax_step(
                arrays_of(part), gradients_of(part), self._memories(part, "exp_avg"), self._memories(part, "exp_inf"), step,
                as_number(group["lr"]), *group["betas"], group["eps"], group["weight_decay"], group["maximize"])
