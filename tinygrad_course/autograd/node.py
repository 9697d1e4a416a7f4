"""Node: one recorded op.  It is also the `ctx` that the op's forward and backward are given.

Design:
* A node holds its inputs' nodes (`edges`), never its output: a graph has no reference cycle and dies, node by node, with
  the last tensor that leads to it.  Closures would hold their output and leak.
* An edge to a leaf is the leaf tensor itself.  There is no accumulator object between the two that would have to be
  kept alive by one and found by the other.
* A node has exactly one gradient to wait for.  An op with several outputs puts an `Output` node behind each of them.
* Saved values are the op's inputs, its outputs, or constants (masks, integers) - never a differentiable quantity that
  only exists inside forward, because a second derivative through it would be silently wrong.
"""

from collections import OrderedDict
from typing import Any

from tinygrad_course.autograd.base import TensorBase, Version, new_tensor
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.autograd.origin import readable
from tinygrad_course.autograd.rule import OPERANDS, OUTPUT, Rule
from tinygrad_course.errors import GraphError
from tinygrad_course.kernels.arrays import fingerprint
from tinygrad_course.kernels.direct import shape_of
from tinygrad_course.kernels.local import recording, scope
from tinygrad_course.kernels.memory import blank, keep


class _Counter:
    """The order of creation.  A node is made after its inputs' nodes, so descending order is a topological order."""

    __slots__ = ("last",)

    last: int

    def __init__(self) -> None:
        self.last = 0


_counter = _Counter()
_YES, _NO = (True,), (False,)
_PAIRS = ((False, False), (False, True), (True, False), (True, True))  # the same few tuples for a million nodes


