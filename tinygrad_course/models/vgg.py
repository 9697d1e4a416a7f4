"""VGG: nothing but 3 x 3 convolutions, 8 to 16 of them, and three fully connected layers.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv:1409.1556, table 1 (configurations A, B, D and E) and table 2 (parameters).

    output     vgg11 (A)      vgg13 (B)      vgg16 (D)      vgg19 (E)
    224 x 224   64             64  64         64  64         64  64
    112 x 112  128            128 128        128 128        128 128
     56 x 56   256 256        256 256        256 256 256    256 256 256 256
     28 x 28   512 512        512 512        512 512 512    512 512 512 512
     14 x 14   512 512        512 512        512 512 512    512 512 512 512
      7 x 7    (each row ends with 2 x 2 max pooling)
    classifier 512*7*7 -> 4096 -> 4096 -> 1000
    parameters 132,863,336    133,047,848    138,357,544    143,667,240
    _bn        132,868,840    133,053,736    138,365,992    143,678,248

Names and arguments are torchvision's, its weights load unchanged.  Deviations from the paper, all torchvision's too:
* The _bn forms have a batch norm behind each convolution; batch norm came a year later.
* Maps are averaged to 7 x 7 before the classifier, so that images of any size from 32 x 32 can be classified.  In the
  paper the fully connected layers become convolutions for that (section 3.2).
* Initialisation is He's, at once.  In the paper the first layers of the deep nets are those of a trained net A.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.tensor import Tensor

# Channels of the convolutions; M: max pooling.
cfgs: dict[str, list[int | str]] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "D": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    "E": [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M"],
}


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part from a list of channels and "M": (N, 3, H, W) -> (N, 512, H/32, W/32)."""
    layers: list[nn.Module] = []
    channels = 3
    for entry in cfg:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, entry, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(entry))
        layers.append(nn.ReLU(inplace=True))
        channels = entry
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 32 or more.

    features: what make_layers returns.  init_weights=False leaves the values that the layers begin with.
    """

    smallest_image = 32

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.features(x)      # (N, 512, H/32, W/32)
        x = self.avgpool(x)       # (N, 512, 7, 7)
        x = x.flatten(1)          # (N, 25088)
        return self.classifier(x)


def _vgg(name: str, cfg: str, batch_norm: bool, weights: None, **kwargs: Any) -> VGG:
    no_download(name, weights)
    return VGG(make_layers(cfgs[cfg], batch_norm), **kwargs)


@register_model
def vgg11(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 (configuration A); `kwargs` go to VGG.  Weights: none are downloaded, see registry.no_download."""
    return _vgg("vgg11", "A", False, weights, **kwargs)


@register_model
def vgg11_bn(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch norm."""
    return _vgg("vgg11_bn", "A", True, weights, **kwargs)


@register_model
def vgg13(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 (configuration B)."""
    return _vgg("vgg13", "B", False, weights, **kwargs)


@register_model
def vgg13_bn(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch norm."""
    return _vgg("vgg13_bn", "B", True, weights, **kwargs)


@register_model
def vgg16(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 (configuration D)."""
    return _vgg("vgg16", "D", False, weights, **kwargs)


@register_model
def vgg16_bn(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch norm."""
    return _vgg("vgg16_bn", "D", True, weights, **kwargs)


@register_model
def vgg19(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 (configuration E)."""
    return _vgg("vgg19", "E", False, weights, **kwargs)


@register_model
def vgg19_bn(*, weights: None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch norm."""
    return _vgg("vgg19_bn", "E", True, weights, **kwargs)
