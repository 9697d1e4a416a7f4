"""Convolution filters as small images."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import LABEL_SIZE, TICK_SIZE, TITLE_SIZE, new_figure
from tinygrad_course.viz.layers import check_finite

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase


def plot_filters(weight: Tensor | np.ndarray, *, title: str = "First-layer filters",
                 fig: "FigureBase | None" = None) -> "FigureBase":
    """One picture per filter of a convolution weight (O, C, kh, kw), all on one colour scale from -max|w| to +max|w|.

    White is zero, red positive, blue negative.  The C input channels of a filter stand side by side.
    Raises ShapeError if the weight is not 4-D or empty.
    """
    values = as_array(weight)
    if values.ndim != 4 or not values.size:
        raise ShapeError(f"plot_filters: weight has the shape {values.shape}, needed is (O, C, kh, kw). "
                         "Give the weight of a Conv2d.")
    check_finite(values, "plot_filters", "weights")
    n_filters, n_channels, height, width = values.shape
    panels = np.full((n_filters, height, n_channels * (width + 1) - 1), np.nan)
    for channel in range(n_channels):
        left = channel * (width + 1)  # one empty column between channels
        panels[:, :, left:left + width] = values[:, channel]
    columns, rows = _grid(n_filters, panels.shape[2] / height)
    cell_height = 1.9 if rows < 4 else 1.3
    cell_width = cell_height * min(panels.shape[2] / height, 6)
    fig = fig or new_figure(max(columns * cell_width, 5) + 1.8, rows * (cell_height + 0.3) + 1.0)
    limit = float(np.abs(values).max()) or 1.0  # all zero: any scale does
    axes = fig.subplots(rows, columns, squeeze=False)
    for number, ax in enumerate(axes.flat):
        if number >= n_filters:
            ax.remove()
            continue
        ax.set_facecolor("#C8C8C8")  # shows between channels, where white would look like weights of zero
        picture = ax.imshow(panels[number], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(str(number), fontsize=TICK_SIZE, pad=4)
        ax.set_xticks([])
        ax.set_yticks([])
    channels = "" if n_channels == 1 else f", {n_channels} channels side by side"
    fig.suptitle(f"{title}: {n_filters} of {height} x {width}{channels}", fontsize=TITLE_SIZE)
    bar = fig.colorbar(picture, ax=list(axes.flat[:n_filters]), fraction=0.05, aspect=12 * rows)
    bar.set_label("weight", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    return fig


def _grid(count: int, aspect: float) -> tuple[int, int]:
    """(columns, rows) for `count` pictures of width / height `aspect`, about half as high as wide."""
    columns = min(count, max(1, math.ceil(math.sqrt(1.5 * count / aspect))))
    return columns, math.ceil(count / columns)
