"""Short forms of `one` and `two` of patterns.py for functions without a compiled kernel: fewer shapes, no threads."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Case, Draw, S, exactly
from tests.ops.patterns import INTEGERS, ODD, odd_pairs, torch_function


def between(low: float, high: float) -> Callable[..., Draw]:
    """Values in [low, high), of any shape."""
    return lambda *shape: Draw(lambda rng: np.asarray(rng.uniform(low, high, shape)))


def of_one(op: str, oracle: Callable[..., Any], make: Callable[..., Draw], **more: Any) -> Case:
    """A case of one operand: with axes, without, empty."""
    more = {"torch": torch_function(op), "special": (S(exactly(ODD)),), "integers": INTEGERS, "half": True, **more}
    samples = tuple(S(make(*shape), note=f"{shape}") for shape in [(2, 3), (), (3, 0)])
    return Case(op, getattr(tgc, op), oracle, samples, **more)


def of_two(
    op: str, oracle: Callable[..., Any], make: Callable[..., Draw], other: Callable[..., Draw] | None = None, **more: Any
) -> Case:
    """A case of two operands: alike, broadcast both ways, one without axes, empty."""
    more = {"torch": torch_function(op), "special": odd_pairs(), "integers": INTEGERS, "half": True, **more}
    shapes: Any = [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2, 2)), ((2, 0), (1, 1))]
    samples = tuple(S(make(*a), (other or make)(*b), note=f"{a}{b}") for a, b in shapes)
    return Case(op, getattr(tgc, op), oracle, samples, **more)


def another_name(op: str, oracle: Callable[..., Any], *draws: Draw, **more: Any) -> Case:
    """A case for an alias of a function whose own case tries more."""
    return Case(op, getattr(tgc, op), oracle, (S(*draws),), torch=torch_function(op), **more)
