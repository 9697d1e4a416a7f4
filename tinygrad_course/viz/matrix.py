"""Small arrays with their numbers, and images in a row: the pictures of a worked example."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import TICK_SIZE, TITLE_SIZE, WRONG_COLOUR, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_matrix(values: Tensor | np.ndarray, *, title: str = "", numbers: bool = True, cmap: str = "Blues",
                limits: tuple[float, float] | None = None, mark: np.ndarray | None = None,
                ax: "Axes | None" = None) -> "Axes":
    """A matrix (H, W) as coloured cells, with the number of each written in it unless numbers=False.

    limits  values of the first and the last colour; the smallest and largest value without it
    mark    bool (H, W): these cells get a frame
    Raises ShapeError if the values or the marks are not a matrix.
    """
    cells = as_array(values)
    if cells.ndim != 2 or not cells.size:
        raise ShapeError(f"plot_matrix: values have the shape {cells.shape}, needed is (H, W) with H, W >= 1.")
    mark = None if mark is None else np.asarray(mark)
    if mark is not None and mark.shape != cells.shape:
        raise ShapeError(f"plot_matrix: mark has the shape {mark.shape}, values have {cells.shape}. Give one per cell.")
    ax = ax or new_figure(max(0.8 * cells.shape[1], 3) + 0.6, max(0.8 * cells.shape[0], 2) + 1.0).subplots()
    low, high = limits or (float(cells.min()), float(cells.max()))
    picture = ax.imshow(cells, cmap=cmap, vmin=low, vmax=high if high > low else low + 1, interpolation="nearest")
    if numbers:
        for (y, x), value in np.ndenumerate(cells):
            red, green, blue, _ = picture.cmap(picture.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # luma of ITU-R BT.601
            ax.text(x, y, f"{value:.3g}", ha="center", va="center", fontsize=TICK_SIZE, color="white" if dark else "black")
    if mark is not None:
        for y, x in np.argwhere(mark):
            ax.plot([x - 0.46, x + 0.46, x + 0.46, x - 0.46, x - 0.46], [y - 0.46, y - 0.46, y + 0.46, y + 0.46, y - 0.46],
                    color=WRONG_COLOUR, linewidth=3)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=TITLE_SIZE, pad=10)
    return ax


def plot_panels(panels: Sequence[tuple[str, Tensor | np.ndarray]], *, title: str = "", columns: int | None = None,
                cmap: str = "gray", same_scale: bool = False, fig: "Figure | None" = None) -> "Figure":
    """Matrices (H, W) side by side as images, each under its own caption.

    With same_scale=True all panels share the colours of the smallest and the largest value; otherwise each has its own.
    """
    if not panels:
        raise ShapeError("plot_panels: no panels. Give at least one (caption, matrix).")
    columns = min(len(panels), 4) if columns is None else columns
    rows = -(-len(panels) // columns)
    fig = fig or new_figure(3.4 * columns + 0.4, 3.6 * rows + 0.7)
    axes = fig.subplots(rows, columns, squeeze=False)
    arrays = [as_array(values) for _, values in panels]
    limits = (float(min(a.min() for a in arrays)), float(max(a.max() for a in arrays))) if same_scale else None
    for ax in list(axes.flat)[len(panels):]:
        ax.remove()
    for ax, (caption, _), array in zip(axes.flat, panels, arrays, strict=False):
        plot_matrix(array, title=caption, numbers=False, cmap=cmap, limits=limits, ax=ax)
        ax.title.set_fontsize(TICK_SIZE)
    if title:
        fig.suptitle(title, fontsize=TITLE_SIZE)
    return fig
