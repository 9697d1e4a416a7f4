"""Checkpointing: memory for time.  A checkpointed part of a network keeps nothing for backward and is run again there.

Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear memory cost": n layers in sqrt(n) segments need the
memory of about 2 sqrt(n) layers, for one more forward pass.

How: the segment runs, and its graph is dropped again but for a list of its ties, the places where it hung on the rest:
its arguments, and the tensors that the function found in its closure (parameters above all).  One node stands for it all.
Backward runs the function once more, with the random state of the first time, and cuts the new graph at the same ties.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_course.autograd import enable_grad, grad, is_grad_enabled
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.autograd.function import up_to_date
from tinygrad_course.autograd.node import Node, new_node, new_output, without_base
from tinygrad_course.errors import GraphError, OperandError
from tinygrad_course.kernels.arrays import fingerprint
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.random import default_generator

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True,
               determinism_check: str = "default", **kwargs: Any) -> Any:
    """function(*args, **kwargs), whose intermediate values are computed again in backward instead of being kept.

    The gradients are those of the plain call, also for tensors of the closure, and can be differentiated again.  (They
    are the same bits too, unless a tensor is used several times inside and outside as well: the sum of its gradients is
    then taken in another order.)  The result may be a tensor, or nested tuples, lists and dicts of them and other things;
    where it was a view it is a copy.

    The function must do the same when called again.  The default generator is set back for that (unless
    preserve_rng_state=False); inputs changed in place, or another result, raise GraphError (the latter unless
    determinism_check='none').  What the function writes elsewhere is written twice: a BatchNorm's running averages, say.

    `use_reentrant` is accepted for PyTorch's sake: there is one way here, and it can all that False can there."""
    if determinism_check not in ("default", "none"):
        raise ValueError(f"checkpoint: determinism_check is 'default' or 'none', got {determinism_check!r}")
    if not callable(function):
        raise OperandError(f"checkpoint: the first argument must be a function, got {type(function).__name__}")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    segment = _Segment(function, args, kwargs, preserve_rng_state, determinism_check == "default")
    given = list(_tensors((args, kwargs)))
    writes = [x._shared_version().count for x in given]
    mark = new_node(None, (), ()).order
    result = function(*args, **kwargs)
    if [x._shared_version().count for x in given] != writes:
        raise GraphError("checkpoint: the function wrote into one of its arguments; called again for backward it would do so "
                         "once more. Let it work on a copy: x = x.clone()")
    outputs = _outputs(result, mark)
    if not outputs:
        return result
    segment.expected = [_fingerprint(y.array) for y in outputs]
    segment.size = new_node(None, (), ()).order - mark
    node = _node(segment, list(_ties(outputs, mark)), given)
    for index, y in enumerate(outputs):
        if y.base is not None:  # a view would keep what it shows, and the graph of that
            y.array, y.base, y.version, y.seen = y.array.copy(), None, None, 0
        y.node = new_output(node, index, y.array.shape)  # in place of the segment's graph, which dies here
    return result


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          preserve_rng_state: bool = True) -> Any:
    """The chain of `functions` (a list, or an nn.Sequential) applied to `input`, in `segments` pieces of equal length.

    All but the last are checkpointed; that one is needed first in backward, and would be run twice for nothing."""
    if not isinstance(functions, Iterable):
        raise OperandError("checkpoint_sequential: functions must be a list of functions or an nn.Sequential, got "
                           f"{type(functions).__name__}")
    chain, segments = list(functions), integer("checkpoint_sequential", "segments", segments)
    if not 1 <= segments <= len(chain):
        raise ValueError(f"checkpoint_sequential: {len(chain)} functions cannot be cut into {segments} segments")
    size = len(chain) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(_in_turn, chain[start:start + size], input, preserve_rng_state=preserve_rng_state)
    return _in_turn(chain[last:], input)


def _in_turn(functions: Iterable[Callable[..., Any]], x: Any) -> Any:
    for function in functions:
        x = function(x)
    return x


