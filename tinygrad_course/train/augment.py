"""Random distortions of training images."""

import math

import numpy as np

from tinygrad_course.data.transforms import sampling
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import from_numpy, rand
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor


class RandomAffine:
    """Turns, scales and shifts each image of a batch by its own random amounts: (N, C, H, W) -> (N, C, H, W).

    degrees    largest turn to either side
    translate  largest shift in either direction, in pixels
    scale      largest relative change of size: 0.1 gives factors from 0.9 to 1.1
    fill       value outside the image
    generator  source of the amounts; the default generator without it

    Values between pixels are bilinear.  With c the centre of the image, output pixel q shows the input at
    A (q - c - shift) + c, where A turns by the angle and divides by the factor.
    P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003, section 2.
    """

    def __init__(self, degrees: float = 10.0, translate: float = 3.0, scale: float = 0.1, *, fill: float = 0.0,
                 generator: Generator | None = None) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.fill = fill
        self.generator = generator

    def __call__(self, images: Tensor) -> Tensor:
        """The distorted batch, a new tensor outside the graph.  Raises ShapeError unless images are (N, C, H, W)."""
        if images.ndim != 4:
            raise ShapeError(f"RandomAffine: images have the shape {tuple(images.shape)}, needed is (N, C, H, W).")
        draws = 2 * rand(4, images.shape[0], generator=self.generator).numpy() - 1  # (4, N) in [-1, 1)
        angle = draws[0] * np.float32(math.radians(self.degrees))
        factor = 1 + draws[1] * np.float32(self.scale)
        shift = draws[2:] * np.float32(self.translate)
        return from_numpy(warp(images.detach().numpy(), angle, factor, shift, self.fill))


def warp(images: np.ndarray, angle: np.ndarray, factor: np.ndarray, shift: np.ndarray, fill: float) -> np.ndarray:
    """Turn image n by angle[n] (radians), scale it by factor[n] and move it by shift[:, n] = (down, right) pixels.

    images (N, C, H, W), angle and factor (N,), shift (2, N)  ->  (N, C, H, W).
    """
    height, width = images.shape[2:]
    cosine, sine = np.cos(angle) / factor, np.sin(angle) / factor  # (N,)
    centre_y, centre_x = height / 2, width / 2
    dy = np.arange(height) + 0.5 - centre_y - shift[0, :, None]  # (N, H)
    dx = np.arange(width) + 0.5 - centre_x - shift[1, :, None]   # (N, W)
    across = np.stack([cosine[:, None] * dx + centre_x, centre_y - sine[:, None] * dx], axis=1)  # (N, 2, W)
    down = np.stack([sine[:, None] * dy, cosine[:, None] * dy], axis=1)                          # (N, 2, H)
    return sampling.warp(images, across, down, None, np.full(images.shape[1], fill, images.dtype), nearest=False)
