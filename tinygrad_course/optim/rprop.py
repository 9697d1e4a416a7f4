"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.optim.optimizer import Optimizer, arrays_of, gradients_of
from tinygrad_course.optim.options import as_number, check_pair
from tinygrad_course.optim.state import Group


class Rprop(Optimizer):
    """p = p - sign(g) * s: each parameter has a step size s, which grows while its gradient keeps its sign.

        g * g_before > 0:  s = min(s * etas[1], step_sizes[1])
        g * g_before < 0:  s = max(s * etas[0], step_sizes[0]), and no step:  g = 0

    Riedmiller & Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", without
    the step back (iRprop-: Igel & Huesken 2003).  s begins at lr.  For the gradient of the whole data set: the signs of
    small batches' gradients change by chance.  foreach and capturable are accepted and change nothing here.
    """

    _required = ("step", "prev", "step_size")

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False, foreach: bool | None = None,
                 maximize: bool = False, differentiable: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_pair("etas", group["etas"])
        check_pair("step_sizes", group["step_sizes"])
        etaminus, etaplus = group["etas"]
        if not 0.0 < etaminus < 1.0 < etaplus:
            raise ValueError(f"Invalid eta values: {etaminus}, {etaplus}; they must be 0 < etaminus < 1 < etaplus")

    def _update(self, group: Group, params: list[Any]) -> None:
        for kernels, part, _ in self._advance(params, {"prev": 0, "step_size": as_number(group["lr"])}):
            kernels.rprop_step(
                arrays_of(part), gradients_of(part), self._memories(part, "prev"), self._memories(part, "step_size"),
                *group["etas"], *group["step_sizes"], group["maximize"])
