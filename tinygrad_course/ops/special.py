"""Special functions: the error function, gamma, entropy and orthogonal polynomials; bessel.py has the Bessel functions.

`__all__` has what PyTorch has at its top level; the others are in tgc.special alone.  DLMF is the Digital Library of
Mathematical Functions, https://dlmf.nist.gov.
"""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import GraphError, OperandError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import add, div, exp, log, logical_and, mul, neg, sub
from tinygrad_course.ops.bessel import i0
from tinygrad_course.ops.broadcast import Elementwise, broadcast_shape, sum_like
from tinygrad_course.ops.cast import floating, operands
from tinygrad_course.ops.comparison import eq, le, where
from tinygrad_course.ops.functions import log1p, require_floating
from tinygrad_course.ops.trigonometry import floats

__all__ = ["digamma", "erf", "erfc", "erfinv", "i0", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma"]

SQRT2, SQRT_PI = math.sqrt(2.0), math.sqrt(math.pi)


class Erf(Elementwise):
    """y = 2 / sqrt(pi) int_0^x e^-t^2 dt (DLMF 7.2.1).  dy/dx = 2 / sqrt(pi) e^-x^2."""

    name = "erf"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.erf(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, mul(exp(neg(mul(x, x))), 2.0 / SQRT_PI)),)


class Erfc(Elementwise):
    """y = 1 - erf x (DLMF 7.2.2).  dy/dx = -2 / sqrt(pi) e^-x^2."""

    name = "erfc"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.erfc(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, mul(exp(neg(mul(x, x))), -2.0 / SQRT_PI)),)


class Erfinv(Elementwise):
    """y with erf y = x.  dy/dx = sqrt(pi) / 2 e^y^2."""

    name = "erfinv"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.erfinv(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, mul(exp(mul(y, y)), SQRT_PI / 2.0)),)


class Ndtri(Elementwise):
    """y with Phi(y) = x, Phi the normal distribution function.  dy/dx = sqrt(2 pi) e^(y^2 / 2)."""

    name = "ndtri"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.ndtri(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, mul(exp(mul(mul(y, y), 0.5)), SQRT2 * SQRT_PI)),)


class Erfcx(Elementwise):
    """y = e^x^2 erfc x.  dy/dx = 2 x y - 2 / sqrt(pi) (DLMF 7.10.2)."""

    name = "erfcx"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.erfcx(x)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return (mul(g, sub(mul(mul(x, y), 2.0), 2.0 / SQRT_PI)),)


class LogNdtr(Elementwise):
    """y = ln Phi(x), Phi the normal distribution function.  dy/dx = phi / Phi = sqrt(2 / pi) / erfcx(-x / sqrt(2))."""

    name = "log_ndtr"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log_ndtr(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(div(g, erfcx(mul(x, -1.0 / SQRT2))), SQRT2 / SQRT_PI),)


class Lgamma(Elementwise):
    """y = ln |Gamma(x)|.  dy/dx = psi(x), the digamma function (DLMF 5.2.2)."""

    name = "lgamma"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.lgamma(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, digamma(x)),)


class Digamma(Elementwise):
    """y = psi(x) = Gamma'(x) / Gamma(x) (DLMF 5.2.2).  dy/dx = psi'(x), the trigamma function."""

    name = "digamma"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.digamma(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, polygamma(1, x)),)


class Polygamma(Op):
    """y = psi^(n)(x), the n-th derivative of digamma (DLMF 5.15).  dy/dx = psi^(n+1)(x)."""

    name = "polygamma"

    @staticmethod
    def shape(x: Shape, n: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.polygamma(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, polygamma(ctx.args[0] + 1, x)),)


