"""What generated images share: drawing digits, and patches of photographs, at random."""

from collections.abc import Sequence

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import rand, randint
from tinygrad_course.ops.dtypes import float64
from tinygrad_course.ops.random import Generator


def choose_digits(size: int, digits: tuple[np.ndarray, np.ndarray], generator: Generator | None,
                  caller: str) -> tuple[np.ndarray, np.ndarray]:
    """`size` of the digits with their labels, drawn with replacement: uint8 (size, H, W), int64 (size,)."""
    images, labels = digits
    if size < 1:
        raise DataError(f"{caller}: size={size}. Give a whole number of at least 1.")
    if images.dtype != np.uint8 or images.ndim != 3 or labels.shape != images.shape[:1] or not images.size:
        raise DataError(f"{caller}: digits of {images.dtype} {images.shape} with labels {labels.shape}. Give images uint8 "
                        "(N, H, W) with values 0 to 255, and labels (N,).")
    chosen = randint(0, len(images), (size,), generator=generator).numpy()
    return images[chosen], labels[chosen].astype(np.int64)


def choose_patches(size: int, side: int, photos: Sequence[np.ndarray], generator: Generator | None,
                   caller: str) -> np.ndarray:
    """`size` squares of `side` pixels, each at a random place of a random photograph: uint8 (size, side, side, 3)."""
    for photo in photos:
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or min(photo.shape[:2]) < side:
            raise DataError(f"{caller}: a photograph of {photo.dtype} {photo.shape}. Give uint8 (H, W, 3), at least "
                            f"{side} x {side} pixels.")
    if not photos:
        raise DataError(f"{caller}: there are no photographs. Give at least one.")
    which = randint(0, len(photos), (size,), generator=generator).numpy()
    places = rand(size, 2, dtype=float64, generator=generator).numpy()
    patches = np.empty((size, side, side, 3), np.uint8)
    for number, photo in enumerate(which):
        height, width = photos[photo].shape[:2]
        row, column = int(places[number, 0] * (height - side + 1)), int(places[number, 1] * (width - side + 1))
        patches[number] = photos[photo][row:row + side, column:column + side]
    return patches
