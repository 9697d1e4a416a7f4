"""Looking at a graph: its nodes, its leaves, and hooks on several gradients at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.engine import queue_callback
from tinygrad_course.autograd.function import up_to_date
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import GraphError

__all__ = ["Node", "leaves", "nodes", "register_multi_grad_hook"]


def nodes(*roots: Any) -> Iterator[Node]:
    """Every node that `roots` (tensors or nodes) were computed by, newest first, each once."""
    found = [_node(root) for root in roots]
    seen = {node for node in found if node is not None}
    waiting = [node for node in found if node is not None]
    for node in waiting:  # grows while it is walked
        for edge in node.edges:
            if isinstance(edge, Node) and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    yield from sorted(seen, key=lambda node: -node.order)


def leaves(*roots: Any) -> list[Any]:
    """The leaf tensors that `roots` depend on and that require a gradient, in the order of their first use."""
    found: dict[int, Any] = {}
    for node in reversed(list(nodes(*roots))):
        for edge in node.edges:
            if isinstance(edge, TensorBase):
                found.setdefault(id(edge), edge)
    return list(found.values())


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[[list[Any]], None]) -> Any:
    """Call `fn([gradient of each tensor])` at the end of a backward pass that reaches one of them; None for the others."""
    gradients: dict[int, Any] = {}
    count = len(tensors)  # the hooks must not hold the tensors, which hold the hooks

    def at_the_end() -> None:
        found = [gradients.get(index) for index in range(count)]
        gradients.clear()
        fn(found)

    def hook_for(index: int) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            if not gradients:
                queue_callback(at_the_end)
            gradients[index] = g

        return hook

    return Handles([tensor.register_hook(hook_for(index)) for index, tensor in enumerate(tensors)])


class Handles:
    """Several handles as one."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Take all hooks away."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "Handles":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _node(root: Any) -> Node | None:
    if isinstance(root, Node):
        return root
    if not isinstance(root, TensorBase):
        raise GraphError(f"nodes: expected a Tensor or a Node, got {type(root).__name__}")
    up_to_date(root)
    node: Node | None = root.node
    return node
