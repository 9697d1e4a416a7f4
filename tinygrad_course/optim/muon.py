"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.like import zeros_like
from tinygrad_course.optim.flat import add_scaled
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group


class Muon(Optimizer):
    """Momentum whose matrix is made nearly orthogonal: B = U S V^T becomes about U V^T, all directions alike.

        B = momentum B + (1 - momentum) g;   M = g + momentum (B - g) with nesterov, else B
        X = M / |M|,   then ns_steps times   X = a X + (b X X^T + c (X X^T)^2) X         (Newton-Schulz)
        p = p - lr * weight_decay * p - lr * r * X

    K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; J. Liu et al. 2025, "Muon is scalable
    for LLM training", arXiv:2502.16982.  The factor r for a matrix (n, m): sqrt(max(1, n / m)) for adjust_lr_fn None or
    'original', 0.2 sqrt(max(n, m)) for 'match_rms_adamw'.

    For the weight matrices of hidden layers; leave other parameters to AdamW.  PyTorch does the iteration in bfloat16; here
    it has the parameter's precision, so that steps agree to 2 or 3 digits only.
    """

    _numbers = ()
    _required = ("momentum_buffer",)

    def __init__(self, params: Iterable[Any], lr: Any = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
                 nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
                 eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None) -> None:
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("momentum value", group["momentum"])
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Coefficients must be a tuple of exactly 3 values, got {group['ns_coefficients']!r}")
        if not 0 <= group["ns_steps"] < 100:
            raise ValueError(f"Number of steps must be less than 100 for computational efficiency, got {group['ns_steps']}")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {group['adjust_lr_fn']} is not supported")

    def _check_params(self, params: list[Any]) -> None:
        super()._check_params(params)
        for param in params:
            if param.ndim != 2:
                raise ShapeError(f"Muon only supports 2D parameters whereas we found a parameter with size: {param.shape}; "
                                 "give biases, embeddings and convolutions to another optimiser")

    @no_grad()
    def _update(self, group: Group, params: list[Any]) -> None:
        lr, momentum = as_number(group["lr"]), group["momentum"]
        for param in params:
            g, state = param.grad, self.state[param]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(param)
            buffer = state["momentum_buffer"].lerp_(g, 1 - momentum)
            mean = g.lerp(buffer, momentum) if group["nesterov"] else buffer
            update = _orthogonal(mean, group["ns_coefficients"], group["ns_steps"], group["eps"])
            n, m = param.shape
            adamw = group["adjust_lr_fn"] == "match_rms_adamw"
            ratio = 0.2 * math.sqrt(max(n, m)) if adamw else math.sqrt(max(1, n / max(m, 1)))
            param.mul_(1 - lr * group["weight_decay"])
            add_scaled(param, -lr * ratio, update)


def _orthogonal(matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """About U V^T of matrix = U S V^T, by an odd polynomial of degree 5 that sends singular values to about 1."""
    a, b, c = coefficients
    n, m = matrix.shape
    x = matrix.t() if n > m else matrix  # the smaller Gram matrix
    x = x / max(float(x.norm()), eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.t() if n > m else x
