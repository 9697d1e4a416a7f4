"""Modules whose parameters are not initialised, for those that will be loaded."""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_course.nn.module import Module
from tinygrad_course.ops.random import default_generator


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """module_cls(*args, **kwargs) whose parameters and buffers hold whatever was in the memory.

    PyTorch's makes them on a device without memory.  Here they are drawn and forgotten, so no time is saved, but the default
    generator of random numbers stays where it was, as there."""
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = default_generator.get_state()
    try:
        module = module_cls(*args, **kwargs)
    finally:
        default_generator.set_state(state)
    return module.to_empty(device=kwargs.get("device", "cpu"))
