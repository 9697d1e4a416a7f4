"""Attention as its parts: products, the mask, softmax, and heads taken apart and joined."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.registry import writes
from tinygrad_course.io.onnx.trace import CONSTANT


@writes("attention")
def attention(g: Any, call: Any, q: str, k: str, v: str, mask: str | None, scale: float, zeros: bool, p: float, seed: int,
              offset: int) -> Any:
    """softmax(scale Q K^T + mask) V, and the weights; a query that may look nowhere gets weights of 0."""
    if p:
        raise ExportError("dropout of the attention weights draws random numbers: give dropout_p=0.0 in evaluation, or use "
                          "nn.MultiheadAttention, whose dropout eval() turns off")
    ndim, dtype = call.inputs[1].a.ndim, call.inputs[0].dtype
    turned = g.node("Transpose", k, perm=[*range(ndim - 2), ndim - 1, ndim - 2])
    scores = g.node("MatMul", g.node("Mul", q, g.constant(scale, dtype)), turned)
    if mask is not None:
        scores = g.node("Add", scores, mask)
    if mask is None or not zeros or _open(call.inputs[3]):
        weights = g.node("Softmax", scores, axis=-1)
    else:
        most = g.node("ReduceMax", scores, g.constant([ndim - 1], np.int64), keepdims=1)
        nowhere, zero = g.node("Equal", most, g.constant(-np.inf, dtype)), g.constant(0, dtype)
        weights = g.node("Where", nowhere, zero, g.node("Softmax", g.node("Where", nowhere, zero, scores), axis=-1))
    return g.node("MatMul", weights, v), weights


def _open(mask: Any) -> bool:
    """Whether the mask is known, and lets every query look somewhere."""
    return mask.kind == CONSTANT and all(bool((array > -np.inf).any(-1).all()) for array in (mask.a, mask.b))


@writes("split_heads")
def split_heads(g: Any, call: Any, x: str, parts: int, heads: int, samples: int) -> Any:
    """Features (L, N, P H D), or (N, L, P H D) with samples=0, to P arrays (N, H, L, D)."""
    pieces = [x] if parts == 1 else g.node("Split", x, axis=2, outputs=parts, num_outputs=parts)
    shape = g.constant([0, 0, heads, -1], np.int64)
    return tuple([g.node("Transpose", g.node("Reshape", piece, shape), perm=[samples, 2, 1 - samples, 3])
                  for piece in pieces])


@writes("join_heads")
def join_heads(g: Any, call: Any, *parts_and_samples: Any) -> Any:
    """The inverse."""
    *parts, samples = parts_and_samples
    pieces = [g.node("Transpose", part, perm=[0, 2, 1, 3] if samples == 0 else [2, 0, 1, 3]) for part in parts]
    joined = pieces[0] if len(pieces) == 1 else g.node("Concat", *pieces, axis=2)
    return g.node("Reshape", joined, g.constant([0, 0, -1], np.int64))
