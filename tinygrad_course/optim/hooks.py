"""What is called before and after a step, and when an optimiser's state is saved or loaded."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tinygrad_course.autograd.hooks import RemovableHandle

Hooks = OrderedDict[int, Callable[..., Any]]

_every_step_pre_hooks: Hooks = OrderedDict()
_every_step_post_hooks: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimiser; see Optimizer.register_step_pre_hook."""
    return register(_every_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimiser."""
    return register(_every_step_post_hooks, hook)


def run_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with its hooks; where it calls the step of its base class, they run once."""

    @functools.wraps(step)
    def hooked(self: Hooked, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        if self._stepping or not (_every_step_pre_hooks or self._step_pre_hooks or self._step_post_hooks
                                  or _every_step_post_hooks):
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            for hook in [*_every_step_pre_hooks.values(), *self._step_pre_hooks.values()]:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise RuntimeError(f"{type(self).__name__}.step: a pre-hook must return None or a tuple of "
                                           f"(new_args, new_kwargs), but got {changed!r}")
                    args, kwargs = changed
            result = step(self, *args, **kwargs)
            for hook in [*self._step_post_hooks.values(), *_every_step_post_hooks.values()]:
                hook(self, args, kwargs)
            return result
        finally:
            self._stepping = False

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


class Hooked:
    """The hooks of an optimiser, and what schedulers ask: whether a step has been made."""

    def _begin_life(self) -> None:
        """No hooks, no step yet."""
        self._step_pre_hooks: Hooks = OrderedDict()
        self._step_post_hooks: Hooks = OrderedDict()
        self._state_dict_pre_hooks: Hooks = OrderedDict()
        self._state_dict_post_hooks: Hooks = OrderedDict()
        self._load_state_dict_pre_hooks: Hooks = OrderedDict()
        self._load_state_dict_post_hooks: Hooks = OrderedDict()
        self._stepping = False
        self._opt_called = False  # a step since the first scheduler was made: schedulers ask
        self._scheduled = False

    profile_hook_step = staticmethod(run_hooks)  # PyTorch's name; there is no profiler to tell here

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs) for it."""
        return register(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return register(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before state_dict() collects anything."""
        return register(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what state_dict() is about to return; it may return another one."""
        return register(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)`, on a shallow copy, before it is loaded; it may return another one."""
        return register(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after a state was loaded."""
        return register(self._load_state_dict_post_hooks, hook, prepend)


def register(table: Hooks, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    if not callable(hook):
        raise TypeError(f"a hook must be callable, got {type(hook).__name__}")
    handle = RemovableHandle(table, hook)
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle
