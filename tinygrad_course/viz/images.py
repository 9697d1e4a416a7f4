"""Grids of images with what a model says of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import TICK_SIZE, TITLE_SIZE, WRONG_COLOUR, new_figure
from tinygrad_course.viz.layers import check_finite

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

ArrayOrTensor = Tensor | np.ndarray


def plot_images(images: ArrayOrTensor, predicted: ArrayOrTensor | Sequence[int],
                target: ArrayOrTensor | Sequence[int] | None = None, class_names: Sequence[str] | None = None, *,
                title: str = "Predictions", fig: "FigureBase | None" = None) -> "FigureBase":
    """A grid of images (N, H, W), (N, 1, H, W) grey or (N, 3, H, W) colour, each under its predicted class.

    Where `target` differs, the image gets a coloured frame and both classes.  All images share one brightness scale,
    from the smallest to the largest value.  Without `class_names` the labels are numbers.
    Raises ShapeError if images and labels do not fit together.
    """
    pixels = to_pixels(images, "plot_images")
    said = _labels(predicted, len(pixels), "predicted")
    true = said if target is None else _labels(target, len(pixels), "target")
    highest = max(said.max(), true.max())
    names = [str(number) for number in range(highest + 1)] if class_names is None else list(map(str, class_names))
    if len(names) <= highest or min(said.min(), true.min()) < 0:
        raise ShapeError(f"plot_images: labels go from {min(said.min(), true.min())} to {highest}, but there are "
                         f"{len(names)} class names. Give one name per class.")
    count = len(pixels)
    columns = min(count, max(4, math.ceil(math.sqrt(1.6 * count))))
    rows = math.ceil(count / columns)
    cell = 1.5 if max(map(len, names)) <= 3 else 1.95
    fig = fig or new_figure(max(columns * cell, 5) + 0.3, rows * (cell + 0.55) + 0.9)
    axes = fig.subplots(rows, columns, squeeze=False)
    for number, ax in enumerate(axes.flat):
        if number >= count:
            ax.remove()
            continue
        ax.imshow(pixels[number], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        right = said[number] == true[number]
        text = names[said[number]] if right else f"{names[said[number]]}\ntrue: {names[true[number]]}"
        ax.set_title(text, fontsize=TICK_SIZE, pad=4, color="black" if right else WRONG_COLOUR,
                     fontweight="normal" if right else "bold")
        for spine in ax.spines.values():
            spine.set(color="#BBBBBB" if right else WRONG_COLOUR, linewidth=0.8 if right else 4)
    n_wrong = int((said != true).sum())
    fig.suptitle(title if target is None else f"{title}: {n_wrong} of {count} wrong", fontsize=TITLE_SIZE)
    return fig


def to_pixels(images: ArrayOrTensor, caller: str) -> np.ndarray:
    """(N, H, W) or (N, H, W, 3) with values from 0 to 1, on one scale for all; errors name the `caller`."""
    values = as_array(images)
    colour = values.ndim == 4 and values.shape[1] == 3
    grey = values.ndim == 3 or (values.ndim == 4 and values.shape[1] == 1)
    if not (grey or colour) or not values.size:
        raise ShapeError(f"{caller}: images have the shape {values.shape}, needed is (N, H, W), (N, 1, H, W) or "
                         "(N, 3, H, W) with N >= 1.")
    values = values.astype(np.float64)
    check_finite(values, caller, "pixels")
    if values.ndim == 4:
        values = values.transpose(0, 2, 3, 1) if colour else values[:, 0]  # (N, H, W, 3) or (N, H, W)
    low, high = values.min(), values.max()
    return (values - low) / (high - low if high > low else 1.0)


def _labels(labels: object, count: int, name: str) -> np.ndarray:
    values = as_array(labels)
    if values.shape != (count,):
        raise ShapeError(f"plot_images: {name} has the shape {values.shape} for {count} images. "
                         "Give one label per image.")
    return values.astype(np.int64)
