"""The line of the user's program that is running: for messages that say where."""

import linecache
import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def line_number() -> tuple[str, int]:
    """File and line of the innermost frame outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def readable(place: tuple[str, int], with_source: bool = False) -> str:
    """`train.py:12`; with the text of the line `train.py:12: loss = f(x)`."""
    name, line = place
    text = linecache.getline(name, line).strip() if with_source else ""
    short = f"{os.path.basename(name)}:{line}"
    return f"{short}: {text}" if text else short
