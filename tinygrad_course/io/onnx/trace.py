"""What a forward pass did: every op with its inputs, arguments and outputs, as the engine tells its watcher.

Arrays are known by their identity; all of them are kept until the pass is over, so that no identity is used twice.  Of
those that depend on the inputs or the parameters only the shape and the type are of interest after that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import get_ident
from typing import Any

import numpy as np

from tinygrad_course.autograd.grad_mode import no_grad
from tinygrad_course.autograd.watch import set_watcher
from tinygrad_course.errors import ExportError
from tinygrad_course.kernels.local import scope
from tinygrad_course.tensor import Tensor

INPUT, STATE, CONSTANT, RESULT = "input", "state", "constant", "result"


@dataclass(eq=False)
class Value:
    """An array of a forward pass.

    kind   INPUT of the model, STATE (parameter or buffer), CONSTANT (made without any op), RESULT of an op
    name   of an input or a state
    moves  whether it depends on an input or a state
    """

    array: Any
    kind: str
    name: str = ""
    moves: bool = False


@dataclass(eq=False)
class Call:
    """One op.  `path` is that of the module it ran in, `LeNet5.c1`, empty outside of modules."""

    op: str
    path: str
    inputs: list[Value | None]
    args: tuple[Any, ...]
    outputs: list[Value]


@dataclass(eq=False)
class Trace:
    """The ops of one forward pass in their order, the values of the model's outputs, and these outputs."""

    calls: list[Call]
    outputs: list[Value]
    results: list[Any]


class Recorder:
    """The watcher that writes down what runs in its thread."""

    def __init__(self, known: Iterable[Value]) -> None:
        self.calls: list[Call] = []
        self._thread = get_ident()
        self._values: dict[int, Value] = {}
        self._places: dict[Any, Value] = {}  # by memory, for arrays that are views of all of a known one
        self._kept: list[Any] = []
        self._stale: dict[int, str] = {}
        for value in known:
            self._keep(value.array, value)

    def _keep(self, array: Any, value: Value) -> None:
        self._kept.append(array)
        self._values[id(array)] = value
        self._places[_place(array)] = value
        self._stale.pop(id(array), None)

    def value(self, array: Any) -> Value:
        """The value that an array holds; a constant if nothing is known of it."""
        if id(array) in self._stale:
            raise ExportError(f"a view is used after the memory it shows was written to in place, in "
                              f"{self._stale[id(array)]}. An ONNX graph has no memory to share: take the view again after "
                              "the write, or write to a clone().")
        value = self._values.get(id(array)) or self._places.get(_place(array))
        if value is None:
            value = Value(array, CONSTANT)
            self._keep(array, value)
        return value

    def forward(self, op: Any, node: Any, inputs: tuple[Any, ...], arrays: list[Any], args: tuple[Any, ...],
                out: Any) -> None:
        """Called by the engine after an op's forward."""
        if get_ident() != self._thread:
            return
        values = [None if array is None else self.value(array) for array in arrays]
        self._add(op.name, values, args, out if type(out) is tuple else (out,))

    def _add(self, op: str, values: list[Value | None], args: tuple[Any, ...], arrays: Iterable[Any]) -> None:
        moves = any(value is not None and value.moves for value in values)
        outputs = []
        for array in arrays:
            outputs.append(Value(array, RESULT, "", moves))
            self._keep(array, outputs[-1])
        self.calls.append(Call(op, current_path(), values, args, outputs))

    def backward(self, node: Any, gradients: tuple[Any, ...], answer: Any) -> None:
        """Called by the engine after a node's backward, whose ops were seen already."""

    def write(self, array: Any, key: Any, value: Any) -> None:
        """Called by the engine before array[key] = value: the array is another value from now on."""
        if get_ident() != self._thread:
            return
        before = self.value(array)
        if before.array is array and before.kind in (CONSTANT, RESULT):
            before.array = array.copy()  # what was there before the write
        new = value if isinstance(value, np.ndarray) else np.asarray(value, array.dtype)
        given = self.value(new)
        owner = _owner(array)
        for other in self._kept:
            if other is not array and _owner(other) is owner:
                self._stale[id(other)] = current_path() or "the model"
        if given.array.shape == array.shape and given.array.dtype == array.dtype and _is_all(key):
            self._keep(array, given)
            return
        self._add("setitem", [before, given], (key,), (array,))


def current_path() -> str:
    """The module that runs."""
    here = scope()
    return here.path() if here is not None else ""


def run(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], known: Iterable[Value]) -> Trace:
    """Call the model with a watcher; `known` are the values of its inputs, parameters and buffers."""
    recorder = Recorder(known)
    before = set_watcher(recorder)
    try:
        with no_grad():
            results = model(*args, **kwargs)
    finally:
        set_watcher(before)
    arrays = [tensor.array for _, tensor in flatten(results)]
    outputs = [recorder.value(array) for array in arrays]
    for call in recorder.calls:
        for value in call.outputs:
            if value.moves:
                value.array = np.broadcast_to(np.empty((), value.array.dtype), value.array.shape)  # without memory
    return Trace(recorder.calls, outputs, arrays)


def flatten(structure: Any, prefix: str = "") -> list[tuple[str, Tensor]]:
    """The tensors of nested tuples, lists and dicts, with a name made of the places on the way: `hx.0`."""
    if isinstance(structure, Tensor):
        return [(prefix, structure)]
    if isinstance(structure, tuple | list):
        parts = [(str(number), part) for number, part in enumerate(structure)]
    elif isinstance(structure, dict):
        parts = [(str(name), part) for name, part in structure.items()]
    else:
        return []
    return [found for name, part in parts for found in flatten(part, f"{prefix}.{name}" if prefix else name)]


def replaced(structure: Any, tensors: Iterable[Tensor]) -> Any:
    """The same structure with other tensors in place of its own, in the order of `flatten`."""
    tensors = iter(tensors)

    def rebuilt(part: Any) -> Any:
        if isinstance(part, Tensor):
            return next(tensors)
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            return type(part)(*map(rebuilt, part))
        if isinstance(part, tuple | list):
            return type(part)(map(rebuilt, part))
        if isinstance(part, dict):
            return {name: rebuilt(value) for name, value in part.items()}
        return part

    return rebuilt(structure)


def _place(array: Any) -> Any:
    return array.ctypes.data, array.shape, array.strides, array.dtype


def _owner(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _is_all(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts)
