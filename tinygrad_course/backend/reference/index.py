"""Picking and placing elements, in NumPy.  Index arrays are int64.

In `gather`, `scatter_add` and `one_hot` an index must lie in [0, size), as in torch: negative indices are errors there.
In the keys of `take_slice` and `slice_adjoint` they count from the end, as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("gather", "one_hot", "scatter_add", "slice_adjoint", "take_slice", "within")


def _check(name: str, index: Array, dim: int, size: int) -> None:
    bad = (index < 0) | (index >= size)
    if bad.any():
        value = int(index[bad].reshape(-1)[0])
        raise IndexError(f"{name}: index {value} is out of bounds for dimension {dim} with size {size}")


def _coordinates(index: Array, dim: int) -> tuple[Array, ...]:
    """Coordinates of every (i0, ..., index[i0, ...], ...), as an advanced NumPy key."""
    axes: list[Any] = [np.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - d)) for d, n in enumerate(index.shape)]
    axes[dim] = index
    return tuple(axes)


def _check_shapes(name: str, what: str, x: Array, dim: int | None, index: Array) -> None:
    """`index` must have the dimensions of x and be no larger than it, except along `dim`."""
    if index.ndim != x.ndim:
        raise ValueError(f"{name}: index {index.shape} has {index.ndim} dimensions, {what} {x.shape} has {x.ndim}; "
                         "they must be equal")
    for d in range(x.ndim):
        if d != dim and index.shape[d] > x.shape[d]:
            raise ValueError(f"{name}: index {index.shape} is larger than {what} {x.shape} along dimension {d} "
                             f"({index.shape[d]} > {x.shape[d]})")


def gather(x: Array, dim: int, index: Array) -> Array:
    """y[i, j, k] = x[i, index[i, j, k], k] for dim = 1.  Shape of `index`, which may be smaller than x elsewhere.

    Raises:
        IndexError: an index outside [0, x.shape[dim]).
        ValueError: `index` does not fit x.
    """
    if x.ndim == 0 and index.ndim < 2:
        return gather(x.reshape(1), 0, index.reshape(-1)).reshape(index.shape)
    _check_shapes("gather", "input", x, dim, index)
    _check("gather", index, dim, x.shape[dim])
    return x[_coordinates(index, dim)]


def scatter_add(x: Array, dim: int, index: Array, src: Array) -> Array:
    """Copy y of x with y[i, index[i, j, k], k] += src[i, j, k] for dim = 1; repeated places add up, in index order.

    Raises:
        IndexError: an index outside [0, x.shape[dim]).
        ValueError: `index` does not fit x or is larger than `src`.
    """
    if x.ndim == 0 and index.ndim < 2 and src.ndim < 2:
        return scatter_add(x.reshape(1), 0, index.reshape(-1), src.reshape(-1)).reshape(())
    _check_shapes("scatter_add", "input", x, dim, index)
    _check_shapes("scatter_add", "src", src, None, index)
    _check("scatter_add", index, dim, x.shape[dim])
    out = x.copy()
    np.add.at(out, _coordinates(index, dim), src[tuple(slice(n) for n in index.shape)])
    return out


def within(index: Array, low: int, stop: int) -> bool:
    """Whether all of `index` lie in [low, stop)."""
    return not index.size or bool(index.min() >= low and index.max() < stop)


def take_slice(x: Array, key: Any) -> Array:
    """A copy of x[key]; `key` is anything that NumPy takes: integers, slices, None, ..., index arrays, masks."""
    picked = x[key]
    return np.array(picked) if isinstance(picked, np.generic) else picked.copy()


def _is_basic(item: Any) -> bool:
    """Whether this part of a key can name an element only once: everything but integer arrays."""
    return item is None or item is Ellipsis or isinstance(item, (int, np.integer, slice)) or (
        getattr(item, "dtype", None) == np.bool_)


def slice_adjoint(g: Array, shape: tuple[int, ...], key: Any) -> Array:
    """Adjoint of `take_slice`: zeros of `shape` with g added at [key]; places that `key` repeats add up."""
    out = np.zeros_like(g, shape=shape, order="C")
    if all(_is_basic(item) for item in (key if isinstance(key, tuple) else (key,))):
        out[key] = g
    else:
        np.add.at(out, key, g)
    return out


def one_hot(index: Array, n: int, dtype: npt.DTypeLike) -> Array:
    """y[..., c] = (index[...] == c), shape index.shape + (n,).

    Raises:
        IndexError: an index outside [0, n).
    """
    _check("one_hot", index, index.ndim, n)
    out = np.zeros_like(index, dtype=dtype, shape=(index.size, n), order="C")
    out[np.arange(index.size), index.reshape(-1)] = 1
    return out.reshape((*index.shape, n))
