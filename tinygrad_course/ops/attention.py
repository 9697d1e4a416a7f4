"""Scaled dot-product and multi-head attention (Vaswani et al. 2017, "Attention is all you need", section 3.2).

Axes: N samples, H heads, L queries (target), S keys (source), E features.
"""

import math
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import add, mul
from tinygrad_course.ops.broadcast import expand
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dropout import dropout
from tinygrad_course.ops.dtypes import require_tensors, zeros_like
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.linalg import linear, matmul
from tinygrad_course.ops.reduce import mean
from tinygrad_course.ops.shape import permute, reshape, transpose, unsqueeze
from tinygrad_course.ops.softmax import softmax

__all__ = [
    "multi_head_attention_forward", "scaled_dot_product_attention",
]


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:
    """softmax(scale Q K^T + mask) V: (..., L, Ev) for query (..., L, E), key (..., S, E), value (..., S, Ev).

    attn_mask (..., L, S): bool, True where a query may look, or floating point, which is added.  is_causal: query l looks
    at keys 0..l.  scale: 1 / sqrt(E) by default.  A query that may look nowhere gives 0.
    enable_gqa: axis -3 holds heads, and each head of key and value serves several heads of query."""
    op = "scaled_dot_product_attention"
    require_tensors(op, query, key, value, attn_mask=attn_mask)
    q, k, v = query.array.shape, key.array.shape, value.array.shape
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ShapeError(f"{op}: query (..., L, E), key (..., S, E) and value (..., S, Ev) must agree in E and S, got {q}, "
                         f"{k} and {v}")
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{op}: give attn_mask or is_causal=True, not both")
        attn_mask = new_tensor(np.tri(q[-2], k[-2], dtype=bool))
    if enable_gqa:
        if min(len(q), len(k), len(v)) < 3 or q[-3] % k[-3] or q[-3] % v[-3]:
            raise ShapeError(f"{op}: with enable_gqa the heads (axis -3) of query {q} must be a multiple of those of key {k} "
                             f"and value {v}")
        key, value = _repeated_heads(key, q[-3] // k[-3]), _repeated_heads(value, q[-3] // v[-3])
    scores = mul(matmul(query, transpose(key, -1, -2)), 1.0 / math.sqrt(max(1, q[-1])) if scale is None else scale)
    scores = _masked(op, scores, attn_mask)
    if attn_mask is None:
        weights = softmax(scores, -1)
    else:
        nowhere = new_tensor((scores.array == -np.inf).all(-1, keepdims=True))
        weights = where(nowhere, 0.0, softmax(where(nowhere, 0.0, scores), -1))
    return matmul(dropout(weights, dropout_p), value)


def multi_head_attention_forward(
        query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any,
        bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any,
        training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
        use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
        v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True,
        is_causal: bool = False) -> tuple[Any, Any]:
    """Attention of `num_heads` heads between linear maps: (output (L, N, E), weights (N, L, S) or None).

    query (L, N, E), key and value (S, N, E), or all three without N.  in_proj_weight (3E, E) holds the maps of query, key
    and value, or they are given as q_, k_, v_proj_weight with use_separate_proj_weight; in_proj_bias (3E,).
    key_padding_mask (N, S): True where a key does not count.  attn_mask (L, S) or (N H, L, S): True where a query may NOT
    look, or numbers to add.  is_causal says that attn_mask is the causal one.
    bias_k, bias_v (1, 1, E): one more key and value; add_zero_attn: one more of zeros.
    static_k, static_v (N H, S, E / H): used in place of the mapped key and value.
    The weights are the mean over heads, or (N, H, L, S) if not average_attn_weights."""
    op = "multi_head_attention_forward"
    require_tensors(op, query, key, value, out_proj_weight, in_proj_weight=in_proj_weight, in_proj_bias=in_proj_bias,
                    bias_k=bias_k, bias_v=bias_v, out_proj_bias=out_proj_bias, key_padding_mask=key_padding_mask,
                    attn_mask=attn_mask, q_proj_weight=q_proj_weight, k_proj_weight=k_proj_weight,
                    v_proj_weight=v_proj_weight, static_k=static_k, static_v=static_v)
    batched = query.array.ndim == 3
    if query.array.ndim not in (2, 3) or key.array.ndim != query.array.ndim or value.array.ndim != query.array.ndim:
        raise ShapeError(f"{op}: query, key and value must all have the axes (length, N, features), or all (length, "
                         f"features); got {query.array.shape}, {key.array.shape} and {value.array.shape}")
    if not batched:
        query, key, value = [unsqueeze(x, 1) for x in (query, key, value)]
        key_padding_mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
    length, samples, features = query.array.shape
    num_heads = integer(op, "num_heads", num_heads)
    if num_heads < 1 or features != embed_dim_to_check or features % num_heads:
        raise ShapeError(f"{op}: the query has {features} features; expected embed_dim={embed_dim_to_check}, a multiple of "
                         f"num_heads={num_heads}")
    if key.array.shape[:2] != value.array.shape[:2] or key.array.shape[1] != samples:
        raise ShapeError(f"{op}: key and value must have the same length, and the query's {samples} samples; got "
                         f"{key.array.shape} and {value.array.shape}")
    if is_causal and attn_mask is None:
        raise ValueError(f"{op}: is_causal=True is a hint about attn_mask, which must be given too")

    stacked = None if use_separate_proj_weight else in_proj_weight
    for name, x, wanted in (("in_proj_weight", stacked, (3 * features, features)),
                            ("in_proj_bias", in_proj_bias, (3 * features,)),
                            ("out_proj_weight", out_proj_weight, (features, features)),
                            ("out_proj_bias", out_proj_bias, (features,))):
        if x is not None and x.array.shape != wanted:
            raise ShapeError(f"{op}: {name} must have the shape {wanted} for {features} features, got {x.array.shape}")
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else _thirds(in_proj_weight)
    q, k, v = [linear(x, w, b) for x, w, b in zip((query, key, value), weights, _thirds(in_proj_bias), strict=True)]
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"{op}: give both bias_k and bias_v, or none")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise ValueError(f"{op}: bias_k and bias_v cannot be added to static_k and static_v")
        for name, b in (("bias_k", bias_k), ("bias_v", bias_v)):
            if b.array.shape[-1:] != (features,) or b.array.size != features:
                raise ShapeError(f"{op}: {name} must have the shape (1, 1, E) = (1, 1, {features}), got {b.array.shape}")
        k, v = [cat([x, expand(b, (1, samples, features))], 0) for x, b in ((k, bias_k), (v, bias_v))]

    width = features // num_heads
    q, k, v = [permute(reshape(x, (x.array.shape[0], samples, num_heads, width)), (1, 2, 0, 3)) for x in (q, k, v)]
    k = k if static_k is None else _static(op, "static_k", static_k, samples, num_heads, width)
    v = v if static_v is None else _static(op, "static_v", static_v, samples, num_heads, width)
    if add_zero_attn:
        k, v = [cat([x, zeros_like(x, (samples, num_heads, 1, width))], 2) for x in (k, v)]  # (N, H, S, E / H)

    added = k.array.shape[2] - key.array.shape[0] if static_k is None else int(add_zero_attn)
    source = k.array.shape[2]
    causal = is_causal and key_padding_mask is None and not need_weights
    mask = None if causal else _joint_mask(op, attn_mask, key_padding_mask, (samples, num_heads, length, source), added, q)
    if need_weights:
        scores = mul(matmul(q, transpose(k, -1, -2)), math.sqrt(1.0 / width))
        attention = dropout(softmax(scores if mask is None else add(scores, mask), -1), dropout_p, training)
        heads = matmul(attention, v)
        attention = mean(attention, 1) if average_attn_weights else attention
    else:
        heads, attention = scaled_dot_product_attention(q, k, v, mask, dropout_p if training else 0.0, causal), None
    output = linear(reshape(permute(heads, (2, 0, 1, 3)), (length, samples, features)), out_proj_weight, out_proj_bias)
    if batched:
        return output, attention
    return reshape(output, (length, -1)), None if attention is None else reshape(attention, attention.array.shape[1:])


