"""Reader of the IDX format, plain or gzipped: the files of MNIST, Fashion-MNIST, KMNIST and EMNIST.

An IDX file is a header (two zero bytes, a type code, the number of axes, then one big-endian uint32 per axis) followed
by the values in C order, big-endian.  Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", file formats.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tinygrad_course.errors import DataError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
_MOST_AXES = 32  # of NumPy 1; newer ones have 64

# The names of the official downloads.  Some copies write a point where these have the hyphen before "idx".
_STANDARD_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


class ImageSet(NamedTuple):
    """Grey images with labels in two disjoint parts: images uint8 (N, H, W), labels int64 (N,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, gzipped or not (told by its first bytes, not by its name).

    Returns an array of the shape and type that the header states, in the byte order of this machine.
    Raises DataError if the file is missing, empty, truncated, longer than its header says, or not IDX.
    """
    try:
        with open(path, "rb") as file:
            return read_idx_stream(file, path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Give the path of an IDX file (plain or .gz).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give the path of an IDX file.") from error


def read_idx_stream(file: BinaryIO, path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file that is open at its start, gzipped or not, as `read_idx` does; `path` is its name in errors."""
    start = file.read(2)
    file.seek(0)
    if not start:
        raise DataError(f"{path} is empty. Download it again.")
    if start != _GZIP_MAGIC:
        return _read(file, path)
    try:
        with gzip.open(file) as unpacked:
            return _read(unpacked, path)  # type: ignore[arg-type]  # GzipFile is a BinaryIO in all but name
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a truncated or damaged gzip file ({error}). Download it again.") from error


def _read(file: BinaryIO, path: str | os.PathLike[str]) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not magic[3]:
        raise DataError(f"{path} is not an IDX file: it starts with the bytes {magic.hex(' ') or 'none'}, an IDX file "
                        "with 00 00, a type code 08-0e and the number of axes. Give one of MNIST's files.")
    axes = magic[3]
    if axes > _MOST_AXES:
        raise DataError(f"{path}: its header says {axes} axes; arrays have {_MOST_AXES} at most. Download it again.")
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"{path} ends inside its header of {axes} axes. Download it again.")
    shape = struct.unpack(f">{axes}I", sizes)
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    # In pieces, and one byte more than needed: a damaged header must not make us allocate what it claims.
    body = bytearray()
    while piece := file.read(min(_CHUNK, expected + 1 - len(body))):
        body += piece
    if len(body) != expected:
        found = f"has only {len(body):,}" if len(body) < expected else "goes on after them"
        raise DataError(f"{path}: its header says {_times(shape)} values, {expected:,} bytes, but the file {found}. "
                        "Download it again.")
    values = np.frombuffer(body, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def find_idx_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Paths of the four standard files (train_images, train_labels, test_images, test_labels) in `folder`.

    Accepted for each, in this order: `train-images-idx3-ubyte`, the same with `.gz`, and both with `.idx3` for `-idx3`.
    Raises DataError if the folder or one of the files is missing.
    """
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f"{folder} does not exist. Give a folder with the four files of MNIST "
                        f"({', '.join(_STANDARD_FILES.values())}; .gz is fine).")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file. Give the folder that holds the four files of MNIST.")
    found = {}
    for part, name in _STANDARD_FILES.items():
        candidates = [name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz"]
        path = next((folder / candidate for candidate in candidates if (folder / candidate).is_file()), None)
        if path is None:
            raise DataError(f"{folder} has no {name} (nor {name}.gz). Put MNIST's four files there, or give another "
                            "folder.")
        found[part] = path
    return found


def load_images(path: str | os.PathLike[str]) -> ImageSet:
    """Read a data set in MNIST's four files from the folder `path`.

    Returns (train_images, train_labels, test_images, test_labels): images uint8 (N, H, W), labels int64 (N,).
    Raises DataError if a file is missing or broken, or if images and labels do not belong together.
    """
    files = find_idx_files(path)
    train_images, train_labels = _read_part(files["train_images"], files["train_labels"])
    test_images, test_labels = _read_part(files["test_images"], files["test_labels"])
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(f"{path}: training images are {_times(train_images.shape[1:])} pixels, test images "
                        f"{_times(test_images.shape[1:])}. Take all four files from one data set.")
    return ImageSet(train_images, train_labels, test_images, test_labels)


def _read_part(image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"{image_path} holds {images.dtype} values of shape {images.shape}; images are uint8 "
                        "(N, H, W). Check that the file was not swapped with another.")
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise DataError(f"{label_path} holds {labels.dtype} values of shape {labels.shape}; labels are uint8 (N,). "
                        "Check that the file was not swapped with another.")
    if len(images) != len(labels):
        raise DataError(f"{image_path.name} has {len(images):,} images, {label_path.name} {len(labels):,} labels. "
                        "Take both files from one data set.")
    if not images.size:
        raise DataError(f"{image_path} holds no pixels: its shape is {images.shape}. Download it again.")
    return images, labels.astype(np.int64)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
