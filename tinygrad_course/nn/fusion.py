"""BatchNorm followed by ReLU as one op.

Batch norm, the addition of a residual and the ReLU are limited by memory: each reads and writes the whole activation.
Done in one pass they cost hardly more than the batch norm alone, and backward computes the ReLU's mask again instead of
reading it.  Every value and every gradient has the same bits as without fusion.

nn.Sequential does it by itself where a batch norm stands directly before a ReLU.  A model that writes its forward by hand
calls `norm_relu`.  Fused or not is decided at each call: both must be of exactly these types (a subclass may compute
something else) and have no hooks (one would want to see what lies between them).  The op runs in the scope of the batch
norm: that is the module which errors, anomaly mode and pictures of the graph name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_course.errors import TgcError
from tinygrad_course.kernels.local import set_scope
from tinygrad_course.nn.activation import ReLU
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinygrad_course.nn.scope import all_watched, enter
from tinygrad_course.nn.trail import add_trail
from tinygrad_course.ops.activation import relu
from tinygrad_course.ops.arithmetic import add

_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def run(modules: Sequence[Module], input: Any) -> Any:
    """Call the modules one after the other, a batch norm and the ReLU behind it as one."""
    last, index = len(modules) - 1, 0
    while index <= last:
        module = modules[index]
        if index < last and type(module) in _NORMS and _is_plain(module) and _is_plain_relu(modules[index + 1]):
            input = _fused(module, input, None)
            index += 2
        else:
            input = module(input)
            index += 1
    return input


def norm_relu(norm: Any, input: Any, residual: Any = None, activation: Any = None) -> Any:
    """relu(norm(input)), or relu(norm(input) + residual); in one pass where that is possible.

    `activation` is the model's own ReLU, if that is a module: it may have hooks, or have been replaced by something else."""
    if (type(norm) in _NORMS and _is_plain(norm) and (activation is None or _is_plain_relu(activation))
            and (residual is None or residual.shape == input.shape)):
        return _fused(norm, input, residual)
    y = norm(input)
    y = y if residual is None else add(y, residual)
    return relu(y) if activation is None else activation(y)


def _fused(norm: Any, input: Any, residual: Any) -> Any:
    """What Module.__call__ does, around forward_relu."""
    before = enter(norm)
    try:
        return norm.forward_relu(input, residual)
    except TgcError as error:
        add_trail(error, norm)
        raise
    finally:
        set_scope(before)


def _is_plain(module: Any) -> bool:
    """Whether calling the module is calling the forward of its class."""
    return not (module._has_hooks() or all_watched() or "forward" in module.__dict__)


def _is_plain_relu(module: Any) -> bool:
    return type(module) is ReLU and _is_plain(module)
