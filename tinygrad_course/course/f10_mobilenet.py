"""F10: MobileNet, and what its two multipliers buy.

A. Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", arXiv:1704.04861,
equations 2 to 7 and figure 4.  A separable convolution costs 1/O + 1/k^2 of a full one; the width multiplier alpha thins
every layer, the resolution multiplier rho shrinks the image: both cost about their square.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tinygrad_course as tgc
from tinygrad_course import models
from tinygrad_course.course.classifier import Run, fashion, n_parameters, smooth, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = (0.1, 0.25, 0.5, 1.0)
RESOLUTIONS = (0.5, 1.0)


def separable_share(kernel: int, outputs: int) -> float:
    """Multiply-adds of a depthwise and a pointwise convolution as a share of one full convolution: 1/O + 1/k^2."""
    return 1 / outputs + 1 / kernel**2


def run(settings: Settings) -> Outcome:
    """Count the paper's widths; train several widths at two resolutions."""
    images = fashion(32, channels=3)
    runs: dict[tuple[float, float], Run] = {}
    sizes: dict[float, int] = {}
    for width in WIDTHS:
        for resolution in RESOLUTIONS if width < 1 else (1.0,):
            tgc.manual_seed(settings.seed)
            net = models.mobilenet_v1(num_classes=10, width_mult=width, resolution_mult=resolution)
            sizes[width] = n_parameters(net)
            runs[width, resolution] = train(net, images, settings, steps=150, lr=3e-3,
                                            label=f"width {width:g}, resolution {resolution:g}")
    full, half, thin = (models.mobilenet_v1(width_mult=width) for width in (1.0, 0.5, 0.25))
    layer = full.features[8]  # 512 to 512 channels
    full_weights, separable_weights = 9 * 512 * 512, layer.depthwise[0].weight.numel() + layer.pointwise[0].weight.numel()
    facts = [
        equal("parameters at width 1, 0.5, 0.25", [n_parameters(net) for net in (full, half, thin)],
              [4_231_976, 1_331_592, 470_072]),
        within("a separable layer of 512 channels against a full one, counted, minus 1/O + 1/k^2",
               separable_weights / full_weights - separable_share(3, 512), -1e-9, 1e-9),
        within("accuracy at width 1", runs[1.0, 1.0].accuracy, low=0.65),
        within("accuracy gained from width 0.1 to 1", runs[1.0, 1.0].accuracy - runs[0.1, 1.0].accuracy, low=0.05),
        within("accuracy gained at width 0.5 from half to full resolution",
               runs[0.5, 1.0].accuracy - runs[0.5, 0.5].accuracy, low=0.0),
        within("loss at width 1: last steps as a share of the first", runs[1.0, 1.0].last_loss / runs[1.0, 1.0].first_loss,
               high=0.4),
    ]

    def accuracy() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(15, 5.6)
        left, right = fig.subplots(1, 2)
        for resolution, marker in zip(RESOLUTIONS, "so", strict=True):
            points = [(sizes[width], 100 * runs[width, resolution].accuracy) for width in WIDTHS
                      if (width, resolution) in runs]
            left.plot(*zip(*points, strict=True), f"{marker}-", linewidth=2.5, markersize=9,
                      label=f"{round(32 * resolution)} x {round(32 * resolution)} pixels")
        left.set_xscale("log")
        label_axes(left, "Parameters against accuracy", "parameters", "correct on test images (%)")
        left.legend(fontsize=TICK_SIZE)
        for width in WIDTHS:
            losses = runs[width, 1.0].losses
            right.plot(range(1, len(losses) + 1), smooth(losses), linewidth=2.5, label=f"width {width:g}")
        label_axes(right, "Wider nets learn faster", "training step", "cross-entropy (nats)")
        right.set_ylim(bottom=0)
        right.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"parameters_and_accuracy": accuracy})


ROW = Row("F10", "MobileNet and its multipliers", "Fashion-MNIST (shipped), 32 x 32",
          "4,231,976 parameters at width 1; accuracy grows with width and resolution", 20.0, run, ("models.mobilenet_v1",))
