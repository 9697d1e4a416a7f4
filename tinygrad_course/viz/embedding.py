"""Points of many dimensions on paper."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import DataError, DependencyError, ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import GREY, LABEL_SIZE, TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pca(x: Tensor | np.ndarray, components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, components) of the points x (N, D) along their principal axes, and the share of the variance of each axis.

    The sign of an axis is such that its largest entry is positive.  K. Pearson, "On lines and planes of closest fit to
    systems of points in space", Philosophical Magazine 2 (1901).
    """
    points = _points(x, "pca")
    if not 1 <= components <= min(points.shape):
        raise ShapeError(f"pca: {components} components of points {points.shape}. Give 1 to {min(points.shape)}.")
    centred = points - points.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:components] * np.sign(axes[np.arange(components), np.abs(axes[:components]).argmax(axis=1)])[:, None]
    total = np.sum(lengths**2)
    return centred @ axes.T, lengths[:components] ** 2 / (total if total > 0 else 1.0)


def plot_embedding(x: Tensor | np.ndarray, y: Tensor | np.ndarray | None = None, names: Sequence[str] | None = None, *,
                   method: str = "pca", seed: int = 0, title: str | None = None, ax: "Axes | None" = None) -> "Axes":
    """Points x (N, D) on a plane, coloured by their classes y (N,), with the name of each class at its middle.

    method  "pca": the two axes of the largest variance;  "tsne": neighbours stay neighbours, distances mean little (L. van
            der Maaten, G. Hinton, JMLR 9, 2008; needs scikit-learn), the same for the same seed;  "none": x is (N, 2) and
            drawn as it is
    names   of the classes 0 ... C-1
    x can be inputs, or what a layer makes of them.
    """
    points = _points(x, "plot_embedding")
    classes = None if y is None else as_array(y)
    if classes is not None and (classes.shape != points.shape[:1] or classes.dtype.kind not in "iub" or classes.min() < 0):
        raise ShapeError(f"plot_embedding: classes {classes.dtype} {classes.shape} for {len(points)} points. Give one whole "
                         "number from 0 per point.")
    labels = list(names) if names is not None else [str(k) for k in range(0 if classes is None else int(classes.max()) + 1)]
    if classes is not None and len(labels) <= classes.max():
        raise ShapeError(f"plot_embedding: {len(labels)} names, but classes go to {classes.max()}. Give one per class.")
    if method == "pca":
        places, shares = pca(points)
        axes = [f"component {k + 1} ({100 * share:.0f} % of the variance)" for k, share in enumerate(shares)]
    elif method == "tsne":
        places, axes = _tsne(points, seed), ["", ""]
    elif method == "none" and points.shape[1] == 2:
        places, axes = points, ["dimension 1", "dimension 2"]
    else:
        raise DataError(f"plot_embedding: method is {method!r} for points {points.shape}. Give 'pca', 'tsne', or 'none' for "
                        "points (N, 2).")

    ax = ax or new_figure(8.4, 7.2).subplots()
    from matplotlib import colormaps
    from matplotlib.patheffects import withStroke

    size = float(np.clip(8000 / len(places), 8, 45))
    if classes is None:
        ax.scatter(places[:, 0], places[:, 1], s=size, color=TRAIN_COLOUR, alpha=0.7, linewidth=0)
    else:
        colours = colormaps["tab10" if len(labels) <= 10 else "turbo"]
        for k in np.unique(classes).astype(int):
            of_class = places[classes == k]
            colour = colours(k if len(labels) <= 10 else k / (len(labels) - 1))
            ax.scatter(of_class[:, 0], of_class[:, 1], s=size, color=colour, alpha=0.7, linewidth=0, label=labels[k])
            x_middle, y_middle = np.median(of_class, axis=0)
            ax.text(x_middle, y_middle, labels[k], fontsize=LABEL_SIZE + 1, fontweight="bold", color=colour, ha="center",
                    va="center", path_effects=[withStroke(linewidth=4, foreground="white")])
    how = {"pca": "Principal components", "tsne": "t-SNE", "none": "Embedding"}[method]
    label_axes(ax, how if title is None else title, *axes)
    if method == "tsne":
        ax.set_xticks([])  # the numbers mean nothing
        ax.set_yticks([])
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(labelsize=TICK_SIZE)
    return ax


def _points(x: Tensor | np.ndarray, caller: str) -> np.ndarray:
    points = as_array(x)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] < 2:
        raise ShapeError(f"{caller}: points have the shape {points.shape}, needed is (N, D) with N, D >= 2. Flatten images: "
                         "x.flatten(1).")
    points = points.astype(np.float64)
    if not np.isfinite(points).all():
        wrong = np.count_nonzero(~np.isfinite(points).all(axis=1))
        raise DataError(f"{caller}: {wrong} points are not finite. Leave them out.")
    return points


def _tsne(points: np.ndarray, seed: int) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise DependencyError("method='tsne' needs the package scikit-learn: pip install scikit-learn") from error
    perplexity = min(30.0, (len(points) - 1) / 3)
    method = "exact" if len(points) <= 100 else "barnes_hut"  # a tree of few points costs more than it saves
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=seed, method=method).fit_transform(points))
