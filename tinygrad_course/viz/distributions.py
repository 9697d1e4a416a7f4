"""Distributions, one below the other: of the weights of a model, and of what goes into its nonlinearities."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.nn import Bilinear, Linear, Module
from tinygrad_course.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure
from tinygrad_course.viz.layers import layer_outputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WEIGHTED = (Linear, Bilinear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
_RIDGE = 0.85  # height of a ridge, in rows


def plot_distributions(groups: Mapping[str, Any], *, kind: str = "ridge", title: str = "Distributions",
                       x_label: str = "value", ax: "Axes | None" = None) -> "Axes":
    """The distributions of some groups of numbers, the first one on top, with mean and standard deviation of each.

    groups  name -> Tensor or array of any shape
    kind    "ridge": histograms, each as high as its largest bin; "box": from the lower to the upper quartile, with the
            median, and whiskers from the 1st to the 99th percentile
    The axis spans the 0.5th to the 99.5th percentile of the group that needs most; numbers outside are in the deviations.
    Raises DataError for no groups, an empty one, numbers that are not finite, or another kind.
    """
    if kind not in ("ridge", "box"):
        raise DataError(f"plot_distributions: kind is {kind!r}. Give 'ridge' or 'box'.")
    if not groups:
        raise DataError("plot_distributions: there are no groups. Give a dict of name and numbers.")
    arrays = {name: as_array(values).astype(np.float64).ravel() for name, values in groups.items()}
    for name, values in arrays.items():
        if not values.size or not np.isfinite(values).all():
            wrong = f"{np.count_nonzero(~np.isfinite(values))} of {values.size} numbers are not finite" if values.size else \
                "there are no numbers"
            raise DataError(f"plot_distributions: in {name!r} {wrong}. Leave the group out, or look for "
                            "where the model diverged.")
    rows = range(len(arrays) - 1, -1, -1)  # the first group on top
    ax = ax or new_figure(9.5, max(3.6, 0.75 * len(arrays) + 1.9)).subplots()
    spans = np.stack([np.percentile(values, [0.5, 99.5]) for values in arrays.values()])  # (groups, 2)
    low, high = float(spans[:, 0].min()), float(spans[:, 1].max())
    margin = 0.05 * (high - low) or max(0.5 * abs(high), 0.5)
    low, high = low - margin, high + margin
    if kind == "ridge":
        for row, values in zip(rows, arrays.values(), strict=True):
            bins = int(np.clip(2 * np.sqrt(len(values)), 20, 100))  # few numbers make a comb of narrow ones
            counts, places = np.histogram(values, bins=bins, range=(low, high))
            heights = row + _RIDGE * counts / max(counts.max(), 1)
            ax.stairs(heights, places, baseline=row, fill=True, color=TRAIN_COLOUR, alpha=0.55)
            ax.stairs(heights, places, baseline=None, color=TRAIN_COLOUR, linewidth=1.2)
        ax.set_ylim(-0.15, len(arrays))
        ax.set_yticks(list(rows), list(arrays))
    else:
        for row, values in zip(rows, arrays.values(), strict=True):
            lowest, q1, median, q3, highest = np.percentile(values, [1, 25, 50, 75, 99])
            ax.hlines(row, lowest, highest, color=TRAIN_COLOUR, linewidth=1.5, zorder=1)
            ax.barh(row, q3 - q1, left=q1, height=0.55, color="#A6CDE6", edgecolor=TRAIN_COLOUR, linewidth=1.5)
            ax.vlines(median, row - 0.275, row + 0.275, color="black", linewidth=2)
            ax.vlines([lowest, highest], row - 0.12, row + 0.12, color=TRAIN_COLOUR, linewidth=1.5)
        ax.set_ylim(-0.6, len(arrays) - 0.4)
        ax.set_yticks(list(rows), list(arrays))
    for row, values in zip(rows, arrays.values(), strict=True):
        ax.annotate(f"{values.mean():.2g} ± {values.std():.2g}", (1, row + (0.3 if kind == "ridge" else 0)), (8, 0),
                    xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=TICK_SIZE)
    ax.annotate("mean ± s.d.", (1, 1), (8, 10), xycoords="axes fraction", textcoords="offset points", fontsize=TICK_SIZE)
    label_axes(ax, title, x_label, "")
    ax.axvline(0, color=GREY, linewidth=1, linestyle=":", zorder=0)
    ax.set_xlim(low, high)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_weight_histograms(model: Module, *, kind: str = "ridge", title: str = "Weights",
                           ax: "Axes | None" = None) -> "Axes":
    """The weights of each layer (parameters of two or more axes; biases and scales have one), as `plot_distributions`."""
    weights = {name.removesuffix(".weight"): values for name, values in model.named_parameters() if values.ndim >= 2}
    if not weights:
        raise DataError(f"plot_weight_histograms: {type(model).__name__} has no weights, parameters of two or more axes.")
    return plot_distributions(weights, kind=kind, title=title, x_label="weight", ax=ax)


def plot_preactivations(model: Module, x: Tensor | np.ndarray, layers: Sequence[str] | None = None, *, kind: str = "ridge",
                        title: str = "Pre-activations", ax: "Axes | None" = None) -> "Axes":
    """What the layers put into the nonlinearities for a batch x, as `plot_distributions`.

    layers  names of modules, whose outputs are taken; without it all linear and convolutional ones
    The model is run once, in the mode it is in.  Spreads that shrink or grow from layer to layer: X. Glorot, Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, figures 2 and 6.
    """
    if layers is None:
        layers = [name for name, module in model.named_modules() if isinstance(module, _WEIGHTED) and name]
    if not layers:
        raise DataError(f"plot_preactivations: {type(model).__name__} has no linear or convolutional layers. Give layers, "
                        "names of modules.")
    return plot_distributions(layer_outputs(model, layers, x, "plot_preactivations"), kind=kind, title=title,
                              x_label="output of the layer", ax=ax)
