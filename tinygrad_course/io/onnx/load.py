"""An ONNX file as a module: its nodes run as ops of this package, so that it can be trained further."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from tinygrad_course.errors import DataError, TgcError
from tinygrad_course.io.atomic import read_bytes
from tinygrad_course.io.onnx import (
    read_conv,
    read_elementwise,
    read_norm,
    read_recurrent,
    read_reduce,
    read_resize,
    read_shape,
)
from tinygrad_course.io.onnx.package import onnx_package
from tinygrad_course.io.onnx.registry import readers
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.dtypes import SUPPORTED

READERS = (read_conv, read_elementwise, read_norm, read_recurrent, read_reduce, read_resize, read_shape)
OPSETS = range(7, 24)
_SETTINGS = {"Clip": (1, 2), "OneHot": (2,), "Pad": (2,), "Range": (0, 1, 2), "Resize": (1, 2), "Upsample": (1,)}  # inputs


def import_onnx(path: str | os.PathLike[str]) -> ONNXModule:
    """Read an ONNX file as a module that computes the same, with gradients.

    Floating point initialisers with axes are its parameters, under their names (a dotted name becomes nested modules, so
    that the state dict has it as key), but for running statistics of batch norms, which are buffers, and settings such as
    the bounds of Clip.  In a file of `export_onnx` parameters and buffers are those of the model that was exported.
    Raises DataError if the file is missing, is no ONNX file, keeps tensors in other files that are not there, needs an opset
    other than 7 to 23, or holds a node that has no counterpart here.
    """
    package = onnx_package()
    content = read_bytes(path)
    try:
        proto = package.ModelProto.FromString(content)
    except Exception as error:  # protobuf's own class of errors
        raise DataError(f"{path} is not an ONNX file: {error}. Export it again.") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise DataError(f"{path} is not an ONNX file: it has no graph, or does not say its opset. Export it again.")
    try:
        package.external_data_helper.load_external_data_for_model(proto, os.path.dirname(os.path.abspath(path)))
    except (OSError, ValueError, package.checker.ValidationError) as error:
        raise DataError(f"{path} keeps tensors in other files, which cannot be read: {error}. Put them beside it.") from error
    try:
        return ONNXModule(proto)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged or no valid ONNX file: {error}. Export it again.") from error


class Node:
    """A node of the graph: its op, the names of what goes in and comes out, its attributes."""

    def __init__(self, proto: Any, opset: int, package: Any) -> None:
        self.kind: str = proto.op_type
        self.name: str = proto.name
        self.inputs: list[str] = list(proto.input)
        self.outputs: list[str] = list(proto.output)
        self.opset = opset
        self.attributes = {}
        for attribute in proto.attribute:
            value = package.helper.get_attribute_value(attribute)
            if attribute.type == package.AttributeProto.TENSOR:
                value = package.numpy_helper.to_array(value)
            elif attribute.type == package.AttributeProto.STRING:
                value = value.decode()
            elif attribute.type == package.AttributeProto.STRINGS:
                value = [part.decode() for part in value]
            self.attributes[attribute.name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def refuse(self, what: str) -> DataError:
        """The error for something that the node asks for and that there is not."""
        return DataError(f"the node {self.name or self.outputs[0]!r} ({self.kind}): {what}")


class Branch(Module):
    """A part of the path in the names of the file's tensors; it computes nothing."""

    def forward(self, *inputs: Any) -> Any:
        """Raises: only the whole graph can be run."""
        raise TypeError("a part of an ONNX graph cannot be called; call the module that import_onnx returned")


