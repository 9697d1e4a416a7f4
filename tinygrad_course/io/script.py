"""`torch.save` and `torch.load` as scripts call them: `tgc.save`, `tgc.load`."""

import os
from pathlib import Path
from typing import Any, BinaryIO

from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import OperandError
from tinygrad_course.io import files
from tinygrad_course.io.torch_read import load_torch
from tinygrad_course.io.torch_write import save_torch
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor

FileLike = str | os.PathLike[str] | BinaryIO


def save(obj: Any, f: FileLike) -> None:
    """Write a checkpoint: tensors, numbers, texts, None in dicts, lists and tuples, to a path or an open file.

        tgc.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, "checkpoint.tar")

    The format is PyTorch's, whatever the name ends in, except for .safetensors and .npz; see `tgc.io.save`.
    Raises DataError for anything else, with its place in `obj`, and OperandError for a whole module.
    """
    if isinstance(obj, Module):
        raise OperandError(f"save: a module ({type(obj).__name__}) is code, and files hold data. Save its state_dict(), and "
                           "to load: build the module, then module.load_state_dict(tgc.load(path)).")
    if isinstance(f, str | os.PathLike) and Path(f).suffix.lower() in (".safetensors", ".npz"):
        files.save(obj, f)
    else:
        save_torch(obj, f)


def load(f: FileLike, map_location: Any = None, *, weights_only: bool | None = True, mmap: bool | None = None) -> Any:
    """Read a checkpoint of `save`, of torch.save, or any other file that `tgc.io.load` reads; open files in PyTorch's format.

    Nothing is ever unpickled, so weights_only=False reads no more than weights_only=True.  Tensors come to the CPU;
    map_location = "cuda" moves them on.  A function or a dict as map_location, which PyTorch uses to take tensors of a GPU
    to the CPU, has nothing to do.  Files are always mapped (`mmap`).
    """
    loaded = files.load(f) if isinstance(f, str | os.PathLike) else load_torch(f)
    if not isinstance(map_location, str | Device) or Device(map_location).type == "cpu":
        return loaded
    return _moved(loaded, map_location)


def _moved(value: Any, device: str | Device) -> Any:
    """`value` with all tensors in it on `device`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return type(value)((key, _moved(entry, device)) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return type(value)(_moved(entry, device) for entry in value)
    return value
