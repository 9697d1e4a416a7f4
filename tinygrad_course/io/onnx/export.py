"""A model as an ONNX file.

The forward pass is run in evaluation mode and traced (trace.py), twice, with different values and different sizes of the
dynamic axes (join.py); the ops become nodes (builder.py, write_*.py).  Before anything is written, the finished graph is
read back and run on the inputs of both traces and on a third, of other values and sizes: what it computes must be what the
model computed.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.autograd.grad_mode import no_grad
from tinygrad_course.errors import ExportError
from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.io.onnx import (
    write_activation,
    write_attention,
    write_elementwise,
    write_linear,
    write_pool,
    write_reduce,
    write_shape,
)
from tinygrad_course.io.onnx.builder import Builder
from tinygrad_course.io.onnx.join import Size, Value, VaryingError, join
from tinygrad_course.io.onnx.load import ONNXModule
from tinygrad_course.io.onnx.package import onnx_package
from tinygrad_course.io.onnx.trace import INPUT, STATE, Trace, flatten, replaced, run
from tinygrad_course.io.onnx.trace import Value as TracedValue
from tinygrad_course.nn.module import Module
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

WRITERS = (write_activation, write_attention, write_elementwise, write_linear, write_pool, write_reduce, write_shape)
OPSETS = range(18, 24)
DEFAULT_OPSET = 18
_FACTORS = (2, 3, 5, 7, 11, 13)  # by which the lengths of the dynamic axes differ: the ratio tells which axis a size follows
_MOST_BYTES = 2**31 - 1  # of a protobuf message


def export_onnx(model: Module, inputs: Any, path: Any, *, input_names: Sequence[str] | None = None,
                output_names: Sequence[str] | None = None, dynamic_axes: Mapping[str, Any] | None = None,
                opset: int = DEFAULT_OPSET) -> None:
    """Write the forward pass of `model`, in evaluation mode, to an ONNX file.

    inputs        an example: a Tensor, or a tuple of all arguments; a dict at its end are keyword arguments
    path          where to, or a binary file open for writing
    input_names   of the tensors among the inputs, in order; by default the names of forward's parameters
    output_names  by default `output`, or `output_0`, ...
    dynamic_axes  {input name: {axis: label} or [axes]}: lengths that are free in the file.  By default the first axis is,
                  under the label `batch`, of every input where it is as long as that of the first, if the model works with
                  another batch size (there is a warning if not); {} fixes all
    opset         18 to 23; 18 is read by every runtime of the last years

    Parameters and buffers keep the names of the state dict.  Raises ExportError if an op has no counterpart in ONNX or the
    program depends on the values of its input, DataError if the file cannot be written.
    """
    package = onnx_package()
    if not isinstance(model, Module):
        raise ExportError(f"export_onnx: the model must be an nn.Module, got {type(model).__name__}")
    if opset not in OPSETS:
        raise ExportError(f"export_onnx: opset {opset} is not supported; choose one from {OPSETS[0]} to {OPSETS[-1]}")
    example = Example.of(model, inputs, input_names)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        proto = _export(model, example, output_names, dynamic_axes, opset)
    finally:
        for module, training in modes:
            module.training = training
    content = proto.SerializeToString()
    try:
        package.checker.check_model(content, full_check=True)
    except (package.checker.ValidationError, package.shape_inference.InferenceError) as error:
        raise ExportError(f"export_onnx: ONNX has no op for what the model computes: {error}") from error
    if hasattr(path, "write"):
        path.write(content)
    else:
        write_atomic(os.fspath(path), content)


@dataclass
class Example:
    """The arguments of forward, and the tensors among them by name."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, model: Module, inputs: Any, names: Sequence[str] | None) -> Example:
        """From what the user gave."""
        args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        kwargs: dict[str, Any] = {}
        if args and isinstance(args[-1], dict):
            args, kwargs = args[:-1], args[-1]
        try:
            bound = inspect.signature(model.forward).bind(*args, **kwargs)
        except TypeError as error:
            raise ExportError(f"export_onnx: the inputs do not fit {type(model).__name__}.forward: {error}. Give a Tensor, "
                              "or a tuple of all arguments") from None
        args, kwargs = bound.args, bound.kwargs  # in the order of the signature, as the names below
        found: list[tuple[str, Tensor]] = []
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            prefix = "" if kind is inspect.Parameter.VAR_KEYWORD else name
            found += flatten(value, prefix)
        if not found:
            raise ExportError("export_onnx: there is no Tensor among the inputs; give an example, such as "
                              "tgc.zeros(1, 3, 224, 224)")
        if names is not None:
            if len(names) != len(found) or len(set(names)) != len(names):
                raise ExportError(f"export_onnx: {len(found)} tensors go in ({', '.join(name for name, _ in found)}), "
                                  f"input_names must have as many different names, got {list(names)}")
            found = [(name, tensor) for name, (_, tensor) in zip(names, found, strict=True)]
        return cls(args, kwargs, dict(found))

    def with_arrays(self, arrays: Mapping[str, np.ndarray]) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Tensor]]:
        """(args, kwargs, tensors) with other values."""
        tensors = {name: from_numpy(np.array(arrays[name], order="C")) for name in self.tensors}
        args, kwargs = replaced((self.args, self.kwargs), tensors.values())
        return args, kwargs, tensors


