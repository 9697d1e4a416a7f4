"""Scaled dot-product and multi-head attention (Vaswani et al. 2017, "Attention is all you need", section 3.2).

Axes: N samples, H heads, L queries (target), S keys (source), E features, D = E / H features of a head.

Attention is one op: its backward needs the weights only, where a chain of ops would keep the scores, the masked scores and
more.  A backward pass that is recorded computes the weights once more with elementary ops and differentiates those.
"""

import math
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.engine import grad
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.autograd.origin import warn
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.kernels.local import recording
from tinygrad_course.ops.arguments import integer, number
from tinygrad_course.ops.arithmetic import add, mul
from tinygrad_course.ops.broadcast import broadcast_shape, expand, sum_to
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dtypes import full_like, require_tensors, zeros_like
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.linalg import linear, matmul
from tinygrad_course.ops.random import default_generator
from tinygrad_course.ops.reduce import mean
from tinygrad_course.ops.shape import reshape, transpose, unsqueeze
from tinygrad_course.ops.softmax import softmax

__all__ = [
    "multi_head_attention_forward", "scaled_dot_product_attention",
]


class Attention(Op):
    """A = dropout(softmax(scale Q K^T + mask)) -> A V (..., L, Ev), and A (..., L, S).

    With W the weights before dropout and m its factors (0 or 1 / (1 - p)), A = m W:
    gV = A^T g;  gW = m (g V^T + gA);  gS = W (gW - sum(gW W));  gQ = scale gS K;  gK = scale gS^T Q;  gmask = gS.
    zeros: a query that may look nowhere gets weights of 0 instead of NaN."""

    name = "attention"

    @staticmethod
    def shape(q: Shape, k: Shape, v: Shape, mask: Shape | None, scale: float, zeros: bool, p: float, seed: int,
              offset: int) -> tuple[Shape, Shape]:
        if q[:-2] != k[:-2] or q[:-2] != v[:-2] or q[-1] != k[-1] or k[-2] != v[-2]:
            raise ShapeError(f"attention: query (..., L, E), key (..., S, E) and value (..., S, Ev) must agree in E, S and "
                             f"the leading axes, got {q}, {k} and {v}")
        scores = (*q[:-1], k[-2])
        if mask is not None and broadcast_shape("attention (mask)", scores, mask) != scores:
            raise ShapeError(f"attention: the mask {mask} must broadcast to the scores {scores}")
        return (*q[:-1], v[-1]), scores

    @staticmethod
    def forward(ctx: Node, kernels: Any, q: Any, k: Any, v: Any, mask: Any, scale: float, zeros: bool, p: float, seed: int,
                offset: int) -> Any:
        scores = kernels.matmul(q * scale, k.swapaxes(-1, -2))
        if mask is not None:
            scores += mask
        weights = kernels.softmax(scores, -1)
        if zeros and mask is not None and np.isnan(weights[..., :1]).any():  # else every query may look somewhere
            weights[np.broadcast_to((scores == -np.inf).all(-1, keepdims=True), weights.shape)] = 0
        kept, factors = weights, None
        if p:
            factors = kernels.dropout_mask(seed, offset, weights.shape, p, weights.dtype)
            factors = backend.to_device(factors, backend.device_of(q))
            kept = kernels.mul(weights, factors)
        ctx.save(q, k, v, mask)
        ctx.constants = weights, kept, factors
        return kernels.matmul(kept, v), kept

    @staticmethod
    def backward(ctx: Node, g: Any, g_kept: Any) -> Any:
        if recording():
            return _differentiable_backward(ctx, (g, g_kept))
        for_q, for_k, for_v, for_mask = ctx.needs
        q, k, v, *mask = [value.array for value in ctx.saved]
        weights, kept, factors = ctx.constants
        scale = ctx.args[0]
        kernels = backend.kernels_for(ctx.name, [q])
        gq = gk = gv = g_mask = None
        if for_v and g is not None:
            gv = new_tensor(kernels.matmul(kept.swapaxes(-1, -2), g.array))
        if for_q or for_k or for_mask:
            gw = None if g is None else kernels.matmul(g.array, v.swapaxes(-1, -2))
            if g_kept is not None:
                gw = g_kept.array if gw is None else gw + g_kept.array
            if factors is not None:
                gw = kernels.mul(gw, factors)
            gs = kernels.softmax_grad(gw, weights, -1)
            if for_q:
                gq = kernels.matmul(gs, k)
                gq *= scale
                gq = new_tensor(gq)
            if for_k:
                gk = new_tensor(kernels.matmul(gs.swapaxes(-1, -2), q * scale))
            if for_mask:
                g_mask = sum_to(new_tensor(gs), mask[0].shape)
        return gq, gk, gv, g_mask


