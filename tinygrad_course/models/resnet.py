"""ResNet, residual networks of 18 to 152 layers, and its relatives ResNeXt and Wide ResNet.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, table 1 and
figure 5.  Layers learn a residual: y = relu(F(x) + x) (equation 1).  Where F changes the shape, x goes through a 1 x 1
convolution (equation 2; option B of section 4.1).

    part    output     18            34            50                  101   152
    conv1   112 x 112  7 x 7, 64, stride 2
    layer1   56 x 56   3 x 3 max pooling, stride 2, then
                       [3x3, 64 ]    [3x3, 64 ]    [1x1, 64;   3x3, 64;   1x1, 256 ]
                       [3x3, 64 ]x2  [3x3, 64 ]x3                       x3    x3    x3
    layer2   28 x 28   [3x3, 128]    [3x3, 128]    [1x1, 128;  3x3, 128;  1x1, 512 ]
                       [3x3, 128]x2  [3x3, 128]x4                       x4    x4    x8
    layer3   14 x 14   [3x3, 256]    [3x3, 256]    [1x1, 256;  3x3, 256;  1x1, 1024]
                       [3x3, 256]x2  [3x3, 256]x6                       x6    x23   x36
    layer4    7 x 7    [3x3, 512]    [3x3, 512]    [1x1, 512;  3x3, 512;  1x1, 2048]
                       [3x3, 512]x2  [3x3, 512]x3                       x3    x3    x3
    fc                 mean of each map, fully connected to 1000 classes

    parameters         resnet18   11,689,512     resnext50_32x4d    25,028,904
                       resnet34   21,797,672     resnext101_32x8d   88,791,336
                       resnet50   25,557,032     resnext101_64x4d   83,455,272
                       resnet101  44,549,160     wide_resnet50_2    68,883,240
                       resnet152  60,192,808     wide_resnet101_2  126,886,696

ResNeXt: S. Xie et al. 2017, arXiv:1611.05431; the 3 x 3 convolution has `groups` groups of `width_per_group` channels.
Wide ResNet: S. Zagoruyko, N. Komodakis 2016, arXiv:1605.07146; the 3 x 3 convolution has twice the channels.

Names and arguments are torchvision's, its weights load unchanged.  Deviations from the paper, all torchvision's too:
* In a bottleneck the 3 x 3 convolution has the stride.  In the paper it is the first 1 x 1 convolution, which then skips
  three quarters of its input.
* Convolutions have no bias, since the batch norm behind each has one.
* Convolutions are initialised by fan_out, for the variance of gradients; in the paper by [13], which uses fan_in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn.fusion import norm_relu
from tinygrad_course.tensor import Tensor

NormLayer = Callable[[int], nn.Module]


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size of the map, divided by the stride."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=dilation, groups=groups, bias=False,
                     dilation=dilation)


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """1 x 1 convolution: a linear map of the channels of each pixel."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (figure 5, left).  (N, inplanes, H, W) -> (N, planes, H/stride, W/stride)."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, groups: int = 1,
                 base_width: int = 64, dilation: int = 1, norm_layer: NormLayer | None = None) -> None:
        super().__init__()
        if groups != 1 or base_width != 64:
            raise ValueError(f"BasicBlock only supports groups=1 and base_width=64, got {groups} and {base_width}; take the "
                             "block Bottleneck")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock; take the block Bottleneck")
        norm_layer = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + x), x through `downsample` where the shape changes"""
        y = norm_relu(self.bn1, self.conv1(x), activation=self.relu)
        shortcut = x if self.downsample is None else self.downsample(x)
        return norm_relu(self.bn2, self.conv2(y), shortcut, self.relu)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution and a shortcut (figure 5, right): the costly one works on few channels.

    (N, inplanes, H, W) -> (N, 4 planes, H/stride, W/stride)."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, groups: int = 1,
                 base_width: int = 64, dilation: int = 1, norm_layer: NormLayer | None = None) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + x), x through `downsample` where the shape changes"""
        y = norm_relu(self.bn1, self.conv1(x), activation=self.relu)
        y = norm_relu(self.bn2, self.conv2(y), activation=self.relu)
        shortcut = x if self.downsample is None else self.downsample(x)
        return norm_relu(self.bn3, self.conv3(y), shortcut, self.relu)


