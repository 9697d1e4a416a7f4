"""E8: what a convolution sees and what it costs.

A layer's receptive field grows by (kernel - 1) x dilation x the product of the strides before it.  Its work is one
multiply-add per weight and output pixel: k^2 C O for k x k, C to O channels.  Four ways to see as much for less:

    small filters       three of 3 x 3 see 7 x 7, for 27 C^2 weights in place of 49 C^2
    1 x 1 bottlenecks   fewer channels in front of a large filter (row F6)
    depthwise-separable a filter per channel and a 1 x 1 across channels: 1/O + 1/k^2 of the work (row F10)
    dilation            holes in the kernel: the field doubles from layer to layer

M. Lin, Q. Chen, S. Yan, ICLR 2014 (1 x 1); F. Chollet, "Xception", CVPR 2017 (separable); F. Yu, V. Koltun, "Multi-scale
context aggregation by dilated convolutions", ICLR 2016, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.interpret import receptive_field, summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCEPTION = (28, 256)                 # pixels along a side, channels
FILTERS = {1: 128, 3: 192, 5: 96}     # of the three sizes
BOTTLENECK = 64


class Block(nn.Module):
    """An inception block of the course: 1 x 1, 3 x 3 and 5 x 5 side by side with a 3 x 3 max pooling.

    bottleneck  filters of 1 x 1 in front of the larger ones and behind the pooling; 0 for the naive block
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, FILTERS[1], 1, bias=False)
        large = {k: nn.Conv2d(bottleneck or channels, FILTERS[k], k, padding=k // 2, bias=False) for k in (3, 5)}
        reduce = [nn.Conv2d(channels, bottleneck, 1, bias=False) if bottleneck else nn.Identity() for _ in range(3)]
        self.three = nn.Sequential(reduce[0], large[3])
        self.five = nn.Sequential(reduce[1], large[5])
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), reduce[2])

    def forward(self, x: tgc.Tensor) -> tgc.Tensor:
        return tgc.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def seen_by_gradient(net: nn.Module, size: int) -> int:
    """Pixels along an axis that the middle output depends on, found by asking the gradient: the calculator's judge."""
    x = tgc.zeros(1, 1, size, size, requires_grad=True)
    y = net(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    assert x.grad is not None
    return int((x.grad[0, 0].abs().sum(0) > 0).sum().item())


def stack(layers: list[tuple[int, int, int, int]]) -> nn.Sequential:
    """Convolutions of one channel with weights of 1, from (kernel, stride, padding, dilation)."""
    net = nn.Sequential(*(nn.Conv2d(1, 1, kernel, stride, padding, dilation, bias=False)
                          for kernel, stride, padding, dilation in layers))
    with tgc.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1)
    return net


def run(settings: Settings) -> Outcome:
    """Fields by calculation and by gradient, counts by formula and by counting what runs."""
    stacks = {
        "three of 3 x 3": [(3, 1, 1, 1)] * 3,
        "one of 7 x 7": [(7, 1, 3, 1)],
        "3 x 3 with strides 1, 2, 2": [(3, 1, 1, 1), (3, 2, 1, 1), (3, 2, 1, 1)],
        "3 x 3 with dilations 1, 2, 4": [(3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4)],
    }
    calculated = {name: receptive_field(layers).size for name, layers in stacks.items()}
    measured = {name: seen_by_gradient(stack(layers), 64) for name, layers in stacks.items()}
    channels = 32
    small = nn.Sequential(*(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(3)))
    large = nn.Conv2d(channels, channels, 7, padding=3, bias=False)
    weights = [sum(p.numel() for p in net.parameters()) // channels**2 for net in (small, large)]
    side, depth = INCEPTION
    naive, cheap = (summary(Block(depth, bottleneck), (1, depth, side, side)).mult_adds for bottleneck in (0, BOTTLENECK))
    full = nn.Conv2d(64, 128, 3, padding=1, bias=False)
    separable = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False), nn.Conv2d(64, 128, 1, bias=False))
    shape = (1, 64, 14, 14)
    share = summary(separable, shape).mult_adds / summary(full, shape).mult_adds
    dilated = [receptive_field([(3, 1, 0, 2**k) for k in range(depth_ + 1)]).size for depth_ in range(6)]
    facts = [
        equal("pixels seen along an axis, by calculation", list(calculated.values()), [7, 7, 9, 15]),
        equal("pixels that the gradient of one output reaches", list(measured.values()), [7, 7, 9, 15]),
        equal("weights of three 3 x 3 and of one 7 x 7, in C^2", weights, [27, 49]),
        equal("multiply-adds of the naive inception block, counted while it runs", naive, 854_196_224),
        equal("multiply-adds with bottlenecks of 64", cheap, 271_351_808),
        within("a separable convolution against a full one, minus 1/O + 1/k^2", share - (1 / 128 + 1 / 9), -1e-12, 1e-12),
        equal("dilations 1, 2, 4, ...: pixels seen after 1 to 6 layers, 2^(n+1) - 1", dilated,
              [2 ** (n + 1) - 1 for n in range(1, 7)]),
    ]

    def fields() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(9.5, 5.6)
        ax = fig.subplots()
        depths = np.arange(1, 9)
        kinds: dict[str, list[tuple[int, ...]]] = {
            "3 x 3": [(3,)] * 8,
            "3 x 3, every second with stride 2": [(3, 1 + k % 2) for k in range(8)],
            "3 x 3, dilations 1, 2, 4, ...": [(3, 1, 0, 2**k) for k in range(8)],
        }
        for (name, layers), marker in zip(kinds.items(), "os^", strict=True):
            ax.plot(depths, [receptive_field(layers[:n]).size for n in depths], f"{marker}-", linewidth=2.5, markersize=9,
                    label=name)
        ax.set_yscale("log", base=2)
        label_axes(ax, "How far a stack of layers sees", "layers", "pixels along each axis")
        ax.legend(fontsize=TICK_SIZE)
        return fig

    def costs() -> Figure:
        from tinygrad_course.viz.figure import label_axes, new_figure

        fig = new_figure(13, 5.2)
        left, right = fig.subplots(1, 2)
        bars = {"7 x 7": 49, "3 of 3 x 3": 27, "3 of 3 x 3,\nseparable": 27 / 9 + 3 * 9 / channels}
        left.bar(list(bars), list(bars.values()), color=["#5A5A5A", "#0072B2", "#D55E00"])
        label_axes(left, f"To see 7 x 7 (C = {channels})", "", "weights / C$^2$")
        right.bar(["naive", "bottlenecks of 64"], [naive / 1e6, cheap / 1e6], color=["#5A5A5A", "#0072B2"])
        label_axes(right, "Inception block, 28 x 28 x 256", "", "multiply-adds (million)")
        return fig

    return Outcome(facts, {"receptive_fields": fields, "costs": costs})


ROW = Row("E8", "Receptive field and cost", "none: counted and calculated",
          "three 3 x 3 see 7 x 7 for 27 C^2 in place of 49 C^2; bottlenecks save two thirds of an inception block", 2.0, run,
          ("nn.Conv2d", "interpret.receptive_field", "summary"))
