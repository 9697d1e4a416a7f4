"""explain: the chain rule of one loss, node by node, with the real numbers.

The numbers come from the backward rules that `loss.backward()` runs, not from a second derivation beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_course.autograd import apply, no_grad
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.autograd.node import Node, Output
from tinygrad_course.autograd.origin import readable
from tinygrad_course.debug.explanation import End, Explanation, Gift, Step, Sum
from tinygrad_course.debug.nodes import Names, caller_variables, kept_inputs, nodes_of, path_of, require_graph
from tinygrad_course.errors import GraphError
from tinygrad_course.nn import Module
from tinygrad_course.ops.like import ones_like
from tinygrad_course.tensor import Tensor

_DRAWS = ("random", "dropout", "sampling")  # modules whose ops draw numbers: computed again, they give others


def explain(loss: Tensor, inputs: Tensor | Sequence[Tensor] | None = None, precision: int = 4, max_nodes: int = 40,
            names: Mapping[str, Tensor] | Module | None = None) -> Explanation:
    """The chain rule behind `loss.backward()`, with the numbers of every step.

    For every op, newest first: its value, its rule, the gradient that arrives (a sum where paths join) and what it passes
    on to each input; then the gradients of the leaves.  `print` the result, or let a notebook show it.

    loss        a tensor of one element; the graph stays as it is, and so does every `.grad`
    inputs      explain only the way to these tensors; default: to all leaves
    precision   significant digits
    max_nodes   how many ops are shown; of a longer graph the newest and the oldest
    names       {"x": x, ...} or a Module.  Parameters are called as in their model, other tensors like the variables of
                the caller that hold them, and what is left v1, v2, ...

    Hooks on tensors are not called.  Raises GraphError if backward() has freed the graph already.
    """
    require_graph("explain", loss)
    if loss.array.size != 1:
        raise GraphError(f"explain: the tensor has shape {tuple(loss.shape)}; only a single number has a gradient by itself. "
                         "Explain its .sum() or .mean()")
    nodes = nodes_of(loss.node)
    freed = next((node for node in nodes if node.freed), None)
    if freed is not None:
        raise GraphError(f"explain: backward() has run through this graph and freed what {freed.name} had saved. Call "
                         "explain before backward, or backward(retain_graph=True)")
    walk = _Walk(loss, nodes, Names(nodes, names, caller_variables(1)))
    if inputs is not None:
        walk.restrict([inputs] if isinstance(inputs, Tensor) else list(inputs))
    with no_grad():
        return walk.explanation(precision, max_nodes)


class _Walk:
    """One pass over the graph, as the engine's, that keeps what it sees."""

    def __init__(self, loss: Tensor, nodes: list[Node], names: Names) -> None:
        self.loss = loss
        self.nodes = nodes
        self.names = names
        self.goal: set[Any] = set()
        self.way: set[Any] | None = None  # the goal and the nodes that lead to it; None: everything
        ops = [node for node in reversed(nodes) if not isinstance(node, Output)]
        self.numbers = {node: number for number, node in enumerate(ops, 1)}
        self.labels: dict[Any, str] = {}  # of leaves without a name
        self.values: dict[Node, Any] = {}

    def restrict(self, inputs: list[Tensor]) -> None:
        """Look only at the way to `inputs`."""
        self.goal = {tensor if tensor.node is None else tensor.node for tensor in inputs}
        reached = {edge for node in self.nodes for edge in node.edges if edge is not None}
        for index, tensor in enumerate(inputs):
            if (tensor if tensor.node is None else tensor.node) not in reached:
                raise GraphError(f"explain: input {index} of shape {tuple(tensor.shape)} was not used to compute the loss")
        self.way = self.goal.copy()
        for node in reversed(self.nodes):
            if any(edge is not None and edge in self.way for edge in node.edges):
                self.way.add(node)

    def explanation(self, precision: int, max_nodes: int) -> Explanation:
        """Run every rule once; describe the ops that are shown."""
        ops = [node for node in self.numbers if self._leads_on(node)]  # oldest first
        n_oldest = max_nodes // 4 if len(ops) > max_nodes else 0
        shown = [*ops[:n_oldest], *ops[n_oldest:][-max(1, max_nodes - n_oldest):]]
        self._find_values(shown)
        described = set(shown)
        pending: dict[Any, Any] = {self.loss.node: Sum()}  # node or leaf -> Sum, or one per output
        pending[self.loss.node].add("", ones_like(self.loss))
        steps: list[Step] = []
        ends: list[End] = []
        for node in self.nodes:
            arrived = pending.pop(node, None)
            if arrived is None:
                continue
            if node in self.goal:
                ends.append(End(self._label(node), arrived))
            if not self._leads_on(node):
                continue
            if isinstance(node, Output):
                parent = node.edges[0]
                outputs = pending.setdefault(parent, [Sum() for _ in parent.shape])
                outputs[node.index].join(arrived)
                continue
            sums = arrived if isinstance(arrived, list) else [arrived]
            answer = node.run(tuple([part.total for part in sums]), False)
            gifts = [(edge, g) for edge, g in zip(node.edges, answer, strict=True) if g is not None and self._wanted(edge)]
            for edge, g in gifts:
                pending.setdefault(edge, Sum()).add(f"[{self.numbers[node]}]", g)
            if node in described:
                steps.append(self._step(node, sums, gifts))
        ends += [End(self._label(leaf), total) for leaf, total in pending.items() if not isinstance(leaf, Node)]
        return Explanation(self._label(self.loss.node), self.loss.array, steps, ends, len(ops), precision)

    def _leads_on(self, node: Node) -> bool:
        return self.way is None or any(edge is not None and edge in self.way for edge in node.edges)

    def _wanted(self, edge: Any) -> bool:
        if edge is None or (self.way is not None and edge not in self.way):
            return False
        return isinstance(edge, Node) or edge.track  # requires_grad may have been switched off since

    # ---- one step -----------------------------------------------------------------------------------------------

    def _step(self, node: Node, sums: list[Sum], gifts: list[tuple[Any, Tensor]]) -> Step:
        several = len(sums) > 1 or isinstance(node.shape[0] if node.shape else None, tuple)
        results = [self._output_label(node, index) for index in range(len(sums))] if several else [self._label(node)]
        constants = _constants(node)
        arguments = [self._argument(edge, constant) for edge, constant in zip(node.edges, constants, strict=True)]
        arguments += [str(value) for value in node.args if _is_telling(value)]
        local = self._local_derivatives(node, sums, gifts)
        return Step(
            number=self.numbers[node], results=results, call=f"{node.name}({', '.join(arguments)})",
            value=None if several else self.values.get(node), rule=_rule(node), path=path_of(node), origin=_origin(node),
            arrives=sums, gifts=[Gift(self._label(edge), g.array, local.get(index)) for index, (edge, g) in enumerate(gifts)])

    def _local_derivatives(self, node: Node, sums: list[Sum], gifts: list[tuple[Any, Tensor]]) -> dict[int, Any]:
        """d output / d input where both are single numbers: what the rule answers to a gradient of 1."""
        if type(node) is not Node or len(sums) > 1 or sums[0].total.array.size != 1:
            return {}
        wanted = [edge for edge, _ in gifts]
        answer = node.run((ones_like(sums[0].total),), False)
        given = [g for edge, g in zip(node.edges, answer, strict=True) if g is not None and self._wanted(edge)]
        return {index: g.array for index, (_, g) in enumerate(zip(wanted, given, strict=True)) if g.array.size == 1}

    def _label(self, end: Any) -> str:
        """What a node's result or a leaf is called."""
        if isinstance(end, Output):
            return self.names.node(end) or self._output_label(end.edges[0], end.index)
        if isinstance(end, Node):
            return self.names.node(end) or f"v{self.numbers[end]}"
        name = self.names.leaf(end) or self.labels.get(end)
        if name is None:
            name = self.labels[end] = f"leaf{len(self.labels) + 1}"
        return name

    def _output_label(self, node: Node, index: int) -> str:
        return f"v{self.numbers[node]}.{index}"

    def _argument(self, edge: Any, constant: Tensor | None) -> str:
        if edge is not None:
            return self._label(edge)
        if constant is None:
            return "const"
        name = self.names.leaf(constant)
        return name or (f"{constant.array.item():.6g}" if constant.array.size == 1 else f"const {tuple(constant.shape)}")

    # ---- values of forward --------------------------------------------------------------------------------------

    def _find_values(self, shown: list[Node]) -> None:
        """What the ops computed, as far as somebody kept it or it follows from what was kept."""
        for tensor in (self.loss, *self.names.tensors):
            if tensor.node is not None:
                self.values[tensor.node] = tensor.array
        for node in self.nodes:
            for tensor in node.saved:
                if tensor.node is not None:
                    self.values.setdefault(tensor.node, tensor.array)
        for node in shown:
            if node not in self.values:
                self._compute_again(node)

    def _compute_again(self, node: Node) -> None:
        module = node.op.__module__.rpartition(".")[2]
        if type(node) is not Node or node.constants is not None or module in _DRAWS:
            return
        inputs = []
        for edge, constant in zip(node.edges, _constants(node), strict=True):
            array = self.values.get(edge) if isinstance(edge, Node) else None
            tensor = new_tensor(array) if array is not None else constant if edge is None else edge
            if not isinstance(tensor, Tensor):
                return
            inputs.append(tensor)
        result = apply(node.op, tuple(inputs), node.args)
        if isinstance(result, Tensor):
            self.values[node] = result.array


def _constants(node: Node) -> list[Tensor | None]:
    """Per input the tensor that wants no gradient, where it can be told which of the saved ones it is."""
    free = [index for index, edge in enumerate(node.edges) if edge is None]
    kept = [tensor for tensor in kept_inputs(node) if not tensor.track]
    found: list[Tensor | None] = [None] * len(node.edges)
    if len(free) == 1 and kept:
        found[free[0]] = kept[0]
    return found


def _is_telling(value: Any) -> bool:
    """Whether an argument of an op says something to a reader: sizes, axes, numbers, but not flags."""
    if isinstance(value, tuple):
        return 0 < len(value) <= 4 and all(isinstance(part, int) for part in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6  # no seeds


def _rule(node: Node) -> str:
    text = (node.op.__doc__ or "").strip()
    return text.splitlines()[0] if text else f"as {node.name}.backward says"


def _origin(node: Node) -> str:
    return readable(node.origin, True) if node.origin is not None else ""
