"""Reads the files of torch.save (.pt, .pth) without PyTorch and without executing what is in them.

Since PyTorch 1.6 such a file is a zip archive of uncompressed records:

    name/data.pkl      a pickle of the object, in which a tensor is a call of torch._utils._rebuild_tensor_v2 on a storage,
                       and a storage is a persistent id: ("storage", torch.FloatStorage, key, device, number of elements)
    name/data/<key>    the numbers of a storage
    name/byteorder     "little" or "big"

Before, it was five pickles (a magic number, the version, facts of the machine, the object, the keys of the storages in the
order of the file) and the storages, each behind its length.

The pickles are read by `pickled.Machine`, which can call nothing but the few functions here.  The file is mapped: numbers
are read when they are used.  Several tensors on one storage share memory, as they did when they were saved.
"""

import collections
import os
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from tinygrad_course.autograd import no_grad
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import DataError
from tinygrad_course.io.mapped import MappedFile
from tinygrad_course.io.numbers import REFUSED, item_size, read_numbers
from tinygrad_course.io.pickled import Global, Machine
from tinygrad_course.nn import Parameter
from tinygrad_course.ops.shape import as_strided
from tinygrad_course.tensor import Tensor

LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of the magic number
_LARGEST_PICKLE = 100_000_000  # bytes; 100 per number or name of an object is much
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64",
    "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64", "ComplexDoubleStorage": "C128",
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"), "QUANTISED"),
}
_DTYPES = {  # of _rebuild_tensor_v3, whose storages are mere bytes
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}
_BYTES = "bytes"  # of storages without a type


def load_torch(path: str | os.PathLike[str] | BinaryIO) -> Any:
    """The object that torch.save wrote to a path or an open file: tensors, numbers, texts, None in dicts, lists and tuples.

    Tensors keep their strides, and share memory where they did; parameters are nn.Parameter.  bfloat16 and 8-bit floats
    become float32, unsigned integers the next signed type.  Devices are not kept: everything comes to the CPU.
    Raises DataError for a file that is missing, broken or no PyTorch file, for types that tensors lack (complex, quantised),
    and for anything that is not data, with the name of what it wants to call.
    """
    file = MappedFile(path)
    if file.read(0, len(LEGACY_START)) == LEGACY_START:
        return _Legacy(file).load()
    return _Zip(file).load()


class _Storage:
    """Numbers in a file, seen as a tensor of one axis, which is made when it is first needed.

    form   of the numbers; _BYTES if only the tensors on it say so
    start  byte of the file
    """

    def __init__(self, file: MappedFile, form: str, start: int, n_bytes: int, big_endian: bool) -> None:
        self.file, self.form, self.start, self.n_bytes, self.big_endian = file, form, start, n_bytes, big_endian
        self._seen: dict[str, Tensor] = {}

    def numbers(self, form: str) -> Tensor:
        """All of it as numbers of a form."""
        if form not in self._seen:
            count = self.n_bytes // item_size(form)
            self._seen[form] = new_tensor(read_numbers(self.file, form, count, self.start, str(self.file.path),
                                                       self.big_endian))
        return self._seen[form]