class ResNet(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes).

    block, layers                 kind of block, and how many of them layer1 to layer4 have
    zero_init_residual            start each block as the identity: the weight of its last batch norm is 0
                                  (Goyal et al. 2017, arXiv:1706.02677, section 5.1)
    groups, width_per_group       ResNeXt and Wide ResNet
    replace_stride_with_dilation  for layer2 to layer4: keep the size of the map, and see as far by dilation (segmentation)
    norm_layer                    in place of nn.BatchNorm2d: a function from the number of channels to a module
    """

    smallest_image = 1

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], layers: Sequence[int], num_classes: int = 1000,
                 zero_init_residual: bool = False, groups: int = 1, width_per_group: int = 64,
                 replace_stride_with_dilation: Sequence[bool] | None = None, norm_layer: NormLayer | None = None) -> None:
        super().__init__()
        dilate = replace_stride_with_dilation or (False, False, False)
        if len(dilate) != 3:
            raise ValueError(f"replace_stride_with_dilation should be None or a 3-element tuple, got {dilate}")
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _make_layer(self, block: type[BasicBlock] | type[Bottleneck], planes: int, blocks: int, stride: int = 1,
                    dilate: bool = False) -> nn.Sequential:
        """`blocks` blocks; the first changes the number of channels and the size."""
        channels = planes * block.expansion
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        downsample = None
        if stride != 1 or self.inplanes != channels:
            downsample = nn.Sequential(conv1x1(self.inplanes, channels, stride), self._norm_layer(channels))
        layer = [block(self.inplanes, planes, stride, downsample, self.groups, self.base_width, first_dilation,
                       self._norm_layer)]
        self.inplanes = channels
        layer += [block(channels, planes, groups=self.groups, base_width=self.base_width, dilation=self.dilation,
                        norm_layer=self._norm_layer) for _ in range(1, blocks)]
        return nn.Sequential(*layer)

    def _initialise(self, zero_init_residual: bool) -> None:
        """Norms need nothing: they begin with weight 1 and bias 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                if last.weight is not None:
                    nn.init.zeros_(last.weight)

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = norm_relu(self.bn1, self.conv1(x), activation=self.relu)  # (N, 64, H/2, W/2)
        x = self.maxpool(x)                                           # (N, 64, H/4, W/4)
        x = self.layer1(x)                                            # (N, 64 e, H/4, W/4) with e = block.expansion
        x = self.layer2(x)                                            # (N, 128 e, H/8, W/8)
        x = self.layer3(x)                                            # (N, 256 e, H/16, W/16)
        x = self.layer4(x)                                            # (N, 512 e, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))


@register_model
def resnet18(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-18; `kwargs` go to ResNet.  Weights: none are downloaded, see registry.no_download."""
    no_download("resnet18", weights)
    return ResNet(BasicBlock, [2, 2, 2, 2], **kwargs)


@register_model
def resnet34(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-34."""
    no_download("resnet34", weights)
    return ResNet(BasicBlock, [3, 4, 6, 3], **kwargs)


@register_model
def resnet50(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50."""
    no_download("resnet50", weights)
    return ResNet(Bottleneck, [3, 4, 6, 3], **kwargs)


@register_model
def resnet101(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101."""
    no_download("resnet101", weights)
    return ResNet(Bottleneck, [3, 4, 23, 3], **kwargs)


@register_model
def resnet152(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-152."""
    no_download("resnet152", weights)
    return ResNet(Bottleneck, [3, 8, 36, 3], **kwargs)


@register_model
def resnext50_32x4d(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-50 with 32 groups of 4 channels."""
    no_download("resnext50_32x4d", weights)
    return ResNet(Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=4, **kwargs)


@register_model
def resnext101_32x8d(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101 with 32 groups of 8 channels."""
    no_download("resnext101_32x8d", weights)
    return ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=8, **kwargs)


@register_model
def resnext101_64x4d(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101 with 64 groups of 4 channels."""
    no_download("resnext101_64x4d", weights)
    return ResNet(Bottleneck, [3, 4, 23, 3], groups=64, width_per_group=4, **kwargs)


@register_model
def wide_resnet50_2(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """Wide ResNet-50-2: the 3 x 3 convolutions have twice the channels of ResNet-50."""
    no_download("wide_resnet50_2", weights)
    return ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=128, **kwargs)


@register_model
def wide_resnet101_2(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """Wide ResNet-101-2: the 3 x 3 convolutions have twice the channels of ResNet-101."""
    no_download("wide_resnet101_2", weights)
    return ResNet(Bottleneck, [3, 4, 23, 3], width_per_group=128, **kwargs)
