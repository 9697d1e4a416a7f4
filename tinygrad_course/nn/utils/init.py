"""Modules whose parameters are not initialised, for those that will be loaded."""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_course.nn.module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """module_cls(*args, **kwargs) whose parameters and buffers hold whatever was in the memory.

    PyTorch's has them drawn on a device without memory; here they are drawn and forgotten, so nothing is saved but that the
    default generator of random numbers stays where it was."""
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    return module_cls(*args, **kwargs).to_empty(device=kwargs.get("device", "cpu"))
