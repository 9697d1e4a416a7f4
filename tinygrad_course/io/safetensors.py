"""Named tensors in one safetensors file, the format of Hugging Face: flat, without pickle, read by every framework.

The format itself is the work of the `safetensors` package (extra "io"); this module adds tensors, atomic writes and
errors that say what to do.
"""

import os
from collections.abc import Mapping
from types import ModuleType

from tinygrad_course.errors import DataError, DependencyError
from tinygrad_course.io.atomic import ArrayOrTensor, as_array, read_bytes, write_atomic
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.dtypes import SUPPORTED
from tinygrad_course.tensor import Tensor


def save_file(tensors: Mapping[str, ArrayOrTensor], path: str | os.PathLike[str],
              metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors (or arrays), and texts about them, to `path`.

    An old file is replaced only by a complete new one.  Tensors of any layout are written in C order.
    Raises DataError for a type that the format does not know, metadata other than text, or an unwritable path.
    """
    package = _package()
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise DataError(f"save_file: metadata[{key!r}] is of type {type(text).__name__}; names and values must be "
                            "text. Convert it with json.dumps.")
    # The package reads memory from the start of each array, without strides: only C order is written correctly.
    arrays = {name: as_array(tensor) for name, tensor in tensors.items()}
    try:
        content = package.numpy.save(arrays, dict(metadata) if metadata else None)
    except (package.SafetensorError, TypeError, ValueError) as error:
        types = sorted({str(array.dtype) for array in arrays.values()})
        raise DataError(f"save_file: safetensors refuses tensors of the types {', '.join(types)} ({error}). "
                        "Convert them to floats, integers or bool.") from error
    write_atomic(path, content)


def load_file(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file, by name.  Raises DataError if it is missing or broken."""
    package = _package()
    content = read_bytes(path)
    try:
        arrays = package.numpy.load(content)
    except KeyError as error:
        raise DataError(f"{path} holds tensors of type {error.args[0]}, which NumPy does not have. "
                        "Convert them to float32 where the file was made.") from error
    except (package.SafetensorError, ValueError) as error:
        raise _broken(path, error) from error
    for name, array in arrays.items():
        if array.dtype not in SUPPORTED:
            raise DataError(f"{path}: {name!r} has the type {array.dtype}, which tensors do not have. "
                            "Convert it where the file was made.")
    # The arrays are read-only views of `content`; tensors own their values.
    return {name: from_numpy(array.copy()) for name, array in arrays.items()}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the texts that were saved with the tensors; {} if there are none.  Raises DataError as `load_file`."""
    package = _package()
    read_bytes(path)  # a missing or empty file gets its own sentence
    try:
        with package.safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (package.SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: str | os.PathLike[str], error: Exception) -> DataError:
    return DataError(f"{path} is not a readable safetensors file ({error}). Save or download it again.")


def _package() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise DependencyError("reading and writing weights needs the package safetensors: "
                              "pip install safetensors") from error
    return safetensors
