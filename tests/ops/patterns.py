"""Cases for elementwise ops: what two operands, or one, are tried on."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Case, Draw, Error, S, Sample, exactly, whole
from tinygrad_course.autograd.function import binary
from tinygrad_course.errors import ShapeError

INTEGERS = ("int64", "int32", "uint8")

ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-30, -2.0, 0.5]


def torch_function(name: str) -> Callable[..., Any]:
    """torch.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch, name)(*args, **kwargs)

    return call


PAIRS = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((2, 3), ()),
    ((), (2, 3)),
    ((), ()),
    ((2, 0), (1, 1)),
    ((3,), (2, 3)),
    ((1, 1), (1,)),
    ((0,), (1,)),
    ((2, 1, 2), (3, 1)),
    ((1, 2, 1, 2), (2, 1, 1, 2)),
    ((1,), ()),
]


def pairs(make: Callable[..., Draw], other: Callable[..., Draw], count: int) -> tuple[Sample, ...]:
    """Ways to broadcast two operands: the first `count`."""
    return tuple(S(make(*a), other(*b), note=f"{a}{b}".replace(" ", "")) for a, b in PAIRS[:count])


def singles(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    """Shapes for one operand."""
    shapes = [(2, 3), (), (1,), (3, 0), (2, 2, 3)]
    return tuple(S(make(*shape), note=str(shape).replace(" ", "")) for shape in shapes)


def odd_pairs() -> tuple[Sample, ...]:
    """Every special value with every other."""
    x, y = np.meshgrid(ODD, ODD)
    return (S(exactly(x), exactly(y)),)


def does_not_broadcast(op: str, function: Callable[..., Any]) -> tuple[Error, ...]:
    """Shapes that do not fit, operands that are no numbers."""
    return (
        Error(
            lambda: function(tgc.ones(2, 3), tgc.ones(2, 4)),
            ShapeError,
            rf"{op}.*\(2, 3\).*\(2, 4\).*axis -1.*3 and 4.*equal or 1",
        ),
        Error(
            lambda: function(tgc.ones(3, requires_grad=True), tgc.ones(2, 3, 4)),
            ShapeError,
            rf"{op}.*\(3,\).*\(2, 3, 4\)",
        ),
        Error(lambda: function(tgc.ones(0), tgc.ones(2)), ShapeError, rf"{op}.*\(0,\).*\(2,\)"),
        Error(lambda: function(tgc.ones(2), "a"), TypeError, "Tensor cannot be combined with str"),
        Error(lambda: function(tgc.ones(2), [1.0, 2.0]), TypeError, "list.*tgc.tensor"),
        Error(lambda: function(tgc.ones(2), None), TypeError, "NoneType"),
        Error(lambda: function(tgc.ones(2), np.ones(2, complex)), TypeError, "complex"),
    )


def two(
    op: str,
    oracle: Callable[..., Any],
    make: Callable[..., Draw],
    other: Callable[..., Draw] | None = None,
    count: int = len(PAIRS),
    **more: Any,
) -> Case:
    """A case of two operands."""
    function = getattr(tgc, op)
    more = {
        "special": odd_pairs(),
        "torch": torch_function(op),
        "integers": INTEGERS,
        "half": True,
        "threaded": (S((650, 640), (650, 640)), S((650, 640), (640,)), S((650, 1), (1, 640))),
        **more,
    }
    samples = pairs(make, other or make, count)
    return Case(op, function, oracle, samples, errors=does_not_broadcast(op, function), **more)


def one(op: str, oracle: Callable[..., Any], make: Callable[..., Draw], **more: Any) -> Case:
    """A case of one operand."""
    more = {
        "special": (S(exactly(ODD)),),
        "torch": torch_function(op),
        "half": True,
        "integers": INTEGERS,
        "threaded": (S((650, 640)),),
        **more,
    }
    return Case(op, getattr(tgc, op), oracle, singles(make), **more)


def comparison(op: str, oracle: Callable[..., Any]) -> Case:
    return two(
        op,
        oracle,
        lambda *shape: whole(3, *shape),
        count=7,
        differentiable=False,
        out="bool",
        half=False,
        integers=(*INTEGERS, "bool"),
    )


def gradient_kernel(op: Any) -> Callable[..., Any]:
    """Internal ops are reached as backward reaches them."""
    return lambda g, y: binary(op, g, y)


def same_shapes(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    return tuple(S(shape, make(*shape)) for shape in [(2, 3), (), (1,), (0, 2)])


THREADED_GRAD = (S((650, 640), (650, 640)),)
