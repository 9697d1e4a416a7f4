"""What the file formats share: plain arrays out of tensors, whole files in, whole files out in one step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor

ArrayOrTensor = np.ndarray | Tensor


def contiguous_array(value: ArrayOrTensor) -> np.ndarray:
    """The values as a C-contiguous array in main memory; without a copy where they are one already."""
    return np.asarray(as_array(value), order="C")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file.  Raises DataError if it is missing, empty or unreadable."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give the path of a readable file.") from error
    if not content:
        raise DataError(f"{path} is empty. Make or download it again.")
    return content


def write_atomic(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that `path` holds the old content or all of the new, whatever interrupts; see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` when the block ends, and vanishes if the block raises.

    The bytes go to a temporary file in the same folder, are forced to the disk, and the file is renamed.  A device or a pipe
    (/dev/null, /dev/stdout) is written to as it is: a rename would put a file in its place.
    Raises DataError if the folder is missing or the file cannot be written.
    """
    # Asked before links are followed: behind /dev/stdout may be a pipe, which has no name of its own.
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with _os_errors(path), open(path, "wb") as file:
            yield file
        return
    # The file behind a symbolic link is replaced, not the link.
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.tmp"
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise DataError(f"{path} cannot be written: the folder {folder} does not exist. Create it first.")
    try:
        with _os_errors(path):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)  # gone already after a success


@contextmanager
def _os_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}. Give another path or make room.") from error
