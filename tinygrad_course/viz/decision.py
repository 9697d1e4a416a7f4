"""Decision regions: which class a classifier of two numbers gives to every point of the plane."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import as_array, tensor
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure
from tinygrad_course.viz.layers import check_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From the palette of M. Okabe and K. Ito (2008); the shapes tell the classes apart without colour.
CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5A5A5A", "#000000")
CLASS_MARKERS = "os^Dv<>P"
_POINTS = 400  # along each axis


def plot_decision(model: Module | Callable[[np.ndarray], Any], x: Tensor | np.ndarray, y: Tensor | np.ndarray, *,
                  title: str = "Decision regions", axes: tuple[str, str] = ("x$_1$", "x$_2$"),
                  names: Sequence[str] | None = None, threshold: float = 0.0, x_range: tuple[float, float] | None = None,
                  y_range: tuple[float, float] | None = None, ax: "Axes | None" = None) -> "Axes":
    """Coloured regions of the classes, and the points x (N, 2) of the classes y (N,) on top.

    model      a Module (is given a float32 tensor; put it in eval mode before) or a function of an array (M, 2).  It
               returns scores (M, K), of which the largest wins; or whole numbers or bools (M,), the classes; or real
               numbers (M,) or (M, 1): class 1 above the threshold
    names      of the classes, for the legend;  axes: of the two inputs
    x_range, y_range   of the plane; the points and a tenth around them without it
    Raises ShapeError for other shapes, DataError for a class that is not 0 to 7.
    """
    points, classes = as_array(x), as_array(y)
    if points.ndim != 2 or points.shape[1] != 2 or classes.shape != points.shape[:1] or not points.size:
        raise ShapeError(f"plot_decision: points have the shape {points.shape} and classes {classes.shape}, needed are "
                         "(N, 2) and (N,).")
    check_finite(points, "plot_decision", "coordinates")
    left, right = x_range or _around(points[:, 0])
    bottom, top = y_range or _around(points[:, 1])
    grid = np.stack(np.meshgrid(np.linspace(left, right, _POINTS), np.linspace(bottom, top, _POINTS)), axis=-1)
    region = decide(model, grid.reshape(-1, 2), threshold).reshape(_POINTS, _POINTS)
    present = np.union1d(classes, region)
    if not np.isin(present, range(len(CLASS_COLOURS))).all():
        raise DataError(f"plot_decision: the classes are {present[:10].tolist()}, needed are whole numbers from 0 to "
                        f"{len(CLASS_COLOURS) - 1}.")
    from matplotlib.colors import ListedColormap

    ax = ax or new_figure(7.5, 6.4).subplots()
    ax.imshow(region, origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="nearest", alpha=0.25,
              cmap=ListedColormap(CLASS_COLOURS), vmin=-0.5, vmax=len(CLASS_COLOURS) - 0.5)
    for number in np.unique(classes).astype(int):
        of_class = points[classes == number]
        ax.plot(of_class[:, 0], of_class[:, 1], linestyle="", marker=CLASS_MARKERS[number], color=CLASS_COLOURS[number],
                markersize=11 if len(points) <= 30 else 6, markeredgecolor="white", markeredgewidth=0.8,
                label=names[number] if names is not None else f"class {number}")
    label_axes(ax, title, *axes)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.legend(fontsize=TICK_SIZE, framealpha=0.9)
    return ax


def decide(model: Module | Callable[[np.ndarray], Any], points: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Classes int64 (M,) that a model, as `plot_decision` takes it, gives to points (M, 2)."""
    with no_grad():
        out = as_array(model(tensor(points.astype(np.float32))) if isinstance(model, Module) else model(points))
    if out.shape == (len(points), 1):
        out = out[:, 0]
    if out.ndim not in (1, 2) or len(out) != len(points):
        raise ShapeError(f"plot_decision: for {len(points)} points the model returns {out.shape}, needed are scores (M, K) "
                         "or classes (M,).")
    if out.ndim == 2:
        return out.argmax(axis=1)
    return (out > threshold).astype(np.int64) if out.dtype.kind == "f" else out.astype(np.int64)


def _around(values: np.ndarray) -> tuple[float, float]:
    margin = 0.1 * float(np.ptp(values)) or 0.5
    return float(values.min()) - margin, float(values.max()) + margin
