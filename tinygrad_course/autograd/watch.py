"""Somebody who looks on while ops run: anomaly mode, say.  One at a time; None, and then it costs a comparison per op."""

from typing import Any


class Watch:
    """Holds the watcher: an object with the methods

    forward(op, node, inputs, arrays, args, out)   after every op's forward; node.closed is true where nothing is recorded
    backward(node, gradients, answer)              after every node's backward
    write(array, key, value)                       before array[key] = value in place, where no graph records it
    """

    __slots__ = ("watcher",)

    watcher: Any

    def __init__(self) -> None:
        self.watcher = None


watch = Watch()


def set_watcher(watcher: Any) -> Any:
    """Set the watcher, or None, and return the one before."""
    before = watch.watcher
    watch.watcher = watcher
    return before
