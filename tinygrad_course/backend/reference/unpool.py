"""Maxima in boxes: where they are, and back to there.  In NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("max_index", "max_unpool")


def max_index(x: Array, tables: tuple[Array, ...]) -> Array:
    """Flat position, in x.shape[2:], of the largest value of every box.

    x (N, C, *size); one table per further axis, (N or 1, C or 1, out, taps): the positions that the boxes have along it.
    A position may be repeated.  ->  int64 (N, C, *out).  Of equal values the first wins; a NaN wins over every number, and
    of several the last.
    """
    spatial = x.shape[2:]
    best = x
    index = np.asarray(np.arange(int(np.prod(spatial))), like=x).reshape(spatial)
    index = np.broadcast_to(index, x.shape)
    for axis in range(x.ndim - 1, 1, -1):  # the last axis first: then ties go to the first in row order
        table = np.asarray(tables[axis - 2], like=x)
        values, places = best, index
        for tap in range(table.shape[3]):
            shape = [*table.shape[:2], *(1,) * (x.ndim - 2)]
            shape[axis] = table.shape[2]
            at = table[..., tap].reshape(shape)
            value, place = np.take_along_axis(values, at, axis), np.take_along_axis(places, at, axis)
            if tap == 0:
                best, index = value, place
            else:
                better = (value > best) | (value != value)
                best, index = np.where(better, value, best), np.where(better, place, index)
    return np.ascontiguousarray(index)


def max_unpool(x: Array, index: Array, size: int) -> Array:
    """y[n, c, index[n, c, p]] = x[n, c, p], zeros elsewhere; the last of several values for one place stays.

    x (N, C, P), index likewise, of values in [0, size)  ->  y (N, C, size).
    """
    y = np.zeros_like(x, shape=(*x.shape[:2], size), order="C")
    np.put_along_axis(y, index, x, axis=2)
    return y
