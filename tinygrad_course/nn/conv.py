"""Conv2d."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.conv import pair
from tinygrad_course.ops.creation import empty
from tinygrad_course.tensor import Tensor

Size = int | tuple[int, int]  # one number for both directions, or (height, width)


class Conv2d(Module):
    """Cross-correlation of images with learnt filters.  x (N, C, H, W) or (C, H, W) -> (N, O, oh, ow) or (O, oh, ow).

    oh = (H + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1, ow likewise.
    weight (O, C/groups, kh, kw) and bias (O,) are drawn from U(-b, b), b = 1 / sqrt(C/groups * kh * kw).
    padding may be "valid" (none) or "same" (oh = H; with stride 1 only).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        if in_channels % groups != 0:
            raise ValueError(f"in_channels must be divisible by groups, got {in_channels} and {groups}")
        if out_channels % groups != 0:
            raise ValueError(f"out_channels must be divisible by groups, got {out_channels} and {groups}")
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode={padding_mode!r} is not supported: 'zeros' is the only mode")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"Invalid padding string {padding!r}, should be 'valid' or 'same'")
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"padding='same' is not supported for strided convolutions, got stride={self.stride}")
            self.padding: tuple[int, int] | str = padding
        else:
            self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = groups
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(*shape, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # gain sqrt(1/3): the bound is 1 / sqrt(fan_in)
        fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
        if self.bias is not None and fan_in > 0:
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, oh, ow)"""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
