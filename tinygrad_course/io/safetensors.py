"""Named tensors in one safetensors file, the format of Hugging Face: flat, without pickle, read by every framework.

A file is: 8 bytes, the length n of the header, little-endian; n bytes of JSON

    {"__metadata__": {"text": "text"}, "name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [begin, end]}, ...}

and the tensors' bytes, in C order, little-endian, without gaps; offsets count from the end of the header.
https://huggingface.co/docs/safetensors/index#format

Everything that a header says is checked before it is used: a broken or hostile file ends in DataError.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import DataError
from tinygrad_course.io.atomic import ArrayOrTensor, atomic_file, contiguous_array
from tinygrad_course.io.mapped import MappedFile
from tinygrad_course.io.numbers import CODES, NATIVE, REFUSED, UNSIGNED, item_size, read_numbers
from tinygrad_course.tensor import Tensor

_LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors package
_SHOWN = 100  # characters of a name, in errors about a header that may be hostile
_NAMES = {np.dtype(code): name for name, code in (NATIVE | UNSIGNED).items()}


class Entry(NamedTuple):
    """What the header says of a tensor; `begin` and `end` are bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def save_file(tensors: Mapping[str, ArrayOrTensor], path: str | os.PathLike[str],
              metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors (or arrays), and texts about them, to `path`.

    An old file is replaced only by a complete new one.  Tensors of any layout are written in C order, equal tensors give
    equal files.  Raises DataError for a type that the format does not know, names or metadata other than text, or an
    unwritable path.
    """
    header: dict[str, Any] = {}
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise DataError(f"save_file: metadata[{key!r}] is of type {type(text).__name__}; names and values must be "
                            "text. Convert it with json.dumps.")
    if metadata:
        header["__metadata__"] = dict(metadata)
    arrays = {name: _storable(name, value) for name, value in tensors.items()}
    # The widest types first, so that every tensor begins at a multiple of its own width.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, _NAMES[arrays[name].dtype], name))
    end = 0
    for name in order:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    content = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    content += b" " * (-len(content) % 8)
    if len(content) > _LARGEST_HEADER:
        raise DataError(f"save_file: names and metadata take {len(content):,} bytes, more than the {_LARGEST_HEADER:,} that "
                        "the format allows. Shorten the metadata.")
    with atomic_file(path) as file:
        file.write(len(content).to_bytes(8, "little"))
        file.write(content)
        for name in order:
            file.write(memoryview(arrays[name]).cast("B") if arrays[name].size else b"")


def load_file(path: str | os.PathLike[str], keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, by name; only those named `keys` if given.

    The file is mapped into memory: nothing is read before it is used, and writing to a tensor does not change the file
    (see `mapped`).  bfloat16 and 8-bit floats become float32, unsigned integers of 16, 32 and 64 bits the next signed type
    that holds them.  Raises DataError if the file is missing or broken, lacks a key, or holds a type that tensors lack.
    """
    file = safe_open(path)
    return {name: file._tensor(name) for name in (file.keys() if keys is None else keys)}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the texts that were saved with the tensors; {} if there are none.  Raises DataError as `load_file`."""
    return safe_open(path).metadata()


class safe_open:
    """A safetensors file of which single tensors are read: the header now, a tensor when it is asked for.

        with safe_open(path) as file:
            for name in file.keys():
                print(name, file.shape(name))
            weight = file.get_tensor("layer.weight")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = MappedFile(path)
        self._entries, self._metadata = _read_header(self._file)

    def keys(self) -> list[str]:
        """The names of the tensors."""
        return list(self._entries)

    def metadata(self) -> dict[str, str]:
        """The texts that were saved with the tensors."""
        return dict(self._metadata)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        """Type of a tensor as the file has it: "F32", "BF16", ..."""
        return self._entry(name).dtype

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, with memory of its own."""
        tensor: Tensor = new_tensor(self._tensor(name).numpy().copy())
        return tensor

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=3)
            hint = f" Near names: {', '.join(near)}." if near else ""
            raise DataError(f"{self._file.path} has no tensor {name!r}.{hint} It holds {len(self._entries)} tensors, see "
                            "keys().")
        return self._entries[name]

    def _tensor(self, name: str) -> Tensor:
        """The tensor on the file's memory.  Calling this twice makes two tensors that share it."""
        entry = self._entry(name)
        values = read_numbers(self._file, entry.dtype, math.prod(entry.shape), entry.begin, f"{self._file.path}: {name!r}")
        tensor: Tensor = new_tensor(values.reshape(entry.shape))
        return tensor

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close: the mapping lives as long as a tensor needs it."""


def _storable(name: Any, value: ArrayOrTensor) -> np.ndarray:
    """The values in C order, little-endian."""
    if not isinstance(name, str) or name == "__metadata__":
        raise DataError(f"save_file: a tensor cannot be named {name!r}; names are texts other than '__metadata__'.")
    array = contiguous_array(value)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype not in _NAMES:
        raise DataError(f"save_file: {name!r} is of the type {array.dtype}, which a safetensors file cannot hold here. "
                        "Convert it to floats, integers or bool.")
    return array


# ---- the header, which may say anything ------------------------------------------------------------------------------------


def _read_header(file: MappedFile) -> tuple[dict[str, Entry], dict[str, str]]:
    """(entries, metadata), or DataError."""
    try:
        return _checked_header(file)
    except (ValueError, RecursionError) as error:
        reason = "the header nests too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise DataError(f"{file.path} is not a readable safetensors file ({reason}). Save or download it again.") from error


def _checked_header(file: MappedFile) -> tuple[dict[str, Entry], dict[str, str]]:
    if file.size < 10:
        raise ValueError(f"{file.size} bytes are too few for a header")
    length = int.from_bytes(file.read(0, 8), "little")
    if length > min(_LARGEST_HEADER, file.size - 8):
        raise ValueError(f"the header would be {length:,} bytes long; the file has {file.size:,}, and "
                         f"{_LARGEST_HEADER:,} are the most")
    header = json.loads(file.read(8, length).decode(), object_pairs_hook=_unique)
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("__metadata__ holds something other than texts")
    start = 8 + length
    entries = {name: _entry(name, value, start) for name, value in header.items()}
    end = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            what = "overlaps the one before" if entry.begin < end else "leaves a gap before it"
            raise ValueError(f"{name[:_SHOWN]!r} {what}: it begins at {entry.begin - start}, expected {end - start}")
        end = entry.end
    if end != file.size:
        raise ValueError(f"the tensors end at byte {end:,}, the file has {file.size:,}")
    return entries, metadata


def _entry(name: str, value: Any, start: int) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name[:_SHOWN]!r} needs exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2 or len(shape) > 32:
        raise ValueError(f"{name[:_SHOWN]!r}: shape and data_offsets must be whole numbers, at most 32 of them and 2")
    if not isinstance(dtype, str) or dtype not in CODES:
        reason = REFUSED.get(dtype) if isinstance(dtype, str) else None
        raise ValueError(f"{name[:_SHOWN]!r} has the type {str(dtype)[:_SHOWN]}"
                         + (f": {reason}" if reason else ", which is unknown"))
    size = math.prod(shape) * item_size(dtype)
    if offsets[1] - offsets[0] != size:
        raise ValueError(f"{name[:_SHOWN]!r}: {dtype} of shape {tuple(shape)} takes {size:,} bytes, data_offsets {offsets} "
                         f"are {offsets[1] - offsets[0]:,}")
    return Entry(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key[:_SHOWN]!r} stands twice in the header")
        found[key] = value
    return found
