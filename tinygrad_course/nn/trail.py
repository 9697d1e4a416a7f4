"""The line in an error that says which module it came from."""

from __future__ import annotations

from typing import Any

from tinygrad_course.errors import TgcError


class ModuleTrail:
    """Where in a tree of modules an error was raised: `LeNet5.features.3 (Conv2d(6, 16, kernel_size=(5, 5)))`.

    The innermost module that the error leaves starts the trail, each module around it puts its name in front.  The
    line is appended to the message itself, not added as a note, so that `str(error)` shows it as well.
    """

    def __init__(self, message: str, module: Any) -> None:
        self.message = message
        self.outermost = module
        self.path = ""
        self.innermost = module._get_name() if any(module.children()) else repr(module)

    def enclose(self, module: Any) -> None:
        """The error has left `module` too."""
        if module is self.outermost:
            return
        name = next((name for name, child in module.named_modules() if child is self.outermost), None)
        step = f" -> {self.outermost._get_name()}" if name is None else f".{name}"
        self.path = step + self.path
        self.outermost = module

    def __str__(self) -> str:
        return f"{self.message}\n  in {self.outermost._get_name()}{self.path} ({self.innermost})"


def add_trail(error: TgcError, module: Any) -> None:
    """Name `module` in the message of an error that passes through its call."""
    trail = getattr(error, "module_trail", None)
    if trail is None:
        trail = ModuleTrail(str(error), module)
        error.module_trail = trail  # type: ignore[attr-defined]
    else:
        trail.enclose(module)
    error.args = (str(trail), *error.args[1:])


def advise(error: TgcError, advice: str) -> None:
    """Put `advice` in front of an error's message, before the line that names the module."""
    if not advice:
        return
    trail = getattr(error, "module_trail", None)
    if trail is None:
        error.args = (f"{advice} {error}", *error.args[1:])
    else:
        trail.message = f"{advice} {trail.message}"
        error.args = (str(trail), *error.args[1:])