@dataclass
class Axes:
    """The dynamic axes: label -> [(input, axis)], and the lengths of the two traces."""

    places: dict[str, list[tuple[str, int]]]
    lengths: dict[str, Size]
    of_outputs: dict[str, dict[int, str]]
    asked: bool


def _export(model: Module, example: Example, output_names: Sequence[str] | None, dynamic_axes: Mapping[str, Any] | None,
            opset: int) -> Any:
    axes = _axes(example, output_names, dynamic_axes)
    if axes.places:
        try:
            return _build(model, example, output_names, axes, opset)
        except VaryingError as error:
            if axes.asked:
                raise ExportError(f"export_onnx: the axes {list(axes.places)} cannot be dynamic: {error}") from error
            reason = error
    fixed = Axes({}, {}, axes.of_outputs, axes.asked)
    try:
        proto = _build(model, example, output_names, fixed, opset)
    except VaryingError as error:
        raise ExportError(f"export_onnx: {error}") from error
    if axes.places:
        size = next(iter(example.tensors.values())).shape[0]
        warnings.warn(f"export_onnx: the file is for a batch of {size} only, because {reason}. Pass dynamic_axes={{}} if "
                      "that is what you want", UserWarning, stacklevel=3)
    return proto


def _axes(example: Example, output_names: Sequence[str] | None, asked: Mapping[str, Any] | None) -> Axes:
    places: dict[str, list[tuple[str, int]]] = {}
    of_outputs: dict[str, dict[int, str]] = {}
    if asked is None:
        batch = next((tensor.shape[0] for tensor in example.tensors.values() if tensor.ndim), 0)
        found = [(name, 0) for name, tensor in example.tensors.items() if tensor.ndim and tensor.shape[0] == batch]
        places = {"batch": found} if batch else {}
    for name, axes in (asked or {}).items():
        labels = dict(axes) if isinstance(axes, Mapping) else {axis: f"{name}_dynamic_axis_{axis}" for axis in axes}
        if name not in example.tensors:
            if name not in (output_names or ["output", *_default_names(99)]):
                raise ExportError(f"export_onnx: dynamic_axes names {name!r}, but the inputs are {list(example.tensors)} and "
                                  f"the outputs {list(output_names or ['output'])}")
            of_outputs[name] = labels
            continue
        for axis, label in labels.items():
            ndim = example.tensors[name].ndim
            if not -ndim <= axis < ndim:
                raise ExportError(f"export_onnx: dynamic_axes names axis {axis} of {name!r}, which has {ndim} axes")
            places.setdefault(label, []).append((name, axis % ndim))
    lengths = {}
    if len(places) > len(_FACTORS):
        raise ExportError(f"export_onnx: at most {len(_FACTORS)} labels of dynamic axes, got {list(places)}")
    for (label, found), factor in zip(places.items(), _FACTORS, strict=False):
        sizes = {example.tensors[name].shape[axis] for name, axis in found}
        if len(sizes) > 1 or 0 in sizes:
            raise ExportError(f"export_onnx: the axes with the label {label!r} must have one length, which is not 0; in the "
                              f"example they have {sorted(sizes)}")
        size = max(sizes.pop(), 2) if asked is not None else 2
        lengths[label] = Size(size, factor * size)
    return Axes(places, lengths, of_outputs, asked is not None)


