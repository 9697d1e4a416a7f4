"""Wide residual networks WRN-d-k for images of 32 x 32 pixels: few layers with many channels.

S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016, arXiv:1605.07146, table 1; parameters in tables 4 and 5.
d convolutions (the first, three groups of (d - 4) / 6 blocks, three shortcuts) and k times the channels of a ResNet.

    part     output           what
    conv1     16   @ 32 x 32  3 x 3, 16
    layer1    16 k @ 32 x 32  [3 x 3, 16 k; 3 x 3, 16 k] x n
    layer2    32 k @ 16 x 16  [3 x 3, 32 k; 3 x 3, 32 k] x n, first stride 2
    layer3    64 k @  8 x  8  [3 x 3, 64 k; 3 x 3, 64 k] x n, first stride 2
    fc                        norm and ReLU, mean of each map, fully connected

    WRN              40-1        40-2        40-4        16-8        28-10
    parameters    563,930   2,243,546   8,949,210  10,961,370   36,479,194      (for 10 classes)

Norm and ReLU come before each convolution (K. He et al. 2016, arXiv:1603.05027); between the two convolutions of a block is
dropout (section 2.4).  Where the shape changes the shortcut is a 1 x 1 convolution of the normed input.

The wide nets for ImageNet, which have bottlenecks, are in resnet.py.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn.fusion import norm_relu
from tinygrad_course.tensor import Tensor


class WideBlock(nn.Module):
    """The block B(3, 3) (figure 1c and d): (N, in_channels, H, W) -> (N, channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(p=dropout)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        same = in_channels == channels and stride == 1
        self.shortcut = None if same else nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x + F(x); where the shape changes, shortcut(relu(norm(x))) + F(x)"""
        active = norm_relu(self.bn1, x)
        y = self.dropout(norm_relu(self.bn2, self.conv1(active)))
        return self.conv2(y) + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """Scores of the classes for small colour images: (N, 3, H, W) -> (N, num_classes), H and W 32 as a rule.

    depth         convolutions, 6 n + 4
    widen_factor  k, how many times the channels of a ResNet
    dropout       inside the blocks: 0.3 for CIFAR in the paper
    """

    smallest_image = 1

    def __init__(self, depth: int = 28, widen_factor: int = 10, num_classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"WideResNet: depth must be 6 n + 4 (first convolution, three times n blocks of two, three "
                             f"shortcuts): 10, 16, 22, 28, ...; got {depth}")
        if widen_factor < 1:
            raise ValueError(f"WideResNet: widen_factor must be 1 or more, got {widen_factor}")
        n, k = (depth - 4) // 6, widen_factor
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.layer1 = _layer(16, 16 * k, 1, n, dropout)
        self.layer2 = _layer(16 * k, 32 * k, 2, n, dropout)
        self.layer3 = _layer(32 * k, 64 * k, 2, n, dropout)
        self.bn = nn.BatchNorm2d(64 * k)
        self.fc = nn.Linear(64 * k, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """He's, as in the authors' code; norms begin with weight 1 and bias 0 anyway."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.conv1(x)            # (N, 16, H, W)
        x = self.layer1(x)           # (N, 16 k, H, W)
        x = self.layer2(x)           # (N, 32 k, H/2, W/2)
        x = self.layer3(x)           # (N, 64 k, H/4, W/4)
        x = norm_relu(self.bn, x)
        return self.fc(x.mean((2, 3)))


def _layer(in_channels: int, channels: int, stride: int, blocks: int, dropout: float) -> nn.Sequential:
    first = WideBlock(in_channels, channels, stride, dropout)
    return nn.Sequential(first, *(WideBlock(channels, channels, 1, dropout) for _ in range(1, blocks)))


@register_model
def wrn(*, weights: None = None, progress: bool = True, **kwargs: Any) -> WideResNet:
    """Wide residual network, WRN-28-10 unless other `kwargs` are given: `wrn(depth=16, widen_factor=4)`."""
    no_download("wrn", weights, in_torchvision=False)
    return WideResNet(**kwargs)
