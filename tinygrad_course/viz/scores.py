"""Curves over the threshold of a classifier: ROC, precision against recall, and calibration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course import metrics
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.decision import CLASS_COLOURS
from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":", "-.")


def plot_roc(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, names: Sequence[str] | None = None, *,
             title: str = "ROC curve", ax: "Axes | None" = None) -> "Axes":
    """True against false positive rate over all thresholds, with the area under each curve; a guess is the diagonal.

    pred, target  scores (N,) of class 1 and classes 0 and 1, or scores (N, C) and classes (N,): a curve per class against
                  the rest.  A class that has none or all of the samples has no curve
    names         of the curves
    Raises as metrics.roc_curve and metrics.roc_auc.
    """
    curves = _each_class(pred, target, names, "plot_roc")
    total = metrics.roc_auc(pred, target)
    ax = ax or new_figure(7.6, 7.0).subplots()
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.4, zorder=1)
    for number, (name, scores, truth) in enumerate(curves):
        if 0 < truth.sum() < len(truth):
            false_rate, true_rate, _ = metrics.roc_curve(scores, truth)
            _draw(ax, number, false_rate, true_rate, f"{name}: {metrics.roc_auc(scores, truth):.3f}")
    label_axes(ax, f"{title}: area {'' if len(curves) == 1 else 'in the mean '}{total:.3f}", "false positive rate",
               "true positive rate")
    _square(ax, "area under the curve", len(curves))
    return ax


def plot_precision_recall(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, names: Sequence[str] | None = None, *,
                          title: str = "Precision and recall", ax: "Axes | None" = None) -> "Axes":
    """Precision against recall over all thresholds, with the average precision of each curve; arguments as `plot_roc`.

    The curve is a stair of which the average precision is the area: no threshold reaches what lies between its points.  The
    dotted line of each curve is the share of its class, the precision of a guess.
    """
    curves = _each_class(pred, target, names, "plot_precision_recall")
    total = metrics.average_precision(pred, target)
    ax = ax or new_figure(7.6, 7.0).subplots()
    for number, (name, scores, truth) in enumerate(curves):
        if truth.any():
            precision, recall, _ = metrics.precision_recall_curve(scores, truth)
            _draw(ax, number, recall, precision, f"{name}: {metrics.average_precision(scores, truth):.3f}", steps=True)
            ax.axhline(truth.mean(), color=CLASS_COLOURS[number % len(CLASS_COLOURS)], linestyle=":", linewidth=1, zorder=1)
    label_axes(ax, f"{title}: {'average' if len(curves) == 1 else 'mean average'} precision {total:.3f}", "recall",
               "precision")
    _square(ax, "average precision", len(curves))
    return ax


def plot_calibration(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, bins: int = 10, *, title: str = "Calibration",
                     ax: "Axes | None" = None) -> "Axes":
    """Share of hits against mean probability, bin by bin: on the diagonal probabilities mean what they say.

    Below it the model is too sure of itself.  Points are as large as their number of samples; the title has the expected
    calibration error.  pred, target, bins and errors as metrics.calibration_curve.
    """
    mean, share, counts = metrics.calibration_curve(pred, target, bins)
    error = metrics.expected_calibration_error(pred, target, bins)
    several = as_array(pred).ndim == 2
    ax = ax or new_figure(7.6, 7.0).subplots()
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.4, zorder=1)
    ax.vlines(mean, np.minimum(mean, share), np.maximum(mean, share), color=CLASS_COLOURS[1], linewidth=2, alpha=0.7)
    ax.plot(mean, share, color=TRAIN_COLOUR, linewidth=1.8, zorder=3)
    ax.scatter(mean, share, s=30 + 500 * counts / counts.sum(), color=TRAIN_COLOUR, edgecolor="white", zorder=4)
    label_axes(ax, f"{title}: expected error {100 * error:.1f} %",
               "probability of the predicted class" if several else "probability of class 1",
               "share of them that are right" if several else "share of class 1")
    _square(ax, "", 0)
    return ax


def _each_class(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, names: Sequence[str] | None,
                caller: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, scores (N,), whether it is this class (N,)) for every curve."""
    scores, truth = as_array(pred), as_array(target)
    n_curves = scores.shape[1] if scores.ndim == 2 else 1
    if names is not None and len(names) != n_curves:
        raise ShapeError(f"{caller}: {len(names)} names for {n_curves} curves. Give one per column of scores.")
    if scores.ndim != 2:
        return [(names[0] if names else "class 1", scores, truth == 1)]
    return [(names[k] if names else f"class {k}", scores[:, k], truth == k) for k in range(n_curves)]


def _draw(ax: "Axes", number: int, x: np.ndarray, y: np.ndarray, label: str, steps: bool = False) -> None:
    ax.plot(x, y, label=label, linewidth=2.2, color=CLASS_COLOURS[number % len(CLASS_COLOURS)],
            linestyle=_STYLES[number // len(CLASS_COLOURS) % len(_STYLES)], drawstyle="steps-post" if steps else "default")


def _square(ax: "Axes", legend: str, n_curves: int) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    ax.grid(color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if n_curves > 1:
        ax.legend(fontsize=TICK_SIZE, framealpha=0.9, title=legend, title_fontsize=TICK_SIZE)