class Igamma(Elementwise):
    """z = P(a, x) = int_0^x t^(a-1) e^-t dt / Gamma(a) (DLMF 8.2.4).  dz/dx = x^(a-1) e^-x / Gamma(a); dz/da has no closed
    form and is not implemented, as in PyTorch."""

    name = "igamma"

    @staticmethod
    def forward(ctx: Node, k: Any, a: Any, x: Any) -> Any:
        ctx.save(a, x)
        return k.igamma(a, x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        _no_gradient(ctx, 0, "igamma", "input")
        return None, _gamma_density(ctx, g)


class Igammac(Elementwise):
    """z = Q(a, x) = 1 - P(a, x) (DLMF 8.2.4).  dz/dx = -x^(a-1) e^-x / Gamma(a); dz/da is not implemented."""

    name = "igammac"

    @staticmethod
    def forward(ctx: Node, k: Any, a: Any, x: Any) -> Any:
        ctx.save(a, x)
        return k.igammac(a, x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        _no_gradient(ctx, 0, "igammac", "input")
        return None, _gamma_density(ctx, neg(g))


def _gamma_density(ctx: Node, g: Any) -> Any:
    a, x = ctx.saved
    return sum_like(mul(g, exp(sub(sub(mul(sub(a, 1.0), log(x)), x), lgamma(a)))), x)


class Zeta(Elementwise):
    """z = sum_k (k + q)^-s, k from 0 (DLMF 25.11.1).  dz/dq = -s zeta(s + 1, q) (DLMF 25.11.17); dz/ds is not
    implemented, as in PyTorch."""

    name = "zeta"

    @staticmethod
    def forward(ctx: Node, k: Any, s: Any, q: Any) -> Any:
        ctx.save(s, q)
        return k.zeta(s, q)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        _no_gradient(ctx, 0, "zeta", "input")
        s, q = ctx.saved
        return None, sum_like(neg(mul(mul(g, s), zeta(add(s, 1.0), q))), q)


def _no_gradient(ctx: Node, index: int, op: str, argument: str) -> None:
    if ctx.needs[index]:
        raise GraphError(f"{op}: the derivative with respect to `{argument}` is not implemented (PyTorch has none either); "
                         f"pass {argument}.detach()")


class Entr(Elementwise):
    """y = -x ln x, 0 at 0, -inf below.  dy/dx = -ln x - 1."""

    name = "entr"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.entr(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, sub(-1.0, log(x))),)


class Xlog1py(Elementwise):
    """z = x ln(1 + y), 0 where x = 0 unless y is nan.  dz/dx = ln(1 + y), 0 where x = 0 and y <= -1; dz/dy = x / (1 + y)."""

    name = "xlog1py"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.xlog1py(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        gx = gy = None
        if needs[0]:
            argument = where(logical_and(eq(x, 0.0), le(y, -1.0)), 0.0, y)
            gx = sum_like(mul(g, log1p(argument)), x)
        if needs[1]:
            gy = sum_like(mul(g, div(x, add(y, 1.0))), y)
        return gx, gy


class Polynomial(Op):
    """y = the m-th derivative of the n-th orthogonal polynomial of a family (DLMF 18.3).  dy/dx = the next one; the degree
    n is a tensor of whole numbers and has no derivative."""

    name = "polynomial"

    @staticmethod
    def shape(x: Shape, n: Shape, family: Any, order: Any) -> Shape:
        return broadcast_shape(family, x, n)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any, family: Any, order: Any) -> Any:
        ctx.save(x, n)
        return k.polynomial(x, n, family, order)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        family, order = ctx.args
        _no_gradient(ctx, 1, family, "n")
        x, n = ctx.saved
        return sum_like(mul(g, apply(Polynomial, (x, n), (family, order + 1))), x), None


# ---- error function and normal distribution


def erf(input: Any) -> Any:
    """The error function: the probability that a normal variable of variance 1/2 lies within +-input."""
    return unary(Erf, floating(input))


def erfc(input: Any) -> Any:
    """1 - erf(input), accurate where erf is near 1."""
    return unary(Erfc, floating(input))


def erfinv(input: Any) -> Any:
    """The inverse of erf; +-inf at +-1, nan beyond."""
    return unary(Erfinv, floating(input))


def erfcx(input: Any) -> Any:
    """e^(input^2) erfc(input), which does not underflow where erfc does.  Needs SciPy."""
    return unary(Erfcx, floating(input))


def ndtr(input: Any) -> Any:
    """The distribution function of the standard normal distribution."""
    return mul(erfc(mul(floating(input), -1.0 / SQRT2)), 0.5)


def ndtri(input: Any) -> Any:
    """The inverse of ndtr: quantiles of the standard normal distribution; nan outside [0, 1]."""
    return unary(Ndtri, floating(input))


def log_ndtr(input: Any) -> Any:
    """ln(ndtr(input)), accurate where ndtr underflows.  Needs SciPy."""
    return unary(LogNdtr, floating(input))


# ---- gamma and zeta


def lgamma(input: Any) -> Any:
    """ln |Gamma(input)|; inf at 0, -1, -2, ..."""
    return unary(Lgamma, floating(input))


def digamma(input: Any) -> Any:
    """The logarithmic derivative of Gamma; -inf at 0, nan at -1, -2, ..."""
    return unary(Digamma, floating(input))


def polygamma(n: Any, input: Any) -> Any:
    """The n-th derivative of digamma; n >= 0.  Needs SciPy from n = 2 on."""
    if isinstance(n, TensorBase):  # the method: x.polygamma(n)
        n, input = input, n
    n = integer("polygamma", "n", n)
    if n < 0:
        raise OperandError(f"polygamma: the order of a derivative must not be negative, got n = {n}")
    return apply(Polygamma, (floating(input),), (n,))


def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension p:
    p (p - 1) / 4 ln(pi) + sum_j lgamma(input - j / 2), j = 0 ... p - 1."""
    p = integer("mvlgamma", "p", p)
    if p < 1:
        raise OperandError(f"mvlgamma: the dimension p must be at least 1, got {p}")
    x = floating(input)
    total = lgamma(x)
    for j in range(1, p):
        total = add(total, lgamma(sub(x, 0.5 * j)))
    return add(total, p * (p - 1) / 4.0 * math.log(math.pi))


def igamma(input: Any, other: Any) -> Any:
    """The regularised lower incomplete gamma function P(a = input, x = other), broadcasting.  Needs SciPy.

    It has a derivative by `other` only; GraphError if the input wants one."""
    x, y = operands(input, other)
    require_floating("igamma", x)
    return binary(Igamma, x, y)


def igammac(input: Any, other: Any) -> Any:
    """The regularised upper incomplete gamma function, 1 - igamma(input, other).  Needs SciPy."""
    x, y = operands(input, other)
    require_floating("igammac", x)
    return binary(Igammac, x, y)


def zeta(input: Any, other: Any) -> Any:
    """The zeta function of Hurwitz, sum over k >= 0 of (k + other)^-input, broadcasting.  Needs SciPy.

    It has a derivative by `other` only; GraphError if the input wants one."""
    return binary(Zeta, *floats(input, other))


def entr(input: Any) -> Any:
    """-input ln(input), the entropy of one probability; 0 at 0, -inf below."""
    return unary(Entr, floating(input))


def xlog1py(input: Any, other: Any) -> Any:
    """input ln(1 + other), which is 0 where the input is 0 unless `other` is nan; broadcasting."""
    return binary(Xlog1py, *floats(input, other))


# ---- orthogonal polynomials


def polynomial(family: str, x: Any, n: Any) -> Any:
    """The n-th polynomial of a family at x; x and n are tensors that broadcast, one of the two may be a number."""
    x, n = floats(x, n)
    return apply(Polynomial, (x, n), (family, 0))
