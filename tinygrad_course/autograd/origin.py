"""The line of the user's program that is running: for messages that say where."""

import linecache
import os
import sys
import warnings
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _users_frame() -> FrameType:
    """The innermost frame outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def line_number() -> tuple[str, int]:
    """File and line of the innermost frame outside of this package."""
    frame = _users_frame()
    return frame.f_code.co_filename, frame.f_lineno


def warn(message: str) -> None:
    """Warn at the user's line.  A stacklevel would not do: compiled functions have no frames to be counted."""
    frame = _users_frame()
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno,
                           module=frame.f_globals.get("__name__"),
                           registry=frame.f_globals.setdefault("__warningregistry__", {}))


def readable(place: tuple[str, int], with_source: bool = False) -> str:
    """`train.py:12`; with the text of the line `train.py:12: loss = f(x)`."""
    name, line = place
    text = linecache.getline(name, line).strip() if with_source else ""
    short = f"{os.path.basename(name)}:{line}"
    return f"{short}: {text}" if text else short
