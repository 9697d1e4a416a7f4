"""Embedding and EmbeddingBag: tables of vectors, looked up by index."""

from __future__ import annotations

from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.creation import empty
from tinygrad_course.tensor import Tensor


class _Table(Module):
    """weight (num_embeddings, embedding_dim), drawn from N(0, 1); the row padding_idx is zero and is not trained."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
                 norm_type: float, scale_grad_by_freq: bool, sparse: bool, weight: Tensor | None, freeze: bool,
                 device: Any, dtype: Any) -> None:
        super().__init__()
        name = self._get_name()
        if sparse:
            raise ValueError(f"{name}: sparse gradients do not exist here; use sparse=False")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: padding_idx {padding_idx} is not one of the {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if weight is None:
            table = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not freeze)
            self.reset_parameters()
        else:
            if tuple(weight.shape) != (num_embeddings, embedding_dim):
                raise ShapeError(f"{name}: the weight has shape {tuple(weight.shape)}, num_embeddings and embedding_dim say "
                                 f"{(num_embeddings, embedding_dim)}")
            self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def _options(self, names: tuple[tuple[str, Any], ...]) -> str:
        return "".join([f", {name}={getattr(self, name)!r}" for name, usual in names if getattr(self, name) != usual])


def _rows(name: str, embeddings: Tensor) -> tuple[int, int]:
    if not isinstance(embeddings, Tensor) or embeddings.ndim != 2:
        raise ShapeError(f"{name}.from_pretrained: the embeddings must be a Tensor (rows, features), got "
                         f"{tuple(embeddings.shape) if isinstance(embeddings, Tensor) else type(embeddings).__name__}")
    return embeddings.shape[0], embeddings.shape[1]


class Embedding(_Table):
    """Rows of a table at given indices.  input (*), integers  ->  (*, embedding_dim).

    padding_idx: this row is zero at the beginning and gets no gradient.  max_norm: rows in use whose norm_type-norm is
    greater are scaled down to it.  scale_grad_by_freq: gradients are divided by how often their row occurs in the input."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = False, _weight: Tensor | None = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
                         _freeze, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """input (*) -> (*, embedding_dim)"""
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None,
                        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                        sparse: bool = False) -> Embedding:
        """A layer with the rows of `embeddings`, which freeze keeps as they are."""
        return cls(*_rows(cls.__name__, embeddings), padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings,
                   freeze)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}" + self._options(
            (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)))


class EmbeddingBag(_Table):
    """Sum, mean or maximum of the rows of each bag of indices.  input (bags, n), or (indices,) with offsets (bags,).

    As Embedding followed by a reduction, without its result in between being needed; an empty bag gives 0."""

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Tensor | None = None,
                 include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None,
                 dtype: Any = None) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
                         False, device, dtype)
        self.mode = mode
        self.include_last_offset = include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """input (bags, n), or (indices,) with offsets (bags,) -> (bags, embedding_dim)"""
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
                               False, per_sample_weights, self.include_last_offset, self.padding_idx)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, max_norm: float | None = None,
                        norm_type: float = 2.0, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                        include_last_offset: bool = False, padding_idx: int | None = None) -> EmbeddingBag:
        """A layer with the rows of `embeddings`, which freeze keeps as they are."""
        bag = cls(*_rows(cls.__name__, embeddings), max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
                  include_last_offset, padding_idx)
        bag.weight.requires_grad_(not freeze)
        return bag

    def extra_repr(self) -> str:
        return (f"{self.num_embeddings}, {self.embedding_dim}" + self._options(
            (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False))) + f", mode={self.mode!r}"
            + self._options((("padding_idx", None),)))
