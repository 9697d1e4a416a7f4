"""MaxUnpool, FractionalMaxPool and LPPool as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor

Size = int | tuple[int, ...]
Ratio = float | tuple[float, ...]


def _each(value: Any, count: int) -> tuple[Any, ...]:
    """One value for each of `count` axes."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


class _MaxUnpool(Module):
    AXES: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size = _each(kernel_size, self.AXES)
        self.stride = _each(kernel_size if stride is None else stride, self.AXES)
        self.padding = _each(padding, self.AXES)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The pooled values and their places -> the unpooled image"""
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.AXES - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts the maxima of MaxPool1d(..., return_indices=True) back to their places; all else is 0.  (N, C, L') -> (N, C, L).

    output_size tells which of the sizes that give the same L' is meant.  Zeiler et al. 2011, deconvolutional networks."""

    AXES = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts the maxima of MaxPool2d(..., return_indices=True) back to their places; see MaxUnpool1d."""

    AXES = 2


class MaxUnpool3d(_MaxUnpool):
    """Puts the maxima of MaxPool3d(..., return_indices=True) back to their places; see MaxUnpool1d."""

    AXES = 3


class _FractionalMaxPool(Module):
    AXES: int
    _random_samples: Tensor | None

    def __init__(self, kernel_size: Size, output_size: Size | None = None, output_ratio: Ratio | None = None,
                 return_indices: bool = False, _random_samples: Tensor | None = None) -> None:
        super().__init__()
        name = self._get_name()
        if min(_each(kernel_size, self.AXES)) <= 0:
            raise ValueError(f"{name}: kernel_size must be greater than 0, but got {kernel_size}")
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size, or an output_ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError(f"{name}: only one of output_size and output_ratio may be specified")
        self.kernel_size = _each(kernel_size, self.AXES)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _each(output_size, self.AXES)
        self.output_ratio = None if output_ratio is None else _each(output_ratio, self.AXES)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"{name}: output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """The maxima, or the pair (maxima, places)"""
        pool = F.fractional_max_pool2d if self.AXES == 2 else F.fractional_max_pool3d
        return pool(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
                    _random_samples=self._random_samples)


class FractionalMaxPool2d(_FractionalMaxPool):
    """Maxima over windows whose places are drawn, so that any output size is possible.  (N, C, H, W) -> (N, C, oh, ow).

    Give output_size, or output_ratio between 0 and 1.  Graham 2014, arXiv:1412.6071."""

    AXES = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Maxima over windows whose places are drawn.  (N, C, D, H, W) -> (N, C, od, oh, ow); see FractionalMaxPool2d."""

    AXES = 3


class _LPPool(Module):
    AXES: int

    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The norms"""
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.AXES - 1]
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"ceil_mode={self.ceil_mode}")


class LPPool1d(_LPPool):
    """(sum of x^p)^(1/p) over each window, p = norm_type: 1 is the sum, infinity the maximum.  (N, C, L) -> (N, C, L')."""

    AXES = 1


class LPPool2d(_LPPool):
    """(sum of x^p)^(1/p) over each window, p = norm_type.  (N, C, H, W) -> (N, C, oh, ow)."""

    AXES = 2


class LPPool3d(_LPPool):
    """(sum of x^p)^(1/p) over each window, p = norm_type.  (N, C, D, H, W) -> (N, C, od, oh, ow)."""

    AXES = 3
