"""Clipping of gradients, between backward() and the optimiser's step.  All gradients are read, and written, in one pass.

The norm is that of all gradients as one vector.  Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent
neural networks", algorithm 1.  `foreach` chooses among PyTorch's implementations; it is accepted and changes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.autograd.origin import warn
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def clip_grad_norm_(parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                    foreach: bool | None = None) -> Tensor:
    """Scale the gradients by min(1, max_norm / (norm + 1e-6)), in place; returns their norm before.

    norm_type: the order p of the norm, also inf.  Parameters without a gradient are left out.
    Raises RuntimeError for a norm that is NaN or infinite, if error_if_nonfinite."""
    params = _listed("clip_grad_norm_", parameters)
    if not params and isinstance(parameters, GeneratorType):
        warn("`parameters` is an empty generator, no gradient clipping will occur.")
    total = get_total_norm([p.grad for p in params if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(params, max_norm, total)
    return total


def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> Tensor:
    """The norm of order norm_type of the tensors as one vector, of the type that holds them all; 0 for no tensors."""
    listed = _listed("get_total_norm", tensors)
    order = float(norm_type)
    if not listed:
        return new_tensor(np.zeros((), np.float32))
    norms = []
    for device, arrays in _by_device([tensor.array for tensor in listed]):
        if order in (1.0, 2.0, np.inf):
            norms.append(backend.get(device).norms(arrays, order))
        else:
            norms.append(np.array([_norm(backend.to_device(x, "cpu"), order) for x in arrays]))
    dtype = np.result_type(*{tensor.array.dtype for tensor in listed})
    with np.errstate(over="ignore"):
        total = np.asarray(_norm(norms[0] if len(norms) == 1 else np.concatenate(norms), order), dtype)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(f"The total norm of order {order} for gradients from `parameters` is non-finite ({total}), so it "
                           "cannot be clipped. autograd.detect_anomaly() finds the op that made it. To scale the gradients "
                           "by the non-finite norm anyway, set `error_if_nonfinite=False`")
    return new_tensor(backend.to_device(total, backend.device_of(listed[0].array)))


def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale the gradients by min(1, max_norm / (total_norm + 1e-6)), in place."""
    params = _listed("clip_grads_with_norm_", parameters)
    require_tensors("clip_grads_with_norm_", total_norm)
    factor = float(max_norm) / (float(total_norm.item()) + 1e-6)
    if factor >= 1.0:
        return
    # a NaN goes on to all gradients, as in PyTorch: an optimiser shall not take a step that is half right
    _write("clip_grads_with_norm_", params, lambda kernels, arrays: kernels.scale_all(arrays, factor))


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Every entry of the gradients to the range [-clip_value, clip_value], in place."""
    limit = float(clip_value)
    _write("clip_grad_value_", _listed("clip_grad_value_", parameters),
           lambda kernels, arrays: kernels.clamp_all(arrays, -limit, limit))


def clip_grad_norm(parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> Tensor:
    """The deprecated name of clip_grad_norm_."""
    warnings.warn("`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
                  FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def _listed(op: str, tensors: Tensors) -> list[Tensor]:
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    require_tensors(op, *listed)
    return listed


def _by_device(arrays: list[Any]) -> list[tuple[str, list[Any]]]:
    """The arrays by the device they are on: one kernel call serves one of them."""
    parts: dict[str, list[Any]] = {}
    for array in arrays:
        parts.setdefault(backend.device_of(array), []).append(array)
    return list(parts.items())


def _write(op: str, params: list[Tensor], change: Callable[[Any, list[Any]], None]) -> None:
    gradients = [p.grad for p in params if p.grad is not None]
    for device, arrays in _by_device([g.array for g in gradients]):
        change(backend.get(device), arrays)
    for g in gradients:
        g._bump_version(op)


def _norm(x: Any, order: float) -> float:
    """The norm of any order in float64; of no elements 0, or inf for a negative order."""
    if x.size == 0:
        return np.inf if order < 0 else 0.0
    with np.errstate(divide="ignore", over="ignore"):
        return float(np.linalg.norm(x.reshape(-1).astype(np.float64), order))