def _build(model: Module, example: Example, output_names: Sequence[str] | None, axes: Axes, opset: int) -> Any:
    """The ModelProto, checked on three inputs of which it was made of two."""
    state = {name: tensor.array for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    given = [_inputs(example, axes, number) for number in range(3)]
    traces = [_trace(model, example, arrays, state, bool(axes.places), number) for number, arrays in enumerate(given)]
    graph = join(*traces[:2])
    results = [trace.results for trace in traces]
    names = list(output_names) if output_names is not None else _default_names(len(graph.outputs))
    if len(names) != len(graph.outputs) or len({*names, *example.tensors}) != len(names) + len(example.tensors):
        raise ExportError(f"export_onnx: {len(graph.outputs)} tensors come out; output_names must have as many different "
                          f"names, other than those of the inputs, got {names}")
    twice = [name for name in (*example.tensors, *names) if name in state]
    if twice:
        raise ExportError(f"export_onnx: {twice[0]!r} is the name of a parameter or buffer and of an input or output, which "
                          "an ONNX graph cannot tell apart. Choose others: input_names, output_names")
    lengths = {label: (size, *axes.places[label][0]) for label, size in axes.lengths.items()}
    builder = Builder(opset, lengths, state)
    builder.write(graph, list(example.tensors), names)
    parameters = [name for name, _ in model.named_parameters() if name in builder.initializers]
    buffers = [name for name, _ in model.named_buffers() if name in builder.initializers]
    proto = _proto(model, example, axes, builder, graph.outputs, names, {"parameters": parameters, "buffers": buffers})
    _check_replay(proto, list(zip(given, results, strict=True)))
    return proto


def _inputs(example: Example, axes: Axes, number: int) -> dict[str, np.ndarray]:
    """The arrays of run 0 (the example itself), 1 and 2 (others of its kind), at the lengths of that run."""
    rng = np.random.default_rng(number)
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in example.tensors.items()}
    for label, places in axes.places.items():
        size = axes.lengths[label]
        for name, axis in places:
            array = arrays[name]
            arrays[name] = array.take(np.arange((size.a, size.b, size.a + size.b)[number]) % array.shape[axis], axis)
    return arrays if number == 0 else {name: _varied(array, rng) for name, array in arrays.items()}


