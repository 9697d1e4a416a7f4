"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number
from tinygrad_course.optim.state import Group


class ASGD(Optimizer):
    """p = (1 - lambd eta) p - eta g;  a = a + mu (p - a);  eta = lr / (1 + lambd lr t)^alpha,  mu = 1 / max(1, t - t0).

    Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the schedule of eta: Bottou 2012,
    "Stochastic gradient descent tricks".  The average of the parameters since step t0 is state[p]["ax"]; the parameters
    themselves are not replaced by it.  foreach and capturable are accepted and change nothing here.
    """

    _numbers = ("step", "eta", "mu")
    _required = ("step", "eta", "mu", "ax")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
                 weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def _update(self, group: Group, params: list[Any]) -> None:
        lr, lambd = as_number(group["lr"]), group["lambd"]
        for param in params:
            state = self.state[param]
            if not state:
                state.update(step=0, eta=_rounded(lr), mu=1.0)
        for kernels, part, step, eta, mu in self._advance(params, {"ax": 0}, ("eta", "mu")):
            kernels.asgd_step(arrays_of(part), gradients_of(part), self._memories(part, "ax"), eta, mu, lambd,
                              group["weight_decay"], group["maximize"])
            after = {"eta": _rounded(lr / (1 + lambd * lr * step) ** group["alpha"]),
                     "mu": _rounded(1 / max(1, step - group["t0"]))}
            for param in part:
                self.state[param].update(after)


def _rounded(value: float) -> float:
    """PyTorch keeps eta and mu in float32: the same rounding."""
    return float(np.float32(value))
