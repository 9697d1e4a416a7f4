"""The shipped handwritten digits: 1,797 real images of 8 x 8 pixels by 13 writers.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998),
the test part, as in scikit-learn's `load_digits`.
"""

import numpy as np

from tinygrad_course.data.shipped import choose_split, load_shipped

DIGIT_CLASSES = tuple("0123456789")
DIGIT_WHITE = 16  # the value of a fully inked pixel: the 4 x 4 block of the scan that it stands for has 16 points


def load_digits(split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 8, 8) with values 0 to 16 (ink is bright), and labels int64 (N,).

    The split is fixed and stored in the file: of each digit 80 % ("train", 1,438 images) and 20 % ("test", 359 images)
    were drawn once with a fixed seed.  No image is in both parts, nor twice in either.  The file does not say who wrote
    what, so the same hands occur in both parts: accuracy on "test" is that for known writers.
    Raises DataError for another split or a damaged file.
    """
    return choose_split(load_shipped("digits.npz"), split, "load_digits")
