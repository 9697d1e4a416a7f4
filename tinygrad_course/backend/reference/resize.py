"""Sparse linear maps along an axis, and images at the places of a grid, in NumPy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_CUBIC = -0.75  # Keys 1981, Cubic convolution interpolation for digital image processing, with a = -0.75

KERNELS: tuple[str, ...] = ("axis_product", "grid_sample", "grid_sample_grid", "grid_sample_input")


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


def grid_sample(x: Array, grid: Array, mode: str, padding_mode: str, align_corners: bool, orders: tuple[int, ...]) -> Array:
    """y[n, c, p] = sum over the taps of place grid[n, p] of the product of their weights along the axes * x[n, c, tap].

    x (N, C, *spatial), grid (N, *places, axes) with the last axis of x first -> (N, C, *places).  Modes: see ops.resize.
    orders: how often the weights along each axis of x are differentiated with respect to the grid."""
    flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    y = np.zeros_like(x, shape=(*x.shape[:2], *grid.shape[1:-1]), order="C")
    for inside, place, weight in _taps(grid, x.shape[2:], mode, padding_mode, align_corners, orders):
        values = np.take_along_axis(flat, np.broadcast_to(place, (*x.shape[:2], place.shape[2])), 2)
        y += np.where(inside, values.reshape(y.shape), 0) * weight
    return y


def grid_sample_input(g: Array, grid: Array, size: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool,
                      orders: tuple[int, ...]) -> Array:
    """The gradient of sum(g * grid_sample(x, grid)) in x (N, C, *size): the transposed map of g."""
    images, pixels = math.prod(g.shape[:2]), math.prod(size)
    gx = np.zeros_like(g, shape=images * pixels, dtype="float64")
    first = np.arange(images, like=g).reshape(*g.shape[:2], 1) * pixels
    for inside, place, weight in _taps(grid, size, mode, padding_mode, align_corners, orders):
        values = np.where(inside, g * weight, 0)
        # bincount adds in float64 and, unlike np.add.at, in one pass without a loop per element.
        gx += np.bincount((first + place).reshape(-1), weights=values.reshape(-1), minlength=images * pixels)
    return gx.reshape(*g.shape[:2], *size).astype(g.dtype)


def grid_sample_grid(g: Array, x: Array, grid: Array, mode: str, padding_mode: str, align_corners: bool,
                     orders: tuple[int, ...]) -> Array:
    """The gradient of sum(g * grid_sample(x, grid)) in the grid."""
    parts = []
    for axis in reversed(range(len(orders))):
        more = tuple(order + (a == axis) for a, order in enumerate(orders))
        parts.append((g * grid_sample(x, grid, mode, padding_mode, align_corners, more)).sum(1))
    return np.stack(parts, -1)


def _taps(grid: Array, spatial: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool,
          orders: tuple[int, ...]) -> Any:
    """For each pixel that a place needs: (is it inside, its number in the channel or 0, its weight); the first and the last
    (N, 1, *places), the second (N, 1, number of places)."""
    places = math.prod(grid.shape[1:-1])
    with np.errstate(invalid="ignore", over="ignore"):  # NaN, infinite and huge coordinates
        axes = [_taps_along(grid[..., len(spatial) - 1 - axis], size, mode, padding_mode, align_corners, orders[axis])
                for axis, size in enumerate(spatial)]
        for taps in itertools.product(*axes):  # the corners of a square or cube, or 4 x 4 pixels
            inside: Any = True
            number: Any = 0
            weight: Any = 1
            for (place, part), size in zip(taps, spatial, strict=True):
                here = (place >= 0) & (place < size)  # also False for NaN
                inside, weight = inside & here, weight * part
                number = number * size + np.where(here, place, 0).astype("int64")
            yield inside[:, None], number.reshape(len(grid), 1, places), weight[:, None]


def _taps_along(x: Array, size: int, mode: str, padding_mode: str, align_corners: bool,
                order: int) -> list[tuple[Array, Array]]:
    """The pixels along an axis that meet at coordinate x, and their weights, differentiated `order` times."""
    scale = (size - 1 if align_corners else size) / 2
    x = x * scale + (size - 1) / 2
    if mode == "bicubic":
        left = np.floor(x)
        return [(_moved(left + tap, size, padding_mode, align_corners)[0], _cubic(x - left, tap, order) * scale ** order)
                for tap in (-1, 0, 1, 2)]
    x, slope = _moved(x, size, padding_mode, align_corners)
    if mode == "nearest":
        return [(np.rint(x), np.full_like(x, order == 0))]
    left = np.floor(x)
    part = x - left
    if order:
        part = slope * scale if order == 1 else np.zeros_like(x)
    return [(left, -part if order else 1 - part), (left + 1, part)]


def _moved(x: Array, size: int, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Coordinates moved into the image by 'border' and 'reflection', and their derivative: 1, -1 after an odd number of
    reflections, 0 beyond the border."""
    slope = np.ones_like(x)
    if padding_mode == "zeros":
        return x, slope
    low, length = (0.0, size - 1) if align_corners else (-0.5, size)
    if padding_mode == "reflection":
        if length == 0:
            return np.zeros_like(x), np.zeros_like(x)
        far = np.abs(x - low)
        flips = np.floor(far / length)
        even = flips % 2 == 0
        slope = np.where(x < low, -slope, slope) * np.where(even, slope, -slope)
        rest = far - flips * length
        x = low + np.where(even, rest, length - rest)
    inside = (x > 0) & (x < size - 1)
    edge = np.where(x > 0, x.dtype.type(size - 1), x.dtype.type(0))
    return np.where(inside, x, edge), np.where(inside, slope, x.dtype.type(0))


def _cubic(part: Array, tap: int, order: int) -> Array:
    """Keys' kernel at the distance t = |part - tap| of the pixel `tap` from the place `part` in [0, 1), differentiated:
    (a + 2) t^3 - (a + 3) t^2 + 1 up to 1, a t^3 - 5 a t^2 + 8 a t - 4 a up to 2."""
    a, sign = _CUBIC, 1 if tap < 1 else -1
    kernel = np.polynomial.Polynomial([1, 0, -(a + 3), a + 2] if tap in (0, 1) else [-4 * a, 8 * a, -5 * a, a])
    t, y = sign * (part - tap), np.zeros_like(part)
    for factor in reversed(kernel.deriv(order).coef if order else kernel.coef):
        y = y * t + float(factor)
    return y * sign ** order
