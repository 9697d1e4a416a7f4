"""Network in network: 1 x 1 convolutions behind each convolution, and the mean of a map per class instead of linear layers.

M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014, arXiv:1312.4400, figure 2 and equation 2: a filter is a small
network (multilayer perceptron, "mlpconv") that slides over the image.  Sizes are those of the authors' published nets.

    NIN        output          what                                          parameters
    block1      96 @ 54 x 54   11 x 11, 96, stride 4;  1 x 1, 96;  1 x 1, 96     53,568
    pool1       96 @ 27 x 27   3 x 3 maximum, stride 2
    block2     256 @ 27 x 27   5 x 5, 256;  1 x 1, 256;  1 x 1, 256             746,240
    pool2      256 @ 13 x 13   3 x 3 maximum, stride 2
    block3     384 @ 13 x 13   3 x 3, 384;  1 x 1, 384;  1 x 1, 384           1,180,800
    pool3      384 @  6 x  6   3 x 3 maximum, stride 2; dropout
    block4    1000 @  6 x  6   3 x 3, 1024; 1 x 1, 1024; 1 x 1, 1000          5,614,568
    avgpool   1000             mean of each map
                                                                      sum     7,595,176

    NINCIFAR   output          what                                          parameters
    block1      96 @ 32 x 32   5 x 5, 192;  1 x 1, 160;  1 x 1, 96               60,928
    pool1       96 @ 16 x 16   3 x 3 maximum, stride 2; dropout
    block2     192 @ 16 x 16   5 x 5, 192;  1 x 1, 192;  1 x 1, 192             535,104
    pool2      192 @  8 x  8   3 x 3 average, stride 2; dropout
    block3      10 @  8 x  8   3 x 3, 192;  1 x 1, 192;  1 x 1, 10              370,954
    avgpool     10             mean of each map
                                                                      sum       966,986

Deviations:
* Initialisation is He's.  The authors draw from normal distributions with a deviation of 0.01 to 0.05, by layer.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.tensor import Tensor


class MLPConv(nn.Sequential):
    """A convolution and two of 1 x 1, a ReLU behind each (equation 2): (N, in_channels, H, W) -> (N, channels[2], ...).

    channels: of the three.  `kwargs` go to the first nn.Conv2d.
    """

    def __init__(self, in_channels: int, channels: tuple[int, int, int], kernel_size: int, **kwargs: Any) -> None:
        first, second, third = channels
        super().__init__(
            nn.Conv2d(in_channels, first, kernel_size, **kwargs),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, kernel_size=1),
            nn.ReLU(inplace=True),
        )


class NIN(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 39 or more, 224 as a rule."""

    smallest_image = 39

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.block1 = MLPConv(3, (96, 96, 96), kernel_size=11, stride=4)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.block2 = MLPConv(96, (256, 256, 256), kernel_size=5, padding=2)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.block3 = MLPConv(256, (384, 384, 384), kernel_size=3, padding=1)
        self.pool3 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.dropout = nn.Dropout(p=dropout)
        self.block4 = MLPConv(384, (1024, 1024, num_classes), kernel_size=3, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        _initialise(self)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.pool1(self.block1(x))    # (N, 96, 27, 27)  for 224 x 224 pixels
        x = self.pool2(self.block2(x))    # (N, 256, 13, 13)
        x = self.pool3(self.block3(x))    # (N, 384, 6, 6)
        x = self.block4(self.dropout(x))  # (N, num_classes, 6, 6)
        return self.avgpool(x).flatten(1)


class NINCIFAR(nn.Module):
    """Scores of the classes for small colour images: (N, 3, H, W) -> (N, num_classes), H and W 4 or more, 32 as a rule."""

    smallest_image = 4

    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.block1 = MLPConv(3, (192, 160, 96), kernel_size=5, padding=2)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.dropout1 = nn.Dropout(p=dropout)
        self.block2 = MLPConv(96, (192, 192, 192), kernel_size=5, padding=2)
        self.pool2 = nn.AvgPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.dropout2 = nn.Dropout(p=dropout)
        self.block3 = MLPConv(192, (192, 192, num_classes), kernel_size=3, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        _initialise(self)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.dropout1(self.pool1(self.block1(x)))  # (N, 96, H/2, W/2)
        x = self.dropout2(self.pool2(self.block2(x)))  # (N, 192, H/4, W/4)
        x = self.block3(x)                             # (N, num_classes, H/4, W/4)
        return self.avgpool(x).flatten(1)


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@register_model
def nin(*, weights: None = None, progress: bool = True, **kwargs: Any) -> NIN:
    """Network in network for ImageNet; `kwargs` go to NIN."""
    no_download("nin", weights, in_torchvision=False)
    return NIN(**kwargs)


@register_model
def nin_cifar(*, weights: None = None, progress: bool = True, **kwargs: Any) -> NINCIFAR:
    """Network in network for 32 x 32 pixels; `kwargs` go to NINCIFAR."""
    no_download("nin_cifar", weights, in_torchvision=False)
    return NINCIFAR(**kwargs)