class _Segment:
    """A call that can be repeated, and what came out of it."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], keep_random: bool,
                 compare: bool) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.random_state = default_generator.get_state() if keep_random else None
        self.compare = compare
        self.expected: list[Any] = []
        self.size = 0  # ops recorded, and then some: the same number when it runs again

    def run_again(self) -> Any:
        """The result with a graph, from the random numbers of the first time."""
        now = default_generator.get_state()
        if self.random_state is not None:
            default_generator.set_state(self.random_state)
        try:
            with enable_grad():
                return self.function(*self.args, **self.kwargs)
        finally:
            if self.random_state is not None:
                default_generator.set_state(now)

    def check(self, outputs: list[Any]) -> None:
        """Raise GraphError if the outputs are not those of the first run."""
        found = [_fingerprint(y.array) for y in outputs]
        if [part[:2] for part in found] != [part[:2] for part in self.expected]:
            raise _changed("outputs " + _described(found), "outputs " + _described(self.expected))
        for index, (now, before) in enumerate(zip(found, self.expected, strict=True)):
            if self.compare and now != before:
                raise _changed(f"another value of output {index}", f"the one of shape {before[0]} in use")


class _Checkpoint:
    """The op behind a segment's outputs."""

    name = "checkpoint"

    @staticmethod
    def backward(ctx: Node, *gradients: Any) -> tuple[Any, ...]:
        """Run the segment again and go backward through it."""
        segment: _Segment = ctx.constants
        _ = ctx.saved  # raises if one of the inputs was changed in place
        stand_ins = [_stand_in(edge) for edge in ctx.edges]  # made first, so that they are older than the new graph
        mark = new_node(None, (), ()).order
        outputs = _outputs(segment.run_again(), mark)
        size = new_node(None, (), ()).order - mark
        segment.check(outputs)
        ties = _ties(outputs, mark)
        if [_shape(edge) for edge in ties] != [_shape(edge) for edge in ctx.edges]:
            raise _changed(f"{len(ties)} tensors that require a gradient", f"{len(ctx.edges)} of them, or of other shapes")
        if segment.compare and size != segment.size:
            raise _changed(f"{size - 1} ops", f"{segment.size - 1} ops")
        for stand_in, (edge, nodes) in zip(stand_ins, ties.items(), strict=True):
            for node in nodes:
                node.edges = tuple([stand_in if other is edge else other for other in node.edges])
        used = [(y, g) for y, g in zip(outputs, gradients, strict=True) if g is not None]
        wanted = [new_tensor(np.empty(0), stand_in) for stand_in, need in zip(stand_ins, ctx.needs, strict=True) if need]
        found = iter(grad([y for y, _ in used], wanted, [g for _, g in used], create_graph=is_grad_enabled(),
                          allow_unused=True))
        for stand_in, edge in zip(stand_ins, ctx.edges, strict=True):
            stand_in.edges = (edge,)  # not before: the search for the stand-ins would walk the whole graph behind them
        return tuple([next(found) if need else None for need in ctx.needs])


class _Tie:
    """Identity, where the graph of the second run is cut: the first derivative ends here, a second one goes on."""

    name = "tie"

    @staticmethod
    def backward(ctx: Node, g: Any) -> tuple[Any, ...]:
        """The gradient itself."""
        return (g,)


def _node(segment: _Segment, ties: list[Any], given: list[Any]) -> Any:
    """One node for the segment, with an edge to every tie."""
    tensors = [edge for edge in ties if isinstance(edge, TensorBase)]
    tensors += [without_base(x) for x in given if all(x is not leaf for leaf in tensors)]
    node: Any = new_node(_Checkpoint, (), ())
    node.edges = tuple(ties)
    node.needs = (True,) * len(ties)
    node.shape = tuple([shape for shape, _, _ in segment.expected])
    node.constants = segment
    node._saved = tuple(tensors)
    node._versions = node._current_versions()
    return node


def _stand_in(edge: Any) -> Any:
    node: Any = new_node(_Tie, (), ())
    node.edges = (None,)
    node.needs = (True,)
    node.shape = _shape(edge)
    return node


def _shape(edge: Any) -> Any:
    return edge.shape if isinstance(edge, Node) else edge.array.shape


def _outputs(result: Any, mark: int) -> list[Any]:
    """The tensors of a result that were computed after `mark`, each once."""
    found: list[Any] = []
    for value in _tensors(result):
        up_to_date(value)
        if value.node is not None and value.node.order > mark and all(value is not other for other in found):
            found.append(value)
    return found


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, TensorBase):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _ties(outputs: list[Any], mark: int) -> dict[Any, list[Node]]:
    """{leaf, or node older than `mark`: the segment's nodes that have an edge to it}, in the order of finding.

    Nodes are numbered as they are made, so what is younger belongs to the segment."""
    nodes = [y.node for y in outputs]
    seen = set(nodes)
    ties: dict[Any, list[Node]] = {}
    for node in nodes:  # grows while it is walked
        for edge in node.edges:
            if isinstance(edge, Node) and edge.order > mark:
                if edge not in seen:
                    seen.add(edge)
                    nodes.append(edge)
            elif edge is not None:
                ties.setdefault(edge, []).append(node)
    return ties


def _fingerprint(array: Any) -> tuple[Any, Any, int]:
    """(shape, dtype, a number for the values and their order)."""
    return array.shape, array.dtype, fingerprint(array)


def _described(fingerprints: list[Any]) -> str:
    return ", ".join(f"{shape} {dtype}" for shape, dtype, _ in fingerprints)


def _changed(now: str, before: str) -> GraphError:
    return GraphError(f"checkpoint: called again for backward, the function gave {now}; the first time it was {before}. A "
                      "checkpointed function must do the same when repeated: it must not depend on what has changed since, "
                      "and draw from the default generator, with preserve_rng_state=True.")
