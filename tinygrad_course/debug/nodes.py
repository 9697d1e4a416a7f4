"""What every tool here asks of a graph: its nodes, where they stand in the model, what to call its tensors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tinygrad_course.autograd.function import up_to_date
from tinygrad_course.autograd.node import Node, Output, SavedOutput
from tinygrad_course.errors import GraphError
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor


def require_graph(caller: str, loss: Any) -> None:
    """Raise unless `loss` is a tensor with a graph behind it."""
    if not isinstance(loss, Tensor):
        raise GraphError(f"{caller}: expected a Tensor that was computed from parameters, got {type(loss).__name__}")
    up_to_date(loss)
    if loss.node is None:
        what = "is a leaf: nothing was computed" if loss.track else "has no graph: nothing that requires a gradient took " \
            "part in computing it, or it was computed under no_grad() or after detach()"
        raise GraphError(f"{caller}: this tensor of shape {tuple(loss.shape)} {what}")


def nodes_of(root: Node) -> list[Node]:
    """Every node that backward from `root` would visit, newest first: each before the nodes it depends on."""
    found = [root]
    seen = {root}
    for node in found:  # grows while it is walked
        for edge in node.edges:
            if isinstance(edge, Node) and edge not in seen:
                seen.add(edge)
                found.append(edge)
    found.sort()  # the newest is the smallest
    return found


def maker(node: Node) -> Node:
    """The node of the op: that behind the one of a single output, if the op has several."""
    return node.edges[0] if isinstance(node, Output) else node


def path_of(node: Node) -> str:
    """Where in the model the op was called, "LeNet5.features.3"; empty outside of any module."""
    return node.scope.path() if node.scope is not None else ""


def place_of(node: Node) -> str:
    """Op and path, for messages: `softmax in LeNet5.head`."""
    path = path_of(node)
    return f"{node.name} in {path}" if path else node.name


def outermost(scope: Any) -> Any:
    """The scope of the whole model around a scope."""
    while scope.parent is not None:
        scope = scope.parent
    return scope


def models_of(nodes: list[Node]) -> list[Module]:
    """The models that the ops were called in, in order of first use."""
    tops: dict[int, Any] = {}
    scopes: set[int] = set()  # a scope has thousands of ops
    for node in reversed(nodes):
        if node.scope is not None and id(node.scope) not in scopes:
            scopes.add(id(node.scope))
            module = outermost(node.scope).module()
            if module is not None:
                tops.setdefault(id(module), module)
    return list(tops.values())


def caller_variables(depth: int) -> dict[str, Any]:
    """The variables of the function `depth` calls above the one that asks, and the globals it sees."""
    frame = sys._getframe(depth + 1)
    return {**frame.f_globals, **frame.f_locals}


class Names:
    """What to call the tensors of a graph: by the names given, as parameters of a model, as variables of the caller.

    given       {"x": x, ...} or a Module, whose parameters have names
    variables   those of the code that asks (see `caller_variables`)
    """

    def __init__(self, nodes: list[Node], given: Mapping[str, Any] | Module | None, variables: Mapping[str, Any]) -> None:
        self._of_tensor: dict[int, str] = {}
        self._of_node: dict[int, str] = {}
        self.tensors: list[Tensor] = []  # those with a name; keeps their ids from being used again
        if isinstance(given, Module):
            self._add(given.named_parameters())
        elif given is not None:
            self._add(given.items())
        models = models_of(nodes)
        for model in models:
            prefix = type(model).__name__ if len(models) > 1 else ""
            self._add(model.named_parameters(prefix=prefix))
            self._add(model.named_buffers(prefix=prefix))
        self._add((name, value) for name, value in variables.items() if name.isidentifier() and not name.startswith("_"))

    def _add(self, named: Any) -> None:
        for name, tensor in named:
            if isinstance(tensor, Tensor):
                self.tensors.append(tensor)
                if tensor.node is None:
                    self._of_tensor.setdefault(id(tensor), name)
                else:
                    self._of_node.setdefault(tensor.node.order, name)

    def leaf(self, tensor: Tensor) -> str | None:
        """The name of a tensor that no op made, or None."""
        return self._of_tensor.get(id(tensor))

    def node(self, node: Node) -> str | None:
        """The name of what an op made, or None."""
        return self._of_node.get(node.order)


def kept_inputs(node: Node) -> Iterator[Tensor]:
    """The inputs of an op that it saved for backward, whatever was written to them since."""
    for link in node._saved or ():
        if not isinstance(link, SavedOutput):
            yield link
