"""Rotated, sheared, tilted and distorted images, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KERNELS: tuple[str, ...] = ("warp",)
_BLOCK = 8192  # pixels


def warp(x: Array, across: Array, down: Array, offsets: Array | None, fill: Array, nearest: bool) -> Array:
    """Output pixel (row, column) of image n is the image at (u, v) = across[n, :2, column] + down[n, :2, row].

    x (N, C, H, W), across (N, 2 or 3, columns), down (N, 2 or 3, rows)  ->  (N, C, rows, columns) of the type of x.
    u counts pixels along the width, v along the height; pixel i reaches from i to i + 1.
    offsets (N, 2, rows, columns)  are added to (u, v)
    a third line                   divides them: perspective
    fill (C,)                      is what lies outside
    nearest                        the pixel in which the place lies, of any type; else the bilinear mean of the four around
                                   it, mixed with `fill` at the border: floating point numbers, or uint8, which is rounded"""
    n, channels, height, width = x.shape
    rows, columns = down.shape[2], across.shape[2]
    y = np.empty_like(x, shape=(n, channels, rows, columns), order="C")
    # Some rows at a time: their intermediate values stay in the cache.
    step = max(1, _BLOCK // max(columns, 1))
    for image in range(n):
        source = x[image] if nearest else _framed(x[image], fill)
        for top in range(0, rows, step):
            with np.errstate(all="ignore"):  # places at infinity
                lines = across[image, :, None, :] + down[image, :, top:top + step, None]  # (2 or 3, some rows, columns)
                places = lines[:2] if offsets is None else lines[:2] + offsets[image, :, top:top + step]
                u, v = places / lines[2] if len(lines) == 3 else places
                block = y[image, :, top:top + step]
                if nearest:
                    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)  # also False for NaN
                    row, column = np.where(inside, v, 0).astype(np.intp), np.where(inside, u, 0).astype(np.intp)
                    block[...] = np.where(inside, source[:, row, column], fill[:, None, None])
                else:
                    _interpolate(source, u - 0.5, v - 0.5, block)
    return y


def _framed(planes: Array, fill: Array) -> Array:
    """Planes (C, H, W) as floating point numbers with a frame of two pixels: whatever is read outside comes from it."""
    channels, height, width = planes.shape
    kind = planes.dtype if planes.dtype.kind == "f" else "float32"
    framed = np.empty_like(planes, shape=(channels, height + 4, width + 4), dtype=kind)
    framed[:] = fill[:, None, None]
    framed[:, 2:-2, 2:-2] = planes
    return framed


def _interpolate(framed: Array, x: Array, y: Array, result: Array) -> None:
    """framed (C, H + 4, W + 4) at (x, y) (h, w) of the image inside the frame, into result (C, h, w)."""
    height, width = framed.shape[1:]
    x = np.where((x >= -1) & (x < width - 4), x, -2) + 2  # in the frame where it is outside, or NaN
    y = np.where((y >= -1) & (y < height - 4), y, -2) + 2
    upper, left = y.astype(np.intp), x.astype(np.intp)
    right, below = (x - left).astype(framed.dtype), (y - upper).astype(framed.dtype)
    here = upper * width + left  # position of the upper left neighbour in the channel
    for channel, plane in enumerate(framed.reshape(len(framed), height * width)):
        first, second, third, fourth = (plane[shift:].take(here) for shift in (0, 1, width, width + 1))
        first += (second - first) * right
        third += (fourth - third) * right
        first += (third - first) * below
        result[channel] = first if result.dtype.kind == "f" else np.rint(first)
