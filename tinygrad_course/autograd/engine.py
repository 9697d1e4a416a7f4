"""The backward pass.

    d loss / d x  =  sum over the ops that used x of (d loss / d output of the op) * (d output / d x)

Nodes are taken newest first.  A node is newer than all that it depends on, so when it comes up every op that used its
output has been done and its gradient is complete.  There is no recursion: any depth will do.  A gradient is dropped as
soon as it has been used, and the sum of several is gathered in place: of a weight that is used at a thousand time steps
never more than two gradients exist.
"""

import threading
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

from numpy import empty

from tinygrad_course import backend
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.autograd.function import up_to_date
from tinygrad_course.autograd.grad_mode import switch_grad
from tinygrad_course.autograd.node import Node, Output
from tinygrad_course.autograd.watch import watch
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.kernels.arrays import alike, has_shape, same_shape
from tinygrad_course.kernels.direct import add_into, number, shape_of
from tinygrad_course.kernels.memory import blank, keep

_cpu_kernels = backend.cpu_kernels
_lock = threading.RLock()


class _Queue(threading.local):
    """What is to be called at the end of the backward pass that this thread is in."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def take(self) -> list[Any]:
        """All callbacks, which are then forgotten."""
        callbacks, self.callbacks = self.callbacks, []
        return callbacks


_queued = _Queue()
_ever_queued = False  # asking the thread-local queue costs more than a small op


def queue_callback(callback: Any) -> None:
    """Call `callback()` at the end of the backward pass that is running."""
    global _ever_queued
    _ever_queued = True
    _queued.callbacks.append(callback)


class _Sum:
    """The gradient of a node or leaf, as far as it is gathered."""

    __slots__ = ("own", "total")

    total: Any
    own: bool  # its array was made here, and nobody else has it

    def add(self, g: Any) -> None:
        """total += g."""
        total: TensorBase = self.total
        recorded = g.track or total.track
        if not recorded and self.own and add_into(total.array, g.array):
            return
        if recorded or not alike(total.array, g.array):
            self.total = total + g  # as an op, to be differentiated again
            self.own = False
        else:
            self.total = new_tensor(_cpu_kernels.add(total.array, g.array))
            self.own = True


keep(_Sum)


def _new_sum(g: Any) -> Any:
    fresh: _Sum = blank(_Sum)
    fresh.total = g
    return fresh


class _Pending:
    """The nodes that a gradient has arrived at, and the leaves.

    ahead     the newest node, apart from the others: in a chain there is never another one, and the heap stays empty
    gathered  its _Sum, or that of the node taken last
    heap      the other nodes
    sums      node -> _Sum, for those in the heap
    leaves    leaf -> _Sum
    leaf      the leaf that had a gradient last: a weight that is used at every time step is met again and again
    leaf_sum  its _Sum
    """

    __slots__ = ("ahead", "gathered", "heap", "leaf", "leaf_sum", "leaves", "sums")

    ahead: Any
    gathered: Any
    heap: list[Any]
    sums: dict[Any, Any]
    leaves: dict[Any, Any]
    leaf: Any
    leaf_sum: Any

    def __init__(self) -> None:
        self.ahead = None
        self.leaf = None
        self.leaf_sum = None
        self.gathered = _new_sum(None)
        self.heap = []
        self.sums = {}
        self.leaves = {}

    def deliver(self, edge: Any, g: Any, source: Any) -> None:
        """Add `g`, which comes from node `source`, to what `edge`, a node or a leaf, has gathered."""
        node: Node
        tensor: TensorBase
        gradient: TensorBase
        total: _Sum
        if not isinstance(g, TensorBase):
            raise GraphError(f"{source.name}.backward returned {type(g).__name__} as a gradient; it must return Tensors or "
                             "None")
        gradient = g
        if edge is self.leaf:
            total = self.leaf_sum
            if total.own and not gradient.track and not total.total.track and add_into(total.total.array, gradient.array):
                return
        if isinstance(edge, Node):
            node = edge
            if not has_shape(gradient.array, node.shape):
                raise _wrong_shape(node.name, gradient.array.shape, node.shape)
            if node is self.ahead:
                total = self.gathered
                total.add(gradient)
            elif self.heap and node in self.sums:
                total = self.sums[node]
                total.add(gradient)
            else:
                self.push(node, gradient)
            return
        tensor = edge
        if not same_shape(gradient.array, tensor.array):
            raise _wrong_shape("a leaf", gradient.array.shape, tensor.array.shape)
        if not alike(gradient.array, tensor.array) and gradient.array.dtype != tensor.array.dtype:
            raise DTypeError(f"a gradient of type {gradient.array.dtype} arrived at a leaf of type {tensor.array.dtype}: the "
                             "backward rule of the op that used it changes the type; convert with .to(x.dtype) there")
        found = self.leaves.get(edge)
        if found is None:
            total = _new_sum(gradient)
            self.leaves[edge] = total
        else:
            total = found
            total.add(gradient)
        self.leaf = tensor
        self.leaf_sum = total

    def push(self, node: Any, g: Any) -> None:
        """Put in a node that is not there yet."""
        ahead: Node = self.ahead
        total: _Sum
        if ahead is None and self.heap:
            ahead = heappop(self.heap)
            self.ahead = ahead
            self.gathered = self.sums.pop(ahead)
        if ahead is None:
            self.ahead = node
            total = self.gathered  # of a node that has been done
            total.total = g
            total.own = False
        elif node.order > ahead.order:
            heappush(self.heap, ahead)
            self.sums[ahead] = self.gathered
            self.ahead = node
            self.gathered = _new_sum(g)
        else:
            heappush(self.heap, node)
            self.sums[node] = _new_sum(g)

    def take(self) -> Any:
        """The newest node, None if there is none left; its gradient is in `gathered` until the next one is put in."""
        node: Node | None = self.ahead
        if node is not None:
            self.ahead = None
        elif self.heap:
            node = heappop(self.heap)
            self.gathered = self.sums.pop(node)
        return node

    def nodes(self) -> list[Any]:
        """All nodes that wait."""
        return [*self.heap] if self.ahead is None else [self.ahead, *self.heap]


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             inputs: Any = None) -> None:
    """Accumulate d(sum of tensors * grad_tensors)/d(leaf) into the `.grad` of every leaf, or only of `inputs`."""
    roots = _as_list(tensors)
    gradients = [None] * len(roots) if grad_tensors is None else _as_list(grad_tensors)
    if len(gradients) != len(roots):
        raise GraphError(f"backward: {len(roots)} tensors, but {len(gradients)} gradients")
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        for leaf, g in _walk(roots, gradients, None, keep, create_graph)[0]:
            _accumulate(leaf, g, create_graph)
        return
    targets = list({id(tensor): tensor for tensor in _as_list(inputs)}.values())  # each once
    if not targets:
        raise GraphError("backward: inputs must not be empty; leave it out to reach every leaf")
    found = _gradients_of(roots, gradients, targets, keep, create_graph)
    while found:
        g = found.pop()
        target = targets[len(found)]
        if g is not None:
            _accumulate(target, g, create_graph)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool = False) -> tuple[Any, ...]:
    """The gradients of outputs with respect to inputs, as a tuple, without touching any `.grad`.

    With create_graph the result is recorded and can be differentiated again.  An input that the outputs do not depend
    on raises, or gives None with allow_unused.  only_inputs is always True; PyTorch's scripts say so."""
    if not only_inputs:
        raise TypeError("grad: only_inputs=False is not supported; backward() fills the .grad of all leaves")
    roots = _as_list(outputs)
    gradients = [None] * len(roots) if grad_outputs is None else _as_list(grad_outputs)
    if len(gradients) != len(roots):
        raise GraphError(f"grad: {len(roots)} outputs, but {len(gradients)} grad_outputs")
    keep = create_graph if retain_graph is None else retain_graph
    targets = _as_list(inputs)
    found = _gradients_of(roots, gradients, targets, keep, create_graph)
    if not allow_unused:
        for index, g in enumerate(found):
            if g is None:
                raise GraphError(f"grad: input {index} of shape {targets[index].array.shape} was not used to compute the "
                                 "outputs. Pass allow_unused=True to get None for it.")
    return tuple(found)


