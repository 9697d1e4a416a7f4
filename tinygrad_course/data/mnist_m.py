"""The recipe of MNIST-M: digits blended with colour photographs, a second domain beside MNIST.

    image = | photo patch - digit |,  in each colour

Source: Y. Ganin, V. Lempitsky and others, "Domain-Adversarial Training of Neural Networks", JMLR 17 (2016), section 5.2.4,
with BSDS500 as photographs.  Deviation: other photographs (see `load_photos`), whole ones held out for the test part.
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_course.data.compose import choose_digits, choose_patches
from tinygrad_course.data.fixed_split import check_split
from tinygrad_course.data.mnist import load_mnist
from tinygrad_course.data.photos import load_photos
from tinygrad_course.errors import DataError
from tinygrad_course.ops.random import Generator


def make_mnist_m(size: int, split: str = "train", generator: Generator | None = None,
                 digits: tuple[np.ndarray, np.ndarray] | None = None,
                 photos: Sequence[np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (size, 28, 28, 3) and labels int64 (size,), drawn at random.

    generator  of all draws; the same one gives the same images
    digits     images uint8 (N, 28, 28) with values 0 to 255 and labels (N,); those of `load_mnist(split)` without it
    photos     uint8 (H, W, 3), at least 28 x 28; those of `load_photos(split)` without it
    With the default sources no digit and no photograph of one split occurs in the other.
    Raises DataError for another split or sources of another shape, or if the default sources are not on this machine.
    """
    check_split(split, "make_mnist_m")
    digits = load_mnist(split) if digits is None else digits
    photos = load_photos(split) if photos is None else photos
    images, labels = choose_digits(size, digits, generator, "make_mnist_m")
    if images.shape[1:] != (28, 28):
        raise DataError(f"make_mnist_m: digits of {images.shape[1]} x {images.shape[2]} pixels. Give 28 x 28, as MNIST has.")
    patches = choose_patches(size, 28, photos, generator, "make_mnist_m")
    # The photograph minus the digit, without the wrap-around of unsigned numbers.
    return np.abs(patches.astype(np.int16) - images[..., None]).astype(np.uint8), labels
