"""Make the data files that the package ships, from their sources.  Run it again to get the same arrays.

    pip install scikit-learn
    apt-get install dataset-fashion-mnist       # or unpack it anywhere: dpkg-deb -x dataset-fashion-mnist_*.deb FOLDER
    python tools/make_shipped_data.py /usr/share/datasets/fashion-mnist

It writes tinygrad_course/data/files/*.npz and prints their SHA-256 sums, which belong into
tinygrad_course/data/shipped.py.  The compressed bytes depend on the version of zlib, the arrays do not.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from tinygrad_course.data.idx import ImageSet, load_images
from tinygrad_course.io import save_npz

FOLDER = Path(__file__).resolve().parents[1] / "tinygrad_course" / "data" / "files"
SPLIT_SEED = 0
DIGITS_TEST_SHARE = 0.2
FASHION_TRAIN_PER_CLASS, FASHION_TEST_PER_CLASS = 150, 50


def digits() -> ImageSet:
    """All 1,797 digits; of each class a seeded fifth is the test part."""
    source = load_digits()
    images, labels = source.images.astype(np.uint8), source.target
    # Raw Philox words: NumPy promises their stream for ever, that of `permutation` it does not.
    keys = np.random.Philox(key=SPLIT_SEED).random_raw(len(labels))
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        shuffled = members[np.argsort(keys[members])]
        is_test[shuffled[:round(DIGITS_TEST_SHARE * len(members))]] = True
    return ImageSet(images[~is_test], labels[~is_test], images[is_test], labels[is_test])


def fashion(folder: str) -> ImageSet:
    """The first images of each class from the official training set and from the official test set."""
    full = load_images(folder)
    train = first_of_each_class(full.train_labels, FASHION_TRAIN_PER_CLASS)
    test = first_of_each_class(full.test_labels, FASHION_TEST_PER_CLASS)
    return ImageSet(full.train_images[train], full.train_labels[train], full.test_images[test], full.test_labels[test])


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)]))


def write(name: str, images: ImageSet) -> None:
    path = FOLDER / name
    save_npz({part: values.astype(np.uint8) for part, values in images._asdict().items()}, path)
    content = path.read_bytes()
    print(f"{name}: {len(images.train_labels)} + {len(images.test_labels)} images, {len(content):,} bytes, "
          f"sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FOLDER.mkdir(exist_ok=True)
    write("digits.npz", digits())
    write("fashion_mnist_2000.npz", fashion(sys.argv[1]))
