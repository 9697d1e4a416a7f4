"""Checks of what users set: the options of a parameter group."""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import TensorBase


def check_number(name: str, value: Any, low: float = 0.0, below: float = float("inf"), up_to: float = float("inf")) -> None:
    """Raise unless low <= value < below and value <= up_to; NaN is refused as well."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"Invalid {name}: {value!r} is a {type(value).__name__}, a number is needed")
    if not low <= value < below or value > up_to:
        limits = (f"in [{low:g}, {below:g})" if below < float("inf") else f"in [{low:g}, {up_to:g}]" if up_to < float("inf")
                  else f"at least {low:g}")
        raise ValueError(f"Invalid {name}: {value}; it must be {limits}")


def as_number(value: Any) -> Any:
    """An option as a number: learning rates may be tensors of one element."""
    return value.array.item() if isinstance(value, TensorBase) else value


def check_pair(name: str, value: Any) -> None:
    """Raise unless `value` has two entries."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be a pair, got {value!r}")


def check_betas(betas: Any) -> None:
    """Raise unless both decay rates are in [0, 1)."""
    check_pair("betas", betas)
    for index, beta in enumerate(betas):
        check_number(f"beta parameter at index {index}", beta, below=1.0)
