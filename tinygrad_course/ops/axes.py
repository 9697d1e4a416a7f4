"""Axis numbers as users give them: negative, several, or none."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arguments import described

Function = TypeVar("Function", bound=Callable[..., Any])
_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: Function) -> Function:
    """Let a function be called with NumPy's axis and keepdims as well as with PyTorch's dim and keepdim."""

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        if kwargs.get("out") is not None:
            raise TypeError(f"{function.__name__}: out= is not there, because no graph would know of the write; use "
                            f"y.copy_({function.__name__}(...))")
        kwargs.pop("out", None)  # np.mean(x) passes out=None on
        for name, meant in _NUMPY_NAMES.items():
            if name in kwargs:
                if kwargs.get(meant) is not None:
                    raise TypeError(f"{function.__name__}: give either {meant} or {name}, not both")
                kwargs[meant] = kwargs.pop(name)
        return function(*args, **kwargs)

    return either  # type: ignore[return-value]


def normalise_axis(op: str, axis: Any, ndim: int) -> int:
    """A non-negative axis number."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__") or (hasattr(axis, "shape") and axis.shape):
        raise TypeError(f"{op}: an axis is an integer, got {described(axis)}")
    axis = axis.__index__()
    limit = max(ndim, 1)
    if not -limit <= axis < limit:
        raise ShapeError(f"{op}: dim {axis} does not exist in a tensor with {ndim} axes; it must be between {-limit} and "
                         f"{limit - 1}")
    return axis % limit


def normalise_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes as sorted non-negative numbers; None means all."""
    if axis is None or (isinstance(axis, tuple | list) and len(axis) == 0):
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = sorted(normalise_axis(op, a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op}: dim {axis} names an axis twice")
    return tuple(a for a in axes if a < ndim)  # a 0-d tensor has the axes 0 and -1 as in PyTorch, and none to reduce
