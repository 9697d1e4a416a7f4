"""compare: where two models that should be the same begin to differ, layer by layer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

Recorded = dict[str, list[np.ndarray]]  # path of a call -> its outputs


def compare(model: Module, reference: Any, *inputs: Any, gradients: bool = False, rtol: float | None = None) -> Comparison:
    """Run both with the same inputs and compare the output of every named submodule; `print` the result.

    reference  a Module, a PyTorch module of the same structure, or activations {path: array or tensor} as somebody recorded
               them; "" is the path of the whole model.  A second call of the same module has the path "path (2)"
    inputs     tensors or arrays for forward
    gradients  also compare the gradient of each parameter, for a random upstream gradient of the outputs
    rtol       relative differences up to this count as rounding; default: the square root of the machine epsilon of the
               model's numbers (3.5e-4 in float32)

    The relative difference of a layer is its largest difference divided by the largest absolute value of the reference.
    A gradient that differs by less than rtol / 100 of the largest gradient in the model counts as equal: that of a bias in
    front of a batch norm is 0, and what one gets is rounding.
    Both run in the mode they are in (call eval() on both where dropout or batch norm would differ); buffers, gradients and
    hooks are afterwards as they were.
    """
    arrays = [_to_numpy(value) for value in inputs]
    mine, my_gradients = _Run(model, gradients).record(*_copies(arrays))
    notes: list[str] = []
    if isinstance(reference, Mapping):
        if gradients:
            raise TypeError("compare: recorded activations have no gradients; give a module, or gradients=False")
        theirs: Recorded = {name: _outputs(value) for name, value in reference.items()}
        their_gradients: dict[str, Any] = {}
    elif isinstance(reference, Module):
        if reference.training != model.training:
            notes.append(_modes(model, reference))
        theirs, their_gradients = _Run(reference, gradients).record(*_copies(arrays))
    elif hasattr(reference, "register_forward_hook") and "torch" in sys.modules:
        if reference.training != model.training:
            notes.append(_modes(model, reference))
        torch = sys.modules["torch"]  # whoever made the reference has imported it
        theirs, their_gradients = _Run(reference, gradients, torch).record(*[torch.from_numpy(a.copy()) for a in arrays])
    else:
        raise TypeError(f"compare: the reference must be a Module, a PyTorch module or a dict of activations, got "
                        f"{type(reference).__name__}")
    if rtol is None:
        types = {p.dtype for p in model.parameters() if p.dtype.kind == "f"} or {np.dtype("float32")}
        rtol = max(float(np.finfo(kind).eps) for kind in types) ** 0.5
    kinds = {path: type(module).__name__ for path, module in model.named_modules(remove_duplicate=False)}
    rows = [_row(path, kinds.get(path.split(" (")[0], ""), values, theirs[path], rtol)
            for path, values in mine.items() if path in theirs]
    floor = rtol / 100 * max((float(np.abs(g).max(initial=0.0)) for g in their_gradients.values()), default=0.0)
    gradient_rows = [_row(name, "", [g], [their_gradients[name]], rtol, floor) for name, g in my_gradients.items()
                     if name in their_gradients]
    only = [path for path in mine if path not in theirs], [path for path in theirs if path not in mine]
    return Comparison(rows, gradient_rows, *only, rtol, notes)


@dataclass
class Row:
    """One layer, or the gradient of one parameter.

    path       of the module or parameter
    kind       class of the module
    shape      of its output, of the first if there are several; what both have if they differ
    absolute   largest absolute difference
    relative   that divided by the largest absolute value of the reference
    deviates   whether it is more than rounding
    """

    path: str
    kind: str
    shape: str
    absolute: float
    relative: float
    deviates: bool


class Comparison:
    """What `compare` found; `print` it.

    rows            one Row per submodule, in the order in which they finished
    gradients       one Row per parameter
    first           the first Row that deviates, None if none does
    only_model, only_reference   paths that one side alone has
    """

    def __init__(self, rows: list[Row], gradients: list[Row], only_model: list[str], only_reference: list[str], rtol: float,
                 notes: list[str]) -> None:
        self.rows, self.gradients = rows, gradients
        self.only_model, self.only_reference = only_model, only_reference
        self.rtol, self.notes = rtol, notes

    @property
    def first(self) -> Row | None:
        """The first layer that deviates."""
        return next((row for row in self.rows if row.deviates), None)

    @property
    def ok(self) -> bool:
        """Whether something was compared and nothing deviates, gradients included."""
        return bool(self.rows) and not any(row.deviates for row in self.rows + self.gradients)

    def __str__(self) -> str:
        first = self.first
        lines = list(self.notes)
        if not self.rows:
            lines.append("nothing was compared: no path of the model is one of the reference")
        elif first is None:
            lines.append(f"all {len(self.rows)} outputs agree to a relative difference of {self.rtol:.1e}")
        else:
            lines.append(f"{first.path or 'the whole model'} ({first.kind}) is the first to deviate, relative difference "
                         f"{first.relative:.1e}")
        lines += _table("output of", self.rows, first)
        if self.gradients:
            lines += ["", *_table("gradient of", self.gradients, next((row for row in self.gradients if row.deviates), None))]
        for who, paths in (("model", self.only_model), ("reference", self.only_reference)):
            if paths:
                lines.append(f"only the {who} has: " + ", ".join(path or "the whole model" for path in paths))
        return "\n".join(lines)

    __repr__ = __str__


def _table(title: str, rows: list[Row], first: Row | None) -> list[str]:
    cells = [(title, "", "shape", "absolute", "relative")]
    cells += [(row.path or "(whole)", row.kind, row.shape, f"{row.absolute:.2e}", f"{row.relative:.2e}") for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = []
    for number, cell in enumerate(cells):
        row = rows[number - 1] if number else None
        mark = "" if row is None or not row.deviates else "  <-- first deviation" if row is first else "  deviates"
        text = "  ".join(part.rjust(width) if column > 2 else part.ljust(width)
                         for column, (part, width) in enumerate(zip(cell, widths, strict=True)))
        lines.append((text + mark).rstrip())
    return lines


class _Run:
    """One pass through a model of this package, or of PyTorch if its module is given."""

    def __init__(self, model: Any, gradients: bool, torch: Any = None) -> None:
        self.model, self.gradients, self.torch = model, gradients, torch
        self.outputs: Recorded = {}
        self.calls: dict[str, int] = {}

    def record(self, *inputs: Any) -> tuple[Recorded, dict[str, np.ndarray]]:
        """Outputs by path, and gradients by name of the parameter."""
        recording: AbstractContextManager[Any] = nullcontext() if self.gradients else (self.torch or _Ours).no_grad()
        with ExitStack() as stack:
            stack.enter_context(_as_before(self.model, self.torch))
            stack.enter_context(recording)
            for path, module in self.model.named_modules():
                handle = module.register_forward_hook(self._hook(path))
                stack.callback(handle.remove)
            result = self.model(*inputs)
            if not self.gradients:
                return self.outputs, {}
            for parameter in self.model.parameters():
                parameter.grad = None
            self._backward(result)
            return self.outputs, {name: _to_numpy(p.grad) for name, p in self.model.named_parameters() if p.grad is not None}

    def _hook(self, path: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, output: Any) -> None:
            count = self.calls[path] = self.calls.get(path, 0) + 1
            self.outputs[path if count == 1 else f"{path} ({count})"] = _outputs(output)
        return hook

    def _backward(self, result: Any) -> None:
        """The same random upstream gradient for each output, whoever computed it."""
        random = np.random.default_rng(0)
        total = None
        for tensor in _tensors(result):
            if not getattr(tensor, "requires_grad", False):
                continue
            g = random.standard_normal(tuple(tensor.shape)).astype(_to_numpy(tensor).dtype)
            upstream = self.torch.from_numpy(np.asarray(g)) if self.torch else from_numpy(np.asarray(g))
            part = (tensor * upstream).sum()
            total = part if total is None else total + part
        if total is None:
            raise ShapeError("compare: no output depends on a parameter that requires a gradient; use gradients=False")
        total.backward()


class _Ours:
    no_grad = no_grad


@contextmanager
def _as_before(model: Any, torch: Any) -> Iterator[None]:
    """Buffers, gradients and the mark that there are hooks, set back at the end."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    hooked = [(module, module.__dict__["_hooked"]) for module in model.modules() if "_hooked" in module.__dict__]
    try:
        yield
    finally:
        with (torch or _Ours).no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for parameter, grad in gradients:
            parameter.grad = grad
        for module, value in hooked:
            module.__dict__["_hooked"] = value


