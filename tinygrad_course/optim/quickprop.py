"""Quickprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class Quickprop(Optimizer):
    """Each parameter jumps to the minimum of the parabola through its last two slopes:

        d = d_before * g / (g_before - g),   p = p + d

    A jump is cut to `mu` times the last one, which also serves where the parabola bends the wrong way.  While a slope keeps
    its sign a step -lr * g is added; it is also how a parameter that stands still starts.

    Fahlman 1988, "Faster-learning variations on back-propagation: an empirical study" (Connectionist Models Summer School;
    longer: CMU-CS-88-162).  His epsilon is `lr`; weight_decay, a term in g, keeps weights from growing without bound.  For
    the gradient of the whole data set: slopes of different batches do not lie on one parabola.
    """

    _required = ("step", "prev", "delta")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, mu: float = 1.75, weight_decay: float = 0, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "mu": mu, "weight_decay": weight_decay, "maximize": maximize})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("mu value", group["mu"])

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, _ in self._advance(params, {"prev": 0, "delta": 0}):
            kernels.quickprop_step(
                arrays_of(part), gradients_of(part), self._memories(part, "prev"), self._memories(part, "delta"),
                as_number(group["lr"]), group["mu"], group["weight_decay"], group["maximize"])
