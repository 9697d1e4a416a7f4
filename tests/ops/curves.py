"""Cases for activation functions: what a function of one tensor and its gradient kernel are tried on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.battery import Case, Draw, Error, S, away, exactly
from tests.ops.patterns import THREADED_GRAD
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply

SPREAD = exactly([[-7.3, -3.4, -2.1, -0.7], [-0.2, 0.3, 0.8, 1.6], [2.9, 3.7, 6.5, 25.0]])  # at no corner of any function
CORNERS = exactly([-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0])
LARGE = exactly([np.inf, 1e4, -1e4, 0.0])
FINITE = exactly([1e4, -1e4, 0.0])  # for slopes that are right at infinity and nan in PyTorch


def functional(name: str) -> Callable[..., Any]:
    """torch.nn.functional.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def curve(
    name: str,
    oracle: Callable[..., Any],
    *variants: dict[str, Any],
    errors: tuple[Error, ...] = (),
    large: Draw = LARGE,
) -> Case:
    """A function of one tensor: its whole range, a number, nothing, each variant of its arguments; corners; large."""
    samples = (S(SPREAD), S(away()), S((0, 2)), *(S(SPREAD, **variant) for variant in variants))
    corners = (S(CORNERS), *(S(CORNERS, **variant) for variant in variants))
    return Case(
        name,
        getattr(ops, name),
        oracle,
        samples,
        kinks=corners,
        special=(S(large),),
        errors=errors,
        torch=functional(name),
        half=True,
        tolerance=1e-6,
    )


def slope(name: str, op: Any, oracle: Callable[..., Any], *args: Any) -> Case:
    """The op z = g f'(x), reached as backward reaches it."""
    samples = (S(SPREAD, SPREAD), S(away(2, 3), away(2, 3)), S((), away()), S((1,), away(1)), S((0, 2), away(0, 2)))
    return Case(
        name, lambda g, x: apply(op, (g, x), args), lambda g, x: g * oracle(x), samples, half=True, threaded=THREADED_GRAD
    )
