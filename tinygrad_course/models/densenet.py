"""DenseNet: every layer of a block sees the maps of all layers before it.

G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017,
arXiv:1608.06993, table 1 and equation 2.  Layer l of a block computes k new maps from the l - 1 it finds, by way of 4 k maps
(a bottleneck, "B"); a transition between blocks halves the number of maps ("C") and their size.

    part          output       121          161          169          201
    conv0         112 x 112    7 x 7, 2 k filters (161: 96), stride 2
    pool0          56 x 56     3 x 3 max pooling, stride 2
    denseblock1    56 x 56     [1x1; 3x3] x 6 in all
    transition1    28 x 28     1 x 1 convolution to half the maps, 2 x 2 average pooling
    denseblock2    28 x 28     [1x1; 3x3] x 12 in all
    transition2    14 x 14     as before
    denseblock3    14 x 14     x 24         x 36         x 32         x 48
    transition3     7 x 7      as before
    denseblock4     7 x 7      x 16         x 24         x 32         x 32
    classifier                 mean of each map, fully connected to 1000 classes
    growth rate k              32           48           32           32
    parameters                 7,978,856    28,681,000   14,149,480   20,013,928

DenseNetCIFAR is the DenseNet-BC of section 3 ("Implementation details") for images of 32 x 32 pixels: a 3 x 3 convolution
to 2 k maps, three blocks of (depth - 4) / 6 layers on 32 x 32, 16 x 16 and 8 x 8 pixels.  Parameters for 10 classes
(table 2): depth 100, k = 12: 769,162; depth 250, k = 24: 15,324,406; depth 190, k = 40: 25,624,430.

Names and arguments of DenseNet are torchvision's, its weights load unchanged.  Deviations from the paper, torchvision's too:
* Averages over the last maps instead of 7 x 7 pixels, so that images of any size from 29 x 29 can be classified.
* 161 is of the authors' code, not in the table.
* memory_efficient: see below.

memory_efficient=True (G. Pleiss et al. 2017, arXiv:1707.06990) keeps neither the joined maps nor their batch norm, which
take memory that grows with the square of the depth, but computes them again in backward.  The running averages of the batch
norms in these parts then move twice for each batch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.fusion import norm_relu
from tinygrad_course.nn.module import LoadResult
from tinygrad_course.ops import cat
from tinygrad_course.tensor import Tensor
from tinygrad_course.utils.checkpoint import checkpoint

_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])(?=\.)")


class _DenseLayer(nn.Module):
    """growth_rate new maps from all maps so far: norm, ReLU, 1 x 1 convolution; norm, ReLU, 3 x 3 convolution."""

    def __init__(self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float,
                 memory_efficient: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def _bottleneck(self, *features: Tensor) -> Tensor:
        joined = cat(features, 1)  # (N, C, H, W)
        return self.conv1(norm_relu(self.norm1, joined, activation=self.relu1))

    def forward(self, input: Tensor | Sequence[Tensor]) -> Tensor:
        """(N, C, H, W), or a list of maps with C in all -> (N, growth_rate, H, W)"""
        features = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any(feature.requires_grad for feature in features):
            narrow = checkpoint(self._bottleneck, *features, use_reentrant=False)
        else:
            narrow = self._bottleneck(*features)                                  # (N, bn_size growth_rate, H, W)
        new = self.conv2(norm_relu(self.norm2, narrow, activation=self.relu2))    # (N, growth_rate, H, W)
        return F.dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class _DenseBlock(nn.ModuleDict):
    """(N, C, H, W) -> (N, C + num_layers growth_rate, H, W)."""

    def __init__(self, num_layers: int, num_input_features: int, bn_size: int, growth_rate: int, drop_rate: float,
                 memory_efficient: bool = False) -> None:
        super().__init__()
        for index in range(num_layers):
            self[f"denselayer{index + 1}"] = _DenseLayer(num_input_features + index * growth_rate, growth_rate, bn_size,
                                                         drop_rate, memory_efficient)

    def forward(self, init_features: Tensor) -> Tensor:
        """All maps side by side: the given ones, then those of each layer."""
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)


class _Transition(nn.Sequential):
    """(N, num_input_features, H, W) -> (N, num_output_features, H/2, W/2)."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 29 or more, 224 as a rule.

    growth_rate        new maps of each layer, k
    block_config       layers of each block
    num_init_features  maps of the first convolution
    bn_size            maps of the bottleneck, in units of growth_rate
    drop_rate          dropout behind each layer
    memory_efficient   keep less for backward and compute more there
    """

    smallest_image = 29

    def __init__(self, growth_rate: int = 32, block_config: Sequence[int] = (6, 12, 24, 16), num_init_features: int = 64,
                 bn_size: int = 4, drop_rate: float = 0, num_classes: int = 1000, memory_efficient: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential({
            "conv0": nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False),
            "norm0": nn.BatchNorm2d(num_init_features),
            "relu0": nn.ReLU(inplace=True),
            "pool0": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        })
        channels = _add_blocks(self.features, num_init_features, block_config, growth_rate, bn_size, drop_rate,
                               memory_efficient)
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        _initialise(self)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> LoadResult:
        """As of every module; also under the names norm.1, conv.1, norm.2 and conv.2 that torchvision's files have."""
        if isinstance(state_dict, Mapping) and any(map(_OLD_NAME.search, state_dict)):
            state_dict = {_OLD_NAME.sub(r"\1\2", key): value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, strict, assign)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = F.relu(self.features(x))           # (N, C, H/32, W/32)
        x = F.adaptive_avg_pool2d(x, (1, 1))   # (N, C, 1, 1)
        return self.classifier(x.flatten(1))