class _Reader:
    """What both kinds of file have in common: the functions that a pickle may call, and its storages."""

    def __init__(self, file: MappedFile) -> None:
        self.file = file
        self.big_endian = False
        self.dry = False  # whether the pickle is only followed, and no tensors are made
        self.storages: dict[tuple[str, str], _Storage] = {}
        calls: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": _ordered_dict,
            "torch.Size": _size,
            "torch._utils._rebuild_tensor": self._rebuild,
            "torch._utils._rebuild_tensor_v2": self._rebuild,
            "torch._utils._rebuild_tensor_v3": self._rebuild_v3,
            "torch._utils._rebuild_parameter": self._rebuild_parameter,
        }
        self.machine = Machine(str(file.path), calls, _is_type, self._storage)

    def damaged(self, reason: str) -> DataError:
        """The error for a file that contradicts itself."""
        return DataError(f"{self.file.path} is no readable PyTorch file ({reason}). Save or download it again.")

    def place(self, form: str, key: str, n_bytes: int) -> int:
        """The byte where the storage `key` begins."""
        raise NotImplementedError

    def _storage(self, identity: Any) -> _Storage:
        """What the persistent id ("storage", type, key, device, number of elements) stands for."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise self.damaged("a persistent id is no storage; only tensors and data are read, no whole modules")
        kind, key, count = identity[1], identity[2], identity[4]
        if not isinstance(kind, Global) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise self.damaged("a storage lacks type, key or number of elements")
        if len(identity) == 6 and identity[5] is not None:
            raise self.damaged("a storage is a part of another one, as in PyTorch 0.3 and before")
        form = _BYTES if kind.name == "UntypedStorage" else _STORAGES.get(kind.name)
        if form is None:
            raise self.damaged(f"{kind} is no type of storage")
        if form in REFUSED:
            raise DataError(f"{self.file.path} holds {REFUSED[form]}.")
        if (form, key) not in self.storages:
            n_bytes = count * (1 if form == _BYTES else item_size(form))
            self.storages[form, key] = _Storage(self.file, form, self.place(form, key, n_bytes), n_bytes, self.big_endian)
        return self.storages[form, key]

    def _rebuild(self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
                 metadata: Any = None) -> Any:
        form = storage.form if isinstance(storage, _Storage) else ""
        return self._tensor(storage, form, offset, size, stride, requires_grad, metadata)

    def _rebuild_v3(self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any,
                    metadata: Any = None) -> Any:
        form = _DTYPES.get(dtype.name) if isinstance(dtype, Global) else None
        if form is None:
            raise DataError(f"{self.file.path}: a tensor has the type {str(dtype)[:100]}, which tensors here cannot have. "
                            "Convert it to float32 where the file was made.")
        return self._tensor(storage, form, offset, size, stride, requires_grad, metadata)

    def _tensor(self, storage: Any, form: str, offset: Any, size: Any, stride: Any, requires_grad: Any, metadata: Any) -> Any:
        """The tensor with these sizes and strides, in elements, on a storage of numbers of a form."""
        if not isinstance(storage, _Storage):
            raise self.damaged("a tensor has no storage")
        if not all(isinstance(numbers, tuple) and all(type(n) is int and n >= 0 for n in numbers)
                   for numbers in (size, stride, (offset,))) or len(size) != len(stride) or len(size) > 32:
            raise self.damaged("sizes, strides or offset of a tensor are no whole numbers")
        if metadata:
            raise DataError(f"{self.file.path}: a tensor is stored conjugated or negated. Save tensor.resolve_conj()"
                            ".resolve_neg() instead.")
        if form == _BYTES:
            raise self.damaged("a tensor has no type")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if 0 not in size else -1
        if last * item_size(form) >= storage.n_bytes or offset * item_size(form) > storage.n_bytes:
            raise self.damaged(f"a tensor of shape {size} with strides {stride} from {offset} on does not fit its storage of "
                               f"{storage.n_bytes // item_size(form):,} elements")
        if self.dry:
            return None
        with no_grad():
            tensor: Tensor = as_strided(storage.numbers(form), size, stride, offset)
        return tensor.requires_grad_() if requires_grad is True and tensor.dtype.kind == "f" else tensor

    def _rebuild_parameter(self, data: Any, requires_grad: Any, hooks: Any = None) -> Any:
        if self.dry:
            return None
        if not isinstance(data, Tensor):
            raise self.damaged("a parameter is no tensor")
        return Parameter(data, requires_grad is True and data.dtype.kind == "f")


class _Zip(_Reader):
    """The zip archive of PyTorch 1.6 and later."""

    def load(self) -> Any:
        """The object."""
        self.records = self._find_records()
        roots = [name.removesuffix("data.pkl") for name in self.records if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise self.damaged(f"the archive has {len(roots) or 'no'} data.pkl")
        self.root = roots[0]
        if f"{self.root}constants.pkl" in self.records:
            raise DataError(f"{self.file.path} is a TorchScript program, not a file of weights. In PyTorch: "
                            "torch.save(torch.jit.load(path).state_dict(), new_path).")
        if f"{self.root}byteorder" in self.records:
            self.big_endian = self.file.read(*self._record("byteorder")) == b"big"
        start, size = self._record("data.pkl")
        return self.machine.run(self.file.stream(start, size))

    def place(self, form: str, key: str, n_bytes: int) -> int:
        """The byte where the record of a storage begins."""
        start, size = self.records.get(f"{self.root}data/{key}", (0, -1))
        if size != n_bytes:
            what = "is missing" if size < 0 else f"has {size:,} bytes, {n_bytes:,} are needed"
            raise self.damaged(f"the record of storage {key[:100]!r} {what}")
        return start

    def _record(self, name: str) -> tuple[int, int]:
        start, size = self.records[self.root + name]
        if size > _LARGEST_PICKLE:
            raise self.damaged(f"{name} has {size:,} bytes, {_LARGEST_PICKLE:,} are the most")
        return start, size

    def _find_records(self) -> dict[str, tuple[int, int]]:
        """(first byte, size) of each record.

        Records must be stored as they are, as PyTorch does: so none can be larger than the file, and no small file can
        unpack to a large one."""
        try:
            with zipfile.ZipFile(self.file.source) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, IndexError, struct.error) as error:
            raise self.damaged(str(error)) from error
        records: dict[str, tuple[int, int]] = {}
        for entry in entries:
            name = entry.orig_filename
            if name in records:
                raise self.damaged(f"the record {name[:100]!r} stands twice in the archive")
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                raise self.damaged(f"the record {name[:100]!r} names a place outside of the archive")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
                raise self.damaged(f"the record {name[:100]!r} is compressed or encrypted, which PyTorch never does")
            header = self.file.read(entry.header_offset, 30)
            if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
                raise self.damaged(f"the record {name[:100]!r} has no header")
            start = entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:], "little")
            if start + entry.file_size > self.file.size:
                raise self.damaged(f"the record {name[:100]!r} ends behind the end of the file")
            records[name] = (start, entry.file_size)
        return records


class _Legacy(_Reader):
    """Five pickles and the storages, as PyTorch wrote before 1.6."""

    def load(self) -> Any:
        """The object.

        The storages stand behind the pickle that says what they are, so it is followed twice: to find them, to fill them."""
        self.wanted: dict[str, tuple[str, int]] = {}  # key -> form and bytes
        self.starts: dict[str, int] = {}
        stream = self.file.stream(len(LEGACY_START))
        self.machine.run(stream)  # the version of the format, 1001 since ever
        self.machine.run(stream)  # facts of the machine; the storages are little-endian on each
        begin = stream.tell()
        self.dry = True
        self.machine.run(stream)
        self.dry = False
        keys = self.machine.run(stream)
        if not isinstance(keys, list) or len(keys) != len(self.wanted) or set(map(str, keys)) != set(self.wanted):
            raise self.damaged("the list of storages does not fit the tensors")
        at = stream.tell()
        for key in keys:
            form, size = self.wanted[str(key)]
            count, needed = int.from_bytes(self.file.read(at, 8), "little"), size // item_size(form)
            if count != needed or at + 8 + size > self.file.size:
                raise self.damaged(f"storage {str(key)[:100]!r} has {count:,} elements, {needed:,} are needed, and the file "
                                   f"has {max(0, self.file.size - at - 8):,} more bytes")
            self.starts[str(key)] = at + 8
            at += 8 + size
        self.storages.clear()
        return self.machine.run(self.file.stream(begin))

    def place(self, form: str, key: str, n_bytes: int) -> int:
        """The byte where a storage begins; in the first run, note that it is needed."""
        if not self.dry:
            if key not in self.starts:
                raise self.damaged(f"storage {key[:100]!r} is needed before the list of storages")
            return self.starts[key]
        if form == _BYTES or self.wanted.setdefault(key, (form, n_bytes)) != (form, n_bytes):
            raise self.damaged(f"storage {key[:100]!r} has no type, or two")
        return 0


def _is_type(name: Global) -> bool:
    """Whether a global is one of PyTorch's types of storages and numbers, which stand in pickles without being called."""
    if name.module in ("torch", "torch.cuda") and name.name in _STORAGES:
        return True
    return (name.module == "torch" and name.name in _DTYPES) or name == Global("torch.storage", "UntypedStorage")


def _size(numbers: Any = ()) -> tuple[Any, ...]:
    """torch.Size, as a tuple."""
    if not isinstance(numbers, list | tuple):
        raise ValueError("a torch.Size is no list of numbers")
    return tuple(numbers)


def _ordered_dict(pairs: Any = ()) -> Any:
    """collections.OrderedDict(pairs), with keys that are texts or numbers."""
    if not isinstance(pairs, list | tuple) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str | int | float) for pair in pairs):
        raise ValueError("an OrderedDict is not made of pairs")
    return collections.OrderedDict(pairs)