def _differentiable_backward(ctx: Node, gradients: tuple[Any, Any]) -> tuple[Any, ...]:
    """The gradients, made by elementary ops.

    Of clones: an input that depends on another one, or is passed twice, shall get only what comes through its own place."""
    saved = [*ctx.saved, None]
    own = [clone(value) if needed else value for value, needed in zip(saved[:4], ctx.needs, strict=True)]
    q, k, v, mask = own
    scale, zeros = ctx.args[:2]
    outputs = _of_ops(q, k, v, mask, scale, zeros, ctx.constants[2])
    pairs = [(y, g) for y, g in zip(outputs, gradients, strict=True) if g is not None and y.track]
    wanted = [value for value, needed in zip(own, ctx.needs, strict=True) if needed]
    found = iter(grad([y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True))
    return tuple([next(found) if needed else None for needed in ctx.needs])


def _of_ops(q: Any, k: Any, v: Any, mask: Any, scale: float, zeros: bool, factors: Any) -> tuple[Any, Any]:
    """What Attention computes, by elementary ops."""
    scores = matmul(mul(q, scale), transpose(k, -1, -2))
    if mask is not None:
        scores = add(scores, mask)
    if mask is None or not zeros:
        weights = softmax(scores, -1)
    else:
        nowhere = new_tensor((scores.array == -np.inf).all(-1, keepdims=True))
        weights = where(nowhere, 0.0, softmax(where(nowhere, 0.0, scores), -1))
    kept = weights if factors is None else mul(weights, new_tensor(factors))
    return matmul(kept, v), kept


class SplitHeads(Op):
    """Features (L, N, P H D), or (N, L, P H D) with samples=0, to P arrays of heads (N, H, L, D).

    A permutation of the values: the gradient is JoinHeads."""

    name = "split_heads"

    @staticmethod
    def shape(x: Shape, parts: int, heads: int, samples: int) -> tuple[Shape, ...]:
        if len(x) != 3 or x[2] % (parts * heads):
            raise ShapeError(f"split_heads: the features of {x} must be divisible into {parts} x {heads} heads")
        return ((x[samples], heads, x[1 - samples], x[2] // (parts * heads)),) * parts

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, parts: int, heads: int, samples: int) -> Any:
        rows, columns, features = x.shape
        x = x.reshape(rows, columns, parts, heads, features // (parts * heads))
        return tuple([k.cat([x[:, :, part].transpose(samples, 2, 1 - samples, 3)], 0) for part in range(parts)])

    @staticmethod
    def backward(ctx: Node, *gs: Any) -> Any:
        like = next(g for g in gs if g is not None)
        return (apply(JoinHeads, tuple([zeros_like(like, like.array.shape) if g is None else g for g in gs]), ctx.args[2:]),)


class JoinHeads(Op):
    """Arrays of heads (N, H, L, D) to features (L, N, P H D), or (N, L, P H D) with samples=0.

    The gradient is SplitHeads."""

    name = "join_heads"

    @staticmethod
    def shape(*shapes_and_samples: Any) -> Shape:
        *shapes, samples = shapes_and_samples
        if len(shapes[0]) != 4 or any(shape != shapes[0] for shape in shapes):
            raise ShapeError(f"join_heads: all parts must have one shape (N, H, L, D), got {shapes}")
        n, heads, length, width = shapes[0]
        return (*((n, length) if samples == 0 else (length, n)), len(shapes) * heads * width)

    @staticmethod
    def forward(ctx: Node, k: Any, *parts_and_samples: Any) -> Any:
        *parts, samples = parts_and_samples
        n, heads, length, width = parts[0].shape
        joined = k.cat([part.transpose((0, 2, 1, 3) if samples == 0 else (2, 0, 1, 3)) for part in parts], 2)
        return joined.reshape(*((n, length) if samples == 0 else (length, n)), len(parts) * heads * width)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return apply(SplitHeads, (g,), (len(ctx.needs), ctx.input_shape(0)[1], ctx.args[0]))


def attention(q: Any, k: Any, v: Any, mask: Any = None, scale: float | None = None, zeros: bool = True,
              dropout_p: float = 0.0) -> tuple[Any, Any]:
    """(dropout(softmax(scale Q K^T + mask)) V, the weights); leading axes broadcast.  scale: 1 / sqrt(E) by default."""
    op = "scaled_dot_product_attention"
    fronts = [x.array.shape[:-2] for x in (q, k, v)]
    front = broadcast_shape(op, broadcast_shape(op, fronts[0], fronts[1]), fronts[2])
    q, k, v = [x if x.array.shape[:-2] == front else expand(x, (*front, *x.array.shape[-2:])) for x in (q, k, v)]
    # a Python number: one of NumPy's, as 1 / np.sqrt(d), would make arrays of float32 float64
    scale = 1.0 / math.sqrt(max(1, q.array.shape[-1])) if scale is None else float(number(op, scale, "scale"))
    if not 0.0 <= number(op, dropout_p, "dropout_p") <= 1.0:
        raise ValueError(f"{op}: the probability dropout_p must be between 0 and 1, got {dropout_p}")
    draws = (0, 0)
    if dropout_p:
        draws = default_generator.take("dropout_mask", math.prod(q.array.shape[:-1]) * k.array.shape[-2])
    result: tuple[Any, Any] = apply(Attention, (q, k, v, mask), (scale, zeros, float(dropout_p), *draws))
    return result


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
        attn_mask = new_tensor(_additive(np.tri(q[-2], k[-2], dtype=bool), query))
    if enable_gqa:
        if min(len(q), len(k), len(v)) < 3 or q[-3] % k[-3] or q[-3] % v[-3]:
            raise ShapeError(f"{op}: with enable_gqa the heads (axis -3) of query {q} must be a multiple of those of key {k} "
                             f"and value {v}")
        key, value = _repeated_heads(key, q[-3] // k[-3]), _repeated_heads(value, q[-3] // v[-3])
    return attention(query, key, value, _open_places(op, attn_mask, query), scale, True, dropout_p)[0]


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
    return multi_head_attention(
        query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn,
        dropout_p if training else 0.0, out_proj_weight, out_proj_bias, key_padding_mask, need_weights, attn_mask,
        (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None, static_k, static_v,
        average_attn_weights, is_causal, batch_first=False)


def multi_head_attention(
        query: Any, key: Any, value: Any, embed_dim: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any, bias_k: Any,
        bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any, key_padding_mask: Any,
        need_weights: bool, attn_mask: Any, separate: tuple[Any, Any, Any] | None, static_k: Any, static_v: Any,
        average_attn_weights: bool, is_causal: bool, batch_first: bool) -> tuple[Any, Any]:
    """multi_head_attention_forward, or the same for inputs (N, L, E) with batch_first: nothing is transposed then."""
    op = "multi_head_attention_forward"
    parts = (None, None, None) if separate is None else separate
    require_tensors(op, query, key, value, out_proj_weight, in_proj_weight=in_proj_weight, in_proj_bias=in_proj_bias,
                    bias_k=bias_k, bias_v=bias_v, out_proj_bias=out_proj_bias, key_padding_mask=key_padding_mask,
                    attn_mask=attn_mask, q_proj_weight=parts[0], k_proj_weight=parts[1], v_proj_weight=parts[2],
                    static_k=static_k, static_v=static_v)
    batched = query.array.ndim == 3
    if query.array.ndim not in (2, 3) or key.array.ndim != query.array.ndim or value.array.ndim != query.array.ndim:
        raise ShapeError(f"{op}: query, key and value must all have the axes (length, N, features), or all (length, "
                         f"features); got {query.array.shape}, {key.array.shape} and {value.array.shape}")
    key_padding_mask = canonical_mask("key_padding_mask", key_padding_mask, query, "attn_mask", attn_mask)
    same_key, same_value = query is key, key is value
    if not batched:
        query, key, value = [unsqueeze(x, 1) for x in (query, key, value)]
        key_padding_mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
    axis = 0 if batch_first and batched else 1  # of the samples
    length, samples, features = query.array.shape[1 - axis], query.array.shape[axis], query.array.shape[2]
    given = key.array.shape[1 - axis]
    num_heads = integer(op, "num_heads", num_heads)
    if num_heads < 1 or features != embed_dim or features % num_heads:
        raise ShapeError(f"{op}: the query has {features} features; expected embed_dim={embed_dim}, a multiple of "
                         f"num_heads={num_heads}")
    if key.array.shape[:2] != value.array.shape[:2] or key.array.shape[axis] != samples:
        raise ShapeError(f"{op}: key and value must have the same length, and the query's {samples} samples; got "
                         f"{key.array.shape} and {value.array.shape}")
    if is_causal and attn_mask is None:
        raise ValueError(f"{op}: is_causal=True is a hint about attn_mask, which must be given too")

    for name, x, wanted in (("in_proj_weight", in_proj_weight if separate is None else None, (3 * features, features)),
                            ("in_proj_bias", in_proj_bias, (3 * features,)),
                            ("out_proj_weight", out_proj_weight, (features, features)),
                            ("out_proj_bias", out_proj_bias, (features,))):
        if x is not None and x.array.shape != wanted:
            raise ShapeError(f"{op}: {name} must have the shape {wanted} for {features} features, got {x.array.shape}")
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"{op}: give both bias_k and bias_v, or none")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise ValueError(f"{op}: bias_k and bias_v cannot be added to static_k and static_v")
        for name, b in (("bias_k", bias_k), ("bias_v", bias_v)):
            if b.array.shape[-1:] != (features,) or b.array.size != features:
                raise ShapeError(f"{op}: {name} must have the shape (1, 1, E) = (1, 1, {features}), got {b.array.shape}")

    if separate is None and same_key and same_value and bias_k is None:  # self-attention: the three maps as one
        q, k, v = apply(SplitHeads, (linear(query, in_proj_weight, in_proj_bias),), (3, num_heads, axis))
    else:
        maps = _thirds(in_proj_weight) if separate is None else separate
        mapped = [linear(x, w, b) for x, w, b in zip((query, key, value), maps, _thirds(in_proj_bias), strict=True)]
        if bias_k is not None:
            shape = (samples, 1, features) if axis == 0 else (1, samples, features)
            mapped[1:] = [cat([x, expand(reshape(b, (1, 1, features)), shape)], 1 - axis)
                          for x, b in zip(mapped[1:], (bias_k, bias_v), strict=True)]
        q, k, v = [apply(SplitHeads, (x,), (1, num_heads, axis))[0] for x in mapped]
    width = features // num_heads
    k = k if static_k is None else _static(op, "static_k", static_k, samples, num_heads, width)
    v = v if static_v is None else _static(op, "static_v", static_v, samples, num_heads, width)
    if add_zero_attn:
        k, v = [cat([x, zeros_like(x, (samples, num_heads, 1, width))], 2) for x in (k, v)]  # (N, H, S, E / H)

    source = k.array.shape[2]
    added = source - given if static_k is None else int(add_zero_attn)
    if is_causal and key_padding_mask is None and not need_weights:
        mask = new_tensor(_additive(np.tri(length, source, dtype=bool), q))
    else:
        mask = _joint_mask(op, attn_mask, key_padding_mask, (samples, num_heads, length, source), added, q)
    heads, weights = attention(q, k, v, mask, None, not need_weights, dropout_p)
    output = linear(apply(JoinHeads, (heads,), (axis,)), out_proj_weight, out_proj_bias)
    if not need_weights:
        weights = None
    elif average_attn_weights:
        weights = mean(weights, 1)
    if batched:
        return output, weights
    return reshape(output, (length, -1)), None if weights is None else reshape(weights, weights.array.shape[1:])


def _repeated_heads(x: Any, times: int) -> Any:
    """(..., H, S, E) -> (..., H times, S, E), each head `times` times in a row."""
    *front, heads, source, features = x.array.shape
    stretched = expand(unsqueeze(x, -3), (*front, heads, times, source, features))
    return reshape(stretched, (*front, heads * times, source, features))


def _open_places(op: str, mask: Any, like: Any) -> Any:
    """A mask that is True where a query may look, as numbers to add; one of numbers as it is."""
    if mask is None or mask.array.dtype.kind == "b":
        return None if mask is None else where(mask, full_like(like, (), 0.0), full_like(like, (), -math.inf))
    if mask.array.dtype.kind != "f":
        raise DTypeError(f"{op}: attn_mask must be bool or floating point, got {mask.array.dtype}")
    return cast(mask, like.array.dtype)


def _additive(open_places: Any, like: Any) -> Any:
    """0 where True, else -inf, on the device of `like`."""
    added = np.where(open_places, 0.0, -np.inf).astype(like.array.dtype)
    return backend.to_device(added, backend.device_of(like.array))


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
        mask = _numbers("attn_mask", attn_mask, like)
        mask = reshape(mask, (1, 1, *shape) if len(shape) == 2 else (samples, heads, length, given))
    if padding is not None:
        if padding.array.shape != (samples, given):
            raise ShapeError(f"{op}: key_padding_mask must have the shape (N, S) = {(samples, given)}, got "
                             f"{padding.array.shape}")
        padded = reshape(padding, (samples, 1, 1, given))
        mask = padded if mask is None else add(mask, padded)
    if mask is None or not added:
        return mask
    return cat([mask, zeros_like(mask, (*mask.array.shape[:3], added))], 3)


def canonical_mask(name: str, mask: Any, like: Any, other_name: str = "", other: Any = None) -> Any:
    """A mask as numbers to add, of the type of `like`; warns where `other`, a mask for the same scores, has another type."""
    if mask is None:
        return None
    require_tensors("multi_head_attention_forward", like, **{name: mask, other_name or "mask": other})
    if other is not None and other.array.dtype != mask.array.dtype:
        warn(f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.")
    return _numbers(name, mask, like)


def _numbers(op: str, mask: Any, like: Any) -> Any:
    """A mask as numbers to add: 0, and -inf where a bool mask is True."""
    if mask.array.dtype.kind == "b":
        return where(mask, full_like(like, (), -math.inf), full_like(like, (), 0.0))
    if mask.array.dtype.kind != "f":
        raise DTypeError(f"{op}: only bool and floating types are supported, got {mask.array.dtype}; make it one of bool "
                         "with .bool(): True where a position must not be looked at")
    return cast(mask, like.array.dtype)
