"""Dropout."""

from __future__ import annotations

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.ops.arguments import number
from tinygrad_course.tensor import Tensor


class _Dropout(Module):
    """Common base: the probability."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= number("dropout", p, "p") <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each value is 0 with probability p, else divided by 1 - p; in evaluation the identity.

    Srivastava et al. 2014, JMLR 15.  With inplace=True the input holds the result.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, elementwise."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L).  Tompson et al. 2015, arXiv:1411.4280."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L) -> the same shape"""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape"""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) -> the same shape"""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for SELU.  Klambauer et al. 2017, arXiv:1706.02515."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, elementwise."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of (N, C, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape"""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
