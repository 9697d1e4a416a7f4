"""Convolutional classifiers and the U-Net.  Each `build` is what a user writes; its argument `torch` is either engine."""

from typing import Any

import numpy as np

from tinygrad_course.bench.task import Model, Task, supervised


def _images(rng: np.random.Generator, n: int, channels: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, channels, size, size), dtype=np.float32), rng.integers(0, classes, n)


def _classifier(torch: Any, model: Any, batch: tuple[Any, ...], lr: float = 0.01) -> Task:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    cross_entropy = torch.nn.functional.cross_entropy
    return supervised(model, lambda x, t: cross_entropy(model(x), t), optimizer, batch)


def _lenet(torch: Any, *batch: Any) -> Task:
    """LeCun et al. 1998, with ReLU and max pooling, as most courses write it today."""
    nn, F = torch.nn, torch.nn.functional

    class LeNet5(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x: Any) -> Any:
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = torch.flatten(x, 1)
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    return _classifier(torch, LeNet5(), batch)


def _vgg(torch: Any, *batch: Any) -> Task:
    """Simonyan & Zisserman 2015, arXiv:1409.1556, shortened for 32x32 images."""
    nn = torch.nn
    layers: list[Any] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 0):
        if width:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4 * 4, 256), nn.ReLU(inplace=True), nn.Linear(256, 10))
    return _classifier(torch, model, batch)


def _resnet20(torch: Any, *batch: Any) -> Task:
    """He et al. 2016, arXiv:1512.03385, section 4.2; the shortcut of a narrower block is a 1x1 convolution (option B)."""
    nn, F = torch.nn, torch.nn.functional

    class BasicBlock(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, kernel_size=3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=1, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.shortcut = nn.Sequential()
            if stride != 1 or inputs != width:
                self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, kernel_size=1, stride=stride, bias=False),
                                              nn.BatchNorm2d(width))

        def forward(self, x: Any) -> Any:
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += self.shortcut(x)
            return F.relu(out)

    class ResNet20(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, kernel_size=3, stride=1, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            self.layer1 = self.layer(16, 16, stride=1)
            self.layer2 = self.layer(16, 32, stride=2)
            self.layer3 = self.layer(32, 64, stride=2)
            self.linear = nn.Linear(64, 10)

        @staticmethod
        def layer(inputs: int, width: int, stride: int) -> Any:
            return nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1), BasicBlock(width, width, 1))

        def forward(self, x: Any) -> Any:
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.layer3(self.layer2(self.layer1(out)))
            out = F.avg_pool2d(out, out.size()[3])
            return self.linear(out.view(out.size(0), -1))

    return _classifier(torch, ResNet20(), batch)


def _mobilenet(torch: Any, *batch: Any) -> Task:
    """Howard et al. 2017, arXiv:1704.04861, table 1, full width."""
    nn = torch.nn

    def conv_bn(inputs: int, width: int, stride: int) -> Any:
        return nn.Sequential(nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width),
                             nn.ReLU(inplace=True))

    def conv_dw(inputs: int, width: int, stride: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, width, 1, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    model = nn.Sequential(
        conv_bn(3, 32, 2), conv_dw(32, 64, 1), conv_dw(64, 128, 2), conv_dw(128, 128, 1), conv_dw(128, 256, 2),
        conv_dw(256, 256, 1), conv_dw(256, 512, 2), *(conv_dw(512, 512, 1) for _ in range(5)), conv_dw(512, 1024, 2),
        conv_dw(1024, 1024, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))
    return _classifier(torch, model, batch)


def _inception(torch: Any, *batch: Any) -> Task:
    """Szegedy et al. 2015, arXiv:1409.4842: stem and blocks 3a, 3b and 4a, with batch norm, for 64x64 images."""
    nn, F = torch.nn, torch.nn.functional

    class BasicConv2d(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, width: int, **options: Any) -> None:
            super().__init__()
            self.conv = nn.Conv2d(inputs, width, bias=False, **options)
            self.bn = nn.BatchNorm2d(width, eps=0.001)

        def forward(self, x: Any) -> Any:
            return F.relu(self.bn(self.conv(x)), inplace=True)

    class Inception(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, ch1: int, ch3reduce: int, ch3: int, ch5reduce: int, ch5: int, pool: int) -> None:
            super().__init__()
            self.branch1 = BasicConv2d(inputs, ch1, kernel_size=1)
            self.branch2 = nn.Sequential(BasicConv2d(inputs, ch3reduce, kernel_size=1),
                                         BasicConv2d(ch3reduce, ch3, kernel_size=3, padding=1))
            self.branch3 = nn.Sequential(BasicConv2d(inputs, ch5reduce, kernel_size=1),
                                         BasicConv2d(ch5reduce, ch5, kernel_size=5, padding=2))
            self.branch4 = nn.Sequential(nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
                                         BasicConv2d(inputs, pool, kernel_size=1))

        def forward(self, x: Any) -> Any:
            return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)

    model = nn.Sequential(
        BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, ceil_mode=True),
        BasicConv2d(64, 64, kernel_size=1), BasicConv2d(64, 192, kernel_size=3, padding=1),
        Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64),
        nn.MaxPool2d(3, stride=2, ceil_mode=True), Inception(480, 192, 96, 208, 16, 48, 64),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(512, 10))
    return _classifier(torch, model, batch)


