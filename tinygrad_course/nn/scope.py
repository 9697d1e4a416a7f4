"""Which module is running: every node of a graph is marked with it, so that pictures and errors can name modules.

The scope belongs to the thread (kernels/local.pyx).
"""

import weakref
from typing import Any

from tinygrad_course.errors import TgcError
from tinygrad_course.kernels.local import scope as current_scope
from tinygrad_course.kernels.local import set_scope
from tinygrad_course.nn.trail import add_trail

_all_watched = False  # whether there is a hook on all modules (nn/global_hooks.py)


class Scope:
    """One call of a module; `parent` is the call that it happened in, None for the outermost."""

    __slots__ = ("_class", "_module", "parent")

    _class: Any
    _module: Any
    parent: Any

    @property
    def kind(self) -> str:
        """The name of the module's class."""
        name: str = self._class.__name__
        return name

    def module(self) -> Any:
        """The module, None if it is gone."""
        return self._module()

    def path(self) -> str:
        """`LeNet5.features.3`: the outermost module's class, then attribute names."""
        if self.parent is None:
            return self.kind
        module, outer = self.module(), self.parent.module()
        name = None
        if module is not None and outer is not None:
            name = next((name for name, child in outer.named_modules() if child is module), None)
        return f"{self.parent.path()}.{name}" if name else f"{self.parent.path()} -> {self.kind}"

    def __repr__(self) -> str:
        return f"Scope({self.path()})"


def enter(module: Any) -> Any:
    """Begin a call of `module`; what this returns is given to `set_scope` when the call ends."""
    before = current_scope()
    scope: Scope = Scope.__new__(Scope)
    scope._module = weakref.ref(module)  # a graph must not keep modules alive: they may hold its tensors
    scope._class = type(module)
    scope.parent = before
    set_scope(scope)
    return before


def watch_all(on: bool) -> None:
    """Say whether there are hooks on all modules."""
    global _all_watched
    _all_watched = on


def all_watched() -> bool:
    """Whether there are hooks on all modules."""
    return _all_watched


def call_module(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Run forward, with the hooks around it, in a scope of the module."""
    before = enter(self)
    try:
        if self._hooked or _all_watched:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)
    except TgcError as error:
        add_trail(error, self)
        raise
    finally:
        set_scope(before)
