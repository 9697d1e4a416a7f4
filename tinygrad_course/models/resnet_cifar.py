"""The residual and the plain nets of 20 to 110 layers for images of 32 x 32 pixels: what shortcuts are good for.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 4.2.
6 n + 2 layers: a 3 x 3 convolution, 3 x 2 n of them in n blocks on each of three sizes of map, and a linear layer.

    part     output         what                                     parameters for n = 3 (20 layers)
    conv1    16 @ 32 x 32   3 x 3, 16                                       464
    layer1   16 @ 32 x 32   [3 x 3, 16; 3 x 3, 16] x n                   14,016
    layer2   32 @ 16 x 16   [3 x 3, 32; 3 x 3, 32] x n, first stride 2   51,072
    layer3   64 @  8 x  8   [3 x 3, 64; 3 x 3, 64] x n, first stride 2  203,520
    linear             10   mean of each map, fully connected               650
                                                                sum     269,722

    layers             20         32         44         56         110
    parameters    269,722    464,154    658,586    853,018   1,727,962      (for 10 classes; table 6 rounds)

Shortcuts are option A: where a block halves the map and doubles the channels, its input is read at every second pixel and
gets channels of zeros.  So they have no parameters, and the plain net without shortcuts has exactly as many.

Deviations:
* The linear layer keeps the initial values of nn.Linear.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.fusion import norm_relu
from tinygrad_course.tensor import Tensor


class CIFARBlock(nn.Module):
    """Two 3 x 3 convolutions, with a shortcut or without: (N, in_channels, H, W) -> (N, channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + x), or relu(F(x)) without shortcut"""
        y = self.conv2(norm_relu(self.bn1, self.conv1(x)))
        if not self.shortcut:
            return norm_relu(self.bn2, y)
        if x.shape != y.shape:
            stride, new_channels = self.conv1.stride[0], y.shape[1] - x.shape[1]
            x = x[:, :, ::stride, ::stride]
            x = F.pad(x, (0, 0, 0, 0, 0, new_channels))  # before and after, from the last axis backwards
        return norm_relu(self.bn2, y, x)


class ResNetCIFAR(nn.Module):
    """Scores of the classes for small colour images: (N, 3, H, W) -> (N, num_classes), H and W 32 as a rule.

    depth      layers with weights, 6 n + 2
    shortcuts  False makes the plain net of the same depth
    """

    smallest_image = 1

    def __init__(self, depth: int = 20, num_classes: int = 10, shortcuts: bool = True) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"ResNetCIFAR: depth must be 6 n + 2 (first convolution, three times n blocks of two, linear "
                             f"layer): 8, 14, 20, 26, ...; got {depth}")
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        n = (depth - 2) // 6
        self.layer1 = _layer(16, 16, 1, n, shortcuts)
        self.layer2 = _layer(16, 32, 2, n, shortcuts)
        self.layer3 = _layer(32, 64, 2, n, shortcuts)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = norm_relu(self.bn1, self.conv1(x))  # (N, 16, H, W)
        x = self.layer1(x)                      # (N, 16, H, W)
        x = self.layer2(x)                      # (N, 32, H/2, W/2)
        x = self.layer3(x)                      # (N, 64, H/4, W/4)
        return self.linear(x.mean((2, 3)))


def _layer(in_channels: int, channels: int, stride: int, blocks: int, shortcuts: bool) -> nn.Sequential:
    first = CIFARBlock(in_channels, channels, stride, shortcuts)
    return nn.Sequential(first, *(CIFARBlock(channels, channels, 1, shortcuts) for _ in range(1, blocks)))


@register_model
def resnet20(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Residual net of 20 layers for 32 x 32 pixels; `kwargs` go to ResNetCIFAR."""
    no_download("resnet20", weights, in_torchvision=False)
    return ResNetCIFAR(20, **kwargs)


@register_model
def resnet32(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Residual net of 32 layers for 32 x 32 pixels."""
    no_download("resnet32", weights, in_torchvision=False)
    return ResNetCIFAR(32, **kwargs)


@register_model
def resnet44(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Residual net of 44 layers for 32 x 32 pixels."""
    no_download("resnet44", weights, in_torchvision=False)
    return ResNetCIFAR(44, **kwargs)


@register_model
def resnet56(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Residual net of 56 layers for 32 x 32 pixels."""
    no_download("resnet56", weights, in_torchvision=False)
    return ResNetCIFAR(56, **kwargs)


@register_model
def resnet110(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Residual net of 110 layers for 32 x 32 pixels."""
    no_download("resnet110", weights, in_torchvision=False)
    return ResNetCIFAR(110, **kwargs)


@register_model
def plain20(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Plain net of 20 layers for 32 x 32 pixels: resnet20 without shortcuts."""
    no_download("plain20", weights, in_torchvision=False)
    return ResNetCIFAR(20, shortcuts=False, **kwargs)


@register_model
def plain32(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Plain net of 32 layers for 32 x 32 pixels."""
    no_download("plain32", weights, in_torchvision=False)
    return ResNetCIFAR(32, shortcuts=False, **kwargs)


@register_model
def plain44(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Plain net of 44 layers for 32 x 32 pixels."""
    no_download("plain44", weights, in_torchvision=False)
    return ResNetCIFAR(44, shortcuts=False, **kwargs)


@register_model
def plain56(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNetCIFAR:
    """Plain net of 56 layers for 32 x 32 pixels."""
    no_download("plain56", weights, in_torchvision=False)
    return ResNetCIFAR(56, shortcuts=False, **kwargs)