def _repeated_heads(x: Any, times: int) -> Any:
    """(..., H, S, E) -> (..., H times, S, E), each head `times` times in a row."""
    *front, heads, source, features = x.array.shape
    stretched = expand(unsqueeze(x, -3), (*front, heads, times, source, features))
    return reshape(stretched, (*front, heads * times, source, features))


def _masked(op: str, scores: Any, mask: Any) -> Any:
    if mask is None:
        return scores
    if mask.array.dtype.kind == "b":
        return where(mask, scores, -math.inf)
    if mask.array.dtype.kind != "f":
        raise DTypeError(f"{op}: attn_mask must be bool or floating point, got {mask.array.dtype}")
    return add(scores, mask)


def _thirds(x: Any) -> tuple[Any, Any, Any]:
    """The parts for query, key and value of a stacked weight or bias."""
    if x is None:
        return None, None, None
    n = x.array.shape[0] // 3
    return getitem(x, slice(0, n)), getitem(x, slice(n, 2 * n)), getitem(x, slice(2 * n, 3 * n))


def _static(op: str, name: str, x: Any, samples: int, heads: int, width: int) -> Any:
    """(N H, S, E / H) -> (N, H, S, E / H)."""
    shape = x.array.shape
    if len(shape) != 3 or shape[0] != samples * heads or shape[2] != width:
        raise ShapeError(f"{op}: {name} must have the shape (N H, S, E / H) = ({samples * heads}, S, {width}), got {shape}")
    return reshape(x, (samples, heads, *shape[1:]))


def _joint_mask(op: str, attn_mask: Any, padding: Any, sizes: tuple[int, int, int, int], added: int, like: Any) -> Any:
    """Both masks as one that is added to the scores (N, H, L, S); the last `added` keys are open to all.  None if there is
    none."""
    samples, heads, length, source = sizes
    given, mask = source - added, None
    if attn_mask is not None:
        shape = attn_mask.array.shape
        if shape not in ((length, given), (samples * heads, length, given)):
            raise ShapeError(f"{op}: attn_mask must have the shape (L, S) = {(length, given)} or (N H, L, S) = "
                             f"{(samples * heads, length, given)}, got {shape}")
        mask = _numbers(op, attn_mask, like)
        mask = reshape(mask, (1, 1, *shape) if len(shape) == 2 else (samples, heads, length, given))
    if padding is not None:
        if padding.array.shape != (samples, given):
            raise ShapeError(f"{op}: key_padding_mask must have the shape (N, S) = {(samples, given)}, got "
                             f"{padding.array.shape}")
        padded = reshape(_numbers(op, padding, like), (samples, 1, 1, given))
        mask = padded if mask is None else add(mask, padded)
    if mask is None or not added:
        return mask
    return cat([mask, zeros_like(mask, (*mask.array.shape[:3], added))], 3)


def _numbers(op: str, mask: Any, like: Any) -> Any:
    """A mask as numbers to add: 0, and -inf where a bool mask is True."""
    if mask.array.dtype.kind == "b":
        return new_tensor(np.where(mask.array, -np.inf, 0.0).astype(like.array.dtype))
    if mask.array.dtype.kind != "f":
        raise DTypeError(f"{op}: a mask must be bool or floating point, got {mask.array.dtype}")
    return cast(mask, like.array.dtype)
