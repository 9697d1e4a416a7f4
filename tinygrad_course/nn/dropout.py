"""Dropout."""

from __future__ import annotations

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.ops.arguments import number
from tinygrad_course.tensor import Tensor


class Dropout(Module):
    """In training each value is 0 with probability p, else divided by 1 - p; in evaluation the identity.

    Srivastava et al. 2014, JMLR 15.  inplace=True is accepted for PyTorch's sake; the result is a new tensor.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= number("dropout", p, "p") <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, elementwise."""
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