def _gradients_of(roots: list[Any], gradients: list[Any], targets: list[Any], keep: bool, create_graph: bool) -> list[Any]:
    """Per target its gradient, None where the roots do not depend on it."""
    tensor: TensorBase
    keys = []
    for index, value in enumerate(targets):
        if not isinstance(value, TensorBase):
            raise GraphError(f"inputs must be tensors, number {index} is {type(value).__name__}")
        tensor = value
        up_to_date(tensor)
        if not tensor.track:
            raise GraphError(f"input {index} of shape {tensor.array.shape} does not require a gradient; call "
                             "requires_grad_() on it before computing the outputs")
        keys.append(tensor if tensor.node is None else tensor.node)
    leaves, captured = _walk(roots, gradients, keys, keep, create_graph)
    captured.update(leaves)
    return [captured.get(key) for key in keys]


def _walk(roots: list[Any], gradients: list[Any], targets: list[Any] | None, keep: bool,
          create_graph: bool) -> tuple[list[Any], dict[Any, Any]]:
    """Go through the graph; returns [(leaf, gradient)] and {target node: gradient}."""
    node: Node
    active: Node
    parent: Node
    output: Output
    total: _Sum
    leaf: TensorBase
    answer: tuple[Any, ...]
    arrived: Any
    pending: _Pending = _Pending()
    slots: dict[Any, list[Any]] = {}  # node with several outputs -> a gradient or None per output
    before = switch_grad(create_graph)
    try:
        for index, root in enumerate(roots):
            edge, g = _start(root, gradients[index])
            pending.deliver(edge, g, None)
        g = None
        captured: dict[Any, Any] = {}
        goal: Any = None
        run: Any = None
        wanted: Any = None
        if targets is not None:
            goal = set(targets)
            run = _on_the_way(pending.nodes(), goal)
            wanted = run | goal
        while True:
            node = pending.take()
            if node is None:
                break
            total = pending.gathered
            g = total.total
            total.total = None
            if node.hooks is not None and g is not None:
                g = call_hooks(node.hooks, g)
            if node.retained is not None:
                tensor = node.retained()
                if tensor is not None:  # a copy, because the gradient goes on its way
                    _accumulate(tensor, g if create_graph else new_tensor(g.array.copy()), create_graph)
            if run is not None:
                if node in goal:
                    captured[node] = g
                if node not in run:
                    continue
            if isinstance(node, Output):
                output = node
                parent = output.edges[0]
                if parent not in slots:
                    slots[parent] = [None] * len(parent.shape)
                    pending.push(parent, None)
                gathered = slots[parent]  # a saved output has an Output of its own: their gradients add up
                gathered[output.index] = g if gathered[output.index] is None else gathered[output.index] + g
                continue
            several = slots.pop(node, None) if slots else None
            if several is not None and node.hooks is not None:
                several = _call_pre_hooks(node, several)
            first, second, more = node._edge0, node._edge1, node._edges
            active = node if run is None else node.narrowed(wanted)
            if several is None and type(active) is Node and watch.watcher is None and node.post_hooks is None:
                answer = active.pull(g)
                g = None
            else:
                arrived = (g,) if several is None else tuple(several)
                g = several = None  # `arrived` alone holds the gradient now
                answer = active.run(arrived, create_graph)
                if watch.watcher is not None:
                    watch.watcher.backward(node, arrived, answer)
                if node.post_hooks is not None:
                    answer = _call_post_hooks(node, answer, arrived)
                arrived = None
            if not keep:
                node.release()
            if first is not None:
                g = answer[0]
                if g is not None:
                    pending.deliver(first, g, node)
            if second is not None:
                g = answer[1]
                if g is not None:
                    pending.deliver(second, g, node)
            if more is not None:
                for index, edge in enumerate(more):
                    g = answer[index]
                    if edge is not None and g is not None:
                        pending.deliver(edge, g, node)
            answer, g = (), None  # what was added to a sum is not kept until the next node has run
        done = []
        for leaf, total in pending.leaves.items():
            if not leaf.track or (goal is not None and leaf not in goal):
                continue  # requires_grad was switched off since, or nobody asked
            g = total.total
            total.total = None
            if leaf.hooks is not None:
                g = call_hooks(leaf.hooks, g)
            done.append((leaf, g))
        if _ever_queued:
            for callback in _queued.take():
                callback()
        return done, captured
    finally:
        switch_grad(before)
        if _ever_queued:
            _queued.take()


def _start(root: Any, g: Any) -> tuple[Any, Any]:
    """The edge to begin at and the gradient to begin with."""
    tensor: TensorBase
    gradient: Any
    if not isinstance(root, TensorBase):
        raise GraphError(f"backward: expected a Tensor, got {type(root).__name__}")
    tensor = root
    up_to_date(tensor)
    if not tensor.track:
        raise GraphError(f"backward: this tensor of shape {tensor.array.shape} does not require a gradient: no parameter "
                         "took part in computing it, or it was computed under no_grad() or after detach()")
    if g is None:
        array = number(1.0, tensor.array) if shape_of(tensor.array) == () else None
        if array is None:
            if tensor.array.size != 1:
                raise GraphError(f"backward: the tensor has shape {tensor.array.shape}; only a single number has a gradient "
                                 "by itself. Reduce it with .sum() or .mean(), or pass backward(gradient=...) of that "
                                 "shape.")
            array = tensor.array.copy()
            array.fill(1)
        return (tensor if tensor.node is None else tensor.node), new_tensor(array)
    if not isinstance(g, TensorBase):
        raise GraphError(f"backward: gradient must be a Tensor, got {type(g).__name__}")
    gradient = g
    if not same_shape(gradient.array, tensor.array):
        raise ShapeError(f"backward: gradient has shape {gradient.array.shape}, the tensor {tensor.array.shape}; they must "
                         "be equal")
    if not alike(gradient.array, tensor.array) and gradient.array.dtype != tensor.array.dtype:
        g = gradient.to(tensor.array.dtype)
    elif not gradient.track:
        g = new_tensor(gradient.array)  # a second holder of the array, so that nobody takes it for his own
        g.version = gradient._shared_version()  # what is saved in backward notices writes to it
    return (tensor if tensor.node is None else tensor.node), g


