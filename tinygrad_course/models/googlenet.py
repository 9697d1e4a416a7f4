"""GoogLeNet: Inception modules, which look at their input at several scales, in two forms.

C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, arXiv:1409.4842, table 1 and figure 3.  "reduce" are 1 x 1
convolutions in front of the larger ones, "pool" is one behind a 3 x 3 max pooling.  Parameters are those of GoogLeNet2014.

    part           output           1x1   reduce 3x3  reduce 5x5  pool     parameters
    conv1           64 @ 112 x 112  7 x 7, stride 2                             9,472
    maxpool1        64 @ 56 x 56
    conv2, conv3   192 @ 56 x 56           64     192                         114,944
    maxpool2       192 @ 28 x 28
    inception3a    256 @ 28 x 28     64    96     128   16     32    32       163,696
    inception3b    480 @ 28 x 28    128   128     192   32     96    64       388,736
    maxpool3       480 @ 14 x 14
    inception4a    512 @ 14 x 14    192    96     208   16     48    64       376,176
    inception4b    512 @ 14 x 14    160   112     224   24     64    64       449,160
    inception4c    512 @ 14 x 14    128   128     256   24     64    64       510,104
    inception4d    528 @ 14 x 14    112   144     288   32     64    64       605,376
    inception4e    832 @ 14 x 14    256   160     320   32    128   128       868,352
    maxpool4       832 @ 7 x 7
    inception5a    832 @ 7 x 7      256   160     320   32    128   128     1,043,456
    inception5b   1024 @ 7 x 7      384   192     384   48    128   128     1,444,080
    avgpool, fc                    1000                                     1,025,000
                                                                      sum   6,998,552
    aux1, aux2, in training only   1000   each 4 x 4 pixels, 128 of 1 x 1, 1024, 1000

GoogLeNet: names and arguments are torchvision's, its weights load unchanged.  6,624,904 parameters without the auxiliary
heads.  Deviations from the paper, torchvision's too:
* Batch norm behind each convolution, no local response norm.
* The 5 x 5 convolutions are 3 x 3 ones (a mistake of the first port, kept for the weights' sake).
* Auxiliary heads see averages over 4 x 4 bins, of images of any size.
* Dropout of 20 % in front of the classifier.  In the paper 40 %.
Deviation from torchvision: no warning about the time that init_weights=None takes; it is the same as True, and quick.

GoogLeNet2014 is the net of the paper (whose own column of parameters is a few per cent off in most rows).  Deviations:
* Initial values are Glorot's, and 0.2 for biases; constants of the response norm are those of AlexNet.  The paper gives
  neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.models.alexnet import response_norm
from tinygrad_course.models.images import takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.fusion import norm_relu
from tinygrad_course.ops import cat, tensor
from tinygrad_course.tensor import Tensor

Block = Callable[..., nn.Module]


class GoogLeNetOutputs(NamedTuple):
    """What the network returns in training with auxiliary heads.  Paper: loss of logits + 0.3 times that of each other."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU.  `kwargs` go to nn.Conv2d."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ...)"""
        return norm_relu(self.bn, self.conv(x))


class ConvReLU(nn.Module):
    """Convolution with bias, ReLU.  `kwargs` go to nn.Conv2d."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ...)"""
        return F.relu(self.conv(x))


