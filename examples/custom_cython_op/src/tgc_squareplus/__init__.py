"""squareplus, a smooth ReLU without exponentials, as a compiled op of tinygrad_course.

    squareplus(x) = (x + sqrt(x^2 + b)) / 2          J. T. Barron, "Squareplus: A Softplus-Like Algebraic Rectifier",
                                                     arXiv:2112.11687 (2021), equation 1

An `Op` subclass is in the registry as soon as it is defined: importing this module is all that it takes.
"""

from typing import Any

import numpy as np

from tgc_squareplus import kernels
from tinygrad_course import Tensor
from tinygrad_course.autograd import Op, apply
from tinygrad_course.errors import DTypeError, ShapeError

__all__ = ["squareplus"]


def _check_dtype(name: str, x: Any) -> None:
    if x.dtype not in (np.float32, np.float64):
        raise DTypeError(f"{name}: the input has dtype {x.dtype}; convert it with x.float() or x.double()")


class SquareplusGrad(Op):
    """gx = g f'(x), f'(x) = (1 + x / sqrt(x^2 + b)) / 2.  An op too, so that the compiled backward has a derivative.

    d gx / d g = f'(x): the same kernel again;  d gx / d x = g f''(x), f''(x) = b / (2 (x^2 + b)^1.5)
    """

    name = "squareplus_grad"

    @staticmethod
    def shape(g: tuple[int, ...], x: tuple[int, ...], b: float) -> tuple[int, ...]:
        if g != x:
            raise ShapeError(f"squareplus_grad: the upstream gradient has shape {g}, the input {x}; they must be equal")
        return x

    @staticmethod
    def forward(ctx: Any, k: Any, g: Any, x: Any, b: float) -> Any:
        ctx.save(g, x)
        return kernels.squareplus_grad(g, x, b)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved
        b, = ctx.args
        return (apply(SquareplusGrad, (gg, x), (b,)) if ctx.needs[0] else None,
                gg * g * (0.5 * b) * (x * x + b) ** -1.5 if ctx.needs[1] else None)


class Squareplus(Op):
    """y = (x + sqrt(x^2 + b)) / 2, any shape."""

    name = "squareplus"

    @staticmethod
    def shape(x: tuple[int, ...], b: float) -> tuple[int, ...]:
        if not b > 0:
            raise ShapeError(f"squareplus: b must be positive, got {b}; the paper uses 4")
        return x

    @staticmethod
    def forward(ctx: Any, k: Any, x: Any, b: float) -> Any:
        _check_dtype("squareplus", x)
        ctx.save(x)
        return kernels.squareplus(x, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
        x, = ctx.saved
        return (apply(SquareplusGrad, (g, x), ctx.args),)


def squareplus(x: Tensor, b: float = 4.0) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2, elementwise.  x float32 or float64 (else DTypeError); b > 0 is the width of the bend."""
    result: Tensor = apply(Squareplus, (x,), (b,))
    return result