def _wrong_shape(name: str, got: Any, expected: Any) -> ShapeError:
    return ShapeError(f"the gradient that arrived at the output of {name} has shape {tuple(got)}, that output has "
                      f"{tuple(expected)}: the backward rule of an op that used it forgets to sum over a broadcast axis or "
                      "to transpose. gradcheck() on that op tells which.")


def _on_the_way(heap: list[Any], goal: set[Any]) -> set[Any]:
    """The nodes whose backward must run to reach the goal."""
    node: Node
    found = list(heap)
    seen = set(found)
    for node in found:  # grows while it is walked
        for edge in node.edges:
            if isinstance(edge, Node) and edge not in seen:
                seen.add(edge)
                found.append(edge)
    found.sort(key=_creation)
    run: set[Any] = set()
    for node in found:  # oldest first: inputs before what was made of them
        for edge in node.edges:
            if edge is not None and (edge in goal or edge in run):
                run.add(node)
                break
    return run


def _creation(node: Any) -> int:
    order: int = node.order
    return order


def call_hooks(hooks: Any, g: Any) -> Any:
    """Let every hook see the gradient; what it returns replaces it."""
    tensor: TensorBase
    given: TensorBase
    for hook in list(hooks.values()):
        given = g
        writes = given._shared_version().count
        answer = hook(g)
        if given._shared_version().count != writes:
            raise GraphError("a gradient hook wrote into its argument, which other gradients share; return the new gradient "
                             "instead")
        if answer is None:
            continue
        if not isinstance(answer, TensorBase):
            raise GraphError(f"a gradient hook must return a Tensor or None, it returned {type(answer).__name__}")
        tensor = answer
        if tensor.array.shape != given.array.shape:
            raise ShapeError(f"a gradient hook returned shape {tensor.array.shape} for a gradient of shape "
                             f"{given.array.shape}")
        if tensor.array.dtype != given.array.dtype:
            raise DTypeError(f"a gradient hook returned {tensor.array.dtype} for a gradient of {given.array.dtype}")
        g = answer
    # The hooks may have kept what they saw: a second holder of the array, so that the leaf copies it.
    given = g
    return g if given.track else new_tensor(given.array)


