"""What several networks are made of."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_course import nn


class Conv2dNormActivation(nn.Sequential):
    """Convolution, norm and activation: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride).

    padding None: as much as keeps the size, divided by the stride.  bias None: only without norm.  norm_layer and
    activation_layer None: without.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, padding: int | None = None,
                 groups: int = 1, norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
                 activation_layer: Callable[..., nn.Module] | None = nn.ReLU, dilation: int = 1,
                 inplace: bool | None = True, bias: bool | None = None) -> None:
        if padding is None:
            padding = (kernel_size - 1) // 2 * dilation
        if bias is None:
            bias = norm_layer is None
        layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer() if inplace is None else activation_layer(inplace=inplace))
        super().__init__(*layers)
        self.out_channels = out_channels


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` next to `channels`, at least `divisor`, and at most 10 % smaller than `channels`."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
