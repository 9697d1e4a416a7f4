"""F1: LeNet-5 on handwritten digits, beside a linear classifier of the same pixels.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proceedings of the IEEE 86(11), 2278-2324 (1998).  The paper's comparison in
small (its figure 9): sharing weights over the image gives fewer mistakes than a linear map of all pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import models, nn
from tinygrad_course.course.classifier import Images, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, load_digits, mean_and_std, normalise, resize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def digits() -> Images:
    """The shipped digits, 8 x 8, enlarged to the 32 x 32 pixels of LeNet-5 and standardised."""
    parts = []
    statistics = mean_and_std(load_digits("train")[0] / np.float32(DIGIT_WHITE))
    for split in ("train", "test"):
        images, labels = load_digits(split)
        pixels = normalise(resize(images.astype(np.float32) / DIGIT_WHITE, 32), *statistics)
        parts += [tgc.tensor(pixels[:, None]), tgc.tensor(labels)]
    return Images(*parts)


def run(settings: Settings) -> Outcome:
    """Train both, count parameters, compare."""
    images = digits()
    tgc.manual_seed(settings.seed)
    net = models.LeNet5()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 10))
    # Digits must not be mirrored: a mirrored 2 is no 2.
    runs = {"LeNet-5": train(net, images, settings, steps=450, lr=2e-3, batch=64, mirror=False, label="LeNet-5"),
            "linear": train(linear, images, settings, steps=450, lr=2e-3, batch=64, mirror=False, label="linear")}
    facts = [
        equal("parameters of LeNet-5", n_parameters(net), 61_706),
        equal("parameters of its layers C1, C3, C5, F6, output",
              [n_parameters(layer) for layer in (net.c1, net.c3, net.c5, net.f6, net.output)],
              [156, 2_416, 48_120, 10_164, 850]),
        within("accuracy of LeNet-5 on test digits", runs["LeNet-5"].accuracy, low=0.965),
        within("accuracy of the linear classifier", runs["linear"].accuracy, 0.9, 0.975),
        within("mistakes of LeNet-5 as a share of the linear classifier's",
               (1 - runs["LeNet-5"].accuracy) / (1 - runs["linear"].accuracy), high=0.7),
        within("loss: last steps as a share of the first", runs["LeNet-5"].last_loss / runs["LeNet-5"].first_loss, high=0.1),
    ]

    def maps() -> Figure:
        from tinygrad_course.viz import plot_panels

        with tgc.no_grad():
            seen = net.c1(images.x_test[:1]).relu()[0]  # (6, 28, 28)
        panels = [("digit", images.x_test[0, 0])] + [(f"map {number} of C1", seen[number]) for number in range(6)]
        return plot_panels(panels, title="What the first layer sees", columns=4)

    return Outcome(facts, {"losses": lambda: plot_losses(runs, "LeNet-5 and a linear classifier on digits"), "maps": maps})


ROW = Row("F1", "LeNet-5", "8 x 8 digits (shipped), enlarged to 32 x 32",
          "61,706 parameters; less than 0.7 of a linear classifier's mistakes", 6.0, run, ("models.LeNet5",))
