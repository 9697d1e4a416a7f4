"""MobileNetV2: residual blocks that are thin where the shortcut is and wide inside.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv:1801.04381, table 2.  t is the expansion, c the channels, n the blocks, s the stride of the first of them.

    part            output        what                t     c     n   s
    features.0      112 x 112     3 x 3                     32    1   2
    features.1      112 x 112     inverted residual   1     16    1   1
    features.2-3     56 x 56      inverted residual   6     24    2   2
    features.4-6     28 x 28      inverted residual   6     32    3   2
    features.7-10    14 x 14      inverted residual   6     64    4   2
    features.11-13   14 x 14      inverted residual   6     96    3   1
    features.14-16    7 x 7       inverted residual   6    160    3   2
    features.17       7 x 7       inverted residual   6    320    1   1
    features.18       7 x 7       1 x 1                   1280    1   1
    classifier                    mean of each map, fully connected to 1000 classes
    parameters      3,504,872

Names and arguments are torchvision's, its weights load unchanged.  Deviations from the paper, torchvision's too:
* Dropout before the classifier.
* Channels are rounded to multiples of 8 under other width multipliers, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.blocks import Conv2dNormActivation, make_divisible
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

NormLayer = Callable[[int], nn.Module]
SETTING = [  # t, c, n, s
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


class InvertedResidual(nn.Module):
    """1 x 1 to `expand_ratio` times the channels, 3 x 3 per channel, 1 x 1 back without activation (figure 3b).

    (N, inp, H, W) -> (N, oup, H/stride, W/stride), with a shortcut where the shapes are equal.
    """

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: NormLayer | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, 1, norm_layer=norm_layer, activation_layer=nn.ReLU6))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, norm_layer=norm_layer,
                                 activation_layer=nn.ReLU6),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm_layer(oup),
        ]
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        """F(x), or x + F(x) where the shapes are equal"""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 224 as a rule.

    width_mult                 every layer has that many times the channels
    inverted_residual_setting  rows (t, c, n, s) in place of those of the table above
    round_nearest              channels are a multiple of this
    block, norm_layer          in place of InvertedResidual and nn.BatchNorm2d
    """

    smallest_image = 1

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0,
                 inverted_residual_setting: Sequence[Sequence[int]] | None = None, round_nearest: int = 8,
                 block: Callable[..., nn.Module] | None = None, norm_layer: NormLayer | None = None,
                 dropout: float = 0.2) -> None:
        super().__init__()
        block = block or InvertedResidual
        norm_layer = norm_layer or nn.BatchNorm2d
        setting = SETTING if inverted_residual_setting is None else inverted_residual_setting
        if not setting or any(len(row) != 4 for row in setting):
            raise ValueError(f"inverted_residual_setting should be a list of rows (t, c, n, s), got {setting}")
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, norm_layer=norm_layer,
                                                          activation_layer=nn.ReLU6)]
        for expansion, wide, repeats, first_stride in setting:
            width = make_divisible(wide * width_mult, round_nearest)
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                features.append(block(channels, width, stride, expand_ratio=expansion, norm_layer=norm_layer))
                channels = width
        features.append(Conv2dNormActivation(channels, self.last_channel, 1, norm_layer=norm_layer,
                                             activation_layer=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        self._initialise()

    def _initialise(self) -> None:
        """Norms need nothing: they begin with weight 1 and bias 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.features(x)                   # (N, last_channel, H/32, W/32)
        x = F.adaptive_avg_pool2d(x, (1, 1))   # (N, last_channel, 1, 1)
        return self.classifier(x.flatten(1))


@register_model
def mobilenet_v2(*, weights: None = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2; `kwargs` go to MobileNetV2.  Weights: none are downloaded, see registry.no_download."""
    no_download("mobilenet_v2", weights)
    return MobileNetV2(**kwargs)
