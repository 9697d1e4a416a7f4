"""ZFNet: AlexNet with smaller first filters, found by looking at what its filters had learnt.

M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, arXiv:1311.2901, figure 3,
with the wider layers 3, 4 and 5 (512, 1024 and 512 maps) of the best single net in table 2.

    layer  what                                      output           parameters
    conv1  96 filters of 7 x 7, stride 2              96 @ 110 x 110      14,208
    pool1  3 x 3 maximum, stride 2; response norm     96 @  55 x  55
    conv2  256 filters of 5 x 5, stride 2            256 @  26 x  26     614,656
    pool2  3 x 3 maximum, stride 2; response norm    256 @  13 x  13
    conv3  512 filters of 3 x 3                      512 @  13 x  13   1,180,160
    conv4  1024 filters of 3 x 3                    1024 @  13 x  13   4,719,616
    conv5  512 filters of 3 x 3                      512 @  13 x  13   4,719,104
    pool5  3 x 3 maximum, stride 2                   512 @   6 x   6
    fc6    fully connected                                      4096  75,501,568
    fc7    fully connected                                      4096  16,781,312
    fc8    fully connected                                      1000   4,097,000
                                                                 sum 107,627,624

With filters=(384, 384, 256) it is the net of figure 3, 62,357,608 parameters.
Deviations:
* conv1 is padded by 1 pixel, and poolings keep an incomplete last window: so 110, 55 and 13 come about.  The paper does not
  say how.
* "Contrast normalised across feature maps" is the response norm of AlexNet.
* The paper scales filters back whose root mean square exceeds 0.1, after each step.  That is left to the training loop.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.alexnet import response_norm
from tinygrad_course.models.images import check_size
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

IMAGE_SIZE = 224


class ZFNet(nn.Module):
    """Scores of the classes for colour images of 224 x 224 pixels: (N, 3, 224, 224) -> (N, num_classes).

    filters: of conv3, conv4 and conv5.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5,
                 filters: tuple[int, int, int] = (512, 1024, 512)) -> None:
        super().__init__()
        third, fourth, fifth = filters
        self.conv1 = nn.Conv2d(3, 96, kernel_size=7, stride=2, padding=1)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.norm1 = response_norm()
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, stride=2)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.norm2 = response_norm()
        self.conv3 = nn.Conv2d(256, third, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(third, fourth, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(fourth, fifth, kernel_size=3, padding=1)
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.fc6 = nn.Linear(fifth * 6 * 6, 4096)
        self.drop6 = nn.Dropout(p=dropout)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(p=dropout)
        self.fc8 = nn.Linear(4096, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """Section 3.1: a deviation of 0.01, and biases 0."""
        for layer in self.children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 224, 224) -> (N, num_classes).  Raises ShapeError for images of another size."""
        check_size(self, x, self.conv1.in_channels, IMAGE_SIZE)
        x = self.norm1(self.pool1(F.relu(self.conv1(x))))  # (N, 96, 110, 110) -> (N, 96, 55, 55)
        x = self.norm2(self.pool2(F.relu(self.conv2(x))))  # (N, 256, 26, 26) -> (N, 256, 13, 13)
        x = F.relu(self.conv3(x))                          # (N, 512, 13, 13)
        x = F.relu(self.conv4(x))                          # (N, 1024, 13, 13)
        x = self.pool5(F.relu(self.conv5(x)))              # (N, 512, 13, 13) -> (N, 512, 6, 6)
        x = self.drop6(F.relu(self.fc6(x.flatten(1))))     # (N, 4096)
        x = self.drop7(F.relu(self.fc7(x)))                # (N, 4096)
        return self.fc8(x)                                 # (N, num_classes)


@register_model
def zfnet(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ZFNet:
    """ZFNet; `kwargs` go to ZFNet."""
    no_download("zfnet", weights, in_torchvision=False)
    return ZFNet(**kwargs)
