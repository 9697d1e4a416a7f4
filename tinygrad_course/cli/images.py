"""Image data by name or path, brought to the form that LeNet-5 takes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad_course.cli.usage import UsageError, suggestion
from tinygrad_course.data import (
    DIGIT_CLASSES,
    DIGIT_WHITE,
    FASHION_CLASSES,
    ImageSet,
    find_idx_files,
    load_digits,
    load_fashion,
    load_images,
    resize,
)
from tinygrad_course.models.lenet import IMAGE_SIZE

NAMES = ("digits", "fashion")


@dataclass
class ImageData:
    """Images float32 (N, 1, 32, 32) in [0, 1], bright on dark, with labels int64 (N,).

    fill    share of the frame that the depicted things take up along their longer side (median)
    digest  checksum of all images and labels as they were read
    """

    class_names: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    fill: float
    digest: str


def load_image_data(source: str) -> ImageData:
    """The data set "digits" or "fashion", or the four IDX files of a folder (a path of one of them will do)."""
    if source == "digits":
        images, white = ImageSet(*load_digits("train"), *load_digits("test")), DIGIT_WHITE
        class_names: tuple[str, ...] = DIGIT_CLASSES
    elif source == "fashion":
        images, white = ImageSet(*load_fashion("train"), *load_fashion("test")), 255
        class_names = FASHION_CLASSES
    else:
        images, white = load_images(_idx_folder(source)), 255
        largest = int(max(images.train_labels.max(), images.test_labels.max()))
        class_names = tuple(str(number) for number in range(largest + 1))
    digest = hashlib.sha256()
    for array in images:
        digest.update(np.ascontiguousarray(array).tobytes())
    train = resize(images.train_images.astype(np.float32) / white, IMAGE_SIZE)[:, None]  # (N, H, W) -> (N, 1, 32, 32)
    test = resize(images.test_images.astype(np.float32) / white, IMAGE_SIZE)[:, None]
    return ImageData(class_names, train, images.train_labels, test, images.test_labels, _median_fill(train[:1000, 0]),
                     digest.hexdigest())


def canonical_name(source: str) -> str:
    """The same text for the same data: a name as it is, a path in full."""
    return source if source in NAMES else str(Path(source).resolve())


def bounding_box(image: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of (H, W) that hold pixels of more than half the brightest; everything if there are none."""
    bright = image > image.max() / 2
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if not rows.size:
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _median_fill(images: np.ndarray) -> float:
    sides = []
    for image in images:
        rows, columns = bounding_box(image)
        sides.append(max(rows.stop - rows.start, columns.stop - columns.start) / image.shape[0])
    return float(np.median(sides))


def _idx_folder(source: str) -> Path:
    path = Path(source)
    if not path.exists():
        hint = suggestion(source, NAMES)
        raise UsageError(f"unknown data {source!r}{hint or '.'} Give {', '.join(NAMES)}, or an existing folder "
                         "with the four IDX files of MNIST")
    if path.is_dir():
        return path
    if "idx" not in path.name or path.resolve() not in map(Path.resolve, find_idx_files(path.parent).values()):
        raise UsageError(f"{path} is not one of the four IDX files of MNIST. Give the folder that holds them")
    return path.parent
