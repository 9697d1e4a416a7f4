"""F7: residual networks, and what happens without the shortcuts.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2 and figure 6: a
plain net of 56 layers has a higher *training* error than one of 20, though it could represent everything the shallow one
can.  So it is not overfitting, it is that the optimiser does not get there.  With shortcuts the deep net trains.
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

NETS = {"plain, 20 layers": resnet_cifar.plain20, "plain, 56 layers": resnet_cifar.plain56,
        "residual, 20 layers": resnet_cifar.resnet20, "residual, 56 layers": resnet_cifar.resnet56}
PARAMETERS = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
              "resnet152": 60_192_808}


def run(settings: Settings) -> Outcome:
    """Train all four on images of 16 x 16 pixels, from the same seed."""
    images = fashion(16, channels=3)
    runs, sizes = {}, {}
    for name, build in NETS.items():
        tgc.manual_seed(settings.seed)
        net = build(num_classes=10)
        sizes[name] = n_parameters(net)
        runs[name] = train(net, images, settings, steps=150, lr=3e-3, label=name)
    loss = {name: run.last_loss for name, run in runs.items()}
    deep, shallow = runs["residual, 56 layers"], runs["residual, 20 layers"]
    facts = [
        equal("parameters of ResNet-18, 34, 50, 101, 152",
              [n_parameters(models.get_model(name)) for name in PARAMETERS], list(PARAMETERS.values())),
        equal("parameters with and without shortcuts, 20 and 56 layers", list(sizes.values()),
              [269_722, 853_018, 269_722, 853_018]),
        within("plain nets: training loss with 56 layers as a multiple of that with 20",
               loss["plain, 56 layers"] / loss["plain, 20 layers"], low=1.3),
        within("residual nets: training loss with 56 layers as a multiple of that with 20",
               loss["residual, 56 layers"] / loss["residual, 20 layers"], high=1.3),
        within("56 layers: training loss with shortcuts as a share of that without",
               loss["residual, 56 layers"] / loss["plain, 56 layers"], high=0.6),
        within("accuracy of the residual net with 20 layers on test images", shallow.accuracy, low=0.73),
        within("accuracy with 56 layers", deep.accuracy, low=0.7),
    ]

    def figure() -> Figure:
        return plot_losses(runs, "Deep plain nets train worse than shallow ones; residual nets do not")

    return Outcome(facts, {"deep_plain_and_residual": figure})


ROW = Row("F7", "ResNet: deep plain and deep residual nets", "Fashion-MNIST (shipped), 16 x 16",
          "56 plain layers train worse than 20; with shortcuts they do not", 20.0, run,
          ("models.resnet18", "models.resnet152", "models.resnet_cifar.resnet56", "models.resnet_cifar.plain56"))
