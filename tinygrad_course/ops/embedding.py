"""Embeddings: rows of a table, chosen by index, alone or combined into bags."""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer, number
from tinygrad_course.ops.arithmetic import div, mul
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dtypes import constant, require_tensors
from tinygrad_course.ops.index import SliceAdjoint, getitem
from tinygrad_course.ops.shape import reshape

__all__ = [
    "embedding", "embedding_bag",
]


class Embedding(Op):
    """y[...] = weight[index[...]].  The gradients of all uses of a row add up, each times a constant `factor`.

    factor (index's shape) is 0 for the padding row, and 1 / (how often the row occurs) with scale_grad_by_freq."""

    name = "embedding"

    @staticmethod
    def shape(weight: Shape, index: Shape, factor: Any) -> Shape:
        return (*index, *weight[1:])

    @staticmethod
    def forward(ctx: Node, k: Any, weight: Any, index: Any, factor: Any) -> Any:
        ctx.save(index)
        return k.take_slice(weight, (index,))

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        index, = ctx.saved
        factor = ctx.args[0]
        if factor is not None:
            g = mul(g, constant(factor[..., None].astype(g.array.dtype), g))
        return apply(SliceAdjoint, (g,), (ctx.input_shape(0), (index.array,))), None


def embedding(input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Any:
    """Rows of weight (rows, D) at the indices `input` (...): (..., D).

    padding_idx: this row gets no gradient.  max_norm: rows in use whose norm_type-norm is greater are scaled down to it, in
    place.  scale_grad_by_freq: gradients are divided by how often their row occurs in the input."""
    _checked("embedding", input, weight, sparse)
    padding = _padding("embedding", padding_idx, weight.array.shape[0])
    if max_norm is not None:
        _renormalise(weight, input.array, max_norm, norm_type)
    return apply(Embedding, (weight, input), (_factor(input.array, padding, scale_grad_by_freq),))


def embedding_bag(input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
                  include_last_offset: bool = False, padding_idx: int | None = None) -> Any:
    """Sum, mean or maximum of the rows of each bag: (bags, D).  An empty bag gives 0.

    input (bags, n), or (indices,) with offsets (bags,): where each bag begins, with the end of the last one as a further
    offset if include_last_offset.  per_sample_weights, of input's shape, scale the rows of a sum.  Rows padding_idx do not
    count.  max_norm, norm_type and scale_grad_by_freq as in embedding."""
    op = "embedding_bag"
    _checked(op, input, weight, sparse)
    require_tensors(op, input, weight, offsets=offsets, per_sample_weights=per_sample_weights)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{op}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None:
        if mode != "sum":
            raise ValueError(f"{op}: per_sample_weights belong to mode='sum', got mode={mode!r}")
        if per_sample_weights.array.shape != input.array.shape:
            raise ShapeError(f"{op}: per_sample_weights must have the input's shape {input.array.shape}, got "
                             f"{per_sample_weights.array.shape}")
    bag, bags = _bags(op, input.array, offsets, include_last_offset)
    index = getitem(reshape(input, (-1,)), slice(0, bag.size))
    padding = _padding(op, padding_idx, weight.array.shape[0])
    if max_norm is not None:
        _renormalise(weight, index.array, max_norm, norm_type)
    used = np.ones(bag.shape, bool) if padding is None else index.array != padding
    rows = apply(Embedding, (weight, index), (_factor(index.array, padding, scale_grad_by_freq),))
    if mode == "max":
        return _maximum(rows, bag, used, bags)
    if per_sample_weights is not None:
        rows = mul(rows, getitem(reshape(per_sample_weights, (-1, 1)), slice(0, bag.size)))
    if padding is not None:
        rows = where(new_tensor(used[:, None]), rows, 0.0)
    total = apply(SliceAdjoint, (rows,), ((bags, *weight.array.shape[1:]), (bag,)))
    if mode == "sum":
        return total
    counts = np.bincount(bag[used], minlength=bags).clip(1)[:, None]
    return div(total, constant(counts.astype(weight.array.dtype), weight))


def _maximum(rows: Any, bag: Any, used: Any, bags: int) -> Any:
    """The largest value per bag and column; the first one gets the gradient.  0 for a bag of none."""
    values = rows.array
    chosen = np.zeros((bags, values.shape[1]), np.int64)
    some = np.zeros((bags, 1), bool)
    for b in range(bags):
        members = np.flatnonzero((bag == b) & used)
        if members.size:
            chosen[b], some[b] = members[values[members].argmax(0)], True
    if not values.size:
        return apply(SliceAdjoint, (rows,), ((bags, values.shape[1]), (bag,)))
    return where(new_tensor(some), getitem(rows, (chosen, np.arange(values.shape[1]))), 0.0)


def _bags(op: str, index: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, int]:
    """(which bag each index belongs to, number of bags).  Indices behind the last offset belong to none and are left out."""
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{op}: an input with two axes has one bag per row; offsets are for inputs with one axis")
        return np.repeat(np.arange(index.shape[0]), index.shape[1]), index.shape[0]
    if index.ndim != 1:
        raise ShapeError(f"{op}: the input must have 1 or 2 axes, got shape {index.shape}")
    if offsets is None or offsets.array.ndim != 1:
        raise ShapeError(f"{op}: an input with one axis needs offsets, a tensor with one axis: where each bag begins")
    if offsets.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the offsets must be integers, got {offsets.array.dtype}; use .long()")
    starts, end = offsets.array.astype(np.int64), index.shape[0]
    if include_last_offset:
        if not starts.size:
            raise ShapeError(f"{op}: include_last_offset needs at least one offset")
        starts, end = starts[:-1], int(starts[-1])
    falls = starts.size > 0 and (starts[0] != 0 or bool((np.diff([*starts, end]) < 0).any()))
    if falls or end > index.shape[0]:
        raise ValueError(f"{op}: offsets must begin with 0, not decrease and not exceed {index.shape[0]}, the number of "
                         f"indices; got {offsets.array.tolist()}")
    if end and not starts.size:
        raise ValueError(f"{op}: there are {end} indices but no bag; give offsets")
    return np.searchsorted(starts, np.arange(end), side="right") - 1, starts.size


def _checked(op: str, input: Any, weight: Any, sparse: bool) -> None:
    require_tensors(op, input, weight)
    if sparse:
        raise ValueError(f"{op}: sparse gradients do not exist here; use sparse=False")
    if input.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the indices must be integers, got {input.array.dtype}; use .long()")
    if weight.array.ndim != 2:
        raise ShapeError(f"{op}: the weight must be a table (rows, features), got shape {weight.array.shape}")
    index, rows = input.array, weight.array.shape[0]
    if not backend.get(backend.device_of(index)).within(index, 0, rows):
        wrong = int(index.max()) if int(index.max()) >= rows else int(index.min())
        raise IndexError(f"{op}: index {wrong} is not a row of the weight: it has {rows} rows, 0..{rows - 1}")


def _padding(op: str, padding_idx: int | None, rows: int) -> int | None:
    if padding_idx is None:
        return None
    padding_idx = integer(op, "padding_idx", padding_idx)
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{op}: padding_idx {padding_idx} is not a row of the weight, which has {rows}")
    return padding_idx % rows


def _factor(index: Any, padding: int | None, scale_grad_by_freq: bool) -> Any:
    """What each gradient is multiplied by, or None for 1."""
    factor = None
    if scale_grad_by_freq:
        _, inverse, counts = np.unique(index, return_inverse=True, return_counts=True)
        factor = 1.0 / counts[inverse].reshape(index.shape)
    if padding is not None:
        factor = np.where(index == padding, 0.0, 1.0 if factor is None else factor)
    return factor


def _renormalise(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows in use that are too long down to max_norm, in place and outside the graph."""
    max_norm, norm_type = number("embedding", max_norm, "max_norm"), number("embedding", norm_type, "norm_type")
    rows = np.unique(index)
    norms = np.linalg.norm(weight.array[rows], ord=norm_type, axis=1)
    long = norms > max_norm
    weight.array[rows[long]] *= (max_norm / (norms[long] + 1e-7))[:, None].astype(weight.array.dtype)
    weight._bump_version("embedding(max_norm=...)")
