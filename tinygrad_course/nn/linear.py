"""Linear, Bilinear, Flatten, Identity."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_course import ops
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.creation import empty
from tinygrad_course.tensor import Tensor


class Linear(Module):
    """y = x W^T + b.  x (..., in_features) -> (..., out_features).

    weight (out_features, in_features) and bias (out_features,) are drawn from U(-b, b), b = 1 / sqrt(in_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # gain sqrt(1/3): the bound is 1 / sqrt(in_features)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """x (..., in_features) -> (..., out_features)"""
        if not isinstance(input, Tensor):
            return F.linear(input, self.weight, self.bias)  # says what was passed instead
        shape = input.array.shape
        if not shape or shape[-1] != self.in_features:
            raise ShapeError(self._wrong_input(shape))
        return F.linear(input, self.weight, self.bias)

    def _wrong_input(self, shape: tuple[int, ...]) -> str:
        last = f"its last dimension is {shape[-1]}" if shape else "it has no dimension"
        message = f"linear: input {shape}: {last}, in_features={self.in_features} is needed."
        features = math.prod(shape[1:])
        if len(shape) > 2 and features == self.in_features:
            product = "*".join(map(str, shape[1:]))
            return f"{message} {product} = {features}: put nn.Flatten() before this layer, or call x.flatten(1)."
        if len(shape) > 2:
            return (f"{message} If the layer is to see the whole sample, flatten it with nn.Flatten() and "
                    f"give Linear in_features={features}.")
        if len(shape) == 2 and shape[0] == self.in_features:
            return f"{message} The first dimension is {shape[0]}: samples come first, transpose the input."
        return f"{message} Give Linear({shape[-1]}, {self.out_features})." if shape else message

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_k = x1^T W_k x2 + b_k.  x1 (..., in1_features), x2 (..., in2_features) -> (..., out_features).

    weight (out_features, in1_features, in2_features) and bias (out_features,) are drawn from U(-b, b),
    b = 1 / sqrt(in1_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"Bilinear: in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """x1 (..., in1_features), x2 (..., in2_features) -> (..., out_features)"""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


class Flatten(Module):
    """Joins dimensions start_dim to end_dim; by default all but the batch: (N, C, H, W) -> (N, C*H*W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(N, *) -> (N, product of *)"""
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input; takes and ignores any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """input -> input"""
        return input
