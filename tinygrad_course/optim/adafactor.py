"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.ops.creation import zeros
from tinygrad_course.optim.flat import add_scaled
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.options import as_number, check_pair
from tinygrad_course.optim.state import Group
from tinygrad_course.tensor import Tensor


class Adafactor(Optimizer):
    """Steps in proportion to the parameters, with Adam's second moment of a matrix (n, m) kept as n + m numbers.

        b_t = 1 - t^beta2_decay,   alpha = max(eps[1], RMS(p)) * min(lr, 1 / sqrt(t))
        R = b_t R + (1 - b_t) mean of g^2 over columns,   C likewise over rows,   V = R C / mean(R)
        u = g / sqrt(V),   p = p - lr * weight_decay * p - alpha * u / max(1, RMS(u) / d)

    Vectors and numbers have a V of their own.  Shazeer & Stern 2018, "Adafactor: adaptive learning rates with sublinear
    memory cost", arXiv:1804.04235, algorithms 4 and 5, with PyTorch's changes: lr is the largest relative step (0.01
    there), weight decay is decoupled, eps[0] (default: the machine epsilon) bounds mean(R) from below and its square V.
    foreach is accepted and changes nothing here.
    """

    _required = ("step",)

    def __init__(self, params: Iterable[Any], lr: Any = 1e-2, beta2_decay: float = -0.8,
                 eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
                 foreach: bool | None = None, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
                                  "foreach": foreach, "maximize": maximize})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_pair("eps", group["eps"])
        eps1, eps2 = group["eps"]
        if not group["beta2_decay"] <= 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {group['beta2_decay']}")
        if eps1 is not None and not eps1 >= 0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps1}")
        if not eps2 >= 0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps2}")
        if not group["d"] >= 1:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {group['d']}")

    @no_grad()
    def _update(self, group: Group, params: list[Any]) -> None:
        lr, eps2 = as_number(group["lr"]), group["eps"][1]
        for _, part, step in self._advance(params, {}):
            for param in part:
                if not param.numel():
                    continue
                g = -param.grad if group["maximize"] else param.grad
                eps1 = group["eps"][0]
                eps1 = float(np.finfo(param.array.dtype).eps) if eps1 is None else eps1
                alpha = max(eps2, _rms(param)) * min(lr, step**-0.5)
                if group["weight_decay"]:
                    param.mul_(1 - lr * group["weight_decay"])
                update = g / self._mean_square(param, g * g, step ** group["beta2_decay"], eps1).clamp(min=eps1**2).sqrt()
                add_scaled(param, -alpha / max(1.0, _rms(update) / group["d"]), update)

    def _mean_square(self, param: Tensor, square: Any, gain: float, eps1: float) -> Any:
        """V, after g^2 was taken in; `gain` is 1 - b_t."""
        state = self.state[param]
        for key, dim in (("row_var", -1), ("col_var", -2)) if param.ndim > 1 else (("variance", None),):
            if key not in state:
                state[key] = zeros(*self._state_shape(key, param), dtype=param.dtype, device=param.device)
            state[key] += gain * ((square if dim is None else square.mean(dim, keepdim=True)) - state[key])
        if param.ndim <= 1:
            return state["variance"]
        rows, columns = state["row_var"], state["col_var"]  # (..., n, 1), (..., 1, m)
        return rows * columns / rows.mean(-2, keepdim=True).clamp(min=eps1)

    def _state_shape(self, key: str, param: Tensor) -> Any:
        shape = list(param.shape)
        if key in ("row_var", "col_var") and len(shape) > 1:
            shape[-1 if key == "row_var" else -2] = 1
        return tuple(shape)


def _rms(x: Any) -> float:
    """The root of the mean square."""
    return float((x * x).mean()) ** 0.5
