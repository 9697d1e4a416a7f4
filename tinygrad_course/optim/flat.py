"""All parameters as one long vector: for optimisers that look along a direction in their common space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_course import backend
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.like import zeros_like
from tinygrad_course.ops.shape import reshape
from tinygrad_course.optim.optimizer import bump
from tinygrad_course.tensor import Tensor


def flatten(tensors: Iterable[Any], params: Sequence[Tensor]) -> Any:
    """One vector (N,) of tensors that are shaped like the parameters; None stands for zeros."""
    return cat([reshape(zeros_like(param) if tensor is None else tensor, (-1,))
                for tensor, param in zip(tensors, params, strict=True)])


def gradients(params: Sequence[Tensor]) -> Any:
    """The gradients as one vector (N,), zeros where there is none."""
    return flatten([None if param.grad is None else param.grad.detach() for param in params], params)


def add_scaled(x: Any, size: float, direction: Any) -> None:
    """x = x + size * direction, in place, in one pass over the memory: a step of plain SGD."""
    _kernels(x).sgd_step([x.array], [direction.array], [None], -size, 0.0, 0.0, 0.0, False, False)


def move(params: Sequence[Tensor], size: float, direction: Any, writer: str) -> None:
    """p = p + size * direction for all parameters, whose versions note that `writer` did it."""
    parts, begin = [], 0
    for param in params:
        parts.append(direction.array[begin:begin + param.numel()].reshape(param.array.shape))
        begin += param.numel()
    _kernels(direction).sgd_step([param.array for param in params], parts, [None] * len(parts), -size, 0.0, 0.0, 0.0, False,
                                 False)
    bump(list(params), writer)


def _kernels(x: Any) -> Any:
    return backend.get(backend.device_of(x.array))