class DenseNetCIFAR(nn.Module):
    """DenseNet-BC for small colour images: (N, 3, H, W) -> (N, num_classes), H and W 4 or more, 32 as a rule."""

    smallest_image = 4

    def __init__(self, depth: int = 100, growth_rate: int = 12, num_classes: int = 10, drop_rate: float = 0,
                 memory_efficient: bool = False) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"DenseNetCIFAR: depth must be 6 n + 4 (three blocks of n layers with two convolutions each; "
                             f"first convolution, two transitions, classifier): 10, 16, ..., 100; got {depth}")
        self.features = nn.Sequential({"conv0": nn.Conv2d(3, 2 * growth_rate, kernel_size=3, padding=1, bias=False)})
        channels = _add_blocks(self.features, 2 * growth_rate, [(depth - 4) // 6] * 3, growth_rate, 4, drop_rate,
                               memory_efficient)
        self.features.add_module("norm4", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        _initialise(self)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = F.relu(self.features(x))           # (N, C, H/4, W/4)
        x = F.adaptive_avg_pool2d(x, (1, 1))   # (N, C, 1, 1)
        return self.classifier(x.flatten(1))


def _add_blocks(features: nn.Sequential, channels: int, block_config: Sequence[int], growth_rate: int, bn_size: int,
                drop_rate: float, memory_efficient: bool) -> int:
    """Append dense blocks, with transitions between them; returns the number of maps behind the last."""
    for number, layers in enumerate(block_config, start=1):
        block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate, memory_efficient)
        features.add_module(f"denseblock{number}", block)
        channels += layers * growth_rate
        if number < len(block_config):
            features.add_module(f"transition{number}", _Transition(channels, channels // 2))
            channels //= 2
    return channels


def _initialise(model: nn.Module) -> None:
    """Norms need nothing: they begin with weight 1 and bias 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


@register_model
def densenet121(*, weights: None = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121; `kwargs` go to DenseNet.  Weights: none are downloaded, see registry.no_download."""
    no_download("densenet121", weights)
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@register_model
def densenet161(*, weights: None = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-161."""
    no_download("densenet161", weights)
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@register_model
def densenet169(*, weights: None = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-169."""
    no_download("densenet169", weights)
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@register_model
def densenet201(*, weights: None = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-201."""
    no_download("densenet201", weights)
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)


@register_model
def densenet_cifar(*, weights: None = None, progress: bool = True, **kwargs: Any) -> DenseNetCIFAR:
    """DenseNet-BC for 32 x 32 pixels, 100 layers and k = 12 unless other `kwargs` are given."""
    no_download("densenet_cifar", weights, in_torchvision=False)
    return DenseNetCIFAR(**kwargs)
