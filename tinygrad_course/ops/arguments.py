"""Plain arguments as users give them: integers, numbers, switches and choices, checked before any arithmetic."""

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.errors import DTypeError, OperandError


def described(value: Any) -> str:
    """A value for a message: short, and never the numbers of an array."""
    if hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)} and type {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else type(value).__name__


def integer(op: str, name: str, value: Any) -> int:
    """A Python integer from anything that Python takes for one, a 0-d integer tensor as well."""
    if type(value) is int:
        return value
    try:
        return operator.index(value)
    except TypeError:
        raise OperandError(f"{op}: {name} must be an integer, got {described(value)}") from None


def integers(op: str, name: str, values: Any) -> tuple[int, ...]:
    """Python integers from a list or tuple of integers."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | TensorBase):
        raise OperandError(f"{op}: {name} must be a list of integers, got {described(values)}")
    return tuple([integer(op, f"every number of {name}", value) for value in values])


def number(op: str, value: Any, name: str = "") -> Any:
    """A Python number from a number, a NumPy scalar or a 0-d tensor."""
    array = value.array if isinstance(value, TensorBase) else value
    if isinstance(array, bool | int | float):
        return array
    if getattr(array, "shape", None) != () or array.dtype.kind not in "biuf":
        what = f"shape {array.shape}" if hasattr(array, "shape") else type(value).__name__
        raise OperandError(f"{op}: expected a real number or a 0-d tensor{' as ' + name if name else ''}, got {what}")
    return array.item()


def require_fit(op: str, value: Any, dtype: np.dtype[Any]) -> None:
    """Raise unless the number is in the range of the type: NumPy would cut it off, to another number."""
    if dtype.kind == "b":
        return
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    fits = float(limits.min) <= value <= float(limits.max) if math.isfinite(value) else dtype.kind == "f"
    if not fits:
        raise DTypeError(f"{op}: the value {value} does not fit into the dtype {dtype}, which holds {limits.min} to "
                         f"{limits.max}")
