"""The divergence of Gaussians from the standard normal distribution: what a variational autoencoder pays for its code."""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import add, div, exp, mul
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.functions import expm1
from tinygrad_course.ops.loss import check_reduction
from tinygrad_course.ops.reduce import sum

__all__ = ["gaussian_kl"]


class GaussianKL(Op):
    """y = (m^2 + e^l - 1 - l) / 2 of each element, their sum or their mean.  gm = g m / n, gl = g (e^l - 1) / (2 n)."""

    name = "gaussian_kl"

    @staticmethod
    def shape(mean: Shape, log_variance: Shape, reduction: str) -> Shape:
        if mean != log_variance:
            raise ShapeError(f"gaussian_kl: the means have shape {mean}, the logarithms of the variances {log_variance}; "
                             "they must be equal")
        return mean if reduction == "none" else ()

    @staticmethod
    def forward(ctx: Node, k: Any, mean: Any, log_variance: Any, reduction: str) -> Any:
        ctx.save(mean, log_variance)
        # e^l - 1 as such: near l = 0, where the prior pulls it, e^l - 1 - l would cancel to nothing
        y = k.add(k.mul(mean, mean), k.sub(k.expm1(log_variance), log_variance))
        y = k.mul(y, np.full_like(y, 0.5, shape=()))
        axes = tuple(range(y.ndim))
        return y if reduction == "none" else k.sum(y, axes, False) if reduction == "sum" else k.mean(y, axes, False)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (mean, log_variance) = ctx.needs, ctx.load()
        if ctx.args[0] == "mean":
            g = mul(g, 1.0 / max(mean.array.size, 1))
        gm, gl = apply(GaussianKLGrad, (g, mean, log_variance))
        return gm if needs[0] else None, gl if needs[1] else None


class GaussianKLGrad(Op):
    """(g m, g (e^l - 1) / 2), g of their shape or one number: the gradients of gaussian_kl.

    For (u, v):  gg = u m + v (e^l - 1) / 2, summed up if g is one number,  gm = u g,  gl = v g e^l / 2."""

    name = "gaussian_kl_grad"

    @staticmethod
    def shape(g: Shape, mean: Shape, log_variance: Shape) -> Any:
        if mean != log_variance or (g and g != mean):
            raise ShapeError(f"gaussian_kl_grad: the gradient {g} must be a number or have the shape of the means {mean} and "
                             f"of the logarithms of the variances {log_variance}")
        return mean, mean

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, mean: Any, log_variance: Any) -> Any:
        ctx.save(g, mean, log_variance)
        half = np.full_like(g, 0.5, shape=())
        return k.mul(g, mean), k.mul(k.expm1(log_variance), k.mul(g, half))

    @staticmethod
    def backward(ctx: Node, u: Any, v: Any) -> Any:
        needs, (g, mean, log_variance) = ctx.needs, ctx.load()
        gg = None
        if needs[0]:
            parts = [mul(u, mean)] if u is not None else []
            if v is not None:
                parts.append(mul(v, mul(expm1(log_variance), 0.5)))
            gg = add(*parts) if len(parts) == 2 else parts[0]
            gg = gg if g.array.ndim else sum(gg)
        gm = mul(u, g) if needs[1] and u is not None else None
        gl = mul(mul(v, g), mul(exp(log_variance), 0.5)) if needs[2] and v is not None else None
        return gg, gm, gl


def gaussian_kl(mean: Any, log_variance: Any, reduction: str = "mean") -> Any:
    """KL(N(m, e^l) || N(0, 1)) = -(1 + l - m^2 - e^l) / 2 of each element, for means m and logarithms of variances l.

    The divergence of a variational autoencoder's code from its prior: its sum over the code ("sum" also over the batch;
    "batchmean" divides that by the size of axis 0, which is what the bound of one sample needs).  Kingma and Welling 2014,
    arXiv:1312.6114, appendix B.  Not in torch.nn.functional, where it is a chain of ops."""
    op = "gaussian_kl"
    if reduction != "batchmean":
        reduction = check_reduction(None, None, reduction, op)
    require_tensors(op, mean, log_variance)
    mean, log_variance = floating(mean), floating(log_variance)
    if reduction != "batchmean":
        return apply(GaussianKL, (mean, log_variance), (reduction,))
    total = apply(GaussianKL, (mean, log_variance), ("sum",))
    return div(total, float(mean.array.shape[0])) if mean.array.ndim else total
