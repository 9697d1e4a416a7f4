"""Which module is running: every node of a graph is marked with it, so that pictures and errors can name modules.

The scope belongs to the thread.  Nodes read it from one place of the process, because thread-local storage costs more
than a small op: where several threads build graphs at the same time, a node may be marked with a module of another.
"""

import threading
import weakref
from typing import Any

from tinygrad_course.autograd.node import set_scope

_local = threading.local()


class Scope:
    """One call of a module; `parent` is the call that it happened in, None for the outermost."""

    __slots__ = ("_module", "kind", "parent")

    def __init__(self, module: Any, parent: "Scope | None") -> None:
        self._module = weakref.ref(module)  # a graph must not keep modules alive: they may hold its tensors
        self.kind = type(module).__name__
        self.parent = parent

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
    """Begin a call of `module`; what it returns is given to `leave`."""
    before = getattr(_local, "scope", None)
    scope = Scope(module, before)
    _local.scope = scope
    set_scope(scope)
    return before


def leave(before: Any) -> None:
    """End the call."""
    _local.scope = before
    set_scope(before)


def current_scope() -> Any:
    """The scope of this thread, None outside of modules."""
    return getattr(_local, "scope", None)
