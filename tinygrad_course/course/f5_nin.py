"""F5: network in network, and what global average pooling shows.

M. Lin, Q. Chen, S. Yan, "Network in network", ICLR 2014, sections 3.1 and 3.2: 1 x 1 convolutions make a small network of
every filter, and the last layer has one map per class, whose mean is the score.  So there is no linear layer, and the map
of a class says where it was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tinygrad_course as tgc
from tinygrad_course import models
from tinygrad_course.course.classifier import fashion, he_initialise, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of the shipped images, whose labels go by number.
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def class_maps(net: models.NINCIFAR, x: Tensor) -> Tensor:
    """The maps of the last layer, one per class, before they are averaged: (N, 10, H/4, W/4)."""
    x = net.pool1(net.block1(x))
    return net.block3(net.pool2(net.block2(x)))


def run(settings: Settings) -> Outcome:
    """Train the form for small images, without dropout, which 220 steps have no use for."""
    images = fashion(16, channels=3)
    tgc.manual_seed(settings.seed)
    net = models.nin_cifar(num_classes=10, dropout=0.0)
    he_initialise(net)
    trained = train(net, images, settings, steps=220, lr=5e-4, label="NIN")
    net.eval()
    with tgc.no_grad():
        x = images.x_test[:200]
        maps = class_maps(net, x)
        scores = net(x)
        difference = float((maps.mean((2, 3)) - scores).abs().max().item())
    pixel = F.conv2d(x, tgc.ones(5, 3, 1, 1))
    linear = F.linear(x.permute(0, 2, 3, 1), tgc.ones(5, 3)).permute(0, 3, 1, 2)
    last = [tuple(parameter.shape) for parameter in net.block3.parameters()][-2:]
    facts = [
        within("a 1 x 1 convolution is a linear layer at every pixel", float((pixel - linear).abs().max().item()), high=1e-5),
        equal("weights of the last layer: one 1 x 1 filter per class", last, [(10, 192, 1, 1), (10,)]),
        equal("parameters of the form for small images", n_parameters(net), 966_986),
        within("scores are the means of the class maps", difference, high=1e-4),
        within("loss: last steps as a share of the first", trained.last_loss / trained.first_loss, high=0.75),
        within("accuracy on test images", trained.accuracy, low=0.5),
    ]

    def where() -> Figure:
        from tinygrad_course.viz import plot_panels

        panels = []
        right = [n for n in range(200) if int(scores[n].argmax().item()) == int(images.y_test[n].item())]
        for number in right[:4]:
            label = int(images.y_test[number].item())
            panels += [(CLASSES[label], images.x_test[number, 0]), (f"map of “{CLASSES[label]}”", maps[number, label])]
        return plot_panels(panels, title="Global average pooling: the map of a class shows where it was seen", columns=4)

    return Outcome(facts, {"class_maps": where, "losses": lambda: plot_losses({"NIN": trained}, "Network in network")})


ROW = Row("F5", "Network in network and global average pooling", "Fashion-MNIST (shipped), 16 x 16",
          "the score of a class is the mean of its map", 15.0, run, ("models.nin", "models.nin_cifar"))
