"""Smooth activation functions: one kernel forward, one backward.

Each has a second operation for its gradient, z = g f'(x), whose own backward is z's derivative: f'(x) for g, and g f''(x)
for x, the latter a formula in operations, for it is only wanted by second derivatives.  Where a function has a corner,
its slope there is the one that PyTorch takes."""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.ops.activation import sigmoid, tanh
from tinygrad_course.ops.arithmetic import abs, add, div, exp, mul, sign, sub
from tinygrad_course.ops.broadcast import Elementwise
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.comparison import gt, where
from tinygrad_course.ops.inplace import overwrite

__all__ = ["celu", "elu", "gelu", "logsigmoid", "mish", "selu", "silu", "softplus", "softsign", "tanhshrink"]

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
_KAPPA = 2.0 * math.sqrt(2.0 / math.pi)


class Gelu(Elementwise):
    """y = x Phi(x), Phi the normal distribution function, phi its density.  dy/dx = Phi(x) + x phi(x)."""

    name = "gelu"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.gelu(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(GeluGrad, g, x),)


class GeluGrad(Elementwise):
    """z = g (Phi(x) + x phi(x)).  dz/dx = g phi(x) (2 - x^2)."""

    name = "gelu_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.gelu_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        square = mul(x, x)
        density = mul(exp(mul(square, -0.5)), 1.0 / math.sqrt(2.0 * math.pi))
        return binary(GeluGrad, v, x), mul(mul(v, g), mul(density, sub(2.0, square)))


class GeluTanh(Elementwise):
    """y = x s(u), s the sigmoid, u = 2 sqrt(2 / pi) (x + 0.044715 x^3): gelu with Phi replaced by s(u)."""

    name = "gelu_tanh"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.gelu_tanh(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(GeluTanhGrad, g, x),)


class GeluTanhGrad(Elementwise):
    """z = g (s + x s (1 - s) u').  dz/dx = g s (1 - s) (2 u' + x u'' + x (1 - 2 s) u'^2)."""

    name = "gelu_tanh_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.gelu_tanh_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        square = mul(x, x)
        s = sigmoid(mul(mul(x, add(mul(square, 0.044715), 1.0)), _KAPPA))
        first, second = add(mul(square, 3 * 0.044715 * _KAPPA), _KAPPA), mul(x, 6 * 0.044715 * _KAPPA)
        steep = mul(s, sub(1.0, s))  # first, because u'^2 may overflow where it is 0
        bend = mul(mul(x, mul(steep, first)), mul(first, sub(1.0, mul(s, 2.0))))
        curvature = add(mul(steep, add(mul(first, 2.0), mul(x, second))), bend)
        return binary(GeluTanhGrad, v, x), mul(mul(v, g), curvature)


class Silu(Elementwise):
    """y = x s(x), s the sigmoid.  dy/dx = s (1 + x (1 - s))."""

    name = "silu"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.silu(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(SiluGrad, g, x),)


class SiluGrad(Elementwise):
    """z = g s (1 + x (1 - s)).  dz/dx = g s (1 - s) (2 + x (1 - 2 s))."""

    name = "silu_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.silu_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        s = sigmoid(x)
        curvature = mul(mul(s, sub(1.0, s)), add(mul(x, sub(1.0, mul(s, 2.0))), 2.0))
        return binary(SiluGrad, v, x), mul(mul(v, g), curvature)


class Mish(Elementwise):
    """y = x t, t = tanh(ln(1 + e^x)).  dy/dx = t + x (1 - t^2) s, s the sigmoid."""

    name = "mish"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.mish(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(MishGrad, g, x),)


class MishGrad(Elementwise):
    """z = g (t + x (1 - t^2) s).  dz/dx = g (1 - t^2) s (2 + x (1 - s - 2 t s))."""

    name = "mish_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.mish_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        s, t = sigmoid(x), tanh(softplus(x))
        bend = mul(x, sub(1.0, mul(s, add(mul(t, 2.0), 1.0))))
        curvature = mul(mul(sub(1.0, mul(t, t)), s), add(bend, 2.0))
        return binary(MishGrad, v, x), mul(mul(v, g), curvature)


