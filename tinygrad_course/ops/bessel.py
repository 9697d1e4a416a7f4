"""Bessel functions and the Airy function; all come from SciPy.

tgc.special has their PyTorch names; at the top level PyTorch has i0 alone, which special.py exports.
DLMF is the Digital Library of Mathematical Functions, https://dlmf.nist.gov.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.ops.arithmetic import add, mul, neg, sign, sub
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.comparison import Comparison

__all__: list[str] = []


class Ordered(Op):
    """Common base of the Bessel functions, whose order n is a plain integer.

    Differentiation leads to neighbouring orders, so that each family is closed under it and needs no division by x."""

    @staticmethod
    def shape(x: Shape, n: Any) -> Shape:
        return x


class BesselJ(Ordered):
    """y = J_n(x).  dy/dx = (J_{n-1} - J_{n+1}) / 2 (DLMF 10.6.1)."""

    name = "bessel_j"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.bessel_j(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,), (n,) = ctx.saved, ctx.args
        return (mul(g, mul(sub(_ordered(BesselJ, x, n - 1), _ordered(BesselJ, x, n + 1)), 0.5)),)


class BesselY(Ordered):
    """y = Y_n(x).  dy/dx = (Y_{n-1} - Y_{n+1}) / 2 (DLMF 10.6.1)."""

    name = "bessel_y"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.bessel_y(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,), (n,) = ctx.saved, ctx.args
        return (mul(g, mul(sub(_ordered(BesselY, x, n - 1), _ordered(BesselY, x, n + 1)), 0.5)),)


class BesselI(Ordered):
    """y = I_n(x).  dy/dx = (I_{n-1} + I_{n+1}) / 2 (DLMF 10.29.1)."""

    name = "bessel_i"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.bessel_i(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,), (n,) = ctx.saved, ctx.args
        return (mul(g, mul(add(_ordered(BesselI, x, n - 1), _ordered(BesselI, x, n + 1)), 0.5)),)


class BesselIe(Ordered):
    """y = e^-|x| I_n(x).  dy/dx = (y_{n-1} + y_{n+1}) / 2 - sign(x) y_n."""

    name = "bessel_ie"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        y = k.bessel_ie(x, n)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x, y), (n,) = ctx.saved, ctx.args
        mean = mul(add(_ordered(BesselIe, x, n - 1), _ordered(BesselIe, x, n + 1)), 0.5)
        return (mul(g, sub(mean, mul(sign(x), y))),)


class BesselK(Ordered):
    """y = K_n(x).  dy/dx = -(K_{n-1} + K_{n+1}) / 2 (DLMF 10.29.1)."""

    name = "bessel_k"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.bessel_k(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,), (n,) = ctx.saved, ctx.args
        return (mul(g, mul(add(_ordered(BesselK, x, n - 1), _ordered(BesselK, x, n + 1)), -0.5)),)


class BesselKe(Ordered):
    """y = e^x K_n(x).  dy/dx = y_n - (y_{n-1} + y_{n+1}) / 2."""

    name = "bessel_ke"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        y = k.bessel_ke(x, n)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x, y), (n,) = ctx.saved, ctx.args
        return (mul(g, sub(y, mul(add(_ordered(BesselKe, x, n - 1), _ordered(BesselKe, x, n + 1)), 0.5))),)


class SphericalBesselJ(Ordered):
    """y = j_n(x).  dy/dx = (n j_{n-1} - (n + 1) j_{n+1}) / (2 n + 1) (DLMF 10.51.2)."""

    name = "spherical_bessel_j"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, n: Any) -> Any:
        ctx.save(x)
        return k.spherical_bessel_j(x, n)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (x,), (n,) = ctx.saved, ctx.args
        slope = mul(apply(SphericalBesselJ, (x,), (n + 1,)), -(n + 1) / (2 * n + 1))
        if n > 0:
            slope = add(slope, mul(apply(SphericalBesselJ, (x,), (n - 1,)), n / (2 * n + 1)))
        return (mul(g, slope),)


def _ordered(op: Any, x: Any, n: int) -> Any:
    """The Bessel function of order n; those of order -1 are J_-1 = -J_1, Y_-1 = -Y_1, I_-1 = I_1, K_-1 = K_1."""
    y = apply(op, (x,), (1 if n == -1 else n,))
    return neg(y) if n == -1 and op in (BesselJ, BesselY) else y


class AiryAi(Comparison):
    """y = Ai(x) (DLMF 9.2).  Without a derivative, as in PyTorch."""

    name = "airy_ai"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.airy_ai(x)


def i0(input: Any) -> Any:
    """Modified Bessel function of the first kind of order 0.  Needs SciPy."""
    return apply(BesselI, (floating(input),), (0,))


def i1(input: Any) -> Any:
    """Modified Bessel function of the first kind of order 1.  Needs SciPy."""
    return apply(BesselI, (floating(input),), (1,))


def i0e(input: Any) -> Any:
    """e^-|input| i0(input), which does not overflow.  Needs SciPy."""
    return apply(BesselIe, (floating(input),), (0,))


def i1e(input: Any) -> Any:
    """e^-|input| i1(input), which does not overflow.  Needs SciPy."""
    return apply(BesselIe, (floating(input),), (1,))


def bessel_j0(input: Any) -> Any:
    """Bessel function of the first kind of order 0.  Needs SciPy."""
    return apply(BesselJ, (floating(input),), (0,))


def bessel_j1(input: Any) -> Any:
    """Bessel function of the first kind of order 1.  Needs SciPy."""
    return apply(BesselJ, (floating(input),), (1,))


def bessel_y0(input: Any) -> Any:
    """Bessel function of the second kind of order 0; -inf at 0, nan below.  Needs SciPy."""
    return apply(BesselY, (floating(input),), (0,))


def bessel_y1(input: Any) -> Any:
    """Bessel function of the second kind of order 1; -inf at 0, nan below.  Needs SciPy."""
    return apply(BesselY, (floating(input),), (1,))


def modified_bessel_k0(input: Any) -> Any:
    """Modified Bessel function of the second kind of order 0; inf at 0, nan below.  Needs SciPy."""
    return apply(BesselK, (floating(input),), (0,))


def modified_bessel_k1(input: Any) -> Any:
    """Modified Bessel function of the second kind of order 1; inf at 0, nan below.  Needs SciPy."""
    return apply(BesselK, (floating(input),), (1,))


def scaled_modified_bessel_k0(x: Any) -> Any:
    """e^x K_0(x).  Needs SciPy."""
    return apply(BesselKe, (floating(x),), (0,))


def scaled_modified_bessel_k1(x: Any) -> Any:
    """e^x K_1(x).  Needs SciPy."""
    return apply(BesselKe, (floating(x),), (1,))


def spherical_bessel_j0(x: Any) -> Any:
    """sin(x) / x, and 1 at 0.  Needs SciPy."""
    return apply(SphericalBesselJ, (floating(x),), (0,))


def airy_ai(x: Any) -> Any:
    """The Airy function Ai.  Needs SciPy."""
    return unary(AiryAi, floating(x))
