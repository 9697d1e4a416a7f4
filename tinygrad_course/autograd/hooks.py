"""Handles of registered hooks."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any

_ids = count()


class RemovableHandle:
    """What register_hook() returns; `remove()` takes the hook away again.  Also a context manager."""

    def __init__(self, table: "OrderedDict[int, Callable[..., Any]]", hook: Callable[..., Any]) -> None:
        self._table = table
        self.id = next(_ids)
        table[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._table.pop(self.id, None)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
