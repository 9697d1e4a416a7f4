"""The loss over the learning rate, as train.lr_finder measured it."""

from typing import TYPE_CHECKING

from tinygrad_course.train import LRFinder
from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_lr_finder(found: LRFinder, *, ax: "Axes | None" = None) -> "Axes":
    """Loss of each step and its running mean over the learning rate (logarithmic); the suggestion is marked.

    The axis ends above the first mean: a loss that explodes would flatten the rest.
    """
    ax = ax or new_figure(7.5, 5.6).subplots()
    ax.plot(found.rates, found.losses, color=GREY, linewidth=1, alpha=0.6, label="each step")
    ax.plot(found.rates, found.smoothed, color=TRAIN_COLOUR, linewidth=2.4, label="running mean")
    rate = found.suggestion
    ax.axvline(rate, color=VALIDATION_COLOUR, linestyle="--", linewidth=1.6, label=f"suggestion {rate:.2g}")
    ax.set_xscale("log")
    low, high = min(*found.losses, *found.smoothed), found.smoothed[0]
    margin = 0.5 * (high - low) or 0.5 * abs(high) or 1.0
    ax.set_ylim(low - 0.2 * margin, high + margin)
    label_axes(ax, "Learning-rate finder", "learning rate", "training loss")
    ax.grid(color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=TICK_SIZE + 1, framealpha=0.9)
    return ax
