"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_betas, check_number
from tinygrad_course.optim.state import Group


class RAdam(Optimizer):
    """Adam that does not divide by sqrt(v) before v has seen enough gradients, and then not fully: a built-in warm-up.

        rho_inf = 2 / (1 - b2) - 1;   rho = rho_inf - 2 t b2^t / (1 - b2^t);   m, v as Adam's
        rho > 5:  p = p - lr * m / (1 - b1^t) * r * sqrt(1 - b2^t) / (sqrt(v) + eps)
                  r^2 = (rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)
        else:     p = p - lr * m / (1 - b1^t)

    Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265, algorithm 2.
    weight_decay is an L2 term in g, or with decoupled_weight_decay AdamW's.  foreach and capturable are accepted and
    change nothing here.
    """

    _required = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("epsilon value", group["eps"])
        check_betas(group["betas"])

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, step in self._advance(params, {"exp_avg": 0, "exp_avg_sq": 0}):
            kernels.radam_step(
                arrays_of(part), gradients_of(part), self._memories(part, "exp_avg"), self._memories(part, "exp_avg_sq"),
                step, as_number(group["lr"]), *group["betas"], group["eps"], group["weight_decay"], group["maximize"],
                group["decoupled_weight_decay"])
