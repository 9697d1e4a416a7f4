"""Blur, noise and erasing."""

from collections.abc import Sequence

import numpy as np

from tinygrad_course.data.transforms.base import (
    OnValues,
    Operation,
    Transform,
    between,
    check_pair,
    check_probability,
    check_range,
    to_dtype,
    to_float,
    uniforms,
)
from tinygrad_course.data.transforms.geometry import random_rectangle
from tinygrad_course.data.transforms.operations import per_channel
from tinygrad_course.data.transforms.sampling import gaussian_blur
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import randint, randn
from tinygrad_course.ops.dtypes import float32
from tinygrad_course.ops.random import Generator


class GaussianBlur(Transform):
    """Convolution with a Gaussian of a random width.

    kernel_size  taps, odd; one number, or (across, down)
    sigma        range of widths in pixels; or one number
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0), *,
                 generator: Generator | None = None) -> None:
        self.kernel_size = check_pair("GaussianBlur", "kernel_size", kernel_size)
        if not all(taps % 2 for taps in self.kernel_size):
            raise DataError(f"GaussianBlur: kernel_size={kernel_size}. Give odd numbers: the middle tap lies on the pixel.")
        self.sigma = check_range("GaussianBlur", "sigma", (sigma, sigma) if isinstance(sigma, (int, float)) else sigma, 1e-6)
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        sigma = between(*self.sigma, uniforms(1, self.generator)[0])

        def change(planes: np.ndarray) -> np.ndarray:
            return to_dtype(gaussian_blur(to_float(planes), self.kernel_size, (sigma, sigma)), planes.dtype)

        return OnValues(change)


class GaussianNoise(Transform):
    """Normal noise, of its own for every value: x + mean + sigma n, for images from 0 to 1; for uint8 255 times as much.

    clip  cut off at 0 and 1; uint8 is always cut off at 0 and 255
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, *,
                 generator: Generator | None = None) -> None:
        if sigma < 0:
            raise DataError(f"GaussianNoise: sigma={sigma}. A standard deviation is at least 0.")
        self.mean = mean
        self.sigma = sigma
        self.clip = clip
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        seed = _fresh(self.generator)  # what is drawn depends on the number of channels, which the operation sees

        def change(planes: np.ndarray) -> np.ndarray:
            noise = self.sigma * randn(*planes.shape, dtype=float32, generator=seed).numpy() + self.mean
            if planes.dtype == np.uint8:
                return to_dtype(planes + 255 * noise, planes.dtype)
            values = to_float(planes) + noise
            return to_dtype(np.clip(values, 0, 1) if self.clip else values, planes.dtype)

        return OnValues(change)


def _fresh(generator: Generator | None) -> Generator:
    """A generator that starts from a number of `generator`."""
    return Generator().manual_seed(int(randint(0, 2**63 - 1, (1,), generator=generator).item()))


class RandomErasing(Transform):
    """Cut-out: with probability p a random rectangle of the image loses its content.  Masks and boxes stay as they are.

    scale  smallest and largest share of the image's area
    ratio  smallest and largest height / width; its logarithm is uniform
    value  written into the rectangle: a number, one per channel, or "random": standard normal numbers (uint8: 0 to 255)
    scale=(s, s), ratio=(1, 1), p=1 give squares of one size.  If ten rectangles do not fit, nothing is erased.
    T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv:1708.04552;
    Z. Zhong and others, "Random erasing data augmentation", AAAI 2020, algorithm 1.
    """

    def __init__(self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33), ratio: Sequence[float] = (0.3, 3.3),
                 value: float | Sequence[float] | str = 0.0, *, generator: Generator | None = None) -> None:
        self.p = check_probability("RandomErasing", p)
        self.scale = check_range("RandomErasing", "scale", scale, 0)
        if self.scale[1] > 1:
            raise DataError(f"RandomErasing: scale={scale}. The rectangle is a part of the image: shares from 0 to 1.")
        self.ratio = check_range("RandomErasing", "ratio", ratio, 1e-6)
        if isinstance(value, str) and value != "random":
            raise DataError(f'RandomErasing: value={value!r}. Give a number, one per channel, or "random".')
        self.value = value
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation | None:
        if uniforms(1, self.generator)[0] >= self.p:
            return None
        hole = random_rectangle(height, width, self.scale, self.ratio, self.generator)
        if hole is None:
            return None
        seed = _fresh(self.generator) if isinstance(self.value, str) else None

        def change(planes: np.ndarray) -> np.ndarray:
            result = planes.copy()
            rectangle = hole.image(result)  # a view
            if not isinstance(self.value, str):
                rectangle[:] = per_channel(self.value, planes)
            elif planes.dtype == np.uint8:
                rectangle[:] = randint(0, 256, rectangle.shape, generator=seed).numpy()
            else:
                rectangle[:] = randn(*rectangle.shape, dtype=float32, generator=seed).numpy()
            return result

        return OnValues(change)
