"""Fashion-MNIST: 28 x 28 grey photographs of clothes in ten classes; 2,000 are shipped, all 70,000 are read on demand.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747 (2017).
"""

import os

import numpy as np

from tinygrad_course.data.idx import load_images
from tinygrad_course.data.shipped import choose_split, load_shipped

FASHION_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                   "Ankle boot")


def load_fashion(split: str = "train", folder: str | os.PathLike[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28) with values 0 to 255 (cloth is bright), and labels int64 (N,).

    Without `folder`: the shipped subset, of each class the first 150 images of the official training set ("train",
    1,500 images) and the first 50 of the official test set ("test", 500 images), in the official order.
    With `folder`: the full set (60,000 and 10,000) from its four IDX files, for instance from
    /usr/share/datasets/fashion-mnist after `apt-get install dataset-fashion-mnist`.
    Raises DataError for another split, a missing folder or broken files.
    """
    images = load_shipped("fashion_mnist_2000.npz") if folder is None else load_images(folder)
    return choose_split(images, split, "load_fashion")
