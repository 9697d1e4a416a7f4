# cython: annotation_typing=False
"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.errors import StateDictError
from tinygrad_course.ops.creation import tensor
from tinygrad_course.ops.like import zeros_like
from tinygrad_course.optim.optimizer import Group, Optimizer, arrays_of, by_device, check_number, gradients_of


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - lr * m/(1 - b1^t) / (sqrt(v/(1 - b2^t)) + eps).

    Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.  weight_decay is an L2 term in g, unless decoupled_weight_decay
    (see AdamW).  amsgrad divides by the largest v so far; Reddi et al. 2018.  foreach, fused and capturable choose
    among PyTorch's implementations; they are accepted and change nothing here, where a step is one kernel call.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
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
        if len(group["betas"]) != 2:
            raise ValueError(f"betas must be a pair, got {group['betas']!r}")
        for index, beta in enumerate(group["betas"]):
            check_number(f"beta parameter at index {index}", beta, below=1.0)

    def _update(self, group: Group, params: list[Any]) -> None:
        # Parameters may have joined at different times (no gradient at first); the bias correction is one per call.
        parts: dict[tuple[str, int], list[Any]] = {}
        amsgrad = bool(group["amsgrad"])
        for device, part in by_device(params):
            for param in part:
                state = self.state[param]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = zeros_like(param)
                    state["exp_avg_sq"] = zeros_like(param)
                if amsgrad and "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = zeros_like(param)
                step = state["step"] + 1
                state["step"] = step
                parts.setdefault((device, step), []).append(param)
        beta1, beta2 = group["betas"]
        for (device, step), part in parts.items():
            backend.get(device).adam_step(
                arrays_of(part), gradients_of(part),
                [self._memory(param, "exp_avg") for param in part],
                [self._memory(param, "exp_avg_sq") for param in part],
                [self._memory(param, "max_exp_avg_sq") for param in part] if amsgrad else [],
                step, group["lr"], beta1, beta2, group["eps"], group["weight_decay"], amsgrad,
                group["maximize"], group["decoupled_weight_decay"])

    def _pack(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "step": tensor(float(entry["step"]), dtype=np.float32)}  # as PyTorch has it

    def _unpack(self, entry: dict[str, Any]) -> dict[str, Any]:
        if not {"step", "exp_avg", "exp_avg_sq"} <= set(entry):
            raise StateDictError(f"load_state_dict: a parameter's state has {', '.join(entry)}; {type(self).__name__} "
                                 "needs step, exp_avg, exp_avg_sq")
        return {**entry, "step": int(entry["step"])}


class AdamW(Adam):
    """Adam with decoupled weight decay, p = p - lr * weight_decay * p before the step.

    Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
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