def _call_pre_hooks(node: Any, gradients: list[Any]) -> list[Any]:
    """Let the hooks of a node with several outputs see their gradients; a tuple that one returns replaces them."""
    for hook in list(node.hooks.values()):
        changed = hook(tuple(gradients))
        if changed is not None:
            gradients = list(_checked_gradients(node, changed, gradients))
    return gradients


def _checked_gradients(node: Any, changed: Any, before: Any) -> Any:
    """What a hook of a node returned in place of gradients, if it can take their place."""
    if not isinstance(changed, tuple) or len(changed) != len(before):
        raise GraphError(f"a hook of {node.name} must return None or a tuple of {len(before)} gradients, it returned "
                         f"{type(changed).__name__}")
    for index, (g, old) in enumerate(zip(changed, before, strict=True)):
        if g is not None and not isinstance(g, TensorBase):
            raise GraphError(f"a hook of {node.name} returned {type(g).__name__} as gradient {index}; it must be a Tensor or "
                             "None")
        if g is not None and old is not None and g.array.shape != old.array.shape:
            raise ShapeError(f"a hook of {node.name} returned shape {g.array.shape} for gradient {index} of shape "
                             f"{old.array.shape}")
    return changed


def _call_post_hooks(node: Any, answer: tuple[Any, ...], gradients: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let the hooks of a node see the gradients of its inputs; a tuple that one returns replaces them."""
    for hook in list(node.post_hooks.values()):
        changed = hook(answer, gradients)
        if changed is not None:
            answer = _checked_gradients(node, changed, answer)
    return answer


def _accumulate(leaf: Any, g: Any, create_graph: bool) -> None:
    """leaf.grad += g, and call who wants to know."""
    with _lock:  # backward passes of several threads may meet in one leaf
        _add_to_grad(leaf, g, create_graph)
    if leaf.post_hooks is not None:
        before = switch_grad(create_graph)
        try:
            for hook in list(leaf.post_hooks.values()):
                hook(leaf)
        finally:
            switch_grad(before)


def _add_to_grad(leaf: Any, g: Any, create_graph: bool) -> None:
    """leaf.grad += g."""
    grad: TensorBase
    if leaf._grad is not None:
        grad = leaf._grad
        if create_graph or grad.track:
            leaf._grad = leaf._grad + g
        else:
            if not add_into(grad.array, g.array):
                grad.array += g.array
            grad._bump_version("backward")
        return
    if create_graph:
        leaf._grad = g.clone()  # recorded, and nobody else's memory
        return
    # The array becomes the leaf's own if nobody else has it: another leaf may have been given the same gradient (x + y),
    # or the user may have passed it in.  Whoever changes one .grad in place must not change another.
    if g.array.base is None and _holders(g) <= _ONE_HOLDER and not g.track:
        leaf._grad = new_tensor(g.array)
    else:
        leaf._grad = new_tensor(g.array.copy())


def _holders(tensor: Any) -> int:
    """How many hold the array of a tensor, plus whatever references the call itself makes, compiled or not."""
    return getrefcount(tensor.array)


_ONE_HOLDER = _holders(new_tensor(empty(0)))  # measured, because it is not the same compiled and uncompiled


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
