"""Kernels that copy: arrays one after the other, and arrays with more places around."""

from typing import Any

import numpy as np

KERNELS = ("cat", "constant_pad")


def cat(arrays: list[Any], axis: int) -> Any:
    """Arrays one after the other along an axis."""
    return np.concatenate(arrays, axis)


def constant_pad(x: Any, before: tuple[int, ...], after: tuple[int, ...], value: Any) -> Any:
    """x with `before` and `after` more places per axis, which hold `value`; negative numbers cut off."""
    shape = tuple([low + size + high for low, size, high in zip(before, x.shape, after, strict=True)])
    y = np.full_like(x, value, shape=shape, order="C")
    inside = tuple([slice(max(low, 0), total - max(high, 0))
                    for low, high, total in zip(before, after, shape, strict=True)])
    y[inside] = x[tuple([slice(max(-low, 0), size - max(-high, 0))
                         for low, high, size in zip(before, after, x.shape, strict=True)])]
    return y
