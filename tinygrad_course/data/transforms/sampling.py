"""Values between pixels: bilinear and nearest-neighbour sampling of many planes at once, and Gaussian weights."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from tinygrad_course.ops.conv import conv2d
from tinygrad_course.ops.creation import from_numpy

Fill = float | Sequence[float]
_BLOCK = 8192  # pixels


class InterpolationMode(StrEnum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


def bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float | np.ndarray) -> np.ndarray:
    """Image n at the places (y[n], x[n]): (N, C, H, W) floats at (N, h, w)  ->  (N, C, h, w).

    Centres of pixels have whole numbers, 0 is the first.  Outside lies `fill`, one value or one per channel (C, 1, 1); at the
    border pixels are mixed with it.
    """
    n, channels, height, width = images.shape
    # A frame of two pixels on each side: whatever is read outside the image comes from it, so nothing needs a mask.
    framed = np.empty((channels, n, height + 4, width + 4), images.dtype)
    framed[:] = np.reshape(fill, (-1, 1, 1, 1))
    framed[:, :, 2:-2, 2:-2] = images.swapaxes(0, 1)
    result = np.empty((n, channels, *y.shape[1:]), images.dtype)
    # Whole images or some rows of one at a time: their intermediate values stay in the cache, twice as fast for large ones.
    rows = max(1, min(y.shape[1], _BLOCK // y.shape[2]))
    several = max(1, _BLOCK // (y.shape[1] * y.shape[2]))
    for first in range(0, n, several):
        for top in range(0, y.shape[1], rows):
            block = (slice(first, first + several), slice(top, top + rows))
            _interpolate(framed, first, y[block], x[block], result[block[0], :, block[1]])
    return result


def _interpolate(framed: np.ndarray, first: int, y: np.ndarray, x: np.ndarray, result: np.ndarray) -> None:
    """framed (C, N, H + 4, W + 4) at (y, x) (n, h, w) of the images from `first` on, into result (n, C, h, w)."""
    height, width = framed.shape[2:]
    y, x = np.clip(y + 2, 0, y.dtype.type(height - 1.5)), np.clip(x + 2, 0, x.dtype.type(width - 1.5))
    upper, left = y.astype(np.intp), x.astype(np.intp)
    y -= upper
    x -= left
    number = np.arange(first, first + len(y))[:, None, None]
    here = (number * height + upper) * width + left  # position of the upper left neighbour in the channel
    for channel, plane in enumerate(framed.reshape(len(framed), -1)):
        value, right, below, last = (plane[shift:].take(here) for shift in (0, 1, width, width + 1))
        right -= value
        value += right * x
        last -= below
        below += last * x
        below -= value
        value += below * y
        result[:, channel] = value


def nearest(planes: np.ndarray, y: np.ndarray, x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The pixels in which the places (y, x) lie: (C, H, W) of any type at (h, w)  ->  (C, h, w).

    Pixel i reaches from i to i + 1.  Outside lies `fill` (C, 1, 1), of the type of the planes.
    """
    channels, height, width = planes.shape
    row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
    row[outside] = column[outside] = 0
    result = planes.reshape(channels, -1).take(row * width + column, axis=1)
    return np.where(outside, fill, result)


def gaussian_blur(planes: np.ndarray, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> np.ndarray:
    """Convolution of planes (C, H, W) with a Gaussian of `sigma` = (across, down) pixels that is cut off at `kernel_size` =
    (across, down) taps; 0 leaves an axis as it is.  Beyond the border the image is mirrored, without repeating the pixels of
    the border."""
    for axis, taps, width in ((-1, kernel_size[0], sigma[0]), (-2, kernel_size[1], sigma[1])):
        if width > 0:
            reach = taps // 2
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
            weight = (kernel / kernel.sum()).astype(planes.dtype).reshape((1, 1, 1, -1) if axis == -1 else (1, 1, -1, 1))
            mirrored = planes.take(np.pad(np.arange(planes.shape[axis]), reach, mode="reflect"), axis=axis)
            planes = conv2d(from_numpy(mirrored[:, None]), from_numpy(weight)).numpy()[:, 0]  # (C, 1, H, W) inside
    return planes
