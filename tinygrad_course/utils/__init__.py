"""PyTorch's places for things: `utils.checkpoint`, and `utils.data`, which is `tinygrad_course.data`."""

from importlib import import_module as _import_module
from typing import Any as _Any


def __getattr__(name: str) -> _Any:
    """`utils.data` without an import of its own, as in PyTorch; read when it is first asked for."""
    if name == "data":
        return _import_module("tinygrad_course.utils.data")
    raise AttributeError(f"module 'tinygrad_course.utils' has no attribute {name!r}")
