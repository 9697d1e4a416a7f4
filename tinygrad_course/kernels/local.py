"""What belongs to the running thread: whether ops are recorded, and the scope that new nodes are marked with.

The compiled module of the same name, from kernels/local.pyx, comes before this file where it was built.
"""

import threading
from typing import Any


class _Local(threading.local):
    recording = True
    scope: Any = None


_local = _Local()


def recording() -> bool:
    """Whether ops of this thread are recorded."""
    return _local.recording


def set_recording(enabled: bool) -> bool:
    """Set whether ops of this thread are recorded; returns what it was."""
    before = _local.recording
    _local.recording = enabled
    return before


def scope() -> Any:
    """The scope of this thread, None outside of modules."""
    return _local.scope


def set_scope(new: Any) -> None:
    """Set the scope of this thread."""
    _local.scope = new
