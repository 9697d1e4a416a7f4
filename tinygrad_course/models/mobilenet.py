"""MobileNet (v1): convolutions taken apart into one per channel and one across channels.

A. G. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
arXiv:1704.04861, table 1 and equations 2 to 7.  A k x k convolution of C to O channels takes k^2 C O multiplications per
pixel; a depthwise one (a k x k filter for each channel) and a pointwise one (1 x 1) behind it take k^2 C + C O.

    part         what                                          output         parameters
    features.0   3 x 3, 32, stride 2                            32 @ 112 x 112        928
    features.1   3 x 3 depthwise,          1 x 1,   64          64 @ 112 x 112      2,528
    features.2   3 x 3 depthwise stride 2, 1 x 1,  128         128 @ 56 x 56        9,152
    features.3   3 x 3 depthwise,          1 x 1,  128         128 @ 56 x 56       18,048
    features.4   3 x 3 depthwise stride 2, 1 x 1,  256         256 @ 28 x 28       34,688
    features.5   3 x 3 depthwise,          1 x 1,  256         256 @ 28 x 28       68,864
    features.6   3 x 3 depthwise stride 2, 1 x 1,  512         512 @ 14 x 14      134,912
    features.7   3 x 3 depthwise,          1 x 1,  512         512 @ 14 x 14    1,344,000   (five times: features.7 to 11)
    features.12  3 x 3 depthwise stride 2, 1 x 1, 1024        1024 @ 7 x 7        531,968
    features.13  3 x 3 depthwise,          1 x 1, 1024        1024 @ 7 x 7      1,061,888
    avgpool                                                   1024
    classifier                                                1000              1,025,000
                                                                          sum   4,231,976

    width multiplier (table 6)            1.0        0.75         0.5        0.25
    parameters                      4,231,976   2,585,560   1,331,592     470,072
    multiplications and additions       569 M       325 M       149 M        41 M

Deviations:
* The last depthwise convolution has stride 1 and keeps 7 x 7 pixels; the paper's table says stride 2 and 7 x 7.
* torchvision has no such network; parts are named as in its MobileNetV2, and initialised as there.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.blocks import Conv2dNormActivation
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

# Channels and stride of the 13 separable convolutions.
LAYERS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


class DepthwiseSeparable(nn.Module):
    """A 3 x 3 filter per channel, then a 1 x 1 convolution (figure 3, right): (N, C, H, W) -> (N, O, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = Conv2dNormActivation(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pointwise = Conv2dNormActivation(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/stride, W/stride) -> (N, O, H/stride, W/stride)"""
        return self.pointwise(self.depthwise(x))


class MobileNetV1(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 224 as a rule.

    width_mult       alpha of section 3.3: every layer has alpha times the channels, rounded down, but 8 at least
    resolution_mult  rho of section 3.4: images are scaled to rho H x rho W pixels first, by bilinear interpolation
    dropout          before the classifier
    """

    smallest_image = 1

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, resolution_mult: float = 1.0,
                 dropout: float = 0.0) -> None:
        super().__init__()
        if width_mult <= 0 or not 0 < resolution_mult <= 1:
            raise ValueError(f"MobileNetV1: width_mult must be positive and resolution_mult in (0, 1], got {width_mult} and "
                             f"{resolution_mult}")
        self.resolution_mult = resolution_mult
        channels = max(8, int(32 * width_mult))
        layers: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2)]
        for wide, stride in LAYERS:
            width = max(8, int(wide * width_mult))
            layers.append(DepthwiseSeparable(channels, width, stride))
            channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(channels, num_classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        nn.init.normal_(self.classifier[1].weight, 0, 0.01)
        nn.init.zeros_(self.classifier[1].bias)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        if self.resolution_mult != 1:
            height, width = (max(1, round(size * self.resolution_mult)) for size in x.shape[2:])
            x = F.interpolate(x, (height, width), mode="bilinear", antialias=True)
        x = self.features(x)      # (N, C, H/32, W/32)
        x = self.avgpool(x)       # (N, C, 1, 1)
        return self.classifier(x.flatten(1))


@register_model
def mobilenet_v1(*, weights: None = None, progress: bool = True, **kwargs: Any) -> MobileNetV1:
    """MobileNet; `kwargs` go to MobileNetV1: `mobilenet_v1(width_mult=0.5)`."""
    no_download("mobilenet_v1", weights, in_torchvision=False)
    return MobileNetV1(**kwargs)
