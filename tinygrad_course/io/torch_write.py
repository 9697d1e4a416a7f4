"""Writes files that torch.load(path, weights_only=True) opens, without PyTorch; their form is told in torch_read.

A pickle is only written here, instruction by instruction: nothing that this package does not know can get into it.
"""

import os
import sys
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, BinaryIO

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.io.atomic import atomic_file, contiguous_array
from tinygrad_course.nn import Parameter
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor

_ROOT = "archive"
_ALIGNMENT = 64  # bytes; storages begin at multiples of it, as PyTorch writes them
_STORAGES = {"float64": "Double", "float32": "Float", "float16": "Half", "int64": "Long", "int32": "Int", "int16": "Short",
             "int8": "Char", "uint8": "Byte", "bool": "Bool"}
# Instructions of protocol 2, see pickletools
_PROTO, _MARK, _STOP, _REDUCE, _BINPERSID = b"\x80\x02", b"(", b".", b"R", b"Q"
_EMPTY_DICT, _SETITEMS, _EMPTY_LIST, _APPENDS, _TUPLE, _EMPTY_TUPLE = b"}", b"u", b"]", b"e", b"t", b")"


def save_torch(obj: Any, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write tensors, numbers, texts, None in dicts, lists and tuples so that PyTorch reads them; to a path or an open file.

    Arrays become tensors.  Tensors are written in C order; those that look at the same memory in the same way (tied
    weights) are written once, and share memory when they are read.
    An old file is replaced only by a complete new one.  Raises DataError for anything else, with its place.
    """
    pickle = _Pickle()
    try:
        pickle.add(obj, "obj")
    except RecursionError as error:
        raise DataError("save_torch: the object nests too deeply, or contains itself.") from error
    opened = atomic_file(path) if isinstance(path, str | os.PathLike) else nullcontext(path)
    with opened as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write(archive, "data.pkl", _PROTO + b"".join(pickle.parts) + _STOP)
        _write(archive, "byteorder", sys.byteorder.encode())
        for key, array in enumerate(pickle.storages):
            _write(archive, f"data/{key}", memoryview(array.reshape(-1)).cast("B") if array.size else b"")
        _write(archive, "version", b"3\n")


class _Pickle:
    """The instructions that make an object, and the storages of its tensors, each an array in C order."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.storages: list[np.ndarray] = []
        self._known: dict[Any, int] = {}
        self._alive: list[Any] = []  # arrays whose address is in _known must not die

    def add(self, value: Any, name: str) -> None:
        """Add the instructions that put `value` on the stack."""
        put = self.parts.append
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            value = value.item()
        if value is None:
            put(b"N")
        elif isinstance(value, bool):
            put(b"\x88" if value else b"\x89")
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise DataError(f"save_torch: {name} is an integer of {value.bit_length()} bits; 64 with sign are the most.")
            content = value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "little", signed=True)
            put(b"\x8a" + bytes([len(content)]) + content)
        elif isinstance(value, float):
            put(b"G" + np.array(value, ">f8").tobytes())
        elif isinstance(value, str):
            content = value.encode("utf-8", "surrogatepass")
            put(b"X" + len(content).to_bytes(4, "little") + content)
        elif isinstance(value, Tensor | np.ndarray):
            self._add_tensor(value, name)
        elif isinstance(value, Mapping):
            put(_EMPTY_DICT + _MARK)
            for key, part in value.items():
                if not isinstance(key, str | int | float):
                    raise DataError(f"save_torch: {name} has the key {key!r}; keys must be texts or numbers.")
                self.add(key, name)
                self.add(part, f"{name}[{key!r}]")
            put(_SETITEMS)
        elif isinstance(value, list | tuple):
            put(_EMPTY_LIST + _MARK if isinstance(value, list) else _MARK)
            for number, part in enumerate(value):
                self.add(part, f"{name}[{number}]")
            put(_APPENDS if isinstance(value, list) else _TUPLE)
        else:
            raise DataError(f"save_torch: {name} is of type {type(value).__name__}. Convert it to tensors, numbers, texts, "
                            "lists, tuples or dicts; of a module, save its state_dict().")

    def _add_tensor(self, value: Tensor | np.ndarray, name: str) -> None:
        array = contiguous_array(value)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype.name not in _STORAGES:
            raise DataError(f"save_torch: {name} has the type {array.dtype}, which PyTorch's files do not have. Convert "
                            "it to floats, integers or bool.")
        raw = as_array(value)
        identity = (raw.__array_interface__["data"][0], raw.shape, raw.strides, raw.dtype.str)
        self._alive.append(raw)
        if identity not in self._known:
            self._known[identity] = len(self.storages)
            self.storages.append(array)
        strides = [1] * array.ndim
        for axis in range(array.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * max(array.shape[axis + 1], 1)
        put = self.parts.append
        is_parameter = isinstance(value, Parameter)
        if is_parameter:
            put(_global("torch._utils", "_rebuild_parameter") + _MARK)
        put(_global("torch._utils", "_rebuild_tensor_v2") + _MARK)
        put(_MARK)
        self.add("storage", name)
        put(_global("torch", f"{_STORAGES[array.dtype.name]}Storage"))
        place: tuple[Any, ...] = (str(self._known[identity]), "cpu", array.size)
        for part in place:
            self.add(part, name)
        put(_TUPLE + _BINPERSID)
        needs = isinstance(value, Tensor) and value.requires_grad
        view: tuple[Any, ...] = (0, array.shape, tuple(strides), needs and not is_parameter)
        for part in view:
            self.add(part, name)
        hooks = _global("collections", "OrderedDict") + _EMPTY_TUPLE + _REDUCE
        put(hooks + _TUPLE + _REDUCE)
        if is_parameter:
            self.add(needs, name)
            put(hooks + _TUPLE + _REDUCE)


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _write(archive: zipfile.ZipFile, name: str, content: Any) -> None:
    """Add a record, dated 1980-01-01 so that equal objects give equal files, its content at a multiple of 64 bytes."""
    entry = zipfile.ZipInfo(f"{_ROOT}/{name}")
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(entry.filename) + 4  # 30: the header of a record, 4: that of its padding
    padding = -start % _ALIGNMENT
    entry.extra = b"FB" + padding.to_bytes(2, "little") + b"\0" * padding
    archive.writestr(entry, content)
