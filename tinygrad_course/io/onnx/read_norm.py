"""Normalisation and matrix product nodes as ops."""

from __future__ import annotations

from typing import Any

from tinygrad_course import ops
from tinygrad_course.io.onnx.registry import reads
from tinygrad_course.nn import functional as F


@reads("BatchNormalization")
def batch_normalization(node: Any, x: Any, scale: Any, shift: Any, mean: Any, var: Any) -> Any:
    """With running statistics."""
    if node.get("training_mode", 0) or len(node.outputs) > 1:
        raise node.refuse("it is in training mode; export the model in evaluation mode")
    return F.batch_norm(x, mean, var, scale, shift, False, 0.0, node.get("epsilon", 1e-5))


@reads("InstanceNormalization")
def instance_normalization(node: Any, x: Any, scale: Any, shift: Any) -> Any:
    """Each channel of each sample."""
    return F.instance_norm(x, weight=scale, bias=shift, eps=node.get("epsilon", 1e-5))


@reads("LayerNormalization")
def layer_normalization(node: Any, x: Any, scale: Any, shift: Any = None) -> Any:
    """The axes from `axis` on."""
    if len(node.outputs) > 1:
        raise node.refuse("mean and deviation as further outputs are not supported")
    inner = x.shape[node.get("axis", -1) % x.ndim:]
    epsilon = node.get("epsilon", 1e-5)
    if scale.shape == inner and (shift is None or shift.shape == inner):
        return F.layer_norm(x, inner, scale, shift, epsilon)
    y = ops.mul(F.layer_norm(x, inner, eps=epsilon), scale)
    return y if shift is None else ops.add(y, shift)


@reads("RMSNormalization")
def rms_normalization(node: Any, x: Any, scale: Any) -> Any:
    """The axes from `axis` on, by the root of the mean square."""
    inner = x.shape[node.get("axis", -1) % x.ndim:]
    return ops.mul(F.rms_norm(x, inner, eps=node.get("epsilon", 1e-5)), scale)


@reads("GroupNormalization")
def group_normalization(node: Any, x: Any, scale: Any, shift: Any) -> Any:
    """Scale and shift are per channel, before opset 21 per group."""
    groups = node.get("num_groups")
    if node.opset < 21:
        scale, shift = [ops.repeat_interleave(part, x.shape[1] // groups) for part in (scale, shift)]
    return F.group_norm(x, groups, scale, shift, node.get("epsilon", 1e-5))


@reads("MeanVarianceNormalization")
def mean_variance_normalization(node: Any, x: Any) -> Any:
    """(x - mean) / (deviation + 1e-9) over axes."""
    axes = tuple(node.get("axes", (0, 2, 3)))
    moved = ops.sub(x, ops.mean(x, axes, True))
    return ops.div(moved, ops.add(ops.sqrt(ops.mean(ops.mul(moved, moved), axes, True)), 1e-9))


@reads("LRN")
def local_response_normalization(node: Any, x: Any) -> Any:
    """x / (bias + alpha / size sum of squares)^beta.  A window of even size has no middle: PyTorch and ONNX differ."""
    size = node.get("size")
    if size % 2 == 0:
        raise node.refuse(f"a window of even size, {size}, is not supported")
    return F.local_response_norm(x, size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))


@reads("LpNormalization")
def lp_normalization(node: Any, x: Any) -> Any:
    """x / |x| along an axis."""
    return ops.div(x, ops.norm(x, node.get("p", 2), node.get("axis", -1), True))


# ---- products --------------------------------------------------------------------------------------------------------


@reads("Gemm")
def gemm(node: Any, a: Any, b: Any, c: Any = None) -> Any:
    """alpha A B + beta C, A and B transposed or not."""
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    plain = node.get("transB", 0) and alpha == beta == 1.0
    if plain and (c is None or c.shape == (b.shape[0],)):
        return F.linear(a, b, c)
    y = ops.matmul(a, b.t() if node.get("transB", 0) else b)
    y = y if alpha == 1.0 else ops.mul(y, alpha)
    if c is None:
        return y
    return ops.add(y, c if beta == 1.0 else ops.mul(c, beta))


@reads("MatMul")
def matmul(node: Any, x: Any, y: Any) -> Any:
    """As NumPy's."""
    return ops.matmul(x, y)


@reads("Einsum")
def einsum(node: Any, *inputs: Any) -> Any:
    """By an equation."""
    return ops.einsum(node.get("equation"), *inputs)