def _varied(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other values in the range of the array's, so that class numbers stay class numbers and probabilities probabilities;
    an array of one number is varied upwards.  Infinities, as in masks, stay, at other places."""
    if array.dtype == np.bool_:
        return rng.random(array.shape) < 0.5
    mixed = rng.permutation(array.reshape(-1)).reshape(array.shape)
    finite = mixed[np.isfinite(mixed)]
    if not finite.size:
        return mixed
    low, high = finite.min(), finite.max()
    if array.dtype.kind in "iu":
        return rng.integers(low, high, array.shape, array.dtype, endpoint=True)
    drawn = low + rng.random(array.shape) * (high - low if high > low else 1.0)
    return np.where(np.isfinite(mixed), drawn, mixed).astype(array.dtype)


def _trace(model: Module, example: Example, arrays: dict[str, np.ndarray], state: dict[str, np.ndarray], resized: bool,
           number: int) -> Trace:
    args, kwargs, tensors = example.with_arrays(arrays)
    known = [*[TracedValue(array, STATE, name, True) for name, array in state.items()],
             *[TracedValue(tensor.array, INPUT, name, True) for name, tensor in tensors.items()]]
    try:
        return run(model, args, kwargs, known)
    except ExportError:
        raise
    except Exception as error:
        if resized:
            shapes = ", ".join(str(tuple(array.shape)) for array in arrays.values())
            raise VaryingError(f"the model fails for inputs of shape {shapes}: {error}") from error
        if number:
            raise ExportError(f"export_onnx: the model fails for other values of the example's shape: {error}") from error
        raise


def _proto(model: Module, example: Example, axes: Axes, builder: Builder, outputs: Sequence[Value], names: Sequence[str],
           lists: dict[str, list[str]]) -> Any:
    helper = builder.onnx.helper
    dynamic = {place: label for label, places in axes.places.items() for place in places}
    inputs = [helper.make_tensor_value_info(
        name, builder.type_of(tensor.dtype),
        [dynamic.get((name, axis), size) for axis, size in enumerate(tensor.shape)])
        for name, tensor in example.tensors.items()]
    results = [helper.make_tensor_value_info(
        name, builder.type_of(value.dtype),
        [axes.of_outputs.get(name, {}).get(axis, _label(size, axes)) if isinstance(size, Size) else size
         for axis, size in enumerate(value.shape)]) for name, value in zip(names, outputs, strict=True)]
    kind, package = type(model).__name__, "tinygrad_course"
    graph = helper.make_graph(builder.nodes, kind, inputs, results, list(builder.initializers.values()),
                              doc_string=f"{kind} in evaluation mode")
    opsets = [helper.make_opsetid("", builder.opset)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets),
                              producer_name=package, producer_version=sys.modules[package].__version__,
                              doc_string=inspect.getdoc(type(model)) or "")
    helper.set_model_props(proto, {f"tinygrad_course.{key}": json.dumps(value) for key, value in lists.items()})
    if proto.ByteSize() > _MOST_BYTES:
        raise ExportError(f"export_onnx: the model has {proto.ByteSize():,} bytes, an ONNX file at most {_MOST_BYTES:,}")
    return proto


def _label(size: Size, axes: Axes) -> str | None:
    """`batch`, or `8*batch`, for an axis of an output; None for a length that is no multiple of one label."""
    for label, length in axes.lengths.items():
        times, rest = divmod(size.a, length.a)
        if not rest and times * length.b == size.b:
            return label if times == 1 else f"{times}*{label}"
    return None


def _default_names(count: int) -> list[str]:
    return ["output"] if count == 1 else [f"output_{number}" for number in range(count)]


def _check_replay(proto: Any, runs: Sequence[tuple[dict[str, np.ndarray], list[np.ndarray]]]) -> None:
    """Raise VaryingError unless the graph, read back, computes what the model did."""
    module = ONNXModule(proto)
    for arrays, results in runs:
        with no_grad():
            found = module(*[from_numpy(array) for array in arrays.values()])
        for name, ours, expected in zip(module.output_names, found if isinstance(found, tuple) else (found,), results,
                                        strict=True):
            got = ours.array
            if expected.shape != got.shape or expected.dtype != got.dtype or not _agree(got, expected):
                raise VaryingError(
                    f"the graph computes another {name} than the model, for inputs of shape "
                    f"{', '.join(str(array.shape) for array in arrays.values())} ({_gap(got, expected)}): something is "
                    "computed outside of the ops, drawn at random, or less exact with ONNX's ops")


def _agree(x: np.ndarray, y: np.ndarray) -> bool:
    if y.dtype.kind != "f":
        return bool(np.mean(x != y) <= 0.01) if y.size else True  # where two numbers are nearly equal, argmax may choose
    finite = np.abs(y[np.isfinite(y)])
    scale = float(finite.max()) if finite.size else 1.0
    tolerance = {2: 1e-2, 4: 1e-4, 8: 1e-8}[y.dtype.itemsize]
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _gap(x: np.ndarray, y: np.ndarray) -> str:
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"{x.dtype} {x.shape} instead of {y.dtype} {y.shape}"
    return f"they differ by up to {float(np.nanmax(np.abs(x.astype(np.float64) - y.astype(np.float64)))):.3g}"
