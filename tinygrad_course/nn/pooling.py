"""Pooling as modules: MaxPool, AvgPool, AdaptiveAvgPool, AdaptiveMaxPool, each over 1, 2 or 3 axes."""

from __future__ import annotations

from typing import Any

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor

Size = int | tuple[int, ...]
OutputSize = int | None | tuple[int | None, ...]


class _MaxPool(Module):
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _pooled(self, pool: Any, input: Tensor) -> Any:
        return pool(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPool):
    """Largest value of each window.  x (N, C, L) -> (N, C, L'), or the same without N.  stride=None: kernel_size.

    return_indices=True returns the positions of the maxima as well: l in each input plane."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, L) -> (N, C, L'), or the pair (values, indices)"""
        return self._pooled(F.max_pool1d, input)


class MaxPool2d(_MaxPool):
    """Largest value of each window.  x (N, C, H, W) -> (N, C, oh, ow), or the same without N.  stride=None: kernel_size.

    return_indices=True returns the positions of the maxima as well: h W + w in each input plane."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) -> (N, C, oh, ow), or the pair (values, indices)"""
        return self._pooled(F.max_pool2d, input)


class MaxPool3d(_MaxPool):
    """Largest value of each window.  x (N, C, D, H, W) -> (N, C, od, oh, ow), or without N.  stride=None: kernel_size.

    return_indices=True returns the positions of the maxima as well: (d H + h) W + w."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, D, H, W) -> (N, C, od, oh, ow), or the pair (values, indices)"""
        return self._pooled(F.max_pool3d, input)


class AvgPool1d(Module):
    """Mean of each window.  x (N, C, L) -> (N, C, L'), or the same without N.  stride=None means kernel_size.

    count_include_pad=False divides by the number of real values in the window."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = [
            (size,) if isinstance(size, int) else size
            for size in (kernel_size, stride if stride is not None else kernel_size, padding)]
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, C, L')"""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _pooled(self, pool: Any, input: Tensor) -> Any:
        return pool(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                    self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """Mean of each window.  x (N, C, H, W) -> (N, C, oh, ow), or the same without N.  stride=None means kernel_size.

    count_include_pad=False divides by the number of real values in the window; divisor_override by a given number."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, oh, ow)"""
        return self._pooled(F.avg_pool2d, input)


class AvgPool3d(_AvgPool):
    """Mean of each window.  x (N, C, D, H, W) -> (N, C, od, oh, ow), or without N.  stride=None means kernel_size.

    count_include_pad=False divides by the number of real values in the window; divisor_override by a given number."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) -> (N, C, od, oh, ow)"""
        return self._pooled(F.avg_pool3d, input)


class _AdaptivePool(Module):
    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means over output_size nearly equal parts.  x (N, C, L), or the same without N."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, C, L')"""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means over output_size nearly equal parts.  x (N, C, H, W), or without N.  None keeps an axis as it is."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, oh, ow)"""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means over output_size nearly equal parts.  x (N, C, D, H, W), or without N.  None keeps an axis."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, D, H, W) -> (N, C, od, oh, ow)"""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima over output_size nearly equal parts, with return_indices also where.  x (N, C, L), or without N."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, L) -> (N, C, L'), or the pair (values, indices)"""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima over output_size nearly equal parts, with return_indices also where they were.  x (N, C, H, W), or without N."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) -> (N, C, oh, ow), or the pair (values, indices)"""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima over output_size nearly equal parts, with return_indices also where.  x (N, C, D, H, W), or without N."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, D, H, W) -> (N, C, od, oh, ow), or the pair (values, indices)"""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
