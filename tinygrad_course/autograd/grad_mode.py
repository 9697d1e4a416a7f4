"""Whether ops record themselves in a graph: `no_grad`, `enable_grad`, `set_grad_enabled`.

The mode belongs to the thread (kernels/local.pyx): every op asks for it, and Python's thread-local storage costs more than a
small op.
"""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tinygrad_course.kernels.local import recording, set_recording


def is_grad_enabled() -> bool:
    """Whether ops of this thread are recorded now."""
    enabled: bool = recording()
    return enabled


def switch_grad(enabled: bool) -> bool:
    """Set the mode of this thread and return the one before."""
    before: bool = set_recording(enabled)
    return before


class set_grad_enabled:
    """`with set_grad_enabled(flag):` switches recording for a block; called alone, it switches it from here on."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._before = switch_grad(self.mode)

    def __enter__(self) -> None:
        switch_grad(self.mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        switch_grad(self._before)


class _Block:
    """A grad mode for a `with` block or, as a decorator, for a whole function."""

    mode: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        block = super().__new__(cls)
        if function is None:
            return block
        block.__init__()  # type: ignore[misc]  # @no_grad without brackets: decorate at once
        return block(function)

    def __init__(self) -> None:
        self._before: list[bool] = []  # a stack: one object may be entered again inside its own block

    def __enter__(self) -> None:
        self._before.append(switch_grad(self.mode))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        switch_grad(self._before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"@{type(self).__name__} cannot decorate the generator function {function.__name__}: its body "
                            f"runs later; write `with {type(self).__name__}():` inside it")

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            before = switch_grad(self.mode)
            try:
                return function(*args, **kwargs)
            finally:
                switch_grad(before)
        return inside


class no_grad(_Block):
    """Do not record: `with no_grad():` or `@no_grad()`.  For evaluation, and for writing into parameters."""

    mode = False


class inference_mode(_Block):
    """PyTorch's name for evaluation without recording: the same as `no_grad`.  inference_mode(False) records again."""

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls, None if isinstance(mode, bool) else mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = not mode


class enable_grad(_Block):
    """Record again inside a `no_grad` block."""

    mode = True
