"""F9: densely connected networks; every layer sees the maps of all layers before it.

G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely connected convolutional networks", CVPR 2017: a layer adds k
maps (the growth rate) to what it has got, so layers can be thin, and few weights go far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tinygrad_course as tgc
from tinygrad_course import models
from tinygrad_course.course.classifier import fashion, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.models import resnet_cifar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, GROWTH = 40, 12


def channels_in_block(first: int, growth: int, layers: int) -> list[int]:
    """Channels that each layer of a dense block sees: first, first + k, first + 2 k, ..."""
    return [first + growth * number for number in range(layers)]


def run(settings: Settings) -> Outcome:
    """Train DenseNet-BC beside a ResNet-20 at 16 x 16 pixels."""
    images = fashion(16, channels=3)
    tgc.manual_seed(settings.seed)
    dense, residual = models.densenet_cifar(depth=DEPTH, growth_rate=GROWTH), resnet_cifar.resnet20(num_classes=10)
    runs = {"DenseNet-BC-40 (k = 12)": train(dense, images, settings, steps=120, lr=3e-3, label="DenseNet-BC-40"),
            "ResNet-20": train(residual, images, settings, steps=120, lr=3e-3, label="ResNet-20")}
    first = runs["DenseNet-BC-40 (k = 12)"]
    block = dense.features.denseblock1
    seen = [layer.norm1.num_features for layer in block.values()]
    facts = [
        equal("parameters of DenseNet-121", n_parameters(models.densenet121()), 7_978_856),
        equal("channels that the layers of the first block see", seen,
              channels_in_block(2 * GROWTH, GROWTH, (DEPTH - 4) // 6)),
        within("parameters as a share of ResNet-20's", n_parameters(dense) / n_parameters(residual), high=0.75),
        within("accuracy minus that of ResNet-20", first.accuracy - runs["ResNet-20"].accuracy, low=-0.06),
        within("accuracy on test images", first.accuracy, low=0.72),
        within("loss: last steps as a share of the first", first.last_loss / first.first_loss, high=0.5),
    ]

    def losses() -> Figure:
        return plot_losses(runs, "A dense net with two thirds of the weights")

    return Outcome(facts, {"losses": losses})


ROW = Row("F9", "DenseNet", "Fashion-MNIST (shipped), 16 x 16",
          "7,978,856 parameters for 121 layers; nearly as good as ResNet-20 with two thirds of its weights", 15.0, run,
          ("models.densenet121", "models.densenet_cifar"))
