"""onnxruntime as an oracle: it runs what was exported, and knows nothing of this package."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.io.onnx import export_onnx, import_onnx

_OPTIONS = onnxruntime.SessionOptions()
_OPTIONS.log_severity_level = 3
_OPTIONS.intra_op_num_threads = 1
TOLERANCE = 1e-5  # relative to the largest value of the output


class Wrapped(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any], parameters: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.function = function
        for name, array in (parameters or {}).items():
            self.register_parameter(name, nn.Parameter(tgc.tensor(array)))

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs, **self._parameters)


def exported(model: Any, inputs: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    export_onnx(model, inputs, file, **options)
    return file.getvalue()


def run(content: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, _OPTIONS, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def imported(content: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return import_onnx(path)


def tensors(result: Any) -> list[Any]:
    """The tensors of nested tuples."""
    if isinstance(result, tgc.Tensor):
        return [result]
    return [found for part in result if part is not None for found in tensors(part)]


def assert_equal(found: Any, expected: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Equal types and shapes, values to the tolerance times the largest."""
    assert len(found) == len(expected), what
    for x, y in zip(found, expected, strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape), what
        if y.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=what)
            continue
        finite = np.abs(y[np.isfinite(y)])
        scale = float(finite.max()) if finite.size else 1.0
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * max(scale, 1e-30), err_msg=what)


def check(model: Any, *arrays: np.ndarray, others: tuple[tuple[np.ndarray, ...], ...] = (), gradients: bool = True,
          tolerance: float = TOLERANCE, **options: Any) -> bytes:
    """Export, run in onnxruntime, import and run here: outputs agree, for `others` too, and so do the gradients of inputs and
    parameters for a random upstream gradient."""
    model.eval()
    content = exported(model, tuple(tgc.tensor(array) for array in arrays), **options)
    again = imported(content)
    for given in (arrays, *others):
        with tgc.no_grad():
            expected = [value.numpy() for value in tensors(model(*[tgc.tensor(array) for array in given]))]
        assert_equal(run(content, *given), expected, "onnxruntime", tolerance)
        with tgc.no_grad():
            found = [value.numpy() for value in tensors(again(*[tgc.tensor(array) for array in given]))]
        assert_equal(found, expected, "imported", tolerance)
    if gradients:
        assert_equal_gradients(model, again, arrays)
    return content


def assert_equal_gradients(model: Any, again: Any, arrays: tuple[np.ndarray, ...]) -> None:
    """Of the inputs, and of the parameters by name."""
    found = []
    for each in (model, again):
        rng = np.random.default_rng(7)
        inputs = [tgc.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
        each.zero_grad()
        total: Any = 0.0
        for y in tensors(each(*inputs)):
            if y.dtype.kind == "f":
                total = total + (y * tgc.tensor(rng.standard_normal(y.shape).astype(y.dtype))).sum()
        if isinstance(total, tgc.Tensor) and total.requires_grad:
            total.backward()
        named = {f"input {number}": x.grad for number, x in enumerate(inputs)}
        named |= {name: parameter.grad for name, parameter in each.named_parameters()}
        found.append({name: grad.numpy() for name, grad in named.items() if grad is not None and grad.numpy().any()})
    ours, theirs = found
    assert sorted(ours) == sorted(theirs), (sorted(ours), sorted(theirs))
    for name, grad in ours.items():
        assert_equal([theirs[name]], [grad], f"gradient of {name}", 1e-4)