class Inception(nn.Module):
    """Four branches side by side (figure 2b): (N, in_channels, H, W) -> (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W).

    large_kernel: that of the branch which the paper calls 5 x 5.
    """

    def __init__(self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int,
                 conv_block: Block | None = None, large_kernel: int = 3) -> None:
        super().__init__()
        conv_block = conv_block or BasicConv2d
        self.branch1 = conv_block(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv_block(in_channels, ch3x3red, kernel_size=1),
            conv_block(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv_block(in_channels, ch5x5red, kernel_size=1),
            conv_block(ch5x5red, ch5x5, kernel_size=large_kernel, padding=large_kernel // 2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv_block(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The branches' maps in their order."""
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier half-way up, which brings gradients to the lower layers: (N, in_channels, H, W) -> (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: Block | None = None, dropout: float = 0.7) -> None:
        super().__init__()
        conv_block = conv_block or BasicConv2d
        self.conv = conv_block(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def pool(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 4, 4)"""
        return F.adaptive_avg_pool2d(x, (4, 4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes)"""
        x = self.conv(self.pool(x))                     # (N, 128, 4, 4)
        x = self.dropout(F.relu(self.fc1(x.flatten(1))))  # (N, 1024)
        return self.fc2(x)


class InceptionAux2014(InceptionAux):
    """The paper's: averages over 5 x 5 pixels, every third one.  From 14 x 14 pixels that makes 4 x 4."""

    def pool(self, x: Tensor) -> Tensor:
        """(N, C, 14, 14) -> (N, C, 4, 4)"""
        x = F.avg_pool2d(x, 5, stride=3)
        if x.shape[2:] != (4, 4):
            raise ShapeError(f"InceptionAux2014: averages are {x.shape[2]} x {x.shape[3]}, needed are 4 x 4. The auxiliary "
                             "heads are made for images of 224 x 224; for others take aux_logits=False, or GoogLeNet.")
        return x


class GoogLeNet(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 15 or more, 224 as a rule.

    In training with aux_logits the result is GoogLeNetOutputs(logits, aux_logits2, aux_logits1).

    transform_input  images come with ImageNet's mean and deviation (as for other networks), and are changed to mean 0.5 and
                     deviation 0.5, which the weights of torchvision want
    blocks           in place of [BasicConv2d, Inception, InceptionAux]
    dropout_aux      that of the auxiliary heads
    """

    smallest_image = 15

    def __init__(self, num_classes: int = 1000, aux_logits: bool = True, transform_input: bool = False,
                 init_weights: bool | None = None, blocks: Sequence[Block] | None = None, dropout: float = 0.2,
                 dropout_aux: float = 0.7) -> None:
        super().__init__()
        if blocks is None:
            blocks = [BasicConv2d, Inception, InceptionAux]
        if len(blocks) != 3:
            raise ValueError(f"blocks length should be 3 instead of {len(blocks)}: convolution, inception, auxiliary head")
        conv, inception, aux = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1: nn.Module = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2: nn.Module = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = aux(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = aux(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is None or init_weights:
            self._initialise()

    def _initialise(self) -> None:
        """torchvision cuts the normal distribution off at +-2, which is 200 standard deviations away."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, mean=0.0, std=0.01)

    def _transformed(self, x: Tensor) -> Tensor:
        """From ImageNet's mean and deviation of each colour to 0.5 and 0.5."""
        if x.shape[1] != 3:
            raise ShapeError(f"{self._get_name()}: transform_input needs 3 colours, got an input of shape {tuple(x.shape)}.")
        deviation = tensor([0.229, 0.224, 0.225], dtype=x.dtype, device=x.device).reshape(3, 1, 1)
        mean = tensor([0.485, 0.456, 0.406], dtype=x.dtype, device=x.device).reshape(3, 1, 1)
        return x * (deviation / 0.5) + (mean - 0.5) / 0.5

    @takes_images
    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """(N, 3, H, W) -> (N, num_classes), in training with auxiliary heads three of them"""
        if self.transform_input:
            x = self._transformed(x)
        with_aux = self.training and self.aux_logits
        x = self.maxpool1(self.conv1(x))              # (N, 64, H/4, W/4)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, H/8, W/8)
        x = self.inception3b(self.inception3a(x))     # (N, 480, H/8, W/8)
        x = self.inception4a(self.maxpool3(x))        # (N, 512, H/16, W/16)
        aux1 = self.aux1(x) if with_aux and self.aux1 is not None else None
        x = self.inception4c(self.inception4b(x))     # (N, 512, H/16, W/16)
        x = self.inception4d(x)                       # (N, 528, H/16, W/16)
        aux2 = self.aux2(x) if with_aux and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))        # (N, 832, H/32, W/32)
        x = self.inception5b(self.inception5a(x))     # (N, 1024, H/32, W/32)
        x = self.avgpool(x).flatten(1)                # (N, 1024)
        x = self.fc(self.dropout(x))                  # (N, num_classes)
        return GoogLeNetOutputs(x, aux2, aux1) if with_aux else x


class GoogLeNet2014(GoogLeNet):
    """The net of the paper: no batch norm, 5 x 5 convolutions, local response norm.  (N, 3, H, W) -> (N, num_classes).

    With auxiliary heads, which work in training only, images must have 224 x 224 pixels then.
    """

    def __init__(self, num_classes: int = 1000, aux_logits: bool = True, dropout: float = 0.4,
                 dropout_aux: float = 0.7) -> None:
        blocks: list[Block] = [ConvReLU, partial(Inception, conv_block=ConvReLU, large_kernel=5),
                  partial(InceptionAux2014, conv_block=ConvReLU)]
        super().__init__(num_classes, aux_logits, blocks=blocks, dropout=dropout, dropout_aux=dropout_aux)
        self.maxpool1 = nn.Sequential(self.maxpool1, response_norm())
        self.maxpool2 = nn.Sequential(response_norm(), self.maxpool2)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0.2)


@register_model
def googlenet(*, weights: None = None, progress: bool = True, **kwargs: Any) -> GoogLeNet:
    """GoogLeNet with batch norm; `kwargs` go to GoogLeNet.  Weights: none are downloaded, see registry.no_download.

    torchvision's file is for googlenet(transform_input=True).  Its auxiliary heads are not trained; to be rid of them, set
    aux_logits = False, aux1 = None and aux2 = None on the network after loading."""
    no_download("googlenet", weights)
    return GoogLeNet(**kwargs)


@register_model
def googlenet2014(*, weights: None = None, progress: bool = True, **kwargs: Any) -> GoogLeNet2014:
    """GoogLeNet of the paper; `kwargs` go to GoogLeNet2014."""
    no_download("googlenet2014", weights, in_torchvision=False)
    return GoogLeNet2014(**kwargs)
