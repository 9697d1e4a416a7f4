"""Multi-head attention as a module."""

from __future__ import annotations

from typing import Any

from tinygrad_course.nn import init
from tinygrad_course.nn.linear import Linear
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.attention import multi_head_attention
from tinygrad_course.ops.creation import empty
from tinygrad_course.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear under the name that PyTorch prints for the last map of attention."""


class MultiheadAttention(Module):
    """softmax(Q K^T / sqrt(d)) V in each of num_heads heads of d = embed_dim / num_heads features, between linear maps.

    query (L, N, E), key (S, N, kdim) and value (S, N, vdim), or (N, L, E) ... with batch_first, or all without N.
    in_proj_weight (3E, E) holds the maps of query, key and value on top of each other; where kdim or vdim differ from E
    there are q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim) instead.
    add_bias_kv: one more key and value, trained; add_zero_attn: one more of zeros.  dropout is that of the weights.
    Weights start from Xavier's uniform distribution, biases from 0 (bias_k and bias_v from Xavier's normal one).
    Vaswani et al. 2017, "Attention is all you need", section 3.2.2."""

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
                 add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
                 device: Any = None, dtype: Any = None) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                             f"num_heads={num_heads} instead")
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim must be divisible by num_heads: each head gets embed_dim / num_heads features, got "
                             f"embed_dim={embed_dim} and num_heads={num_heads}")
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn

        together = self._qkv_same_embed_dim
        for name, shape, wanted in (
                ("in_proj_weight", (3 * embed_dim, embed_dim), together),
                ("q_proj_weight", (embed_dim, embed_dim), not together),
                ("k_proj_weight", (embed_dim, self.kdim), not together),
                ("v_proj_weight", (embed_dim, self.vdim), not together),
                ("in_proj_bias", (3 * embed_dim,), bias),
                ("bias_k", (1, 1, embed_dim), add_bias_kv),
                ("bias_v", (1, 1, embed_dim), add_bias_kv)):
            self.register_parameter(name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
                need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """(output like query, weights (N, L, S) or None if not need_weights).

        key_padding_mask (N, S): True for keys that do not count.  attn_mask (L, S) or (N num_heads, L, S): True where a query
        may NOT look (scaled_dot_product_attention has it the other way round).  Masks of numbers are added to the scores.
        is_causal: a hint that attn_mask is the causal one.  need_weights=False is faster.
        average_attn_weights=False: weights of every head, (N, num_heads, L, S)."""
        separate = None if self._qkv_same_embed_dim else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return multi_head_attention(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout if self.training else 0.0, self.out_proj.weight,
            self.out_proj.bias, key_padding_mask, need_weights, attn_mask, separate, None, None, average_attn_weights,
            is_causal, self.batch_first)
