"""Two traces as one graph: what is equal in both is fixed, what differs depends on the inputs' values or sizes.

A trace is one example.  A second pass, with other values and other sizes of the dynamic axes, tells what of it is general:

* a number among an op's arguments (a size in a reshape, say) that differs follows a dynamic axis: it becomes a `Size`;
* a constant that differs was computed from the inputs by something that is no op (NumPy, `.item()`), or drawn at random:
  used as a constant it would make the exported graph wrong, so there is an error instead;
* another sequence of ops is control flow that depends on the inputs: likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx import trace
from tinygrad_course.io.onnx.trace import CONSTANT, Trace
from tinygrad_course.ops.axis_product import SparseMatrix


class VaryingError(ExportError):
    """Something that had to be fixed differs between the two traces."""


@dataclass(frozen=True)
class Size:
    """A length that differs: `a` in the first trace, `b` in the second."""

    a: int
    b: int


@dataclass(frozen=True, eq=False)
class Differs:
    """Any other argument that differs."""

    a: Any
    b: Any


Length = int | Size


@dataclass(eq=False)
class Value:
    """A value in both traces.

    shape     with a Size where it differs
    a, b      the arrays of the first and of the second trace
    moves     whether it depends on an input or a state; of such a result the arrays have a shape and no values
    producer  the call whose output it is
    """

    kind: str
    name: str
    a: Any
    b: Any
    moves: bool
    producer: Call | None = None

    @property
    def shape(self) -> tuple[Length, ...]:
        """The shape, with a Size where it differs."""
        return tuple([m if m == n else Size(m, n) for m, n in zip(self.a.shape, self.b.shape, strict=True)])

    @property
    def dtype(self) -> Any:
        """The data type."""
        return self.a.dtype

    @property
    def fixed(self) -> bool:
        """Whether it is the same array in both traces."""
        return not self.moves and _same(self.a, self.b)


@dataclass(eq=False)
class Call:
    """An op in both traces."""

    op: str
    path: str
    args: tuple[Any, ...]
    inputs: list[Value | None] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)

    @property
    def where(self) -> str:
        """`conv2d in LeNet5.c1`."""
        return f"{self.op} in {self.path}" if self.path else self.op


@dataclass(eq=False)
class Graph:
    """The calls in order, and the values of the outputs."""

    calls: list[Call]
    outputs: list[Value]


def join(first: Trace, second: Trace) -> Graph:
    """One graph of two traces.  Raises VaryingError where they did different things."""
    known: dict[int, Value] = {}  # by the value of the first trace
    partner: dict[int, int] = {}

    def joined(x: trace.Value | None, y: trace.Value | None, where: str) -> Value | None:
        if x is None or y is None:
            if x is not y:
                raise VaryingError(f"{where}: an input is there or not, depending on the inputs of the model")
            return None
        if x.kind != y.kind or x.name != y.name or x.array.ndim != y.array.ndim or x.array.dtype != y.array.dtype:
            raise VaryingError(f"{where}: what goes in depends on the values or the sizes of the model's inputs")
        if x.kind == CONSTANT:
            return Value(CONSTANT, "", x.array, y.array, False)
        if id(x) not in known:
            known[id(x)], partner[id(x)] = Value(x.kind, x.name, x.array, y.array, x.moves), id(y)
        if partner[id(x)] != id(y):
            raise VaryingError(f"{where}: what goes in depends on the values or the sizes of the model's inputs")
        return known[id(x)]

    calls = []
    for number, (one, other) in enumerate(zip(first.calls, second.calls, strict=False)):
        call = Call(one.op, one.path, _join_args(one.args, other.args))
        if one.op != other.op or len(one.inputs) != len(other.inputs):
            raise VaryingError(f"op {number + 1} of the forward pass is {one.op} for one input and {other.op} for another "
                               f"({one.path or 'outside of modules'}): the program branches on its input")
        call.inputs = [joined(x, y, call.where) for x, y in zip(one.inputs, other.inputs, strict=True)]
        for x, y in zip(one.outputs, other.outputs, strict=True):
            value = joined(x, y, call.where)
            assert value is not None
            value.producer = call
            call.outputs.append(value)
        calls.append(call)
    if len(first.calls) != len(second.calls) or len(first.outputs) != len(second.outputs):
        raise VaryingError(f"the forward pass takes {len(first.calls)} ops for one input and {len(second.calls)} for "
                           "another: the program branches on its input, or loops along a dynamic axis")
    outputs = [joined(x, y, "the output") for x, y in zip(first.outputs, second.outputs, strict=True)]
    return Graph(calls, [value for value in outputs if value is not None])


def needed(graph: Graph) -> list[Call]:
    """The calls that the outputs depend on, without those that depend on no input, parameter or buffer."""
    live: set[int] = set()
    for call in graph.calls:
        if not all(value.fixed for value in call.outputs):
            live.update(id(value) for value in call.outputs)
        else:
            for value in call.outputs:
                value.kind, value.producer = CONSTANT, None
    wanted = {id(value) for value in graph.outputs}
    kept = []
    for call in reversed(graph.calls):
        if any(id(value) in wanted for value in call.outputs) and any(id(value) in live for value in call.outputs):
            kept.append(call)
            wanted.update(id(value) for value in call.inputs if value is not None)
    return kept[::-1]


def _join_args(x: Any, y: Any) -> Any:
    if isinstance(x, tuple | list) and isinstance(y, tuple | list) and len(x) == len(y):
        return tuple([_join_args(a, b) for a, b in zip(x, y, strict=True)])
    if isinstance(x, slice) and isinstance(y, slice):
        return slice(*[_join_args(getattr(x, part), getattr(y, part)) for part in ("start", "stop", "step")])
    if _same(x, y):
        return x
    whole = isinstance(x, int | np.integer) and isinstance(y, int | np.integer) and not isinstance(x, bool)
    return Size(int(x), int(y)) if whole else Differs(x, y)


def _same(x: Any, y: Any) -> bool:
    if x is y:
        return True
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return bool(x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))
    if isinstance(x, SparseMatrix) and isinstance(y, SparseMatrix):
        return (x.n_out, x.n_in) == (y.n_out, y.n_in) and all(
            _same(a, b) for a, b in ((x.rows, y.rows), (x.cols, y.cols), (x.weights, y.weights)))
    if type(x) is not type(y):
        return False
    return bool(x == y or x != x)
