"""Sequences of different lengths: padded to one tensor, or packed without padding for the recurrent layers.

A packed batch holds, for every time step, the rows of the sequences that are still running, longest sequence first:

    sequences  a b c      data         a d f b e c
               d e        batch_sizes  3 2 1
               f
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course import ops
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.tensor import Tensor

__all__ = ["PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
           "pad_sequence", "unpack_sequence", "unpad_sequence"]


class _Fields(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Fields):
    """The rows of a batch of sequences without padding.

    data (rows, *) one time step after the other; batch_sizes (T,) how many sequences each step has; sorted_indices and
    unsorted_indices lead from the given order of the sequences to the sorted one and back, None if they were sorted."""

    __slots__ = ()

    def __new__(cls, data: Tensor, batch_sizes: Tensor, sorted_indices: Tensor | None = None,
                unsorted_indices: Tensor | None = None) -> PackedSequence:
        require_tensors("PackedSequence", data, batch_sizes, sorted_indices=sorted_indices, unsorted_indices=unsorted_indices)
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor) -> PackedSequence:
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with data.to(...)."""
        return self._with(self.data.to(*args, **kwargs))

    def float(self) -> PackedSequence:
        """The same in float32."""
        return self._with(self.data.float())

    def double(self) -> PackedSequence:
        """The same in float64."""
        return self._with(self.data.double())

    def half(self) -> PackedSequence:
        """The same in float16."""
        return self._with(self.data.half())

    def long(self) -> PackedSequence:
        """The same in int64."""
        return self._with(self.data.long())

    def int(self) -> PackedSequence:
        """The same in int32."""
        return self._with(self.data.int())

    def short(self) -> PackedSequence:
        """The same in int16."""
        return self._with(self.data.short())

    def char(self) -> PackedSequence:
        """The same in int8."""
        return self._with(self.data.char())

    def byte(self) -> PackedSequence:
        """The same in uint8."""
        return self._with(self.data.byte())

    def cpu(self) -> PackedSequence:
        """The same on the CPU."""
        return self.to("cpu")

    def cuda(self) -> PackedSequence:
        """The same on the GPU."""
        return self.to("cuda")

    @property
    def is_cuda(self) -> bool:
        """Whether the rows are on a GPU."""
        return bool(self.data.is_cuda)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes `permutation`."""
    return None if permutation is None else new_tensor(np.argsort(permutation.array, kind="stable"))


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """Packs a padded batch (T, B, *), or (B, T, *) if batch_first, of sequences of the given `lengths` (B,).

    enforce_sorted: the lengths must decrease already; otherwise the sequences are sorted here."""
    op = "pack_padded_sequence"
    require_tensors(op, input)
    if input.ndim < 2:
        raise ShapeError(f"{op}: the input must have at least 2 axes, time and batch, got shape {tuple(input.shape)}")
    if batch_first:
        input = ops.transpose(input, 0, 1)
    count = _lengths(op, lengths, input.shape[1])
    order = None
    if enforce_sorted:
        if (np.diff(count) > 0).any():
            raise ValueError(f"{op}: lengths {count.tolist()} do not decrease; pass enforce_sorted=False, or sort the batch "
                             "by length")
    else:
        order = np.argsort(-count, kind="stable")
        count = count[order]
    if count[0] > input.shape[0]:
        raise ValueError(f"{op}: length {count[0]} exceeds the {input.shape[0]} steps of the input")
    sizes = (count[None, :] > np.arange(count[0])[:, None]).sum(1)
    steps, places = np.nonzero(np.arange(count.size)[None, :] < sizes[:, None])
    data = input[new_tensor(steps), new_tensor(places if order is None else order[places])]
    return PackedSequence(data, new_tensor(sizes.astype(np.int64)), None if order is None else new_tensor(order))


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Tensor, Tensor]:
    """(padded batch (T, B, *), lengths (B,)): undoes pack_padded_sequence.  total_length: pad to this length at least T."""
    op = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{op}: expected a PackedSequence, got {type(sequence).__name__}")
    sizes = sequence.batch_sizes.array
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(f"{op}: total_length {total_length} is less than {steps}, the length of the longest sequence")
        steps = total_length
    batch, data = int(sizes[0]), sequence.data
    lengths = (sizes[:, None] > np.arange(batch)[None, :]).sum(0)
    # Row t, b of the padded batch is row first[t] + b of the data, or the row of padding behind the last one.
    row = np.full((steps, batch), data.shape[0])
    first = np.cumsum(sizes) - sizes
    runs = np.arange(batch)[None, :] < sizes[:, None]
    row[:len(sizes)][runs] = (first[:, None] + np.arange(batch))[runs]
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.array
        row, lengths = row[:, back], lengths[back]
    padding = ops.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    padded = ops.cat([data, padding])[new_tensor(row.T.copy() if batch_first else row)]
    return padded, new_tensor(lengths.astype(np.int64))


def pad_sequence(sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """One tensor (T, B, *) of sequences (length, *), each filled up to the longest."""
    op = "pad_sequence"
    items = list(sequences)
    if not items:
        raise ValueError(f"{op}: needs at least one sequence")
    require_tensors(op, *items)
    if padding_side not in ("left", "right"):
        raise ValueError(f"{op}: padding_side must be 'left' or 'right', got {padding_side!r}")
    rest = items[0].shape[1:]
    if any(x.ndim == 0 or x.shape[1:] != rest for x in items):
        raise ShapeError(f"{op}: the sequences must be (length, *) and agree in *, got shapes "
                         f"{[tuple(x.shape) for x in items]}")
    longest = max(x.shape[0] for x in items)
    rows = []
    for x in items:
        if x.shape[0] < longest:
            padding = ops.full((longest - x.shape[0], *rest), padding_value, dtype=x.dtype, device=x.device)
            x = ops.cat([padding, x] if padding_side == "left" else [x, padding])
        rows.append(x)
    return ops.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each cut to its length."""
    op = "unpad_sequence"
    require_tensors(op, padded_sequences)
    batch = padded_sequences if batch_first else ops.transpose(padded_sequences, 0, 1)
    return [batch[b, :int(n)] for b, n in enumerate(_lengths(op, lengths, batch.shape[0], 0))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences (length, *)."""
    items = list(sequences)
    return pack_padded_sequence(pad_sequence(items), [x.shape[0] for x in items], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, in their given order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _lengths(op: str, lengths: Any, batch: int, least: int = 1) -> Any:
    array = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the lengths must be integers, got {array.dtype}")
    if array.shape != (batch,):
        raise ShapeError(f"{op}: there are {batch} sequences, but lengths of shape {array.shape}")
    if batch == 0 or (array < least).any():
        raise ValueError(f"{op}: every sequence must have at least {least} step(s), got lengths {array.tolist()}")
    return array.astype(np.int64)
