"""CIFAR-10 and CIFAR-100: 60,000 colour photographs of things, 32 x 32, from the files of the "binary version".

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, University of Toronto
(2009).  No package ships them: who has cifar-10-binary.tar.gz or cifar-100-binary.tar.gz gives its path.  The "python
version" is a pickle, which could run any code, and is not read.

A record is one byte with the label (CIFAR-100: one with the coarse, one with the fine label), then 1,024 bytes of red, of
green and of blue, row by row.
"""

import os
from pathlib import PurePosixPath

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fixed_split import check_split
from tinygrad_course.errors import DataError

_PIXELS = 3 * 32 * 32


def load_cifar10(path: str | os.PathLike[str], split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3), red, green, blue, values 0 to 255, and labels int64 (N,), 0 to 9.

    path   cifar-10-binary.tar.gz, or the folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin
    split  "train" (50,000) or "test" (10,000), the official ones
    Raises DataError for another split, or if a file is missing or broken.
    """
    check_split(split, "load_cifar10")
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] if split == "train" else ["test_batch.bin"]
    images, labels = _read(path, names, label_bytes=1)
    return images, _checked(labels[:, 0], 10, path)


def load_cifar100(path: str | os.PathLike[str], split: str = "train",
                  coarse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3), red, green, blue, values 0 to 255, and labels int64 (N,).

    path    cifar-100-binary.tar.gz, or the folder with train.bin and test.bin
    split   "train" (50,000) or "test" (10,000), the official ones
    coarse  labels 0 to 19 of the superclasses in place of 0 to 99
    Raises DataError for another split, or if a file is missing or broken.
    """
    check_split(split, "load_cifar100")
    images, labels = _read(path, [f"{split}.bin"], label_bytes=2)
    return images, _checked(labels[:, 0], 20, path) if coarse else _checked(labels[:, 1], 100, path)


def cifar_class_names(path: str | os.PathLike[str], coarse: bool = False) -> tuple[str, ...]:
    """The names of the classes, from the text file beside the images: 10, or 100, or with `coarse` 20.

    Raises DataError if the file is missing.
    """
    for name in ("coarse_label_names.txt",) if coarse else ("batches.meta.txt", "fine_label_names.txt"):
        try:
            content = _find(path, [name])[name]
        except DataError as error:
            missing = error
            continue
        return tuple(line.strip() for line in content.decode("utf-8").splitlines() if line.strip())
    raise missing


def _find(path: str | os.PathLike[str], names: list[str]) -> dict[str, bytes]:
    """Files by their last name: the archive has them in a folder, a user may have them anywhere."""
    inside = os.path.isdir(path) and all(os.path.isfile(os.path.join(path, name)) for name in names)
    found = read_members(path, *(name if inside else f"*/{name}" for name in names))
    return {PurePosixPath(name).name: content for name, content in found.items()}


def _read(path: str | os.PathLike[str], names: list[str], label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) and the bytes of the labels (N, label_bytes) of the files, one after the other."""
    files = _find(path, names)
    record = label_bytes + _PIXELS
    for name in names:
        if not files[name] or len(files[name]) % record:
            raise DataError(f"{path}: {name} has {len(files[name]):,} bytes, which is no multiple of the {record:,} of a "
                            "record. Is it truncated, or the other one of CIFAR-10 and CIFAR-100?")
    values = np.frombuffer(b"".join(files[name] for name in names), np.uint8).reshape(-1, record)
    images = values[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
    return np.ascontiguousarray(images), values[:, :label_bytes]


def _checked(labels: np.ndarray, classes: int, path: str | os.PathLike[str]) -> np.ndarray:
    if labels.max() >= classes:
        raise DataError(f"{path}: a label is {labels.max()}, there are only {classes} classes. Is it the other one of "
                        "CIFAR-10 and CIFAR-100, or damaged?")
    return labels.astype(np.int64)
