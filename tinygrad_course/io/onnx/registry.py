"""Which function writes an op of the package as ONNX nodes, and which computes an ONNX node here.

A writer has the signature `write(g, call, *inputs, *args)`: the builder, the call, the names of its inputs in the ONNX graph
(None where there is none), then the arguments of the op as in its `forward`.  It returns the name of the output, or a tuple
of names.

A reader has the signature `read(node, *inputs)`: the node (its attributes, the opset) and the tensors that go in, None
where one is left out.  It returns a Tensor, or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

writers: dict[str, Callable[..., Any]] = {}
readers: dict[str, Callable[..., Any]] = {}


def writes(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the function the writer of these ops."""
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        writers.update(dict.fromkeys(names, function))
        return function
    return register


def reads(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the function the reader of these ONNX ops."""
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        readers.update(dict.fromkeys(names, function))
        return function
    return register
