"""AlexNet, in two forms: that of torchvision on one tower, and the net of 2012 that was spread over two GPUs.

AlexNet2012: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
NIPS 2012, sections 3.1 to 3.5 and figure 2.

    layer  what                                      output           parameters
    conv1  96 filters of 11 x 11, stride 4            96 @ 55 x 55        34,944
    pool1  response norm, 3 x 3 maximum, stride 2     96 @ 27 x 27
    conv2  256 filters of 5 x 5, 2 groups            256 @ 27 x 27       307,456
    pool2  response norm, 3 x 3 maximum, stride 2    256 @ 13 x 13
    conv3  384 filters of 3 x 3                      384 @ 13 x 13       885,120
    conv4  384 filters of 3 x 3, 2 groups            384 @ 13 x 13       663,936
    conv5  256 filters of 3 x 3, 2 groups            256 @ 13 x 13       442,624
    pool5  3 x 3 maximum, stride 2                   256 @  6 x  6
    fc6    fully connected                                   4096     37,752,832
    fc7    fully connected                                   4096     16,781,312
    fc8    fully connected                                   1000      4,097,000
                                                              sum     60,965,224

The two groups are the two GPUs: conv2, conv4 and conv5 see only the maps of their own.
Deviations:
* The images have 227 pixels.  In the paper 224, from which (224 - 11) / 4 + 1 does not make 55.
* Response norm works across all maps of a layer, also at the border between the groups.

AlexNet: A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997,
section 5.  One tower without groups, 64-192-384-256-256 filters, no response norm; 61,100,840 parameters.  Names and
arguments are torchvision's, its weights load unchanged.  Deviations from the paper, torchvision's too:
* The fourth convolution has 256 filters.  In the paper 384.
* Maps are averaged to 6 x 6 before the classifier, so that images of any size from 63 x 63 can be classified.
* Initial values are those of the layers.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import nn
from tinygrad_course.models.images import check_size, takes_images
from tinygrad_course.models.registry import no_download, register_model
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

IMAGE_SIZE = 227  # of AlexNet2012


class AlexNet(nn.Module):
    """Scores of the classes for colour images: (N, 3, H, W) -> (N, num_classes), H and W 63 or more, 224 as a rule."""

    smallest_image = 63

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),  # 224 -> 55
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),                  # 55 -> 27
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),                  # 27 -> 13
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),                  # 13 -> 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    @takes_images
    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)"""
        x = self.avgpool(self.features(x))    # (N, 256, 6, 6)
        return self.classifier(x.flatten(1))  # (N, num_classes)


class AlexNet2012(nn.Module):
    """Scores of the classes for colour images of 227 x 227 pixels: (N, 3, 227, 227) -> (N, num_classes)."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.norm1 = response_norm()
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.norm2 = response_norm()
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.drop6 = nn.Dropout(p=dropout)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(p=dropout)
        self.fc8 = nn.Linear(4096, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """Section 5: N(0, 0.01^2); biases 1 in conv2, conv4, conv5 and the hidden layers, so that ReLUs begin with positive
        inputs and learn early; 0 elsewhere."""
        ones = (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7)
        for layer in self.children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.constant_(layer.bias, 1.0 if layer in ones else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 227, 227) -> (N, num_classes).  Raises ShapeError for images of another size."""
        check_size(self, x, self.conv1.in_channels, IMAGE_SIZE, ", or take AlexNet, which averages to 6 x 6")
        x = self.pool1(self.norm1(F.relu(self.conv1(x))))  # (N, 96, 55, 55) -> (N, 96, 27, 27)
        x = self.pool2(self.norm2(F.relu(self.conv2(x))))  # (N, 256, 27, 27) -> (N, 256, 13, 13)
        x = F.relu(self.conv3(x))                          # (N, 384, 13, 13)
        x = F.relu(self.conv4(x))                          # (N, 384, 13, 13)
        x = self.pool5(F.relu(self.conv5(x)))              # (N, 256, 13, 13) -> (N, 256, 6, 6)
        x = self.drop6(F.relu(self.fc6(x.flatten(1))))     # (N, 4096)
        x = self.drop7(F.relu(self.fc7(x)))                # (N, 4096)
        return self.fc8(x)                                 # (N, num_classes)


def response_norm() -> nn.LocalResponseNorm:
    """Section 3.3: y_i = x_i / (k + alpha * sum of x_j^2)^beta over the n maps around i; k=2, n=5, alpha=1e-4, beta=0.75.

    The module takes the mean of the squares where the paper takes their sum: its alpha is n times that of the paper."""
    return nn.LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


@register_model
def alexnet(*, weights: None = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet on one tower; `kwargs` go to AlexNet.  Weights: none are downloaded, see registry.no_download."""
    no_download("alexnet", weights)
    return AlexNet(**kwargs)


@register_model
def alexnet2012(*, weights: None = None, progress: bool = True, **kwargs: Any) -> AlexNet2012:
    """AlexNet of 2012; `kwargs` go to AlexNet2012."""
    no_download("alexnet2012", weights, in_torchvision=False)
    return AlexNet2012(**kwargs)
