"""F4: VGG, depth from small filters.

K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, section 2.3:
three layers of 3 x 3 see as far as one of 7 x 7, with three nonlinearities in place of one and 27 C^2 weights in place
of 49 C^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.course.classifier import fashion, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.interpret import receptive_field
from tinygrad_course.models.vgg import cfgs, make_layers
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Weights and biases of the three linear layers in front of 1,000 classes: most of the network.
CLASSIFIER = sum(inputs * outputs + outputs for inputs, outputs in ((512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)))


class SmallVGG(nn.Module):
    """The convolutions of a VGG with one linear layer: (N, 3, 32, 32) -> (N, num_classes).

    At 32 x 32 pixels a single one is left at the end, and the two layers of 4,096 units would be nearly all of the work.
    """

    def __init__(self, configuration: str, batch_norm: bool, num_classes: int = 10) -> None:
        super().__init__()
        self.features = make_layers(cfgs[configuration], batch_norm)
        self.classifier = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


def filter_weights(kernel: int, layers: int, channels: int) -> int:
    """Weights of `layers` convolutions of C to C channels."""
    return layers * kernel**2 * channels**2


def run(settings: Settings) -> Outcome:
    """Count, then train VGG-11 with and without batch norm."""
    images = fashion(32, channels=3)
    runs = {}
    for name, batch_norm in (("VGG-11 with batch norm", True), ("VGG-11", False)):
        tgc.manual_seed(settings.seed)
        runs[name] = train(SmallVGG("A", batch_norm), images, settings, steps=90, lr=1e-3 if batch_norm else 5e-4, label=name)
    with_norm, without = runs.values()
    channels = 64
    facts = [
        equal("parameters of VGG-16", n_parameters(make_layers(cfgs["D"])) + CLASSIFIER, 138_357_544),
        equal("parameters of VGG-19", n_parameters(make_layers(cfgs["E"])) + CLASSIFIER, 143_667_240),
        within("share of the linear layers in VGG-16", CLASSIFIER / 138_357_544, 0.89, 0.90),
        equal("pixels that one, two and three layers of 3 x 3 see",
              [receptive_field([(3, 1, 1)] * layers).size for layers in (1, 2, 3)], [3, 5, 7]),
        equal("weights of three 3 x 3 layers and of one 7 x 7, in units of C^2",
              [filter_weights(3, 3, channels) // channels**2, filter_weights(7, 1, channels) // channels**2], [27, 49]),
        within("VGG-11 with batch norm: loss, last steps as a share of the first", with_norm.last_loss / with_norm.first_loss,
               high=0.5),
        within("accuracy on test images", with_norm.accuracy, low=0.7),
        within("batch norm lowers the loss after the same steps: as a share", with_norm.last_loss / without.last_loss,
               high=0.9),
    ]

    def small_filters() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(9, 5.6)
        ax = fig.subplots()
        sizes = np.array([3, 5, 7, 9, 11])
        ax.plot(sizes, sizes**2, "o-", linewidth=2.5, markersize=9, label="one layer of F x F: F$^2$ C$^2$")
        ax.plot(sizes, 9 * (sizes - 1) // 2, "s-", linewidth=2.5, markersize=9, label="layers of 3 x 3: 9 (F − 1)/2 C$^2$")
        label_axes(ax, "Small filters see as far with fewer weights", "pixels seen along each axis, F", "weights / C$^2$")
        ax.set_xticks(sizes)
        ax.set_ylim(bottom=0)
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"small_filters": small_filters,
                           "losses": lambda: plot_losses(runs, "VGG-11 on 1,500 images of Fashion-MNIST")})


ROW = Row("F4", "VGG: small filters, with and without batch norm", "Fashion-MNIST (shipped), 32 x 32",
          "138,357,544 parameters for 16 layers; 27 C^2 against 49 C^2; batch norm learns faster", 20.0, run,
          ("models.vgg11", "models.vgg16", "models.vgg19_bn"))
