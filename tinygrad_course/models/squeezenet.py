"""SqueezeNet: the accuracy of AlexNet with a fiftieth of its parameters.

F. N. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016,
arXiv:1602.07360, figure 1 and table 1.  A Fire module squeezes its input to few channels by 1 x 1 convolutions, of which
1 x 1 and 3 x 3 convolutions then make the output side by side.

    squeezenet1_0                      output         parameters
    conv1     96 of 7 x 7, stride 2     96 @ 109 x 109    14,208
    maxpool1  3 x 3, stride 2           96 @ 54 x 54
    fire2     16 -> 64 + 64            128 @ 54 x 54      11,920
    fire3     16 -> 64 + 64            128 @ 54 x 54      12,432
    fire4     32 -> 128 + 128          256 @ 54 x 54      45,344
    maxpool4  3 x 3, stride 2          256 @ 27 x 27
    fire5     32 -> 128 + 128          256 @ 27 x 27      49,440
    fire6     48 -> 192 + 192          384 @ 27 x 27     104,880
    fire7     48 -> 192 + 192          384 @ 27 x 27     111,024
    fire8     64 -> 256 + 256          512 @ 27 x 27     188,992
    maxpool8  3 x 3, stride 2          512 @ 13 x 13
    fire9     64 -> 256 + 256          512 @ 13 x 13     197,184
    conv10    1000 of 1 x 1           1000 @ 13 x 13     513,000
    avgpool10                         1000
                                                  sum  1,248,424

squeezenet1_1 (1,235,496 parameters) has a first convolution of 64 filters of 3 x 3 and pools one and two layers earlier,
which takes 2.4 times fewer operations; it is the authors' later version of the code, not in the paper.

Names and arguments are torchvision's, its weights load unchanged.  Deviations from the paper, torchvision's too:
* Images have 224 pixels and conv1 no padding.  The paper's table has 111 x 111 pixels behind conv1 and 55 x 55 behind
  maxpool1.
* Initialisation is He's, N(0, 0.01^2) for conv10.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.ops import cat
from tinygrad_course.tensor import Tensor


class Fire(nn.Module):
    """(N, inplanes, H, W) -> (N, squeeze_planes, H, W) -> (N, expand1x1_planes + expand3x3_planes, H, W)."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Both expansions side by side, those of 1 x 1 first."""
        x = self.squeeze_activation(self.squeeze(x))
        return cat([self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes).

    version: "1_0" for H and W of 21 or more, "1_1" for 17 or more; 224 as a rule.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in ("1_0", "1_1"):
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.smallest_image = 21 if version == "1_0" else 17
        self.num_classes = num_classes
        self.features = _features_1_0() if version == "1_0" else _features_1_1()
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Conv2d(512, num_classes, kernel_size=1),  # conv10: a map per class
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is self.classifier[1]:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.features(x)    # (N, 512, H/16, W/16), or a pixel less
        x = self.classifier(x)  # (N, num_classes, 1, 1)
        return x.flatten(1)


def _features_1_0() -> nn.Sequential:
    """Figure 2 of the paper, left: pooling behind conv1, fire4 and fire8."""
    return nn.Sequential(
        nn.Conv2d(3, 96, kernel_size=7, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(96, 16, 64, 64),
        Fire(128, 16, 64, 64),
        Fire(128, 32, 128, 128),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(256, 32, 128, 128),
        Fire(256, 48, 192, 192),
        Fire(384, 48, 192, 192),
        Fire(384, 64, 256, 256),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(512, 64, 256, 256),
    )


def _features_1_1() -> nn.Sequential:
    """Pooling behind conv1, fire3 and fire5."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(64, 16, 64, 64),
        Fire(128, 16, 64, 64),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(128, 32, 128, 128),
        Fire(256, 32, 128, 128),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(256, 48, 192, 192),
        Fire(384, 48, 192, 192),
        Fire(384, 64, 256, 256),
        Fire(512, 64, 256, 256),
    )


@register_model
def squeezenet1_0(*, weights: None = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet of the paper; `kwargs` go to SqueezeNet.  Weights: none are downloaded, see registry.no_download."""
    no_download("squeezenet1_0", weights)
    return SqueezeNet("1_0", **kwargs)


@register_model
def squeezenet1_1(*, weights: None = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1, which takes 2.4 times fewer operations."""
    no_download("squeezenet1_1", weights)
    return SqueezeNet("1_1", **kwargs)
