"""Fashion-MNIST: 28 x 28 grey photographs of clothes in ten classes; 2,000 are shipped, all 70,000 are read on demand.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747 (2017).
"""

import io
import os
from pathlib import Path

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package, find_package
from tinygrad_course.data.idx import ImageSet, load_images, read_idx_stream
from tinygrad_course.data.shipped import choose_split, load_shipped

FASHION_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                   "Ankle boot")
FASHION_PACKAGE = Package("apt", "dataset-fashion-mnist", "0.0~git20200523.55506a9-1",
                          "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb", 30_900_652,
                          "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
                          "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")


def load_fashion(split: str = "train", folder: str | os.PathLike[str] | None = None,
                 full: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28) with values 0 to 255 (cloth is bright), and labels int64 (N,).

    Without `folder`: the shipped subset, of each class the first 150 images of the official training set ("train",
    1,500 images) and the first 50 of the official test set ("test", 500 images), in the official order.
    With `full`: all 60,000 and 10,000, from the Debian package dataset-fashion-mnist in the cache folder, or installed.
    With `folder`: the same from the four IDX files in that folder.
    Raises DataError for another split, or if files are missing or broken.
    """
    if folder is not None:
        images = load_images(folder)
    else:
        images = read_fashion(find_package(FASHION_PACKAGE, "fashion")) if full else load_shipped("fashion_mnist_2000.npz")
    return choose_split(images, split, "load_fashion")


def read_fashion(path: Path) -> ImageSet:
    """All 70,000 images out of the Debian package, or out of the folder that it was unpacked in."""
    names = [f"{FASHION_PACKAGE.installed}".replace("train-images-idx3", part)
             for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")]
    files = read_members(path, *names)
    images, labels, test_images, test_labels = (read_idx_stream(io.BytesIO(files[name]), f"{path}: {name}") for name in names)
    return ImageSet(images, labels.astype(np.int64), test_images, test_labels.astype(np.int64))