class Softsign(Elementwise):
    """y = x / (1 + |x|).  dy/dx = 1 / (1 + |x|)^2."""

    name = "softsign"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.softsign(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (binary(SoftsignGrad, g, x),)


class SoftsignGrad(Elementwise):
    """z = g / (1 + |x|)^2.  dz/dx = -2 g sign(x) / (1 + |x|)^3."""

    name = "softsign_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(g, x)
        return k.softsign_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        size = add(abs(x), 1.0)
        return binary(SoftsignGrad, v, x), mul(mul(v, g), div(mul(sign(x), -2.0), mul(size, mul(size, size))))


class Elu(Op):
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1): ELU, SELU and CELU.

    dy/dx = scale where x > 0, else scale alpha rate e^(rate x), which is also the slope at 0, as in PyTorch.
    Clevert et al. 2016 (ELU), Klambauer et al. 2017 (SELU), Barron 2017 (CELU)."""

    name = "elu"

    @staticmethod
    def shape(x: Shape, alpha: float, scale: float, rate: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, alpha: float, scale: float, rate: float) -> Any:
        ctx.save(x)
        return k.elu(x, alpha, scale, rate)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (apply(EluGrad, (g, x), ctx.args),)


class EluGrad(Op):
    """z = g scale where x > 0, else g scale alpha rate e^(rate x).  dz/dx = 0, or z rate."""

    name = "elu_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, alpha: float, scale: float, rate: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, alpha: float, scale: float, rate: float) -> Any:
        ctx.save(g, x)
        return k.elu_grad(g, x, alpha, scale, rate)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        alpha, scale, rate = ctx.args
        positive = gt(x, 0.0)
        curve = mul(exp(mul(where(positive, 0.0, x), rate)), scale * alpha * rate * rate)
        return apply(EluGrad, (v, x), ctx.args), mul(mul(v, g), where(positive, 0.0, curve))


class Softplus(Op):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold.  dy/dx = sigmoid(beta x), or 1 there."""

    name = "softplus"

    @staticmethod
    def shape(x: Shape, beta: float, threshold: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, beta: float, threshold: float) -> Any:
        ctx.save(x)
        return k.softplus(x, beta, threshold)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (apply(SoftplusGrad, (g, x), ctx.args),)


class SoftplusGrad(Op):
    """z = g s, s = sigmoid(beta x), or g where beta x > threshold.  dz/dx = g beta s (1 - s), or 0 there."""

    name = "softplus_grad"

    @staticmethod
    def shape(g: Shape, x: Shape, beta: float, threshold: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, beta: float, threshold: float) -> Any:
        ctx.save(g, x)
        return k.softplus_grad(g, x, beta, threshold)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x = ctx.saved
        beta, threshold = ctx.args
        scaled = mul(x, beta)
        s = sigmoid(scaled)
        curvature = where(gt(scaled, threshold), 0.0, mul(mul(s, sub(1.0, s)), beta))
        return apply(SoftplusGrad, (v, x), ctx.args), mul(mul(v, g), curvature)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^x - 1)."""
    if inplace:
        return overwrite(input, "elu_", elu, alpha)
    return apply(Elu, (floating(input),), (float(alpha), 1.0, 1.0))


def selu(input: Any, inplace: bool = False) -> Any:
    """ELU times 1.0507 with alpha = 1.6733: normal inputs with mean 0 and variance 1 keep both.  Klambauer et al. 2017."""
    if inplace:
        return overwrite(input, "selu_", selu)
    return apply(Elu, (floating(input),), (_SELU_ALPHA, _SELU_SCALE, 1.0))


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1): slope 1 at 0 for every alpha."""
    if inplace:
        return overwrite(input, "celu_", celu, alpha)
    if alpha == 0:
        raise ValueError("celu: x is divided by alpha, which must not be 0")
    return apply(Elu, (floating(input),), (float(alpha), 1.0, 1.0 / alpha))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x P(Z < x) for a standard normal Z; approximate="tanh" is x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    x = floating(input)
    if approximate == "none":
        return unary(Gelu, x)
    if approximate != "tanh":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return unary(GeluTanh, x)


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x), also called swish.  Elfwing et al. 2017, Ramachandran et al. 2017."""
    return overwrite(input, "silu_", silu) if inplace else unary(Silu, floating(input))


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)).  Misra 2019, arXiv:1908.08681."""
    return overwrite(input, "mish_", mish) if inplace else unary(Mish, floating(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta x)) / beta: relu with a rounded corner; x itself where beta x > threshold."""
    if beta == 0:
        raise ValueError("softplus: the result is divided by beta, which must not be 0")
    return apply(Softplus, (floating(input),), (float(beta), float(threshold)))


def logsigmoid(input: Any) -> Any:
    """ln sigmoid(x) = -ln(1 + e^-x), accurate for any x."""
    return apply(Softplus, (floating(input),), (-1.0, math.inf))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return unary(Softsign, floating(input))


def tanhshrink(input: Any) -> Any:
    """x - tanh x."""
    return sub(floating(input), tanh(input))
