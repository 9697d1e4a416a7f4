"""All parameters as one long vector: for optimisers that look along a direction in their common space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_course.ops.join import cat
from tinygrad_course.ops.like import zeros_like
from tinygrad_course.ops.shape import reshape
from tinygrad_course.tensor import Tensor


def flatten(tensors: Iterable[Any], params: Sequence[Tensor]) -> Any:
    """One vector (N,) of tensors that are shaped like the parameters; None stands for zeros."""
    return cat([reshape(zeros_like(param) if tensor is None else tensor, (-1,))
                for tensor, param in zip(tensors, params, strict=True)])


def gradients(params: Sequence[Tensor]) -> Any:
    """The gradients as one vector (N,), zeros where there is none."""
    return flatten([None if param.grad is None else param.grad.detach() for param in params], params)


def move(params: Sequence[Tensor], size: float, direction: Any) -> None:
    """p = p + size * direction, in place."""
    begin = 0
    for param in params:
        end = begin + param.numel()
        param.add_(reshape(direction[begin:end], param.shape), alpha=size)
        begin = end
