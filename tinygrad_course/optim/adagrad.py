"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.ops.like import full_like
from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class Adagrad(Optimizer):
    """s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps).

    Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12,
    figure 1 (diagonal matrices).  s begins at initial_accumulator_value; weight_decay is an L2 term in g.  foreach and
    fused choose among PyTorch's implementations; they are accepted and change nothing here.
    """

    _required = ("step", "sum")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused})
        for param in self._all_params():  # from the start, as in PyTorch: state dicts show it before the first step
            self.state[param] = {"step": 0, "sum": full_like(param, initial_accumulator_value)}

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("lr_decay value", group["lr_decay"])
        check_number("initial_accumulator_value value", group["initial_accumulator_value"])
        check_number("epsilon value", group["eps"])

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, step in self._advance(params, {"sum": self.defaults["initial_accumulator_value"]}):
            kernels.adagrad_step(
                arrays_of(part), gradients_of(part), self._memories(part, "sum"),
                as_number(group["lr"]) / (1 + (step - 1) * group["lr_decay"]), group["eps"], group["weight_decay"],
                group["maximize"])