def _row(path: str, kind: str, ours: list[np.ndarray], theirs: list[np.ndarray], rtol: float, floor: float = 0.0) -> Row:
    shapes = [x.shape for x in ours], [x.shape for x in theirs]
    if shapes[0] != shapes[1]:
        first = [" ".join(map(str, side)) or "nothing" for side in shapes]
        return Row(path, kind, f"{first[0]} against {first[1]}", float("inf"), float("inf"), True)
    absolute = relative = 0.0
    for a, b in zip(ours, theirs, strict=True):
        x, y = a.astype(np.float64), b.astype(np.float64)
        with np.errstate(invalid="ignore"):
            difference = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y))
        difference = np.where(np.isnan(difference), np.inf, difference)  # NaN on one side
        largest = float(difference.max(initial=0.0))
        scale = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
        absolute = max(absolute, largest)
        relative = max(relative, largest / scale if scale else (0.0 if largest == 0 else float("inf")))
    return Row(path, kind, str(shapes[0][0]) if ours else "", absolute, relative, relative > rtol and absolute > floor)


def _copies(arrays: list[np.ndarray]) -> list[Tensor]:
    """Inputs for one run: a model may write into them, which neither the other one nor the caller is to see."""
    return [from_numpy(np.array(array, order="C")) for array in arrays]


def _modes(model: Any, reference: Any) -> str:
    names = {True: "training", False: "evaluation"}
    return (f"the model is in {names[model.training]} mode, the reference in {names[reference.training]} mode: call eval() "
            "on both")


def _outputs(value: Any) -> list[np.ndarray]:
    """Copies of the arrays in what a module returned: a layer may write into it later (ReLU(inplace=True))."""
    return [_to_numpy(tensor).copy() for tensor in _tensors(value)]


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors, or arrays, in what a module returned."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value


def _to_numpy(value: Any) -> np.ndarray:
    """The values of a tensor of either library, of an array or of nested lists; bfloat16 as float32."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return np.asarray(value)
