"""Named arrays in one compressed .npz file, without pickle: files from strangers are safe to open.

`numpy.savez` cannot take every name as key ("file" is its first argument) and writes in place; this writer takes any
name, replaces the old file in one step and gives the same bytes for the same arrays.
"""

import io
import math
import os
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.io.atomic import ArrayOrTensor, contiguous_array, read_bytes, write_atomic


def save_npz(arrays: Mapping[str, ArrayOrTensor], path: str | os.PathLike[str]) -> None:
    """Write named arrays (or tensors) to `path`, compressed; an old file is replaced only by a complete new one.

    Raises DataError for object arrays, which would need pickle, and if the file cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, value in arrays.items():
            array = contiguous_array(value)
            if array.dtype.hasobject:
                raise DataError(f"save_npz: {name!r} is an array of Python objects, which only pickle could store. "
                                "Convert it to numbers or text first.")
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            # A ZipInfo made by hand bears the fixed date 1980-01-01, so that the bytes depend on the arrays only.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
    write_atomic(path, buffer.getvalue())


def load_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file.  Raises DataError if it is missing, broken or holds pickled objects."""
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {}
            for entry in archive.namelist():
                arrays[entry.removesuffix(".npy")] = _read_array(archive.read(entry))
            return arrays
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, MemoryError) as error:
        raise DataError(f"{path} is not a readable .npz file ({error}). Make or download it again.") from error


def _read_array(content: bytes) -> np.ndarray:
    """The array of an .npy file.  NumPy believes its header and takes the memory for whatever size that states: check it."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"arrays of the format version {version[0]}.{version[1]} are not read")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    size, there = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if not dtype.hasobject and size != there:
        raise ValueError(f"an array of shape {shape} takes {size:,} bytes, {there:,} are there")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
