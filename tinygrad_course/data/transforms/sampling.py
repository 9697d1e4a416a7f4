"""Values between pixels: bilinear and nearest-neighbour sampling of many planes at once, and Gaussian weights."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

Fill = float | Sequence[float]


class InterpolationMode(StrEnum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


def bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float | np.ndarray) -> np.ndarray:
    """Image n at the places (y[n], x[n]): (N, C, H, W) floats at (N, h, w)  ->  (N, C, h, w).

    Centres of pixels have whole numbers, 0 is the first.  Outside lies `fill`, one value or one per channel; at the border
    pixels are mixed with it.  y and x are float32 or float64 and are overwritten.
    """
    n, channels, height, width = images.shape
    # A frame of two pixels on each side: whatever is read outside the image comes from it, so nothing needs a mask.
    framed = np.empty((n, channels, height + 4, width + 4), images.dtype)
    framed[:] = np.reshape(fill, (-1, 1, 1))
    framed[:, :, 2:-2, 2:-2] = images
    y += 2
    x += 2
    np.clip(y, 0, y.dtype.type(height + 2.5), out=y)
    np.clip(x, 0, x.dtype.type(width + 2.5), out=x)
    top, left = y.astype(np.int32), x.astype(np.int32)
    y -= top
    x -= left
    row = width + 4
    here = top * row + left  # (N, h, w), position of the upper left neighbour in its image
    here += (np.arange(n, dtype=np.int32) * np.int32((height + 4) * row))[:, None, None]
    neighbours = [here.astype(np.intp), here + 1, here + row, here + row + 1]
    result = np.empty((n, channels, *y.shape[1:]), images.dtype)
    for channel in range(channels):
        plane = np.ascontiguousarray(framed[:, channel]).reshape(-1)
        upper_left, upper_right, lower_left, lower_right = (plane.take(place) for place in neighbours)
        upper = upper_left * (1 - x) + upper_right * x
        lower = lower_left * (1 - x) + lower_right * x
        result[:, channel] = upper * (1 - y) + lower * y
    return result


def nearest(planes: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float | np.ndarray) -> np.ndarray:
    """The pixels in which the places (y, x) lie: (C, H, W) of any type at (h, w)  ->  (C, h, w).

    Pixel i reaches from i to i + 1.  Outside lies `fill`, one value or one per channel.
    """
    channels, height, width = planes.shape
    row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
    row[outside] = column[outside] = 0
    result = planes.reshape(channels, -1).take(row * width + column, axis=1)
    return np.where(outside, np.reshape(fill, (-1, 1, 1)).astype(planes.dtype), result)


def gaussian_blur(planes: np.ndarray, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> np.ndarray:
    """Convolution of planes (C, H, W) with a Gaussian of `sigma` = (across, down) pixels that is cut off at `kernel_size` =
    (across, down) taps; 0 leaves an axis as it is.  Beyond the border the image is mirrored, without repeating the pixels of
    the border."""
    if sigma[0] > 0:
        planes = planes @ _gaussian_weights(planes.shape[-1], kernel_size[0], sigma[0]).astype(planes.dtype).T
    if sigma[1] > 0:
        planes = _gaussian_weights(planes.shape[-2], kernel_size[1], sigma[1]).astype(planes.dtype) @ planes
    return planes


def _gaussian_weights(n: int, taps: int, sigma: float) -> np.ndarray:
    """Matrix (n, n) of the convolution along one axis; each row sums to 1."""
    reach = taps // 2
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    source = np.pad(np.arange(n), reach, mode="reflect")[np.arange(n)[:, None] + np.arange(taps)]  # (n, taps)
    place = np.arange(n)[:, None] * n + source
    return np.bincount(place.ravel(), np.tile(kernel / kernel.sum(), n), n * n).reshape(n, n)