def _unet(torch: Any, *batch: Any) -> Task:
    """Ronneberger et al. 2015, arXiv:1505.04597, four resolutions of 32 to 256 channels, padded, with batch norm."""
    nn, F = torch.nn, torch.nn.functional

    def double_conv(inputs: int, width: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, width, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    class UNet(nn.Module):  # type: ignore[name-defined]
        def __init__(self, c: int = 32) -> None:
            super().__init__()
            self.down1, self.down2, self.down3 = double_conv(1, c), double_conv(c, 2 * c), double_conv(2 * c, 4 * c)
            self.bottom = double_conv(4 * c, 8 * c)
            self.up3 = nn.ConvTranspose2d(8 * c, 4 * c, kernel_size=2, stride=2)
            self.up2 = nn.ConvTranspose2d(4 * c, 2 * c, kernel_size=2, stride=2)
            self.up1 = nn.ConvTranspose2d(2 * c, c, kernel_size=2, stride=2)
            self.conv3, self.conv2, self.conv1 = double_conv(8 * c, 4 * c), double_conv(4 * c, 2 * c), double_conv(2 * c, c)
            self.out = nn.Conv2d(c, 2, kernel_size=1)

        def forward(self, x: Any) -> Any:
            x1 = self.down1(x)
            x2 = self.down2(F.max_pool2d(x1, 2))
            x3 = self.down3(F.max_pool2d(x2, 2))
            x = self.bottom(F.max_pool2d(x3, 2))
            x = self.conv3(torch.cat([x3, self.up3(x)], dim=1))
            x = self.conv2(torch.cat([x2, self.up2(x)], dim=1))
            x = self.conv1(torch.cat([x1, self.up1(x)], dim=1))
            return self.out(x)

    model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return supervised(model, lambda x, t: F.cross_entropy(model(x), t), optimizer, batch)


MODELS = (
    Model("lenet", "LeNet-5, batch 64", 2.8, lambda rng: _images(rng, 64, 1, 32, 10), _lenet),
    Model("vgg", "VGG-small 32x32, batch 32", 1.8, lambda rng: _images(rng, 32, 3, 32, 10), _vgg),
    Model("resnet20", "ResNet-20 32x32, batch 32", 1.6, lambda rng: _images(rng, 32, 3, 32, 10), _resnet20),
    Model("mobilenet", "MobileNet 224x224, batch 4", 1.5, lambda rng: _images(rng, 4, 3, 224, 1000), _mobilenet),
    Model("inception", "Inception-small 64x64, batch 16", 1.8, lambda rng: _images(rng, 16, 3, 64, 10), _inception),
    Model("unet", "U-Net c32 128x128, batch 2", 1.5,
          lambda rng: (rng.standard_normal((2, 1, 128, 128), dtype=np.float32), rng.integers(0, 2, (2, 128, 128))), _unet),
)
