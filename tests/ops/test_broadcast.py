"""ops/broadcast.py."""

from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.patterns import INTEGERS
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import broadcast


def sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every element of x is added to the place of `shape` that broadcasting would have copied there."""
    out = np.zeros(shape)
    for place in np.ndindex(x.shape):
        tail = place[len(place) - len(shape) :]
        out[tuple(0 if size == 1 else at for at, size in zip(tail, shape, strict=True))] += x[place]
    return out


def stretched(x: Any, shape: tuple[int, ...]) -> Any:
    return x.expand(shape) if hasattr(x, "expand") else np.broadcast_to(x, shape)


CASES = (
    Case(
        "expand",
        stretched,
        stretched,
        (
            S((3,), args=((2, 3),)),
            S((2, 1), args=((2, 4),)),
            S((), args=((2, 2),)),
            S((1, 1), args=((3, 2, 4),)),
            S((1,), args=((0,),)),
            S((2, 1, 3), args=((2, 2, 3),)),
        ),
        view=True,
        torch=stretched,
        half=True,
        integers=(*INTEGERS, "bool"),
        errors=(
            Error(lambda: tgc.ones(2, 3).expand(3, 3), ShapeError, r"expand.*\(2, 3\).*\(3, 3\).*size 1"),
            Error(lambda: tgc.ones(2, 3).expand(3), ShapeError, r"expand.*\(2, 3\).*\(3,\)"),
            Error(lambda: tgc.ones(3).expand(-1, 3), ShapeError, "expand.*-1.*exists"),
            Error(lambda: tgc.ones(3).expand(-2), ShapeError, "expand.*negative"),
        ),
    ),
    Case(
        "sum_to",
        broadcast.sum_to,
        sum_to,
        (
            S((2, 3), args=((3,),)),
            S((2, 3), args=((1, 3),)),
            S((2, 3), args=((2, 1),)),
            S((2, 3), args=((),)),
            S((2, 3, 4), args=((3, 1),)),
            S((0, 3), args=((3,),)),
            S((1, 3), args=((3,),)),
            S((2, 1, 2), args=((1, 1, 2),)),
        ),
        half=True,
        threaded=(S((650, 640), args=((640,),)), S((650, 640), args=((650, 1),))),
        errors=(
            Error(lambda: tgc.autograd.apply(broadcast.SumTo, (tgc.ones(2, 3),), ((2,),)), ShapeError, r"sum_to.*\(2,\)"),
            Error(lambda: tgc.autograd.apply(broadcast.SumTo, (tgc.ones(3),), ((2, 3),)), ShapeError, r"sum_to.*\(2, 3\)"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""
