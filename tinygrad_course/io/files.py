"""load and save for every format: by content when reading, by the ending of the name when writing."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.io.mapped import MappedFile
from tinygrad_course.io.npz import load_npz, save_npz
from tinygrad_course.io.safetensors import load_file, save_file
from tinygrad_course.io.torch_read import LEGACY_START, load_torch
from tinygrad_course.io.torch_write import save_torch
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.dtypes import SUPPORTED
from tinygrad_course.tensor import Tensor

_OTHERS = {  # how files of other kinds begin
    b"\x89HDF\r\n\x1a\n": "an HDF5 file (Keras). Read it with h5py and pass the arrays to load_state_dict",
    b"\x93NUMPY": "a single array. Read it with numpy.load(path)",
    b"\x1f\x8b": "compressed by gzip. Unpack it first",
    b"BZh": "compressed by bzip2. Unpack it first",
    b"\xfd7zXZ\x00": "compressed by xz. Unpack it first",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Fetch it: git lfs pull",
    b"<": "a web page. Download the file itself",
}


def load(path: str | os.PathLike[str]) -> Any:
    """Read a file of weights of any format; what it is follows from its content, not from its name.

    safetensors        {name: Tensor}, see `load_file`
    .npz               {name: Tensor}; arrays that tensors cannot hold (texts, complex numbers) stay arrays
    .pt, .pth          what torch.save was given: a state dict, or a checkpoint with one in it; see `load_torch`

    Nothing is executed, whatever the file says.  Raises DataError if it is missing, broken or of another kind.
    """
    file = MappedFile(path)
    start = file.read(0, 64)
    if start.startswith(LEGACY_START):
        return load_torch(path)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # the second: an archive of nothing
        return {name: _as_tensor(array) for name, array in load_npz(path).items()} if _is_npz(path) else load_torch(path)
    if start[8:9] == b"{":
        return load_file(path)
    if start.startswith(b"\x80"):
        raise DataError(f"{path} is a bare pickle, which is not opened: a pickle can run any program. If you trust it, load "
                        "it with what wrote it and save it as safetensors or with torch.save.")
    kind = next((text for magic, text in _OTHERS.items() if start.startswith(magic)), None)
    raise DataError(f"{path} is " + (f"{kind}." if kind else
                                     "no file of weights: it is neither safetensors nor .npz nor a file of torch.save."))


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write tensors to a file, in the format that its name ends in.

    .safetensors  a dict of tensors: safe, fast, read by every framework; the format of choice
    .npz          a dict of tensors, compressed, read by NumPy
    .pt, .pth     dicts, lists, tuples of tensors, numbers, texts, None, nested: torch.load(path, weights_only=True) opens it

    Raises DataError for another ending, or for what the format cannot hold.
    """
    ending = Path(path).suffix.lower()
    if ending in (".pt", ".pth"):
        save_torch(obj, path)
        return
    if ending not in (".safetensors", ".npz"):
        raise DataError(f"{path}: the ending says the format, and {ending or 'none'!r} is none of .safetensors, .npz, .pt, "
                        ".pth.")
    if not isinstance(obj, Mapping) or not all(isinstance(value, Tensor | np.ndarray) for value in obj.values()):
        wrong = ("" if not isinstance(obj, Mapping) else
                 next(f"; {key!r} is a {type(value).__name__}" for key, value in obj.items()
                      if not isinstance(value, Tensor | np.ndarray)))
        raise DataError(f"{path}: a {ending} file holds a flat dict of tensors, got a {type(obj).__name__}{wrong}. Of a "
                        "module, save its state_dict(); nested checkpoints go to .pt files.")
    if ending == ".npz":
        save_npz(obj, path)
    else:
        save_file(obj, path)


def _is_npz(path: str | os.PathLike[str]) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return all(name.endswith(".npy") for name in names)


def _as_tensor(array: np.ndarray) -> Any:
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return from_numpy(native) if native.dtype in SUPPORTED else array
