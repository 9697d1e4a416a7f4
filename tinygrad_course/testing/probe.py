"""The function under test as a map from arrays to arrays, forward and backward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_course.autograd import Function, enable_grad, grad
from tinygrad_course.autograd.node import Output
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

Array = NDArray[Any]
Func = Callable[..., Any]


def to_array(tensor: Tensor) -> Array:
    """The values of a tensor of any device as an ndarray (not a copy on the CPU)."""
    array: Array = tensor.detach().cpu().numpy()
    return array


def subscript(name: str, i: int, shape: tuple[int, ...]) -> str:
    """name[1, 2] for the flat index i; the bare name for a single number."""
    return f"{name}[{', '.join(str(int(n)) for n in np.unravel_index(i, shape))}]" if shape else name


def argument_names(func: Func, count: int) -> list[str]:
    """The names of the first arguments from the signature, 'argument 0' where it has none to tell."""
    owner = getattr(func, "__self__", None)
    names = _positional(func)
    if isinstance(owner, type) and issubclass(owner, Function):  # apply(*args) says nothing, forward(ctx, x, y) does
        names = _positional(owner.forward)[1:]
    return [names[i] if i < len(names) else f"argument {i}" for i in range(count)]


def _positional(func: Func) -> list[str]:
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):  # a compiled function without a signature
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def copy_with_strides(x: Array) -> Array:
    """A copy that lies in memory as `x` does: sliced, transposed, reversed.

    `x.copy()` would hand the function under test a contiguous array, and a kernel that walks strided memory wrongly
    would pass.  Memory that overlaps itself (stride 0, from `expand`) cannot be perturbed entry by entry: such an input
    becomes contiguous.
    """
    spans = [(n - 1) * stride for n, stride in zip(x.shape, x.strides, strict=True)]
    if x.size == 0 or any(stride == 0 and n > 1 for n, stride in zip(x.shape, x.strides, strict=True)):
        return np.array(x, order="C")
    low = sum(span for span in spans if span < 0)
    high = sum(span for span in spans if span > 0) + x.itemsize
    y: Array = np.ndarray(x.shape, x.dtype, buffer=np.zeros(high - low, np.uint8), offset=-low, strides=x.strides)
    y[...] = x
    return y


class Run:
    """One forward call: the leaves that went in, the tensors that came out."""

    def __init__(self, leaves: list[Tensor], outputs: list[Tensor]) -> None:
        self.leaves = leaves
        self.outputs = outputs
        self.upstream_changed = False  # whether a backward pass has written into the gradient it was given

    def vjp(self, upstream: Sequence[Array | None]) -> list[Array | None]:
        """Gradient of sum over k of <upstream[k], outputs[k]> for every leaf; None leaves an output out altogether."""
        used = [(y, g) for y, g in zip(self.outputs, upstream, strict=True) if g is not None]
        grads = [from_numpy(np.array(g, dtype=y.dtype)).to(y.device) for y, g in used]
        before = [to_array(g).copy() for g in grads]
        found = grad([y for y, _ in used], self.leaves, grads, retain_graph=True, allow_unused=True)
        changed = any(not np.array_equal(to_array(g), kept) for g, kept in zip(grads, before, strict=True))
        self.upstream_changed = self.upstream_changed or changed
        return [None if g is None else to_array(g) for g in found]

    def raw_vjp(self, out: int, upstream: Array) -> list[Array | None] | None:
        """What the backward of the op behind one output returns, before the engine casts it or refuses its shape.

        None if that op does not stand directly on the leaves."""
        node: Any = self.outputs[out].grad_fn
        if isinstance(node, Output):
            node = node.edges[0]
        if node is None:
            return None
        edges: tuple[Any, ...] = node.edges
        places = [[n for n, edge in enumerate(edges) if edge is leaf] for leaf in self.leaves]
        if any(edge is not None and all(edge is not leaf for leaf in self.leaves) for edge in edges):
            return None
        recorder = _Recorder(node.op)
        node.op = recorder
        try:
            self.vjp([upstream if k == out else None for k in range(len(self.outputs))])
        except (ShapeError, DTypeError):
            pass  # of the gradients that are on record
        finally:
            node.op = recorder.op
        answers = [recorder.answer[n] if len(recorder.answer) > n else None for n in range(len(edges))]
        return [_total([answers[n] for n in found]) for found in places]

    def leads_to(self, out: int, leaf: Tensor) -> bool:
        """Whether the graph of an output contains the leaf."""
        node: Any = self.outputs[out].grad_fn
        found = [node]
        seen = {node}
        for node in found:  # grows while it is walked
            for edge in getattr(node, "edges", ()):
                if edge is leaf:
                    return True
                if edge is not None and edge not in seen:
                    seen.add(edge)
                    found.append(edge)
        return False


class _Recorder:
    """Stands in for an op class during one backward pass and keeps what its backward returned."""

    def __init__(self, op: Any) -> None:
        self.op = op
        self.name = op.name
        self.answer: tuple[Any, ...] = ()

    def backward(self, ctx: Any, *gradients: Any) -> Any:
        answer = self.op.backward(ctx, *gradients)
        self.answer = answer if isinstance(answer, tuple) else (answer,)
        return answer


def _total(gradients: list[Any]) -> Array | None:
    """The sum of the gradients that one leaf gets from its uses by one op."""
    arrays = [to_array(g) for g in gradients if isinstance(g, Tensor)]
    if not arrays:
        return None
    if any(g.shape != arrays[0].shape for g in arrays):
        return arrays[0]
    return np.asarray(sum(arrays[1:], start=arrays[0]))


class Probe:
    """`func` seen as a function of those inputs that require a gradient.

    inputs       as the caller gave them; each call of `func` gets copies, so nothing of the caller's changes
    args         positions in `inputs` of the tensors that require a gradient
    point        their values, in that order
    names        what to call each input: 'x' from the signature of `func`, or 'argument 0'
    outs         positions, among the tensors returned, of those that gradients flow into; of all floating-point ones
                 if none is connected
    out_names    what to call each of them
    connected    whether any output requires a gradient
    """

    def __init__(self, func: Func, inputs: Sequence[Any], names: Sequence[str] | None = None,
                 out_name: str = "output") -> None:
        self.func = func
        self.inputs = tuple(inputs)
        self.names = list(names) if names is not None else argument_names(func, len(self.inputs))
        self.out_name = out_name
        self.args = [i for i, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.point = [to_array(self.inputs[i]) for i in self.args]
        outputs = self._call(self.point)[1]
        floating = [k for k, y in enumerate(outputs) if y.dtype.kind == "f"]
        connected = [k for k in floating if outputs[k].requires_grad]
        self.connected = bool(connected)
        self.outs = connected or floating
        self.out_names = [out_name if len(outputs) == 1 else f"{out_name} {k}" for k in self.outs]
        self.out_shapes = [tuple(outputs[k].shape) for k in self.outs]
        self.out_dtypes = [outputs[k].dtype for k in self.outs]
        nodes = [outputs[k].grad_fn for k in self.outs]
        self.op_names = ["" if node is None else str(node.name) for node in nodes]

    def in_float64(self) -> Probe:
        """The same probe with every floating-point input, differentiated or not, in float64."""
        wide = [x.detach().double().requires_grad_(x.requires_grad)
                if isinstance(x, Tensor) and x.dtype.kind == "f" else x for x in self.inputs]
        return Probe(self.func, wide, self.names, self.out_name)

    def entry_name(self, arg: int, i: int) -> str:
        """Entry i of a differentiated argument as people write it: x[1, 2]."""
        return subscript(self.names[self.args[arg]], i, self.point[arg].shape)

    def _call(self, point: Sequence[Array]) -> tuple[list[Tensor], list[Tensor]]:
        fresh: list[Any] = [
            from_numpy(copy_with_strides(to_array(x))).to(x.device) if isinstance(x, Tensor) else x for x in self.inputs
        ]
        for i, x in zip(self.args, point, strict=True):
            fresh[i] = from_numpy(copy_with_strides(x)).to(self.inputs[i].device).requires_grad_()
        with enable_grad():
            result = self.func(*fresh)
        results = result if isinstance(result, (tuple, list)) else (result,)
        outputs = [y for y in results if isinstance(y, Tensor)]
        if not outputs:
            raise GraphError(f"gradcheck: the function returned {type(result).__name__}, not a Tensor or a tuple of "
                             "Tensors")
        return [fresh[i] for i in self.args], outputs

    def run(self, point: Sequence[Array]) -> Run:
        """Forward with recording on."""
        leaves, outputs = self._call(point)
        return Run(leaves, [outputs[k] for k in self.outs])

    def values(self, point: Sequence[Array]) -> list[Array]:
        """The outputs as flat float64 arrays."""
        outputs = self._call(point)[1]
        return [to_array(outputs[k]).astype(np.float64).ravel() for k in self.outs]

    def shifted(self, point: Sequence[Array], arg: int, direction: Array | int, step: float) -> list[Array]:
        """The point with `step` added to entry `direction` of argument `arg`, or to all entries along an array."""
        moved = list(point)
        x = copy_with_strides(moved[arg])
        if isinstance(direction, int):
            x[np.unravel_index(direction, x.shape)] += step
        else:
            x += (step * direction).astype(x.dtype)
        moved[arg] = x
        return moved
