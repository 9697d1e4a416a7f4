"""Predicted against true numbers."""

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course import metrics
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import GREY, TRAIN_COLOUR, label_axes, new_figure
from tinygrad_course.viz.layers import check_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_regression(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, *, unit: str = "", title: str = "Predictions",
                    ax: "Axes | None" = None) -> "Axes":
    """Predicted against true numbers, (N,) or (N, 1) both; on the diagonal they are right.  The title has R^2 and the RMSE.

    unit  of the numbers, for the labels: "mV"
    """
    p, y = _numbers(pred, target, "plot_regression")
    ax = ax or new_figure(7.4, 7.0).subplots()
    low, high = float(min(p.min(), y.min())), float(max(p.max(), y.max()))
    margin = 0.05 * (high - low) or 0.5
    ax.plot([low - margin, high + margin], [low - margin, high + margin], color=GREY, linestyle="--", linewidth=1.4, zorder=1)
    _scatter(ax, y, p)
    behind = f" {unit}" if unit else ""
    label_axes(ax, f"{title}: R² = {metrics.r2_score(p, y):.3f}, RMSE = {metrics.root_mean_squared_error(p, y):.3g}{behind}",
               f"true value{_in(unit)}", f"predicted value{_in(unit)}")
    ax.set_xlim(low - margin, high + margin)
    ax.set_ylim(low - margin, high + margin)
    ax.set_aspect("equal")
    return ax


def plot_residuals(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, *, unit: str = "", title: str = "Residuals",
                   ax: "Axes | None" = None) -> "Axes":
    """True minus predicted against predicted numbers, (N,) or (N, 1) both: what is left should have no shape.

    The line is zero, the band one standard deviation of the residuals around their mean; the title has both.
    """
    p, y = _numbers(pred, target, "plot_residuals")
    left = y - p
    mean, deviation = float(left.mean()), float(left.std())
    ax = ax or new_figure(8.6, 5.8).subplots()
    ax.axhline(0, color=GREY, linestyle="--", linewidth=1.4, zorder=1)
    ax.axhspan(mean - deviation, mean + deviation, color=TRAIN_COLOUR, alpha=0.12, zorder=0, linewidth=0)
    _scatter(ax, p, left)
    behind = f" {unit}" if unit else ""
    label_axes(ax, f"{title}: {mean:.2g} ± {deviation:.2g}{behind}", f"predicted value{_in(unit)}",
               f"true - predicted value{_in(unit)}")
    limit = 1.08 * float(np.abs(left).max()) or 1.0
    ax.set_ylim(-limit, limit)
    return ax


def _numbers(pred: Tensor | np.ndarray, target: Tensor | np.ndarray, caller: str) -> tuple[np.ndarray, np.ndarray]:
    p, y = as_array(pred), as_array(target)
    if p.shape != y.shape or p.ndim not in (1, 2) or len(p) < 2 or p.size != len(p):
        raise ShapeError(f"{caller}: pred has the shape {p.shape} and target {y.shape}, needed are (N,) or (N, 1) for both, "
                         "with N >= 2. Draw several outputs one by one: pred[:, k], target[:, k].")
    check_finite(p, caller, "predictions")
    check_finite(y, caller, "targets")
    return p.astype(np.float64).ravel(), y.astype(np.float64).ravel()


def _scatter(ax: "Axes", x: np.ndarray, y: np.ndarray) -> None:
    """Points that become smaller and clearer the more there are."""
    many = len(x) > 300
    ax.plot(x, y, linestyle="", marker="o", markersize=4 if many else 7, color=TRAIN_COLOUR, alpha=0.45 if many else 0.75,
            markeredgecolor="white", markeredgewidth=0.3)
    ax.grid(color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _in(unit: str) -> str:
    return f" ({unit})" if unit else ""
