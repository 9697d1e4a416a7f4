"""The ONNX graph while it is made: nodes, initialisers, names, and lengths that are known only when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.join import Call, Differs, Graph, Length, Size, Value, VaryingError, needed
from tinygrad_course.io.onnx.package import onnx_package
from tinygrad_course.io.onnx.registry import writers
from tinygrad_course.io.onnx.trace import CONSTANT, INPUT, STATE

INT64_MAX = 2**63 - 1


class Builder:
    """Nodes and initialisers of a graph.

    lengths   name of a dynamic axis -> (its Size, the input that has it, which axis of that input)
    state     name -> array, of all parameters and buffers
    """

    def __init__(self, opset: int, lengths: dict[str, tuple[Size, str, int]], state: dict[str, Any]) -> None:
        self.onnx = onnx_package()
        self.opset = opset
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._lengths = lengths
        self._state = {id(array): name for name, array in state.items()}
        self._taken: set[str] = set(state)
        self._names: dict[int, str] = {}  # of values, by identity
        self._kept: list[Value] = []
        self._constants: dict[Any, str] = {}
        self._call: Call | None = None

    # ---- writing -----------------------------------------------------------------------------------------------------

    def write(self, graph: Graph, input_names: Sequence[str], output_names: Sequence[str]) -> None:
        """All nodes that the outputs need; the outputs have the given names."""
        self._taken.update(input_names, output_names)
        for call in needed(graph):
            self._call = call
            writer = writers.get(call.op)
            if writer is None:
                raise no_writer(call)
            try:
                names = [None if value is None else self.value(value) for value in call.inputs]
                found = writer(self, call, *names, *call.args)
            except VaryingError as error:
                raise VaryingError(f"{call.where}: {error}") from None
            except ExportError as error:
                raise ExportError(f"{call.where}: {error}") from None
            for value, name in zip(call.outputs, found if isinstance(found, tuple) else (found,), strict=False):
                self._names[id(value)] = name
                self._kept.append(value)
        self._call = None
        for value, name in zip(graph.outputs, output_names, strict=True):
            self.nodes.append(self.onnx.helper.make_node("Identity", [self.value(value)], [name], name=name))
        self._tidy(set(output_names))

    def node(self, kind: str, *inputs: str | None, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or a tuple of names.  Trailing inputs may be None."""
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        require_fixed(attributes)
        path = "" if self._call is None else _short(self._call.path)
        names = [self._unique(f"{path}.{kind}" if path else kind) for _ in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(
            kind, [name or "" for name in given], names, name=names[0],
            **{key: value for key, value in attributes.items() if value is not None}))
        return names[0] if outputs == 1 else tuple(names)

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _tidy(self, outputs: set[str]) -> None:
        """Nodes that nothing uses go, an Identity behind a node gives its name to the node, unused initialisers go."""
        used = set(outputs)
        for node in reversed(self.nodes):
            if used.intersection(node.output):
                used.update(node.input)
        self.nodes = [node for node in self.nodes if used.intersection(node.output)]
        self._name_outputs(outputs)
        used = {name for node in self.nodes for name in node.input}
        self.initializers = {name: tensor for name, tensor in self.initializers.items() if name in used}

    def _name_outputs(self, outputs: set[str]) -> None:
        makers = {name: node for node in self.nodes for name in node.output}
        renamed: dict[str, str] = {}
        for node in self.nodes:
            if node.op_type == "Identity" and node.output[0] in outputs and node.input[0] in makers \
                    and node.input[0] not in renamed and node.input[0] not in outputs:
                renamed[node.input[0]] = node.output[0]
        self.nodes = [node for node in self.nodes if not (node.op_type == "Identity" and node.input[0] in renamed
                                                          and renamed[node.input[0]] == node.output[0])]
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    names[place] = renamed.get(name, name)

    # ---- values ------------------------------------------------------------------------------------------------------

    def value(self, value: Value) -> str:
        """The name of a value in the graph."""
        if value.kind == INPUT:
            return value.name
        if value.kind == STATE:
            return self.state(value.a)
        if value.kind == CONSTANT:
            return self.constant(value.a) if value.fixed else self._growing(value)
        if id(value) not in self._names:
            raise ExportError("a value is used that no op made")
        return self._names[id(value)]

    def state(self, array: Any) -> str:
        """The name of the array of a parameter or buffer; of another array, a constant."""
        name = self._state.get(id(array))
        if name is None:
            return self.constant(array)
        if name not in self.initializers:
            self.initializers[name] = self._tensor(array, name)
        return name

    def constant(self, value: Any, dtype: Any = None) -> str:
        """An initialiser with these values; equal ones are one."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._unique(f"constant_{len(self._constants) + 1}")
            self._constants[key] = name
            self.initializers[name] = self._tensor(array, name)
        return self._constants[key]

    def ints(self, values: Sequence[Length]) -> str:
        """A vector of int64, of lengths of which some may be known only when the graph runs."""
        if all(isinstance(value, int | np.integer) for value in values):
            return self.constant(list(values), np.int64)
        parts = [self.length(value) if isinstance(value, Size) else self.constant([value], np.int64) for value in values]
        return parts[0] if len(parts) == 1 else str(self.node("Concat", *parts, axis=0))

    def length(self, size: Size) -> str:
        """A vector of one int64, a length that is known only when the graph runs."""
        for value in [] if self._call is None else self._call.inputs:
            if value is not None and value.kind != CONSTANT and size in value.shape:
                axis = value.shape.index(size)
                return str(self.node("Shape", self.value(value), start=axis, end=axis + 1))
        for whole, name, axis in self._lengths.values():
            times, rest = divmod(size.a, whole.a) if whole.a else (0, 1)
            if not rest and times * whole.b == size.b:
                length = self.node("Shape", name, start=axis, end=axis + 1)
                return str(length if times == 1 else self.node("Mul", length, self.constant([times], np.int64)))
        raise VaryingError(f"a size that is {size.a} for one input and {size.b} for another is no multiple of a dynamic axis")

    def _growing(self, value: Value) -> str:
        """A constant whose shape follows a dynamic axis, because its values do not change along it: zeros(N, H)."""
        if value.a.ndim == 1 and value.a.dtype.kind == "i" and all(
                np.array_equal(array, np.arange(array.size)) for array in (value.a, value.b)):
            zero, one = self.constant(0, np.int64), self.constant(1, np.int64)
            count = self.node("Range", zero, self.node("Squeeze", self.ints(value.shape)), one)
            return str(self.node("Cast", count, to=self.type_of(value.dtype)))
        corner = tuple([slice(0, 1) if isinstance(size, Size) else slice(None) for size in value.shape])
        core = value.a[corner]
        if value.a.shape == value.b.shape or not all(
                array.size and np.array_equal(array, np.broadcast_to(core, array.shape), equal_nan=array.dtype.kind == "f")
                for array in (value.a, value.b)):
            hint = "" if value.a.shape == value.b.shape else ", or export with this axis fixed: dynamic_axes={}"
            raise VaryingError("an input of the op was made outside of the ops (by NumPy, .item(), int(), random numbers) "
                               "and depends on the values or the sizes of the model's inputs, so it is no constant. Write it "
                               f"with tensor ops{hint}")
        return str(self.node("Expand", self.constant(core), self.ints(
            [size if isinstance(size, Size) else 1 for size in value.shape])))

    def _tensor(self, array: Any, name: str) -> Any:
        return self.onnx.numpy_helper.from_array(np.array(array, order="C"), name)

    def type_of(self, dtype: Any) -> int:
        """The number of a data type in ONNX."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def cast(self, name: str, dtype: Any) -> str:
        """A Cast node."""
        return str(self.node("Cast", name, to=self.type_of(dtype)))


def no_writer(call: Call) -> ExportError:
    """What to do about an op that cannot be exported."""
    if call.op == "dropout":
        hint = "dropout draws random numbers: use nn.Dropout, or pass training=self.training, so that eval() turns it off"
    elif call.op.endswith("_grad"):
        hint = "it belongs to a backward pass inside of forward, which has no ONNX counterpart"
    else:
        hint = "write it with ops that have one, or leave it out of the exported model and compute it on the outputs"
    return ExportError(f"the op {call.op} in {call.path or 'the model'} has no ONNX counterpart here: {hint}")


def require_fixed(value: Any) -> None:
    """Raise VaryingError for an argument that is not the same in both traces."""
    if isinstance(value, Size | Differs):
        raise VaryingError(f"an argument is {value.a!r} for one input of the model and {value.b!r} for another")
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            require_fixed(part)


def _short(path: str) -> str:
    """The path without the class of the outermost module."""
    return ".".join(path.replace(" -> ", ".").split(".")[1:])
