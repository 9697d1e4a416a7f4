"""ops/inplace.py: the op behind x[key] = value.  What writing does to tensors is in tests/autograd/test_inplace.py."""

from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course.autograd import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.inplace import SetItem

ROWS = (np.array([2, 0]),)
PLACES = (np.array([0, 1, 0]), np.array([1, 1, 1]))
MASK = (np.array([[True, False, True], [False, True, False]]),)


def set_item(x: Any, value: Any, key: Any) -> Any:
    return apply(SetItem, (x, value), (key,))


def by_numpy(x: np.ndarray, value: np.ndarray, key: Any) -> np.ndarray:
    y = x.copy()
    y[key] = value.reshape(value.shape[1:]) if value.ndim > y[key].ndim else value
    return y


def by_torch(x: Any, value: Any, key: Any) -> Any:
    import torch

    y = x.clone()
    y[tuple(torch.tensor(part) if isinstance(part, np.ndarray) else part for part in key)] = value
    return y


CASES = (
    Case(
        "setitem",
        set_item,
        by_numpy,
        (
            S((2, 3), (3,), args=((0,),), note="row"),
            S((2, 3), (2, 1), args=((slice(None), slice(1, None)),), note="columns"),
            S((2, 3), (), args=((Ellipsis,),), note="all"),
            S((2, 3), (1, 3), args=((1,),), note="leading one"),
            S((3,), (), args=((2,),), note="element"),
            S((), (), args=((Ellipsis,),), note="0-d"),
            S((2, 3), (0, 3), args=((slice(2, None),),), note="nothing"),
            S((3, 2), (2, 2), args=(ROWS,), note="rows"),
            S((2, 3), (3,), args=(MASK,), note="mask"),
        ),
        torch=by_torch,
        errors=(
            Error(
                lambda: set_item(tgc.ones(2, 3), tgc.ones(2), (0,)),
                ShapeError,
                r"x\[\.\.\.\] = value: a value of shape \(2,\) does not broadcast to the region of shape \(3,\)",
            ),
        ),
    ),
    Case("setitem", set_item, by_numpy, (S((2, 3), (3,), args=(PLACES,), note="one place twice"),)),
)


class TestBattery(Battery):
    """See battery.py."""
