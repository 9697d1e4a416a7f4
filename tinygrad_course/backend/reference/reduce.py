"""Reductions in NumPy.

`axis` is a tuple of axes without repetition, each in [0, ndim), as the ops hand it over; one int where there is one.

An empty tuple reduces nothing and gives a copy.  Results are always arrays, also 0-d ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("all", "any", "argmax", "argmin", "max", "mean", "min", "sum", "sum_to")


def _array(value: Any) -> Array:
    return np.asarray(value) if isinstance(value, np.generic) else value


def sum(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Sum over `axis`.  Bools and integers add up in int64; float16 in float32, rounded to float16 at the end."""
    if x.dtype.kind in "biu":
        return _array(np.sum(x, axis=axis, keepdims=keepdims, dtype=np.int64))
    if x.dtype == np.float16:
        return _array(np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float32)).astype(np.float16)
    with np.errstate(invalid="ignore", over="ignore"):
        return _array(np.sum(x, axis=axis, keepdims=keepdims))


def mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Sum over `axis` divided by the number of summands, floating point x; NaN over no elements."""
    count = 1
    for a in axis:
        count *= x.shape[a]
    if x.dtype == np.float16:
        return mean(x.astype(np.float32), axis, keepdims).astype(np.float16)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _array(np.divide(sum(x, axis, keepdims), np.asarray(count, x.dtype)))


def _need_elements(name: str, wanted: str, x: Array, axis: tuple[int, ...]) -> None:
    for a in axis:
        if x.shape[a] == 0:
            raise ValueError(f"{name}: input {x.shape} has no elements along axis {a}, a {wanted} needs at least one")


def max(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Largest value over `axis`, NaN if there is one.

    Raises:
        ValueError: there is nothing to take the maximum of.
    """
    _need_elements("max", "maximum", x, axis)
    return _array(np.max(x, axis=axis, keepdims=keepdims))


def min(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Smallest value over `axis`, NaN if there is one.

    Raises:
        ValueError: there is nothing to take the minimum of.
    """
    _need_elements("min", "minimum", x, axis)
    return _array(np.min(x, axis=axis, keepdims=keepdims))


def argmax(x: Array, axis: int, keepdims: bool) -> Array:
    """Index (int64) of the first largest value along `axis`; of the first NaN if there is one.

    Raises:
        ValueError: there is nothing to take the maximum of.
    """
    return _place("argmax", "maximum", np.argmax, x, axis, keepdims)


def argmin(x: Array, axis: int, keepdims: bool) -> Array:
    """Index (int64) of the first smallest value along `axis`; of the first NaN if there is one.

    Raises:
        ValueError: there is nothing to take the minimum of.
    """
    return _place("argmin", "minimum", np.argmin, x, axis, keepdims)


def _place(name: str, wanted: str, find: Any, x: Array, axis: int, keepdims: bool) -> Array:
    if x.ndim == 0:
        return np.zeros_like(x, dtype=np.int64)
    _need_elements(name, wanted, x, (axis,))
    index = _array(find(x, axis=axis)).astype(np.int64)
    return np.expand_dims(index, axis) if keepdims else index


def all(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Whether no element over `axis` is 0."""
    return _array(np.all(x, axis=axis, keepdims=keepdims))


def any(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Whether an element over `axis` is not 0."""
    return _array(np.any(x, axis=axis, keepdims=keepdims))


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Adjoint of broadcasting: x summed over the axes that broadcasting `shape` to x.shape has added or stretched."""
    lead = x.ndim - len(shape)
    stretched = tuple(i for i in range(x.ndim) if i < lead or (shape[i - lead] == 1 and x.shape[i] != 1))
    return sum(x, stretched, True).astype(x.dtype, copy=False).reshape(shape)
