"""summary: the layers of a model, what goes through them, what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.autograd.grad_mode import enable_grad
from tinygrad_course.autograd.node import Output
from tinygrad_course.autograd.watch import set_watcher
from tinygrad_course.debug.memory import _held, _owner
from tinygrad_course.debug.nodes import Names, nodes_of
from tinygrad_course.errors import ShapeError
from tinygrad_course.interpret.counting import Call, Counter
from tinygrad_course.interpret.field import Field, of_input
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.dtypes import as_dtype, get_default_dtype
from tinygrad_course.ops.random import get_rng_state, set_rng_state
from tinygrad_course.tensor import Tensor

ALL = "all"


def summary(model: Module, input_size: Any = None, *, input_data: Any = None, dtypes: Any = None, depth: int = 3,
            mode: str = "eval") -> Summary:
    """Run the model once and tell of each layer shapes, parameters, multiply-adds, receptive field, memory; `print` it.

        print(tgc.summary(LeNet5(), (1, 1, 32, 32)))

    input_size  shape of the input with the batch, (1, 3, 224, 224); a list of shapes for several inputs, a dict of shapes
                for keyword arguments.  The inputs are filled with random numbers, zeros if of an integer type
    input_data  in its place the input itself: a tensor, a list or tuple of arguments, a dict of keyword arguments
    dtypes      of the inputs made for input_size: one, or one per input; default: that of the parameters
    depth       modules nested deeper are added to the one that holds them, in what is printed
    mode        "eval", "train", or "same": as each module is

    How multiply-adds are counted stands in interpret.counting, receptive fields in interpret.field.  "Made in forward" are
    the bytes of all arrays that ops made, "kept for backward" those that the graph holds when forward is done, without
    parameters and inputs.  The model is left as it was: mode, buffers, gradients, hooks, random numbers.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {type(model).__name__}")
    if mode not in ("eval", "train", "same"):
        raise ValueError(f"summary: mode must be 'eval', 'train' or 'same', got {mode!r}")
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: give input_size, shapes with the batch as in (1, 3, 224, 224), or input_data")
    args, kwargs = _made(model, input_size, dtypes) if input_data is None else _given(input_data)
    counter = Counter()
    with _as_before(model, mode), ExitStack() as stack:
        space = None
        for tensor in _tensors((args, kwargs)):
            seen = of_input(tuple(tensor.shape)) if tensor.dtype.kind == "f" else None
            if seen is not None:
                space = space or tuple(tensor.shape[2:])
                counter.note(tensor.array, seen)
        for module in model.modules():
            _report_calls(module, counter, stack)
        before = set_watcher(counter)
        try:
            with enable_grad():
                result = model(*args, **kwargs)
        finally:
            set_watcher(before)
        kept = _kept_for_backward(result, [*_tensors((args, kwargs)), *model.parameters(), *model.buffers()])
    layers = _layers(model, counter.root)
    return Summary(layers, model, sum(tensor.array.nbytes for tensor in _tensors((args, kwargs))), kept, depth)


@dataclass
class Layer:
    """One call of a module, or a module that was not called.

    path, kind       "features.0", "Conv2d"
    depth            0 for the model itself
    inputs, outputs  shapes of the tensors
    parameters       its own, without those of modules in it, and without those that were counted before
    mult_adds        of the ops that it ran itself
    field            what its output sees of the input, None if that is unknown or there was no convolution or pooling
    made             bytes of the arrays that its ops made
    called           False: its parameters may be used by another module, or not at all
    recursive        whether it has been called before; then its parameters are not counted again
    """

    path: str
    kind: str
    depth: int
    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]
    parameters: int
    mult_adds: int
    field: Field | None
    made: int
    called: bool
    recursive: bool

    @property
    def receptive_field(self) -> tuple[int | float, ...] | None:
        """Places per axis of the input, math.inf for all of them; None where it is unknown."""
        return None if self.field is None else tuple([_number(size) for size in self.field.size])

    @property
    def jump(self) -> tuple[int | float | None, ...] | None:
        """Distance in the input between neighbouring outputs, per axis; None along an axis that is gone."""
        return None if self.field is None else tuple([_number(self.field.jump(dim)) for dim in range(len(self.field.size))])