class Node:
    """A recorded op.

    op          the Op (or Function) class
    rule        its Rule, None if it has none
    needs       per input: whether its gradient is wanted; backward returns None where it is not
    args        arguments that are not tensors
    order       number in order of creation
    shape       shape of the output, so that a gradient of another shape is refused
    constants   whatever forward left for backward that is not differentiated (masks, sizes)
    hooks       functions called with the output's gradient, which they may replace
    post_hooks  functions called with the inputs' gradients, which they may replace, and the output's
    outputs     of an op with several outputs: weak references to their tensors
    retained    weak reference to the output tensor whose `.grad` is wanted (`retain_grad`)
    closed      whether save() forgets what it is given: nothing is being recorded
    scope       the module whose forward made it, None outside of modules
    origin      (file, line) of the user's program that made it, known in anomaly mode only
    count       number of inputs

    Most ops have one or two inputs and save as many values.  Those lie in fields of the node, because a tuple around them
    costs as much as the node itself; `edges` and `_saved` make the tuple for those who want it.
    """

    __slots__ = ("_edge0", "_edge1", "_edges", "_inputs", "_link0", "_link1", "_links", "_outputs_saved", "_versions", "args",
                 "closed", "constants", "count", "freed", "hooks", "needs", "op", "order", "origin", "outputs", "post_hooks",
                 "retained", "rule", "scope", "shape")

    op: Any
    rule: Rule | None
    needs: tuple[bool, ...]
    args: tuple[Any, ...]
    order: int
    shape: Any
    constants: Any
    hooks: Any
    post_hooks: Any
    retained: Any
    outputs: Any
    scope: Any
    origin: Any
    freed: bool
    closed: bool
    count: int
    _edge0: Any
    _edge1: Any
    _edges: Any  # all of them where there are more than two, else None
    _link0: Any  # what is saved: input tensors and `SavedOutput`s
    _link1: Any
    _links: Any  # or all of it, as a tuple
    _inputs: Any
    _versions: Any
    _outputs_saved: bool

    # -- what ops use --------------------------------------------------------------------------------------------------

    def save(self, first: Any, second: Any = None, third: Any = None, fourth: Any = None) -> None:
        """Keep inputs or outputs of forward for backward, where `saved` gives them back as tensors; None is left out."""
        if self.closed:
            return
        if first is None or third is not None or fourth is not None:
            self.save_all((first, second, third, fourth))
            return
        self._links = None
        self._link0 = self._link(first)
        self._link1 = None if second is None else self._link(second)

    def save_all(self, arrays: Any) -> None:
        """`save` for any number of arrays."""
        if not self.closed:
            self._link0 = self._link1 = None
            self._links = tuple([self._link(array) for array in arrays if array is not None])

    @property
    def saved(self) -> tuple[Any, ...]:
        """The saved values as tensors that still have their place in the graph.

        Raises GraphError if a value was changed in place since."""
        saved: tuple[Any, ...] = self.load()
        return saved

    def load(self) -> tuple[Any, ...]:
        """The same as a method, which compiled code calls without a look-up."""
        if self._links is None:
            if self._link0 is None:
                return ()
            if self._plain():
                return (self._link0,) if self._link1 is None else (self._link0, self._link1)
        self._check_versions()
        links = self._saved
        return tuple([self._restore(value) for value in links]) if self._outputs_saved else links

    def first(self) -> Any:
        """The first of the saved values, without a tuple around it: for the ops that are called most."""
        return self._link0 if self._plain() else self.load()[0]

    def second(self) -> Any:
        """The second of the saved values, after `first()`, which has found both unchanged."""
        return self.load()[1] if self._link1 is None or self._outputs_saved else self._link1

    def _plain(self) -> bool:
        """Whether the saved values are one or two input tensors that nobody can have changed."""
        if self._links is not None or self._outputs_saved or self._versions is not None or self._link0 is None:
            return False
        return not _has_counter(self._link0) and not _has_counter(self._link1)

    def input_shape(self, index: Any) -> Any:
        """Shape of an input whose gradient is wanted."""
        tensor: TensorBase
        node: Node
        edge = self._edge1 if index else self._edge0
        if self._edges is not None:
            edge = self._edges[index]
        if isinstance(edge, Node):
            node = edge
            return node.shape
        tensor = edge
        return shape_of(tensor.array)

    # -- what the engine uses ------------------------------------------------------------------------------------------

    @property
    def edges(self) -> tuple[Any, ...]:
        """Per input: the Node that made it, the leaf tensor itself, or None where no gradient is wanted."""
        if self._edges is not None:
            edges: tuple[Any, ...] = self._edges
            return edges
        return (self._edge0, self._edge1)[: self.count]

    @edges.setter
    def edges(self, edges: tuple[Any, ...]) -> None:
        self.count = len(edges)
        self._edges = edges if len(edges) > 2 else None
        self._edge0, self._edge1 = (*edges, None, None)[:2] if len(edges) < 3 else (None, None)

    @property
    def _saved(self) -> Any:
        """The saved values, None if there are none."""
        if self._links is not None:
            return self._links
        if self._link0 is None:
            return None
        return (self._link0,) if self._link1 is None else (self._link0, self._link1)

    @_saved.setter
    def _saved(self, links: Any) -> None:
        self._link0 = self._link1 = None
        self._links = links

    @property
    def name(self) -> str:
        """The op's name, for people."""
        return self.op.name

    def register_prehook(self, hook: Any) -> RemovableHandle:
        """Call `hook(gradients of the outputs)` before backward runs; a tuple it returns replaces them."""
        if isinstance(self, Output):
            handle: RemovableHandle = self.edges[0].register_prehook(hook)
            return handle
        if self.hooks is None:
            self.hooks = OrderedDict()
        if self.outputs is not None:
            return RemovableHandle(self.hooks, hook)

        def on_gradient(g: Any) -> Any:
            answer = hook((g,))
            return answer[0] if isinstance(answer, tuple) else answer

        return RemovableHandle(self.hooks, on_gradient)

    def register_hook(self, hook: Any) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after backward has run; a tuple it returns replaces grad_inputs."""
        if isinstance(self, Output):
            handle: RemovableHandle = self.edges[0].register_hook(hook)
            return handle
        if self.post_hooks is None:
            self.post_hooks = OrderedDict()
        return RemovableHandle(self.post_hooks, hook)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """PyTorch's view of the edges: (node or leaf tensor, 0) per input, None where no gradient flows."""
        return tuple([(edge, 0) for edge in self.edges])

    def __lt__(self, other: Any) -> bool:
        node: Node = other
        return self.order > node.order  # the heap's smallest node is the newest

    def __hash__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<{self.name}Backward>"

    def seal(self, outputs: tuple[Any, ...]) -> None:
        """After forward: turn the inputs into edges, and saved outputs into links that make no cycle."""
        inputs = self._inputs
        self._inputs = None
        self.count = len(inputs)
        if len(inputs) == 2:
            self._edge0, self._edge1 = _edge(inputs[0]), _edge(inputs[1])
            self.needs = needs_of_two(self._edge0 is not None, self._edge1 is not None)
        elif len(inputs) == 1:
            self._edge0 = _edge(inputs[0])
            self.needs = _NO if self._edge0 is None else _YES
        else:
            self._edges = tuple([_edge(value) for value in inputs])
            self.needs = tuple([edge is not None for edge in self._edges])
        if self._links is None and self._link0 is None:
            return
        if self._outputs_saved:
            self._saved = tuple([value if isinstance(value, TensorBase) else self._link_to_output(value, outputs)
                                 for value in self._saved])
        elif self._links is None and not _has_counter(self._link0) and not _has_counter(self._link1):
            return
        self._versions = self._current_versions()

    def _link(self, array: Any) -> Any:
        """The input tensor that holds `array`; else `array` itself, an output whose tensor does not exist yet."""
        tensor: TensorBase
        for value in self._inputs:
            if value is not None:
                tensor = value
                if tensor.array is array:
                    return tensor if tensor.base is None else without_base(tensor)
        self._outputs_saved = True
        return array

    def _current_versions(self) -> Any:
        """Per saved value its write counter, and a fingerprint of memory that NumPy knows too; None if all are 0."""
        tensor: TensorBase
        saved: SavedOutput
        version: Version | None
        marks: Any = None
        links = self._saved
        for index, link in enumerate(links):
            if isinstance(link, TensorBase):
                tensor = link
                version = tensor.version
            else:
                saved = link
                version = saved.version
            if version is not None and (version.count or version.outside is not None):
                if marks is None:
                    marks = [0] * len(links)
                marks[index] = version.count if version.outside is None else (version.count, fingerprint(link.array))
        return marks

    def run(self, gradients: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
        """The gradients of the inputs, from those of the outputs."""
        if len(gradients) == 1:
            return self.pull(gradients[0])
        backward = self._backward()
        return self._one_per_input(backward(self, *gradients))

    def pull(self, g: Any) -> tuple[Any, ...]:
        """`run` for the gradient of the only output, without a tuple around it."""
        backward = self._backward()
        return self._one_per_input(backward(self, g))

    def _backward(self) -> Any:
        """The op's rule, if what it needs is still there."""
        if self.freed:
            raise GraphError(
                f"{self.name}: backward was called a second time, but the first call freed what {self.name} had saved. Call "
                "backward(retain_graph=True) the first time if the graph is needed again, or compute the loss anew: in a "
                "training loop this usually means that a tensor of the last step is still in use; detach() it.")
        rule: Rule | None = self.rule
        return rule.backward if rule is not None and rule.op is self.op else self.op.backward

    def _one_per_input(self, answer: Any) -> tuple[Any, ...]:
        """What backward returned, if it can be the gradients of the inputs."""
        if type(answer) is not tuple or len(answer) != self.count:
            what = f"{len(answer)} gradients" if type(answer) is tuple else type(answer).__name__
            raise GraphError(f"{self.name}.backward returned {what}; it must return a tuple with one Tensor or None for each "
                             f"of its {self.count} inputs")
        return answer

    def narrowed(self, wanted: Any) -> Any:
        """This node, or a copy of it that needs only the inputs in `wanted`.

        A copy, because another thread may walk the same graph towards other inputs."""
        needs = tuple([edge is not None and edge in wanted for edge in self.edges])
        if needs == self.needs:
            return self
        copy: Node = blank(type(self))
        self._copy_to(copy)
        copy.needs = needs
        return copy

    def _copy_to(self, other: Any) -> None:
        copy: Node = start_node(other, self.op, (), self.args)
        copy.rule = self.rule
        copy.count = self.count
        copy._edge0 = self._edge0
        copy._edge1 = self._edge1
        copy._edges = self._edges
        copy.constants = self.constants
        copy.outputs = self.outputs
        copy.scope = self.scope
        copy.origin = self.origin
        copy.shape = self.shape
        copy.freed = self.freed
        copy._inputs = None
        copy._link0 = self._link0
        copy._link1 = self._link1
        copy._links = self._links
        copy._versions = self._versions
        copy._outputs_saved = self._outputs_saved

    def release(self) -> None:
        """Drop what forward saved.  A node that saved nothing can be walked again, as in PyTorch."""
        if self._link0 is not None or self._links is not None or self.constants is not None:
            self._link0 = self._link1 = self._links = None
            self.constants = None
            self.freed = True

    def _link_to_output(self, array: Any, outputs: tuple[Any, ...]) -> Any:
        for index, value in enumerate(outputs):
            tensor: TensorBase = value
            if tensor.array is array:
                # Not the tensor: it holds this node, and the two would keep each other alive.
                return saved_output(array, index, len(outputs) > 1, tensor._shared_version())
        raise GraphError(
            f"{self.name}: ctx.save() was given an array of shape {array.shape} that is neither an input nor an output of "
            "forward. A second derivative would silently ignore it. Save the inputs and compute it again in backward, "
            "return it as a further output, or, if it does not depend on the inputs (a mask, an index), put it into "
            "ctx.constants.")

    def _check_versions(self) -> None:
        now = self._current_versions()
        if now is None and self._versions is None:
            return
        links = self._saved
        none = [0] * len(links)
        for link, before, after in zip(links, self._versions or none, now or none, strict=True):
            if before == after:
                continue
            writes_before = before[0] if isinstance(before, tuple) else before
            writes_after = after[0] if isinstance(after, tuple) else after
            if writes_before != writes_after:
                line = link.version.line
                writer = f"'{link.version.last_write}'" + (f" at {readable(line)}" if line else "")
                when = f" (version {writes_after}, saved at {writes_before})"
            elif isinstance(before, tuple) or changed_outside(link):
                writer, when = "NumPy, which shares its memory (through .numpy() or from_numpy())", ""
            else:
                continue  # it became known to NumPy since, but nobody wrote
            kind = "an output" if isinstance(link, SavedOutput) else "an input"
            place = self.place()
            raise GraphError(
                f"{self.name}: {kind} of shape {tuple(link.array.shape)} that backward needs was changed in place by "
                f"{writer} after {self.name} saved it{when}. Its gradient would be wrong. Write to a copy "
                "(x = x.clone()), use the op that is not in place, or call backward() before the change."
                + (f"\n  {self.name} ran {place}" if place else ""))

    def place(self) -> str:
        """Where it was made, as far as that is known: `in LeNet5.features.3`, `at train.py:12`."""
        parts = []
        if self.scope is not None:
            parts.append(f"in {self.scope.path()}")
        if self.origin is not None:
            parts.append(f"at {readable(self.origin, True)}")
        return ", ".join(parts)

    def _restore(self, link: Any) -> Any:
        if not isinstance(link, SavedOutput):
            return link
        output: SavedOutput = link
        node: Any = self
        if output.shared and not recording():
            node = None  # no second derivative will follow it
        elif output.shared:  # the one that the output's tensor has, if it still has it: hooks and gradients meet there
            known: TensorBase | None = None if self.outputs is None else self.outputs[output.index]()
            node = None if known is None else known.node
            if not isinstance(node, Output) or node.edges[0] is not self:
                node = new_output(self, output.index, output.array.shape)
        tensor: TensorBase = new_tensor(output.array, node)
        tensor.version = output.version
        return tensor


def without_base(tensor: Any) -> Any:
    """A saved view, but not the tensor that it is a view of: x[1] = f(x[0]) would close a cycle through it."""
    if tensor.track and tensor.node is None:
        return tensor  # a leaf is known by itself
    copy: TensorBase = new_tensor(tensor.array, tensor.node)
    copy.version = tensor.version
    copy.seen = tensor.seen
    return copy


def changed_outside(link: Any) -> bool:
    """Whether memory that became known to NumPy has other contents now."""
    memory, before = link.version.outside
    return memory is not None and fingerprint(memory) != before


def needs_of_two(first: Any, second: Any) -> tuple[bool, bool]:
    """(first, second)."""
    return _PAIRS[2 * first + second]


def _edge(tensor: Any) -> Any:
    """Where the gradient of an input goes: to its node, to itself if it is a leaf, nowhere if it is not tracked."""
    if tensor is None or not tensor.track:
        return None
    return tensor if tensor.node is None else tensor.node


def new_node(op: Any, inputs: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    """A node for `op`.  A function and not __init__, because compiled it costs a third."""
    return start_node(blank(Node), op, inputs, args)


def start_node(node: Any, op: Any, inputs: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    """Give a blank node its number and what else is not None, 0 or False."""
    _counter.last += 1
    node.order = _counter.last
    node.scope = scope()
    node.op = op
    node.args = args
    node.needs = ()
    node._inputs = inputs  # until seal()
    return node


def record(rule: Any, result: Any, x: Any, y: Any) -> None:
    """Hang a node on the result of an op of one tensor x, or two, whose rule says what it saves.

    The same as forward with save() and then seal(), for ops whose forward was not called."""
    node: Node = blank(Node)
    _counter.last += 1
    node.order = _counter.last
    node.scope = scope()
    node.op = rule.op
    node.rule = rule
    node.args = ()
    node._edge0 = _edge(x)
    if y is None:
        node.count = 1
        node.needs = _YES
    else:
        node.count = 2
        node._edge1 = _edge(y)
        node.needs = needs_of_two(node._edge0 is not None, node._edge1 is not None)
    if rule.saves == OPERANDS:
        if y is None or node._edge0 is None:  # constant * y need not keep y
            node._link0 = _kept(x)
        elif node._edge1 is None:
            node._link0 = _kept(y)
        else:
            node._link0 = _kept(x)
            node._link1 = _kept(y)
        if _has_counter(x) or _has_counter(y):
            node._versions = node._current_versions()
    elif rule.saves == OUTPUT:
        node._link0 = saved_output(result.array, 0, False, result._shared_version())
        node._outputs_saved = True
    node.shape = shape_of(result.array)
    result.node = node
    result.track = True


def _has_counter(tensor: Any) -> bool:
    """Whether there is a tensor that has a write counter: the others, which are most, cannot have been changed."""
    return tensor is not None and tensor.version is not None


def _kept(tensor: Any) -> Any:
    return tensor if tensor.base is None else without_base(tensor)


def saved_output(array: Any, index: Any, shared: Any, version: Any) -> Any:
    """A SavedOutput.  A function and not __init__, because compiled it costs a third."""
    saved: SavedOutput = blank(SavedOutput)
    saved.array = array
    saved.index = index
    saved.shared = shared
    saved.version = version
    return saved


class SavedOutput:
    """A saved output: its array and its write counter, but not the tensor, which would close a cycle."""

    __slots__ = ("array", "index", "shared", "version")

    array: Any
    index: int
    shared: bool  # one of several outputs
    version: Version


class Output(Node):
    """Stands behind one output of an op that has several, and hands its gradient to the op's node."""

    __slots__ = ("index",)

    index: int


def new_output(node: Any, index: Any, shape: Any) -> Any:
    """The Output behind one of the outputs of `node`."""
    output: Output = blank(Output)
    start_node(output, node.op, (), ())
    output.count = 1
    output._edge0 = node
    output.scope = node.scope
    output.index = index
    output.shape = shape
    return output


for _kind in (Node, SavedOutput, Output):
    keep(_kind)
