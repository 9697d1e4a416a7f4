"""Fold the batch norm behind a convolution or a linear layer into that layer, for inference.

In evaluation batch norm is y = (x - m) r w + b with constants per channel; behind a linear map it only scales the rows of
the matrix and moves its bias.  The folded layer is a copy; the originals stay as they are.
"""

from __future__ import annotations

import copy
from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.tensor import Tensor


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that computes bn(conv(x)); both must be in evaluation mode.  transpose: conv is a transposed one."""
    return _fused("fuse_conv_bn_eval", conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that computes bn(linear(x)); both must be in evaluation mode."""
    if bn.num_features not in (linear.out_features, 1):
        raise ValueError(f"fuse_linear_bn_eval: the linear layer has {linear.out_features} outputs, the batch norm "
                         f"{bn.num_features} channels; they must be equal")
    return _fused("fuse_linear_bn_eval", linear, bn, fuse_linear_bn_weights)


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                         bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False) -> tuple[Parameter, Parameter]:
    """Weight (O, C, ...), or (C, O, ...) of a transposed convolution, and bias (O,) of the folded layer."""
    with no_grad():
        scale = (bn_rv + bn_eps).rsqrt()
        scale = scale if bn_w is None else scale * bn_w
        bias = -bn_rm * scale if conv_b is None else (conv_b - bn_rm) * scale
        bias = bias if bn_b is None else bias + bn_b
        rows = (1, -1) if transpose else (-1, 1)
        weight = conv_w * scale.reshape(*rows, *[1] * (conv_w.ndim - 2))
    return (Parameter(weight, conv_w.requires_grad),
            Parameter(bias, conv_w.requires_grad if conv_b is None else conv_b.requires_grad))


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                           bn_w: Tensor | None, bn_b: Tensor | None) -> tuple[Parameter, Parameter]:
    """Weight (O, I) and bias (O,) of the folded layer."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _fused(op: str, layer: Any, bn: Any, weights: Any, *flags: bool) -> Any:
    if layer.training or bn.training:
        raise RuntimeError(f"{op}: folding is for inference: in training the statistics of batch norm change with every "
                           "batch. Call eval() on both layers first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{op}: the batch norm has no running statistics (track_running_stats=False)")
    folded = copy.deepcopy(layer)
    folded.weight, folded.bias = weights(layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight,
                                         bn.bias, *flags)
    return folded
