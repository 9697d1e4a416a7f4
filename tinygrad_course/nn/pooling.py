"""MaxPool2d, AvgPool2d."""

from __future__ import annotations

from typing import Any

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.conv import Size
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor


class MaxPool2d(Module):
    """Largest value of each window.  x (N, C, H, W) -> (N, C, oh, ow).  stride=None means kernel_size.

    return_indices=True returns the positions of the maxima as well: flat index h*W + w inside each input plane.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) -> (N, C, oh, ow), or the pair (values, indices)"""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class AvgPool2d(Module):
    """Mean of each window.  x (N, C, H, W) -> (N, C, oh, ow).  stride=None means kernel_size.

    count_include_pad=False divides by the number of real pixels in the window; divisor_override by a given number.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, oh, ow)"""
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
