"""Sparse linear maps along an axis, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("axis_product",)


def axis_product(x: Array, axis: int, size: int, layers: tuple[Any, ...]) -> Array:
    """y[..., r, ...] = sum over the entries (r, c, w) of w * x[..., c, ...] along `axis`, which gets `size` elements.

    layers: groups (rows, cols, weights or None for ones) of entries; no group holds a row twice.
    """
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    y = np.zeros_like(x, shape=(*before, size, *after), order="C")
    every = (slice(None),) * axis
    for number, (rows, cols, weights) in enumerate(layers):
        part = np.take(x, np.asarray(cols, like=x), axis)
        if weights is not None:
            part *= np.asarray(weights, dtype=x.dtype, like=x).reshape((-1,) + (1,) * len(after))
        if number == 0:
            y[(*every, rows)] = part
        else:
            y[(*every, rows)] += part
    return y
