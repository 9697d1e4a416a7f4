"""Sorting, searching, counting and running extremes in NumPy.  Index results are int64; NaN counts as larger than all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = (
    "argsort", "bincount", "cummax_index", "cummin_index", "histc", "histogram", "kth_index", "median_index", "mode_index",
    "nonzero", "searchsorted", "topk_few_index", "topk_index", "unique_index", "unique_consecutive_index",
)


def argsort(x: Array, axis: int, descending: bool) -> Array:
    """Indices that sort x along `axis`; equal elements keep their order."""
    keys = _keys(x, axis, descending)
    if keys is not None:
        return _places(np.sort(keys, axis))
    if not descending:
        return np.argsort(x, axis=axis, kind="stable").astype(np.int64, copy=False)
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.ascontiguousarray(x.shape[axis] - 1 - np.flip(backwards, axis), dtype=np.int64)


def topk_index(x: Array, axis: int, count: int, largest: bool) -> Array:
    """The first `count` of argsort, descending if the largest are wanted."""
    first = (slice(None),) * axis + (slice(count),)
    keys = _keys(x, axis, largest)
    if keys is None or not 0 < count < x.shape[axis]:
        return np.ascontiguousarray(argsort(x, axis, largest)[first])
    return _places(np.sort(np.partition(keys, count - 1, axis)[first], axis))


def topk_few_index(x: Array, axis: int, count: int, largest: bool) -> Array:
    """topk_index for a `count` of 1 to 64."""
    return topk_index(x, axis, count, largest)


def kth_index(x: Array, axis: int, place: int) -> Array:
    """The element at `place` of argsort along `axis`, which keeps size 1."""
    here = (slice(None),) * axis + (slice(place, place + 1),)
    keys = _keys(x, axis, False)
    if keys is None:
        return np.ascontiguousarray(argsort(x, axis, False)[here])
    return _places(np.partition(keys, place, axis)[here])


_PACKED_FROM = 1024  # elements; below, the way there costs more than it saves


def _keys(x: Array, axis: int, descending: bool) -> Array | None:
    """Integers (int64) in the order of argsort, all different: the rank of a number above its index, 32 bits each.

    Sorting them sorts the indices and keeps equal elements in order; NumPy does it in vectors, eight times faster than a
    stable argsort, and can stop at the first k.  None for few elements and for types whose ranks need more bits."""
    if x.size < _PACKED_FROM or x.shape[axis] >= 2**32:
        return None
    if x.dtype == np.float32:
        bits = np.add(x, np.float32(0)).view(np.int32)  # -0 becomes 0
        rank = np.where(x != x, np.int32(2**31 - 1), bits ^ ((bits >> 31) & np.int32(2**31 - 1)))  # sign and size to integers
    elif x.dtype == np.int64:
        low = int(x.min())
        if int(x.max()) - low >= 2**31:
            return None
        rank = x - low
    elif x.dtype.kind in "bi":
        rank = x
    else:
        return None
    wide = rank.astype(np.int64)
    index = np.arange(x.shape[axis], like=x).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    return ((~wide if descending else wide) << 32) | index


def _places(keys: Array) -> Array:
    """The indices in keys."""
    return np.ascontiguousarray(keys & 0xFFFFFFFF)


def cummax_index(x: Array, axis: int) -> Array:
    """Index of the maximum up to each element along `axis`: the last one, or the last NaN."""
    return _last_new(x, np.maximum.accumulate(x, axis=axis), axis)


def cummin_index(x: Array, axis: int) -> Array:
    """Index of the minimum up to each element along `axis`: the last one, or the last NaN."""
    return _last_new(x, np.minimum.accumulate(x, axis=axis), axis)


def _last_new(x: Array, running: Array, axis: int) -> Array:
    """Index of the last element, up to each along `axis`, that was the running extreme when it came."""
    places = np.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    new = (x == running) | (x != x)
    return np.maximum.accumulate(np.where(new, places, 0), axis=axis).astype(np.int64, copy=False)


def median_index(x: Array, axis: int, ignore_nan: bool) -> Array:
    """Index of the lower median along `axis`, which keeps size 1; of the first NaN if there is one, unless NaN is ignored."""
    n = x.shape[axis]
    nan = np.sum(x != x, axis=axis, keepdims=True)
    if not nan.any():
        return kth_index(x, axis, (n - 1) // 2)
    order = argsort(x, axis, False)
    place = np.maximum(n - nan - 1, 0) // 2 if ignore_nan else np.where(nan > 0, n - nan, (n - 1) // 2)
    return np.take_along_axis(order, place, axis)


def mode_index(x: Array, axis: int) -> Array:
    """Index of the last occurrence of the most frequent value along `axis`, which keeps size 1; the smallest of several.

    NaN is not equal to itself and occurs once."""
    order = np.moveaxis(argsort(x, axis, False), axis, -1)
    rows = np.take_along_axis(np.moveaxis(x, axis, -1), order, -1)
    n = rows.shape[-1]
    places = np.arange(n)
    first = np.ones(rows.shape, bool)
    first[..., 1:] = rows[..., 1:] != rows[..., :-1]
    start = np.maximum.accumulate(np.where(first, places, 0), axis=-1)
    end = np.argmax(places - start, axis=-1)[..., None]  # the first of the longest runs is that of the smallest value
    return np.ascontiguousarray(np.moveaxis(np.take_along_axis(order, end, -1), -1, axis))


def searchsorted(edges: Array, x: Array, right: bool) -> Array:
    """Per row: how many elements of sorted `edges` (..., n) are less than each of x (..., m); not greater, if `right`.

    Edges of one axis serve an x of any shape."""
    side: Any = "right" if right else "left"
    if edges.ndim == 1:
        return np.asarray(np.searchsorted(edges, x, side), np.int64)
    out = np.empty_like(x, dtype=np.int64, order="C")
    for row in np.ndindex(edges.shape[:-1]):
        out[row] = np.searchsorted(edges[row], x[row], side)
    return out


def nonzero(x: Array) -> Array:
    """Coordinates (n, ndim) of the elements that are not 0, in the order of the elements."""
    if x.ndim == 0:
        return np.zeros_like(x, dtype=np.int64, shape=(int(x != 0), 0))
    return np.ascontiguousarray(np.stack(np.nonzero(x), axis=1), dtype=np.int64)


def unique_index(rows: Array) -> tuple[Array, Array, Array]:
    """The different rows of (n, m) in ascending order: (where each comes first, which one each row is, counts).

    NaN is not equal to itself."""
    n, m = rows.shape
    order = argsort(rows[:, 0], 0, False) if m == 1 else np.lexsort(rows.T[::-1]) if m else np.arange(n)
    start, inverse, counts = unique_consecutive_index(rows[order])
    back = np.empty_like(inverse)
    back[order] = inverse
    return order[start].astype(np.int64), back, counts


def unique_consecutive_index(rows: Array) -> tuple[Array, Array, Array]:
    """Runs of equal rows of (n, m): (where each starts, the run of each row, lengths)."""
    n = rows.shape[0]
    new = np.ones_like(rows, dtype=bool, shape=(n,))
    new[1:] = np.any(rows[1:] != rows[:-1], axis=1)
    start = np.nonzero(new)[0].astype(np.int64)
    inverse = np.cumsum(new, dtype=np.int64) - 1
    return start, inverse, np.diff(np.append(start, n)).astype(np.int64)


def bincount(x: Array, weights: Array | None, minlength: int) -> Array:
    """How often each of 0, 1, ... occurs in x (n,), or the sum of its weights, in their type if it is floating point."""
    counts = np.bincount(x, weights, minlength)
    if weights is None:
        return counts.astype(np.int64, copy=False)
    return counts.astype(weights.dtype if weights.dtype.kind == "f" else np.float64, copy=False)


def histc(x: Array, bins: int, low: float, high: float) -> Array:
    """Counts of x in equal bins from low to high, which belongs to the last; what lies outside and NaN are left out."""
    values = x[(x >= low) & (x <= high)]
    place = ((values - low) * (bins / (high - low))).astype(np.int64)
    return np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(x.dtype)


def histogram(x: Array, edges: tuple[Array, ...], weight: Array | None) -> Array:
    """Number (or sum of the weights) of points x (n, d) per cell of a grid of d rows of edges.

    A cell has its left edge; the last one has both.  Points outside and NaN are left out."""
    n, d = x.shape
    inside = np.ones(n, bool)
    cell = np.zeros(n, np.int64)
    for axis in range(d):
        bins = len(edges[axis]) - 1
        values = x[:, axis]
        place = np.searchsorted(edges[axis], values, "right") - 1
        place[values == edges[axis][-1]] = bins - 1
        inside &= (values >= edges[axis][0]) & (values <= edges[axis][-1])
        cell = cell * bins + np.clip(place, 0, bins - 1)
    shape = tuple(len(row) - 1 for row in edges)
    counts = np.bincount(cell[inside], None if weight is None else weight[inside], int(np.prod(shape)))
    return counts.astype(x.dtype).reshape(shape)