class ONNXModule(Module):
    """The graph of an ONNX file.  Call it with the inputs in the order of `input_names`; the outputs, a tensor or a tuple
    of them, are in the order of `output_names`.

    The graph is what was exported: dropout stays off and batch norms use their running statistics in train() as in eval().
    """

    def __init__(self, proto: Any) -> None:
        super().__init__()
        package = onnx_package()
        graph = proto.graph
        self._opset = _require_known(proto)
        self._nodes = [Node(node, self._opset, package) for node in graph.node]
        self._places: dict[str, tuple[Module, str]] = {}  # of initialisers, by name
        self._add_initializers(proto, package)
        self.input_names = [value.name for value in graph.input if value.name not in self._places]
        self.output_names = [value.name for value in graph.output]
        self._last = _last_uses(self._nodes, self.output_names)

    def forward(self, *inputs: Any) -> Any:
        """The outputs of the graph."""
        if len(inputs) != len(self.input_names):
            raise TypeError(f"the ONNX graph has the inputs {', '.join(self.input_names)}; {len(inputs)} were given")
        values: dict[str, Any] = {name: getattr(owner, attribute) for name, (owner, attribute) in self._places.items()}
        values.update(zip(self.input_names, inputs, strict=True))
        for node, finished in zip(self._nodes, self._last, strict=True):
            given = [values[name] if name else None for name in node.inputs]
            try:
                found = readers[node.kind](node, *given)
            except TgcError as error:
                error.add_note(f"in the ONNX node {node.name or node.outputs[0]!r} ({node.kind})")
                raise
            values.update(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False))
            for name in finished:
                values.pop(name, None)
        results = tuple([values[name] for name in self.output_names])
        return results[0] if len(results) == 1 else results

    def extra_repr(self) -> str:
        """Inputs, outputs and how many nodes."""
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}, {len(self._nodes)} nodes"

    # ---- initialisers ------------------------------------------------------------------------------------------------

    def _add_initializers(self, proto: Any, package: Any) -> None:
        lists = {prop.key: prop.value for prop in proto.metadata_props}
        own = "tinygrad_course.parameters" in lists
        trained = set(json.loads(lists["tinygrad_course.parameters"])) if own else None
        kept = set(json.loads(lists.get("tinygrad_course.buffers", "[]")))
        if not own:
            kept = {name for node in self._nodes if node.kind == "BatchNormalization" for name in node.inputs[3:5]}
        settings = {name for node in self._nodes for place in _SETTINGS.get(node.kind, ())
                    for name in node.inputs[place:place + 1]}
        constants = Branch()
        for tensor in proto.graph.initializer:
            array = package.numpy_helper.to_array(tensor)
            if array.dtype not in SUPPORTED:
                raise DataError(f"the tensor {tensor.name!r} has the type {array.dtype}, which tensors do not have here")
            value = from_numpy(array.copy())
            if tensor.name in kept:
                owner, name = self._place(tensor.name)
                owner.register_buffer(name, value)
            elif (tensor.name in trained if trained is not None
                  else array.dtype.kind == "f" and array.ndim and tensor.name not in settings):
                owner, name = self._place(tensor.name)
                owner.register_parameter(name, Parameter(value))
            else:
                owner, name = constants, f"constant_{len(self._places)}"
                owner.register_buffer(name, value, persistent=False)
            self._places[tensor.name] = owner, name
        self._constants = constants
        if proto.graph.sparse_initializer:
            raise DataError("the graph has sparse tensors, which are not supported")

    def _place(self, name: str) -> tuple[Module, str]:
        """The module and the attribute for a dotted name."""
        owner: Module = self
        *path, last = [part or "_" for part in name.split(".")]
        for part in path:
            while part not in owner._modules and hasattr(owner, part):
                part += "_"
            if part not in owner._modules:
                owner.register_module(part, Branch())
            child = owner._modules[part]
            assert child is not None
            owner = child
        while hasattr(owner, last):
            last += "_"
        return owner, last


def _require_known(proto: Any) -> int:
    """The opset.  Raises DataError for one that is not supported, for ops that there are not, and for values that nothing
    makes: ONNX's own checker also refuses files that only lack types, which runtimes accept."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version not in OPSETS:
        raise DataError(f"the file is of opset {version}; supported are {OPSETS[0]} to {OPSETS[-1]}. Export it with one of "
                        "them, or convert it with onnx.version_converter")
    graph = proto.graph
    made = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    for node in graph.node:
        where = f"the node {node.name or ''.join(node.output[:1])!r} ({node.op_type})"
        if node.domain not in ("", "ai.onnx"):
            raise DataError(f"{where}: its op is of the domain {node.domain!r}, which only the program that wrote it knows")
        if node.op_type not in readers:
            raise DataError(f"{where}: there is no op here that does the same. Export the model without it")
        missing = set(node.input) - made
        if missing:
            raise DataError(f"{where}: no node before it and no tensor of the file is {min(missing)!r}. Export it again")
        made.update(node.output)
    missing = {value.name for value in graph.output} - made
    if missing:
        raise DataError(f"no node makes the output {min(missing)!r}. Export it again")
    return int(version)


def _last_uses(nodes: Sequence[Node], outputs: Sequence[str]) -> list[list[str]]:
    """For each node the values that nothing needs after it."""
    seen = set(outputs)
    found: list[list[str]] = []
    for node in reversed(nodes):
        names = [name for name in dict.fromkeys([*node.inputs, *node.outputs]) if name and name not in seen]
        seen.update(names)
        found.append(names)
    return found[::-1]
