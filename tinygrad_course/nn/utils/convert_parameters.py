"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad_course import ops
from tinygrad_course.errors import DeviceError, ShapeError
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The values of all parameters, one after the other.  Gradients flow back to each."""
    vector: Tensor = ops.cat([ops.reshape(p, (-1,)) for p in _on_one_device("parameters_to_vector", parameters)])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters to the values of a vector, in the same order.  They show its memory then, as in PyTorch."""
    op = "vector_to_parameters"
    require_tensors(op, vec)
    params = _on_one_device(op, parameters)
    wanted = sum(p.numel() for p in params)
    if vec.ndim != 1 or vec.numel() < wanted:
        raise ShapeError(f"{op}: the parameters have {wanted} values together, the vector has the shape {vec.shape}")
    start = 0
    for p in params:
        p.data = vec.detach()[start:start + p.numel()].reshape(p.shape)
        start += p.numel()


def _on_one_device(op: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    params = list(parameters)
    require_tensors(op, *params)
    devices = sorted({str(p.device) for p in params})
    if len(devices) > 1:
        raise DeviceError(f"{op}: Found two parameters on different devices, {' and '.join(devices)}; this is not supported. "
                          "Move the model to one with model.to(...)")
    return params
