"""Distances between vectors as modules."""

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor


class PairwiseDistance(Module):
    """|x1 - x2 + eps|_p over the last axis.  (N, D), (N, D) -> (N,), or (N, 1) with keepdim."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The distances."""
        result: Tensor = F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
        return result


class CosineSimilarity(Module):
    """x1 . x2 / max(|x1| |x2|, eps) along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The similarities."""
        result: Tensor = F.cosine_similarity(x1, x2, self.dim, self.eps)
        return result
