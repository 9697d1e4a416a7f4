"""Hooks on all modules at once, for debugging and profiling.  They run before a module's own hooks of the same kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.nn.scope import watch_all

forward_pre: OrderedDict[int, Any] = OrderedDict()  # key -> (hook, with_kwargs)
forward: OrderedDict[int, Any] = OrderedDict()  # key -> (hook, with_kwargs, always_call)
backward_pre: OrderedDict[int, Any] = OrderedDict()  # key -> hook
backward: OrderedDict[int, Any] = OrderedDict()
registration: dict[str, OrderedDict[int, Any]] = {
    "parameter": OrderedDict(), "buffer": OrderedDict(), "module": OrderedDict()}


class _GlobalHandle(RemovableHandle):
    """A handle that tells Module.__call__ whether there is a global hook at all."""

    def __init__(self, table: OrderedDict[int, Any], hook: Any) -> None:
        super().__init__(table, hook)
        watch_all(True)

    def remove(self) -> None:
        super().remove()
        watch_all(bool(forward_pre or forward or backward_pre or backward))


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; what it returns, unless None, replaces the arguments."""
    return _GlobalHandle(forward_pre, (hook, False))


def register_module_forward_hook(hook: Callable[..., Any], *, with_kwargs: bool = False,
                                 always_call: bool = False) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module, with always_call also where it raises."""
    return _GlobalHandle(forward, (hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before backward passes through any module."""
    return _GlobalHandle(backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when backward has passed through any module."""
    return _GlobalHandle(backward, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` before any module gets a parameter; what it returns, unless None, replaces it."""
    return RemovableHandle(registration["parameter"], hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` before any module gets a buffer; what it returns, unless None, replaces it."""
    return RemovableHandle(registration["buffer"], hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, child)` before any module gets a child; what it returns, unless None, replaces it."""
    return RemovableHandle(registration["module"], hook)
