"""`torch.onnx`'s names: what is in `tinygrad_course.io.onnx`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_course.io.onnx import export_onnx
from tinygrad_course.io.onnx.export import DEFAULT_OPSET
from tinygrad_course.nn.module import Module

__all__ = ["export"]


def export(model: Module, args: Any, f: Any, *, kwargs: Mapping[str, Any] | None = None,
           input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
           opset_version: int | None = None, dynamic_axes: Mapping[str, Any] | None = None) -> None:
    """`io.export_onnx` with PyTorch's argument names.

    Otherwise than in PyTorch the batch size is free in the file unless dynamic_axes says otherwise; {} fixes it."""
    args = tuple(args) if isinstance(args, tuple | list) else (args,)
    export_onnx(model, (*args, dict(kwargs)) if kwargs else args, f, input_names=input_names, output_names=output_names,
                dynamic_axes=dynamic_axes, opset=DEFAULT_OPSET if opset_version is None else opset_version)
