"""F8: wide residual networks, fewer layers with more channels.

S. Zagoruyko, N. Komodakis, "Wide residual networks", BMVC 2016: with the same number of weights a wide, shallow residual
net is as good as a thin, deep one, and faster, because a few large convolutions keep a processor busier than many small
ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tinygrad_course as tgc
from tinygrad_course import models
from tinygrad_course.course.classifier import Run, fashion, n_parameters, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETS = {"WRN-40-1": (40, 1), "WRN-16-1": (16, 1), "WRN-16-2": (16, 2), "WRN-10-4": (10, 4)}


def run(settings: Settings) -> Outcome:
    """Train four shapes at 16 x 16 pixels."""
    images = fashion(16, channels=3)
    runs: dict[str, Run] = {}
    sizes: dict[str, int] = {}
    for name, (depth, widen) in NETS.items():
        tgc.manual_seed(settings.seed)
        net = models.wrn(depth=depth, widen_factor=widen, num_classes=10)
        sizes[name] = n_parameters(net)
        runs[name] = train(net, images, settings, steps=150, lr=3e-3, label=name)
    wide, thin = runs["WRN-16-2"], runs["WRN-40-1"]
    facts = [
        equal("parameters of Wide ResNet-50-2", n_parameters(models.wide_resnet50_2()), 68_883_240),
        within("WRN-16-2 has about as many parameters as WRN-40-1: ratio", sizes["WRN-16-2"] / sizes["WRN-40-1"], 1.1, 1.3),
        within("and a third of the layers for it: training loss as a share of WRN-40-1's", wide.last_loss / thin.last_loss,
               high=1.15),
        within("accuracy of WRN-16-2 on test images", wide.accuracy, low=0.72),
        within("twice the width lowers the training loss: WRN-16-2 as a share of WRN-16-1",
               wide.last_loss / runs["WRN-16-1"].last_loss, high=1.0),
        within("WRN-16-2: loss, last steps as a share of the first", wide.last_loss / wide.first_loss, high=0.5),
    ]

    def figure() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(9, 5.6)
        ax = fig.subplots()
        for name, run_ in runs.items():
            ax.plot(sizes[name], 100 * run_.accuracy, "o", markersize=13, label=name)
            ax.annotate(name, (sizes[name], 100 * run_.accuracy), xytext=(10, 6), textcoords="offset points",
                        fontsize=TICK_SIZE)
        ax.set_xscale("log")
        ax.margins(0.2)
        label_axes(ax, "Wide and shallow against thin and deep", "parameters", "correct on test images (%)")
        return fig

    return Outcome(facts, {"wide_and_thin": figure})


ROW = Row("F8", "Wide residual networks", "Fashion-MNIST (shipped), 16 x 16",
          "68,883,240 parameters for 50-2; 16 wide layers learn as well as 40 thin ones", 20.0, run,
          ("models.wrn", "models.wide_resnet50_2"))
