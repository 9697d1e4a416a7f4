"""F6: GoogLeNet, filters of several sizes side by side, made cheap by 1 x 1 convolutions.

C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, sections 3 and 4.  In the course's example a block sees
28 x 28 x 256 and has 128 filters of 1 x 1, 192 of 3 x 3, 96 of 5 x 5 and a 3 x 3 max pooling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import models
from tinygrad_course.course.classifier import fashion, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS, CHANNELS, BOTTLENECK = 28 * 28, 256, 64
FILTERS = {1: 128, 3: 192, 5: 96}


def naive_cost() -> dict[str, int]:
    """Multiply-adds of the branches of the block without bottlenecks."""
    return {f"{k} x {k}": PIXELS * k * k * CHANNELS * filters for k, filters in FILTERS.items()} | {"pooling": 0}


def bottleneck_cost() -> dict[str, int]:
    """The same with 64 filters of 1 x 1 in front of 3 x 3 and 5 x 5, and behind the pooling."""
    reduce = PIXELS * CHANNELS * BOTTLENECK
    cost = {"1 x 1": PIXELS * CHANNELS * FILTERS[1]}
    for k in (3, 5):
        cost[f"{k} x {k}"] = reduce + PIXELS * k * k * BOTTLENECK * FILTERS[k]
    return cost | {"pooling": reduce}


def run(settings: Settings) -> Outcome:
    """Count the block, train torchvision's form with its auxiliary heads at 64 x 64 pixels."""
    tgc.manual_seed(settings.seed)
    net = models.googlenet(num_classes=10)
    trained = train(net, fashion(64, channels=3), settings, steps=70, lr=1e-3, label="GoogLeNet")
    whole, block = models.googlenet(aux_logits=False), net.inception3a
    with tgc.no_grad():
        x = tgc.zeros(1, 192, 8, 8)
        maps = [branch(x).shape[1] for branch in (block.branch1, block.branch2, block.branch3, block.branch4)]
    naive, cheap = naive_cost(), bottleneck_cost()
    facts = [
        equal("parameters without auxiliary heads, 1,000 classes", n_parameters(whole), 6_624_904),
        equal("parameters of the paper's form without auxiliary heads",
              n_parameters(models.googlenet2014(aux_logits=False)), 6_998_552),
        equal("multiply-adds of the naive block", sum(naive.values()), 854_196_224),
        equal("multiply-adds with bottlenecks of 64", sum(cheap.values()), 271_351_808),
        equal("maps of the branches of block 3a, which stand side by side", maps, [64, 128, 32, 32]),
        within("loss: last steps as a share of the first", trained.last_loss / trained.first_loss, high=0.6),
        within("accuracy on test images", trained.accuracy, low=0.55),
    ]

    def inception_cost() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(9.5, 5.6)
        ax = fig.subplots()
        places = np.arange(len(naive))
        for shift, costs, label in ((-0.2, naive, "naive"), (0.2, cheap, "1 x 1 bottlenecks of 64")):
            ax.bar(places + shift, [cost / 1e6 for cost in costs.values()], 0.4,
                   label=f"{label}: {sum(costs.values()) / 1e6:.0f} million in all")
        ax.set_xticks(places, list(naive))
        label_axes(ax, "An inception block on 28 x 28 x 256", "branch", "multiply-adds (million)")
        ax.set_ylim(0, 1.3 * max(naive.values()) / 1e6)  # room for the legend above the bars
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"inception_cost": inception_cost,
                           "losses": lambda: plot_losses({"GoogLeNet": trained}, "GoogLeNet on 64 x 64 pixels")})


ROW = Row("F6", "GoogLeNet and the inception block", "Fashion-MNIST (shipped), 64 x 64",
          "6,624,904 parameters; 854,196,224 multiply-adds become 271,351,808", 20.0, run,
          ("models.googlenet", "models.googlenet2014"))
