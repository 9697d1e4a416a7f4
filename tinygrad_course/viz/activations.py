"""Activations of one layer for one input."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import LABEL_SIZE, TICK_SIZE, TITLE_SIZE, new_figure
from tinygrad_course.viz.layers import check_finite, layer_outputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_activations(model: Module, layer: str, x: Tensor | np.ndarray, *, max_maps: int = 64, title: str | None = None,
                     ax: "Axes | None" = None) -> "Axes":
    """The feature maps of a layer for one input, in reading order, all on one colour scale.

    model, x   the model is run once on the batch x of one input, (1, C, H, W) for images; put it in eval mode before
    layer      name of a module, as in model.named_modules(): "features.0".  An output (1, C, H, W) gives C maps, (1, D) one
               map with a cell per unit
    max_maps   of more maps the first ones are drawn
    Outputs of both signs are red where positive, white at zero and blue where negative; others go from black at 0 to white.
    Raises ShapeError for more than one input or another output, DataError for a layer that is not there or does not run.
    """
    values = layer_outputs(model, [layer], x, "plot_activations")[layer]
    if values.ndim not in (2, 4) or len(values) != 1 or not values.size:
        raise ShapeError(f"plot_activations: {layer!r} gives the shape {values.shape}, needed is (1, C, H, W) or (1, D). "
                         "Give one input: x[:1].")
    maps = values[0] if values.ndim == 4 else _folded(values[0])[None]
    check_finite(values, "plot_activations", "activations")
    n_maps = len(maps)
    maps = maps[:max(max_maps, 1)].astype(np.float64)
    widths = range(math.ceil(math.sqrt(len(maps))), math.ceil(math.sqrt(2 * len(maps))) + 1)
    columns = min(widths, key=lambda columns: -len(maps) % columns)  # the fewest places left empty
    rows = math.ceil(len(maps) / columns)
    height, width = maps.shape[1:]
    gap = max(1, round(0.06 * max(height, width))) if len(maps) > 1 else 0
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number, one in enumerate(maps):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        mosaic[top:top + height, left:left + width] = one

    ax = ax or new_figure(8.6, max(3.6, 7.2 * mosaic.shape[0] / mosaic.shape[1] + 0.9)).subplots()
    limit = float(np.nanmax(np.abs(mosaic))) or 1.0
    signed = bool(np.nanmin(mosaic) < 0)
    picture = ax.imshow(mosaic, cmap="RdBu_r" if signed else "gray", vmin=-limit if signed else 0, vmax=limit,
                        interpolation="nearest")
    ax.set_facecolor("#C8C8C8" if signed else "#8FA8C8")  # shows between maps, where it must not look like a value
    ax.set_xticks([])
    ax.set_yticks([])
    what = f"{n_maps} maps of {height} x {width}" if values.ndim == 4 else f"{values.shape[1]} units in reading order"
    shown = f", the first {len(maps)}" if len(maps) < n_maps else ""
    ax.set_title(f"Activations of {layer}" if title is None else title, fontsize=TITLE_SIZE, pad=10)
    ax.set_xlabel(f"{what}{shown}", fontsize=LABEL_SIZE)
    bar = ax.figure.colorbar(picture, ax=ax, fraction=0.046, pad=0.02)
    bar.set_label("activation", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    return ax


def _folded(units: np.ndarray) -> np.ndarray:
    """D units as rows of about twice as many columns, NaN after the last one."""
    columns = math.ceil(math.sqrt(2 * len(units)))
    rows = math.ceil(len(units) / columns)
    cells = np.full(rows * columns, np.nan)
    cells[:len(units)] = units
    return cells.reshape(rows, columns)
