"""AdaptiveLogSoftmaxWithLoss: a softmax over very many classes, most of them seldom."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.container import ModuleList, Sequential
from tinygrad_course.nn.linear import Linear
from tinygrad_course.nn.module import Module
from tinygrad_course.ops.join import cat
from tinygrad_course.tensor import Tensor


class ASMoutput(namedtuple("ASMoutput", ["output", "loss"])):
    """output: log-probability of the target of each sample; loss: its negative mean."""

    __slots__ = ()


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax in two levels, and the loss with it.  Grave et al. 2017, arXiv:1609.04309.

    The classes are sorted by how often they occur, class 0 the most.  cutoffs [c1, c2, ...] cut them into the shortlist
    0 .. c1 - 1, and clusters c1 .. c2 - 1, ..., up to n_classes - 1.  The head (a Linear) decides between the classes of the
    shortlist and the clusters; the tail of cluster i, two Linears with in_features / div_value^(i + 1) features between them,
    decides within it:  ln P(class) = ln P(cluster) + ln P(class | cluster).  Only the clusters of this batch's targets are
    computed.
    """

    def __init__(self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
                 head_bias: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        limits = list(cutoffs)
        if not limits:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (any(int(c) != c for c in limits) or limits != sorted(set(limits)) or limits[0] <= 0
                or limits[-1] > n_classes - 1):
            raise ValueError("cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where "
                             f"each value is between 1 and n_classes-1 = {n_classes - 1}, got {limits}")
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*limits, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(limits)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            between = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(Sequential(Linear(in_features, between, bias=False, device=device, dtype=dtype),
                                        Linear(between, size, bias=False, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Draw new values."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMoutput:
        """(N, in_features), classes (N,) -> (log-probabilities of the targets (N,), loss), or all without N"""
        self._check(input_, target_)
        if target_.ndim == 0:
            output, loss = self.forward(input_.unsqueeze(0), target_.unsqueeze(0))
            return ASMoutput(output.squeeze(0), loss)
        input, target = input_, target_
        column = target.clone()  # of the head: the class itself, or its cluster
        parts = []  # (N,), ln P(class | cluster) where the target is in the cluster, else 0
        for i, (low, high) in enumerate(zip(self.cutoffs[:-1], self.cutoffs[1:], strict=True)):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.shape[0] == 0:
                continue
            logp = F.log_softmax(self.tail[i](input[rows]), 1)
            within = logp.gather(1, (target[rows] - low).unsqueeze(1)).squeeze(1)
            parts.append(input.new_zeros(target.shape[0]).index_add(0, rows, within))
            column[rows] = self.shortlist_size + i
        output = F.log_softmax(self.head(input), 1).gather(1, column.unsqueeze(1)).squeeze(1)
        for part in parts:
            output = output + part
        return ASMoutput(output, -output.mean())

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dtype.kind not in "iu":
            raise DTypeError("AdaptiveLogSoftmaxWithLoss: the target must hold class numbers (integers), got "
                             f"{target.dtype}; use target.long()")
        if target.ndim > 1 or input.ndim != target.ndim + 1 or input.shape[:-1] != target.shape:
            raise ShapeError(f"AdaptiveLogSoftmaxWithLoss: expected an input (N, {self.in_features}) and classes (N,), or "
                             f"both without N, got {tuple(input.shape)} and {tuple(target.shape)}")
        if target.numel() and not 0 <= int(target.min().item()) <= int(target.max().item()) < self.n_classes:
            raise IndexError(f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                             f"[{target.min().item()}, {target.max().item()}] were found")

    def log_prob(self, input: Tensor) -> Tensor:
        """(N, in_features) -> log-probabilities of all classes (N, n_classes)"""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, :self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            parts.append(F.log_softmax(tail(input), 1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_features) -> the most probable class of each sample (N,), without computing clusters that cannot hold it"""
        best = self.head(input).argmax(1)
        rows = (best >= self.shortlist_size).nonzero().squeeze(1)
        if rows.shape[0]:
            best[rows] = self.log_prob(input[rows]).argmax(1)
        return best
