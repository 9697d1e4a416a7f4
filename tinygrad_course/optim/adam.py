# cython: annotation_typing=False
"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_betas, check_number
from tinygrad_course.optim.state import Group


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - lr * m/(1 - b1^t) / (sqrt(v/(1 - b2^t)) + eps).

    Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.  weight_decay is an L2 term in g, unless decoupled_weight_decay
    (see AdamW).  amsgrad divides by the largest v so far; Reddi et al. 2018.  foreach, fused and capturable choose
    among PyTorch's implementations; they are accepted and change nothing here, where a step is one kernel call.
    """

    _required = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("epsilon value", group["eps"])
        check_betas(group["betas"])

    def _update(self, group: Group, params: list[Any]) -> None:
        beta1, beta2 = group["betas"]
        amsgrad = bool(group["amsgrad"])
        memory = {"exp_avg": 0, "exp_avg_sq": 0, **({"max_exp_avg_sq": 0} if amsgrad else {})}
        for kernels, part, step in self._advance(params, memory):
            kernels.adam_step(
                arrays_of(part), gradients_of(part), self._memories(part, "exp_avg"), self._memories(part, "exp_avg_sq"),
                self._memories(part, "max_exp_avg_sq") if amsgrad else [], step, as_number(group["lr"]), beta1, beta2,
                group["eps"], group["weight_decay"], amsgrad, group["maximize"], group["decoupled_weight_decay"])


class AdamW(Adam):
    """Adam with decoupled weight decay, p = p - lr * weight_decay * p before the step.

    Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, params: Iterable[Any], lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As Optimizer's; the weight decay stays decoupled, even if the state is that of an Adam."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
