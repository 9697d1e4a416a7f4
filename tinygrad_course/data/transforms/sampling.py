"""Pixels from other places, and Gaussian weights."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from tinygrad_course import backend
from tinygrad_course.ops.conv import conv2d
from tinygrad_course.ops.creation import from_numpy

Fill = float | Sequence[float]


class InterpolationMode(StrEnum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


def warp(images: np.ndarray, across: np.ndarray, down: np.ndarray, offsets: np.ndarray | None, fill: np.ndarray,
         nearest: bool) -> np.ndarray:
    """The images (N, C, H, W) at other places: (N, C, rows, columns); see backend/reference/warp.py."""
    kind, compiled = images.dtype, images.size < 2**31
    if kind != np.uint8 and kind.char not in "fd":
        compiled = compiled and nearest and kind.kind in "biuf" and kind.itemsize <= 8
    # The NumPy body takes what is left: masks of complex numbers or objects, huge images.
    kernel = backend.cpu_kernels.warp if compiled else backend.cpu.reference_module("warp").warp
    result: np.ndarray = kernel(images, across, down, offsets, fill, nearest)
    return result


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