class Summary:
    """What `summary` found; `print` it.

    layers                one Layer per call, each before those in it, and those that were not called
    total_parameters, trainable_parameters
    mult_adds             of all ops; `mult_adds_by_op` splits them: {"conv2d": ..., "linear": ...}
    parameter_bytes, buffer_bytes, input_bytes
    forward_bytes         of all arrays that ops made
    backward_bytes        of what the graph keeps for backward
    """

    def __init__(self, layers: list[tuple[Layer, dict[str, int]]], model: Module, input_bytes: int, backward_bytes: int,
                 depth: int) -> None:
        self.layers = [layer for layer, _ in layers]
        self.mult_adds_by_op: dict[str, int] = {}
        for _, counts in layers:
            for name, count in counts.items():
                self.mult_adds_by_op[name] = self.mult_adds_by_op.get(name, 0) + count
        parameters = list(model.parameters())
        self.total_parameters = sum(parameter.numel() for parameter in parameters)
        self.trainable_parameters = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        self.parameter_bytes = sum(parameter.array.nbytes for parameter in parameters)
        self.buffer_bytes = sum(buffer.array.nbytes for buffer in model.buffers())
        self.input_bytes, self.backward_bytes = input_bytes, backward_bytes
        self.forward_bytes = sum(layer.made for layer in self.layers)
        self._depth = depth

    @property
    def mult_adds(self) -> int:
        """Multiply-adds of the whole forward pass."""
        return sum(self.mult_adds_by_op.values())

    def layer(self, path: str) -> Layer:
        """The first call of the module at a path."""
        for layer in self.layers:
            if layer.path == path:
                return layer
        raise KeyError(f"no module {path!r} in this summary")

    def __str__(self) -> str:
        head = ("layer", "input", "output", "parameters", "mult-adds", "receptive field", "made")
        rows = [head, *map(_cells, _up_to(self.layers, self._depth))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(cell.rjust(width) if column in (3, 4, 6) else cell.ljust(width)
                           for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
        rule = "-" * max(map(len, lines))
        by_op = ", ".join(f"{name} {count:,}" for name, count in self.mult_adds_by_op.items())
        frozen = self.total_parameters - self.trainable_parameters
        return "\n".join([
            lines[0], rule, *lines[1:], rule,
            f"parameters   {self.total_parameters:,}, trainable {self.trainable_parameters:,}, frozen {frozen:,}",
            f"mult-adds    {self.mult_adds:,}" + (f" ({by_op})" if len(self.mult_adds_by_op) > 1 else ""),
            f"memory       parameters {_bytes(self.parameter_bytes)}, buffers {_bytes(self.buffer_bytes)}, input "
            f"{_bytes(self.input_bytes)}, made in forward {_bytes(self.forward_bytes)}, kept for backward "
            f"{_bytes(self.backward_bytes)}"])

    __repr__ = __str__


# ---- running the model ----------------------------------------------------------------------------------------------


def _made(model: Module, input_size: Any, dtypes: Any) -> tuple[list[Any], dict[str, Any]]:
    """Inputs of the given shapes."""
    keys = list(input_size) if isinstance(input_size, Mapping) else None
    shapes = list(input_size.values()) if isinstance(input_size, Mapping) else \
        [input_size] if _is_shape(input_size) else list(input_size)
    if not all(map(_is_shape, shapes)):
        raise ShapeError(f"summary: input_size must be a shape with the batch, (1, 3, 224, 224), or a list or dict of "
                         f"shapes, got {input_size!r}")
    parameters = list(model.parameters())
    usual = next((p.dtype for p in parameters if p.dtype.kind == "f"), get_default_dtype())
    kinds = list(dtypes) if isinstance(dtypes, list | tuple) else [dtypes] * len(shapes)
    if len(kinds) != len(shapes):
        raise ShapeError(f"summary: {len(shapes)} inputs, but {len(kinds)} dtypes")
    random = np.random.default_rng(0)
    device = parameters[0].device if parameters else None
    tensors = []
    for shape, kind in zip(shapes, kinds, strict=True):
        dtype = usual if kind is None else as_dtype(kind)
        array = random.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
        tensor = from_numpy(np.asarray(array))
        tensors.append(tensor if device is None else tensor.to(device=device))
    return ([], dict(zip(keys, tensors, strict=True))) if keys is not None else (tensors, {})


def _given(data: Any) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(data, Mapping):
        return [], dict(data)
    return (list(data) if isinstance(data, list | tuple) else [data]), {}


def _is_shape(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(n, int) for n in value)


def _report_calls(module: Module, counter: Counter, stack: ExitStack) -> None:
    """Hooks that come first and last of all, for the time of the run."""
    hooked = module.__dict__["_hooked"]
    stack.callback(module.__dict__.__setitem__, "_hooked", hooked)

    def enter(module: Any, args: Any, kwargs: Any) -> None:
        counter.enter(module, [tuple(tensor.shape) for tensor in _tensors((args, kwargs))])

    def leave(module: Any, args: Any, output: Any) -> None:
        counter.leave(list(_tensors(output)))

    stack.callback(module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(leave).remove)


@contextmanager
def _as_before(model: Module, mode: str) -> Iterator[None]:
    """Set the mode for the block; mode, buffers, gradients and random numbers are then as they were."""
    modules = [(module, module.training) for module in model.modules()]
    buffers = [(module, name, buffer, buffer.array.copy()) for module in model.modules()
               for name, buffer in module._own("buffer").items() if buffer is not None]
    state = get_rng_state()
    try:
        if mode != "same":
            model.train(mode == "train")
        yield
    finally:
        set_rng_state(state)
        for module, training in modules:
            module.training = training
        for module, name, buffer, values in buffers:
            module.__dict__[name] = buffer
            if buffer.array.tobytes() != values.tobytes():
                buffer.array[...] = values
                buffer._bump_version("summary")


def _kept_for_backward(result: Any, known: list[Tensor]) -> int:
    """Bytes that the graph of the outputs holds, without what was there before it: inputs, parameters, buffers."""
    before = {id(_owner(tensor.array)) for tensor in known}
    nodes = {node for tensor in _tensors(result) if tensor.node is not None for node in nodes_of(tensor.node)}
    names = Names([], None, {})
    owners = {id(owner): owner for node in nodes if not isinstance(node, Output) for array, _, _ in _held(node, names)
              if id(owner := _owner(array)) not in before}
    return sum(int(owner.nbytes) for owner in owners.values())


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors in arguments or results; packed sequences are tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


# ---- the table ------------------------------------------------------------------------------------------------------


def _layers(model: Module, root: Call) -> list[tuple[Layer, dict[str, int]]]:
    """Calls in the order in which they began; below a module the ones in it that were never called."""
    paths = {id(module): path for path, module in model.named_modules()}
    called: set[int] = set()
    waiting = list(root.children)
    for call in waiting:  # grows while it is walked
        called.add(id(call.module))
        waiting += call.children
    counted: set[int] = set()
    listed: set[int] = set()
    rows: list[tuple[Layer, dict[str, int]]] = []

    def add(module: Any, call: Call | None, depth: int) -> None:
        recursive = id(module) in listed
        listed.add(id(module))
        own = [] if recursive else [p for p in module._own("parameter").values() if p is not None and id(p) not in counted]
        counted.update(map(id, own))
        layer = Layer(paths.get(id(module), "?"), type(module).__name__, depth, call.inputs if call else [],
                      call.outputs if call else [], sum(p.numel() for p in {id(p): p for p in own}.values()),
                      sum(call.mult_adds.values()) if call else 0,
                      call.seen if call and call.seen and call.seen.windowed else None, call.made if call else 0,
                      call is not None, recursive)
        rows.append((layer, call.mult_adds if call else {}))
        for inner in call.children if call else []:
            add(inner.module, inner, depth + 1)
        for child in module.children():
            if id(child) not in called and id(child) not in listed:
                add(child, None, depth + 1)

    for call in root.children:
        add(call.module, call, 0)
    return rows


def _up_to(layers: list[Layer], depth: int) -> Iterator[Layer]:
    """The layers to be shown: those that lie deeper are added to the one above them."""
    shown: Layer | None = None
    for layer in layers:
        if layer.depth > depth and shown is not None:
            shown.parameters += layer.parameters
            shown.mult_adds += layer.mult_adds
            shown.made += layer.made
            continue
        if shown is not None:
            yield shown
        shown = Layer(**vars(layer))
    if shown is not None:
        yield shown


def _cells(layer: Layer) -> tuple[str, ...]:
    name = layer.path.rpartition(".")[2]
    title = "  " * layer.depth + (f"{name}: {layer.kind}" if name else layer.kind)
    if layer.recursive:
        title += " (recursive)"
    elif not layer.called:
        title += " (not called)"
    return (title, _shapes(layer.inputs), _shapes(layer.outputs), f"{layer.parameters:,}" if layer.parameters else "-",
            f"{layer.mult_adds:,}" if layer.mult_adds else "-", _field(layer), _bytes(layer.made) if layer.made else "-")


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    text = ", ".join(f"({' '.join(map(str, shape))})" for shape in shapes[:2])
    return text + (f", {len(shapes) - 2} more" if len(shapes) > 2 else "") or "-"


def _field(layer: Layer) -> str:
    sizes, jumps = layer.receptive_field, layer.jump
    if sizes is None or jumps is None:
        return "-"
    if all(math.isinf(size) for size in sizes):
        return ALL
    text = "x".join(ALL if math.isinf(size) else f"{size:g}" for size in sizes)
    known = [f"{jump:g}" for jump in jumps if jump is not None]
    return text + (f", jump {known[0] if len(set(known)) == 1 else 'x'.join(known)}" if known else "")


def _number(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def _bytes(size: int) -> str:
    """999 B, 9.99 kB, 99.9 kB: three digits, units of 1000."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < 4:
        value, unit = value / 1000, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"
