"""Conv1d, Conv2d, Conv3d and the transposed ConvTranspose1d, ConvTranspose2d, ConvTranspose3d."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.creation import empty
from tinygrad_course.ops.pad import pad
from tinygrad_course.ops.unfold import sizes
from tinygrad_course.tensor import Tensor

Size = int | tuple[int, ...]  # one number for all directions, or one for each: (depth, height, width)
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What the six have in common: arguments, parameters, initial values, printing.  AXES is 1, 2 or 3."""

    AXES: int
    transposed = False
    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, padding: Size | str,
                 dilation: Size, output_padding: Size, groups: int, bias: bool, padding_mode: str, device: Any,
                 dtype: Any) -> None:
        super().__init__()
        name, n = type(self).__name__, self.AXES
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        if in_channels % groups != 0:
            raise ValueError(f"in_channels must be divisible by groups, got {in_channels} and {groups}")
        if out_channels % groups != 0:
            raise ValueError(f"out_channels must be divisible by groups, got {out_channels} and {groups}")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = sizes(name, "kernel_size", kernel_size, n, 1)
        self.stride = sizes(name, "stride", stride, n, 1)
        self.dilation = sizes(name, "dilation", dilation, n, 1)
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"Invalid padding string {padding!r}, should be 'valid' or 'same'")
            if padding == "same" and max(self.stride) > 1:
                raise ValueError(f"padding='same' is not supported for strided convolutions, got stride={self.stride}")
            self.padding: tuple[int, ...] | str = padding
        else:
            self.padding = sizes(name, "padding", padding, n, 0)
        self.output_padding = sizes(name, "output_padding", output_padding, n, 0)
        self.groups = groups
        self.padding_mode = padding_mode
        channels = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(empty(*channels, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # gain sqrt(1/3): the bound is 1 / sqrt(fan_in)
        fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
        if self.bias is not None and fan_in > 0:
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        n = self.AXES
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


class _Convolution(_ConvNd):
    """Conv1d, Conv2d and Conv3d."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode,
                         device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> (N, O, ...), or both without N"""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._sides(), self.padding_mode), 0  # type: ignore[assignment]
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.AXES - 1]
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _sides(self) -> list[int]:
        """The padding as ops.pad wants it: before and after, from the last axis backwards."""
        if isinstance(self.padding, str):
            reach = zip(self.dilation, self.kernel_size, strict=True)
            total = [d * (k - 1) if self.padding == "same" else 0 for d, k in reach]
            sides = [(t // 2, t - t // 2) for t in total]
        else:
            sides = [(p, p) for p in self.padding]
        return [side for both in reversed(sides) for side in both]


class Conv1d(_Convolution):
    """Cross-correlation of sequences with learnt filters.  x (N, C, L) or (C, L) -> (N, O, ol) or (O, ol).

    ol = (L + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1.
    weight (O, C/groups, k) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(C/groups * k).
    padding may be "valid" (none) or "same" (ol = L; with stride 1 only).  padding_mode: what is there, see ops.pad.
    """

    AXES = 1


class Conv2d(_Convolution):
    """Cross-correlation of images with learnt filters.  x (N, C, H, W) or (C, H, W) -> (N, O, oh, ow) or (O, oh, ow).

    oh = (H + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1, ow likewise.
    weight (O, C/groups, kh, kw) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(C/groups * kh * kw).
    padding may be "valid" (none) or "same" (oh = H; with stride 1 only).  padding_mode: what is there, see ops.pad.
    """

    AXES = 2


class Conv3d(_Convolution):
    """Cross-correlation of volumes with learnt filters.  x (N, C, D, H, W) or (C, D, H, W) -> (N, O, od, oh, ow).

    od = (D + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1, oh and ow likewise.
    weight (O, C/groups, kd, kh, kw) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(C/groups * kd * kh * kw).
    padding may be "valid" (none) or "same" (od = D; with stride 1 only).  padding_mode: what is there, see ops.pad.
    """

    AXES = 3


class _Transposed(_ConvNd):
    """ConvTranspose1d, ConvTranspose2d and ConvTranspose3d."""

    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
                 output_padding: Size = 0, groups: int = 1, bias: bool = True, dilation: Size = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}, got {padding_mode!r}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                         padding_mode, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, C, ...) -> (N, O, ...), or both without N.  `output_size` picks one of the sizes that the layer's stride
        leaves open (the last axes, or the whole shape); it replaces output_padding."""
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.AXES - 1]
        return convolve(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        name, n, wanted = type(self).__name__, self.AXES, list(output_size)
        if len(wanted) == input.ndim:
            wanted = wanted[-n:]
        if len(wanted) != n:
            raise ShapeError(f"{name}: output_size must have {n} or {input.ndim} numbers for an input of shape "
                             f"{tuple(input.shape)}, got {tuple(output_size)}")
        extra = []
        for axis in range(n):
            size, p = input.shape[axis - n], self.padding[axis]
            least = (size - 1) * self.stride[axis] - 2 * int(p) + self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            most = least + self.stride[axis] - 1
            if not least <= wanted[axis] <= most:
                raise ShapeError(f"{name}: output_size {tuple(output_size)} is not possible: along axis {axis} of {n} an "
                                 f"input of {size} gives {least} to {most}")
            extra.append(wanted[axis] - least)
        return tuple(extra)


class ConvTranspose1d(_Transposed):
    """The adjoint of Conv1d: every value lays the kernel, times itself, into the output.  (N, C, L) -> (N, O, ol).

    ol = (L - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1.
    weight (C, O/groups, k) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(O/groups * k).
    """

    AXES = 1


class ConvTranspose2d(_Transposed):
    """The adjoint of Conv2d: every value lays the kernel, times itself, into the output.  (N, C, H, W) -> (N, O, oh, ow).

    oh = (H - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1, ow likewise.
    weight (C, O/groups, kh, kw) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(O/groups * kh * kw).
    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, arXiv:1603.07285, section 4.
    """

    AXES = 2


class ConvTranspose3d(_Transposed):
    """The adjoint of Conv3d: every value lays the kernel, times itself, into the output.  (N, C, D, H, W) -> (N, O, od, ...).

    od = (D - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1, oh and ow likewise.
    weight (C, O/groups, kd, kh, kw) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(O/groups * kd * kh * kw).
    """

    AXES = 3
