"""F3: ZFNet, AlexNet with finer first layers.

M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.1: AlexNet's first layer
of 11 x 11 with stride 4 skips middle frequencies and causes aliasing; 7 x 7 with stride 2 keeps more of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import models, nn
from tinygrad_course.course.classifier import fashion, he_initialise, n_parameters, plot_losses, train
from tinygrad_course.course.f2_alexnet import output_shapes
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")


class SmallZFNet(nn.Module):
    """The convolutions of a ZFNet with one linear layer, for small images: (N, 3, 96, 96) -> (N, num_classes)."""

    def __init__(self, net: models.ZFNet, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(net.conv1, nn.ReLU(), net.pool1, net.norm1, net.conv2, nn.ReLU(), net.pool2, net.norm2,
                                      net.conv3, nn.ReLU(), net.conv4, nn.ReLU(), net.conv5, nn.ReLU(), net.pool5)
        self.classifier = nn.Linear(net.conv5.out_channels * 2 * 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


def seen(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """What filters (O, C, k, k) see of images (N, C, H, W); the border is continued, for zeros would be an edge there."""
    return F.conv2d(F.pad(x, [filters.shape[-1] // 2] * 4, mode="replicate"), filters, stride=stride)


def lost_power(image: np.ndarray, kernel: int, stride: int) -> float:
    """Share of an image's variance that a blur of kernel x kernel, read at every stride-th pixel, cannot give back.

    Bilinear interpolation between the samples, each at the pixel in the middle of its window, gives back an image; what is
    left of the original after that is lost.  Pixels behind the last sample do not count.
    """
    x = tgc.tensor(image)[None, None]
    window = tgc.full((1, 1, kernel, kernel), 1 / kernel**2)
    samples = seen(x, window, stride)
    height, width = ((count - 1) * stride + 1 for count in samples.shape[2:])
    back = F.interpolate(samples, (height, width), mode="bilinear", align_corners=True)
    x = x[..., :height, :width]
    return float(((x - back) ** 2).mean().item() / x.var().item())


def run(settings: Settings) -> Outcome:
    """Sizes and counts at 224 x 224, a short training of its convolutions at 96 x 96."""
    tgc.manual_seed(settings.seed)
    net = models.zfnet(num_classes=10, filters=(384, 384, 256)).eval()
    shapes = output_shapes(net, tgc.zeros(1, 3, 224, 224))
    wide = [n_parameters(nn.Conv2d(inputs, outputs, 3)) for inputs, outputs in ((256, 512), (512, 1024), (1024, 512))]
    images = fashion(96, channels=3)
    fine = lost_power(images.x_test[0, 0].numpy(), 7, 2)
    coarse = lost_power(images.x_test[0, 0].numpy(), 11, 4)
    small = SmallZFNet(net)
    he_initialise(small)
    trained = train(small, images, settings, steps=60, lr=3e-4, label="ZFNet")
    facts = [
        equal("pixels along an axis after " + ", ".join(LAYERS), [shapes[name][2] for name in LAYERS],
              [110, 55, 26, 13, 13, 13, 13, 6]),
        equal("parameters with 384, 384, 256 filters and 1,000 classes", n_parameters(net) + 990 * 4097, 62_357_608),
        equal("parameters of conv3 to conv5 with 512, 1024, 512 filters", wide, [1_180_160, 4_719_616, 4_719_104]),
        within("power of an image lost behind 7 x 7 with stride 2, as a share of 11 x 11 with stride 4", fine / coarse,
               high=0.7),
        within("loss: last steps as a share of the first", trained.last_loss / trained.first_loss, high=0.6),
        within("accuracy on test images", trained.accuracy, low=0.62),
    ]

    def first_layers() -> Figure:
        from tinygrad_course.viz import plot_panels

        x = images.x_test[:1, :1]

        def edges(kernel: int, stride: int) -> Tensor:
            edge = tgc.zeros(1, 1, kernel, kernel)
            edge[..., :kernel // 2] = -1 / kernel**2
            edge[..., kernel // 2 + 1:] = 1 / kernel**2
            return seen(x, edge, stride)[0, 0]

        return plot_panels([("image, 96 x 96", x[0, 0]), ("edges by 11 x 11, stride 4", edges(11, 4)),
                            ("edges by 7 x 7, stride 2", edges(7, 2))],
                           title="A finer first layer keeps more of the image")

    return Outcome(facts, {"first_layers": first_layers,
                           "losses": lambda: plot_losses({"ZFNet": trained}, "ZFNet's convolutions on 96 x 96 pixels")})


ROW = Row("F3", "ZFNet", "Fashion-MNIST (shipped), 96 x 96",
          "sizes 110-55-26-13-13-13-13-6; a finer first layer loses less of the image", 25.0, run, ("models.zfnet",))
