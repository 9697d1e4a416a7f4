"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_betas, check_number
from tinygrad_course.optim.state import Group


class NAdam(Optimizer):
    """Adam with Nesterov's momentum: the step looks ahead by the momentum that the next one will have.

        mu_t = b1 (1 - 0.96^(t * momentum_decay) / 2),   M_t = mu_1 mu_2 ... mu_t
        d = (1 - mu_t) g / (1 - M_t) + mu_(t+1) m / (1 - M_(t+1)),   m and v as Adam's
        p = p - lr * d / (sqrt(v / (1 - b2^t)) + eps)

    Dozat 2016, "Incorporating Nesterov momentum into Adam".  weight_decay is an L2 term in g, or with
    decoupled_weight_decay AdamW's.  foreach and capturable are accepted and change nothing here.
    """

    _numbers = ("step", "mu_product")
    _required = ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("epsilon value", group["eps"])
        check_betas(group["betas"])
        check_number("momentum_decay value", group["momentum_decay"])

    def _update(self, group: Group, params: list[Any]) -> None:
        beta1, beta2 = group["betas"]
        for param in params:
            self.state[param].setdefault("step", 0)
            self.state[param].setdefault("mu_product", 1.0)
        for kernels, part, step, before in self._advance(params, {"exp_avg": 0, "exp_avg_sq": 0}, ("mu_product",)):
            mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
            product = float(np.float32(before) * np.float32(mu))  # PyTorch keeps it in float32: the same rounding
            for param in part:
                self.state[param]["mu_product"] = product
            kernels.nadam_step(
                arrays_of(part), gradients_of(part), self._memories(part, "exp_avg"), self._memories(part, "exp_avg_sq"),
                step, as_number(group["lr"]), beta1, beta2, group["eps"], group["weight_decay"], mu, mu_next, product,
                group["maximize"], group["decoupled_weight_decay"])
