"""Labels with mistakes in them."""

import numpy as np

from tinygrad_course.errors import DataError


def corrupt_labels(labels: np.ndarray, share: float, num_classes: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of the labels (N,) in which `share` of them, chosen at random, are drawn anew from all classes.

    A label drawn anew may be the old one: of K classes that happens once in K times, so with share=1 about 1/K of the
    labels are still right, and they say nothing about the images.
    C. Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017, section 2.
    Raises DataError for a share outside 0 to 1, or labels outside 0 to num_classes - 1.
    """
    labels = np.asarray(labels)
    if not 0 <= share <= 1:
        raise DataError(f"corrupt_labels: share is {share}; needed is a number from 0 to 1.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"corrupt_labels: labels are {labels.dtype} of shape {labels.shape}, needed are integers (N,).")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DataError(f"corrupt_labels: labels go from {labels.min()} to {labels.max()}, with num_classes={num_classes}.")
    result = labels.copy()
    chosen = rng.permutation(len(labels))[:round(share * len(labels))]
    result[chosen] = rng.integers(0, num_classes, len(chosen))
    return result
