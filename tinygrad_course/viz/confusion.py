"""Confusion matrices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_confusion_matrix(counts: np.ndarray, class_names: Sequence[str] | None = None, *,
                          title: str = "Confusion matrix", ax: "Axes | None" = None) -> "Axes":
    """Counts (C, C), row = true class, column = predicted class, with the recall of each class on the right.

    A cell is as dark as its share of the row, so that rare classes are as visible as common ones; zeros are left out.
    Raises ShapeError if the matrix is not square and not empty, or the names are not C.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError(f"plot_confusion_matrix: counts have the shape {counts.shape}, needed is (C, C). "
                         "Give the result of metrics.confusion_matrix.")
    n_classes = len(counts)
    names = [str(number) for number in range(n_classes)] if class_names is None else list(map(str, class_names))
    if len(names) != n_classes:
        raise ShapeError(f"plot_confusion_matrix: {len(names)} class names for {n_classes} classes. "
                         "Give one per class.")
    long_names = max(map(len, names)) > 3
    side = max(5.0, 0.68 * n_classes)
    ax = ax or new_figure(side + (3.6 if long_names else 2.8), side + (2.4 if long_names else 1.4)).subplots()

    support = counts.sum(axis=1)
    share = counts / np.maximum(support, 1)[:, None]
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        colour = "white" if share[row, column] > 0.55 else "black"
        ax.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=TICK_SIZE)
    ticks = range(n_classes)
    ax.set_xticks(ticks, names, rotation=45 if long_names else 0, ha="right" if long_names else "center",
                  rotation_mode="anchor" if long_names else None)
    ax.set_yticks(ticks, names)
    ax.set_xticks(np.arange(1, n_classes) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, n_classes) - 0.5, minor=True)
    ax.grid(which="minor", color="#DDDDDD", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    # Texts beside the matrix: a second y axis would be left out of account by the layout and cover the labels.
    ax.annotate("recall (%)", (1, 1), (8, 10), xycoords="axes fraction", textcoords="offset points", fontsize=TICK_SIZE)
    for row in ticks:
        recall = f"{100 * share[row, row]:.1f}" if support[row] else "no samples"
        ax.annotate(recall, (1, row), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                    fontsize=TICK_SIZE, va="center")

    total = int(counts.sum())
    accuracy = f"{100 * np.trace(counts) / total:.1f} % of {total:,} correct" if total else "no samples"
    label_axes(ax, f"{title}: {accuracy}", "predicted class", "true class")
    return ax
