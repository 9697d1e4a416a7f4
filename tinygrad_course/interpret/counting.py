"""Counts what the ops of a forward pass do: multiply-adds, memory, receptive fields.

Counting is done op by op, not layer by layer: what a model computes with functions inside its forward is counted like what
it computes with layers.

A multiply-add is one product that is added to something.  What counts, and how (y: the output, |y|: its number of elements):

    convolution                |y| kh kw C / groups          dilation and padding change nothing; zeros in the padding count
    transposed convolution     |x| kh kw O / groups          each input lays the kernel into the output
    linear                     |y| in_features               a bias is where the sum begins: no product
    matrix product             |y| k                         for (n, k) @ (k, m); attention is two of these
    RNN, LSTM, GRU             steps (I + H) H gates         per layer and direction, a step per sample and time
    batch norm                 |y| with the running statistics, 2 |y| with those of the batch (squares; scale and shift)
    layer, group, RMS norm     2 |y|, and |y| more with a weight

Everything else counts nothing: activations, softmax, pooling, interpolation, additions, products element by element.
Volumes and sequences are convolved as images and counted as such, with the same result as by |y| kd kh kw C / groups.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_course.autograd.function import Op
from tinygrad_course.interpret.field import Field, propagate


def multiply_adds(name: str, args: tuple[Any, ...], shapes: list[Any], out: tuple[int, ...]) -> int:
    """Multiply-adds of one op by its name, arguments, the shapes of its inputs (None: left out) and of its first output."""
    count = _COUNTS.get(name)
    return 0 if count is None else int(count(args, shapes, math.prod(out)))


def _batch_norm(args: Any, shapes: Any, size: int) -> int:
    training = args[2]
    return 2 * size if training else size


def _attention(args: Any, shapes: Any, size: int) -> int:
    q, k, v = shapes[:3]
    return math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])  # the scores, and the values that they weigh


def _recurrent(args: Any, shapes: Any, size: int) -> int:
    x = shapes[0]
    weights = (*shapes[3:5], shapes[7]) if args[0] == "lstm" else shapes[2:4]
    return math.prod(x[:-1]) * sum(math.prod(w) for w in weights if w is not None)


_COUNTS: dict[str, Callable[[Any, Any, int], int]] = {
    "conv2d": lambda args, shapes, size: size * math.prod(shapes[1][1:]),
    "conv2d_input": lambda args, shapes, size: math.prod(shapes[0]) * math.prod(shapes[1][1:]),
    "linear": lambda args, shapes, size: size * shapes[1][1],
    "matmul": lambda args, shapes, size: size * shapes[0][-1],
    "attention": _attention, "rnn": _recurrent, "lstm": _recurrent, "gru": _recurrent,
    "batch_norm": _batch_norm,
    "group_norm": lambda args, shapes, size: size * (2 if shapes[1] is None else 3),
}


@dataclass
class Call:
    """One call of a module, and what the ops did that it ran itself, not through modules in it.

    module         None for the root of all
    inputs, outputs  shapes of the tensors that went in and came out
    made           bytes of the arrays that its ops made
    mult_adds      by name of the op
    """

    module: Any
    children: list[Call] = field(default_factory=list)
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    seen: Field | None = None
    made: int = 0
    mult_adds: dict[str, int] = field(default_factory=dict)


class Counter:
    """Watches ops (see autograd.watch) while modules report their calls to `enter` and `leave`."""

    def __init__(self) -> None:
        self.root = Call(None)
        self.stack = [self.root]
        self._thread = threading.get_ident()
        self._fields: dict[int, tuple[Any, Field]] = {}

    def enter(self, module: Any, shapes: list[tuple[int, ...]]) -> None:
        """A call of a module begins."""
        call = Call(module, inputs=shapes)
        self.stack[-1].children.append(call)
        self.stack.append(call)

    def leave(self, tensors: list[Any]) -> None:
        """It ends with these tensors."""
        call = self.stack.pop()
        call.outputs = [tuple(tensor.shape) for tensor in tensors]
        found = [self.field_of(tensor.array) for tensor in tensors]
        call.seen = max((field for field in found if field is not None), key=lambda field: field.size, default=None)

    def forward(self, op: Any, node: Any, inputs: tuple[Any, ...], arrays: list[Any], args: tuple[Any, ...],
                out: Any) -> None:
        """An op has run."""
        if threading.get_ident() != self._thread or not (isinstance(op, type) and issubclass(op, Op)):
            return  # a custom Function consists of ops, which have come here
        call = self.stack[-1]
        results = out if type(out) is tuple else (out,)
        shapes = [None if array is None else tuple(array.shape) for array in arrays]
        count = multiply_adds(op.name, args, shapes, tuple(results[0].shape))
        if count:
            call.mult_adds[op.name] = call.mult_adds.get(op.name, 0) + count
        for array in results:
            if not (op.view and array.base is not None):
                call.made += array.nbytes
        fields = [None if array is None else self.field_of(array) for array in arrays]
        if any(field is not None for field in fields):
            found = propagate(op, args, shapes, fields, [tuple(array.shape) for array in results])
            for array, seen in zip(results, found, strict=True):
                if seen is not None and array.dtype.kind == "f":
                    self.note(array, seen)
                else:
                    self._fields.pop(id(array), None)

    def write(self, array: Any, key: Any, value: Any) -> None:
        """Called before a write in place that is not recorded: no multiply-adds."""

    def backward(self, node: Any, gradients: Any, answer: Any) -> None:
        """Not counted."""

    def note(self, array: Any, seen: Field) -> None:
        """What the elements of an array see of the input."""
        self._fields[id(array)] = (weakref.ref(array), seen)

    def field_of(self, array: Any) -> Field | None:
        """What was noted for an array, or for the one that it is another view of."""
        for candidate in (array, array.base):
            reference, seen = self._fields.get(id(candidate), (None, None))
            if reference is not None and reference() is candidate and candidate.shape == array.shape:
                return seen
        return None
