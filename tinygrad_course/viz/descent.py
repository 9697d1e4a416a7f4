"""Ways of optimisers over a function of two numbers."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import tensor
from tinygrad_course.optim import DiagonalNewton, Newton, Optimizer
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Function = Callable[[Tensor, Tensor], Tensor]
# From the palette of M. Okabe and K. Ito (2008); line styles tell the rest apart.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":")


def descend(function: Function, make: Callable[[list[Tensor]], Optimizer], start: tuple[float, float],
            steps: int) -> np.ndarray:
    """The points (steps + 1, 2) that an optimiser visits from `start`; `make` builds it from the list of both parameters.

    Raises DataError if a point is not finite: the rate is too large.
    """
    x, y = (tensor(float(value), dtype="float64").requires_grad_() for value in start)
    optimizer = make([x, y])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = function(x, y)
        if not isinstance(optimizer, (Newton, DiagonalNewton)):  # which differentiate it themselves
            loss.backward()
        return loss

    points = [start]
    for step in range(steps):
        optimizer.step(closure)
        points.append((x.item(), y.item()))
        if not np.isfinite(points[-1]).all():
            raise DataError(f"{type(optimizer).__name__} left the numbers at step {step + 1}: it diverges. Use a smaller "
                            "learning rate.")
    return np.array(points)


def optimiser_paths(function: Function, makers: Mapping[str, Callable[[list[Tensor]], Optimizer]],
                    start: tuple[float, float], steps: int, *, x_range: tuple[float, float], y_range: tuple[float, float],
                    minimum: tuple[float, float] | None = None, title: str = "Paths of optimisers",
                    ax: "Axes | None" = None) -> "Axes":
    """Contours of a function of two numbers, and the paths of optimisers over it.

    function   (x, y) -> value, of tensors of any shape: it is also called with a grid
    makers     name in the legend -> function that builds the optimiser from the list [x, y]
    steps      steps of each;  the legend has the value of the function after them
    minimum    is marked, and contours are drawn at equal ratios of the height above it; without it above the lowest point
               of the grid
    """
    if not makers:
        raise DataError("optimiser_paths: there is no optimiser. Give a dict of name and function, for example "
                        "{'SGD': lambda params: optim.SGD(params, lr=0.1)}.")
    ax = ax or new_figure(10, 7.5).subplots()
    xs, ys = np.linspace(*x_range, 300), np.linspace(*y_range, 300)
    with no_grad():
        heights = function(*(tensor(grid) for grid in np.meshgrid(xs, ys))).numpy()
        floor = heights.min() if minimum is None else _value(function, minimum)
    logs = np.log10(np.maximum(heights - floor, 1e-12 * max(heights.max() - floor, 1e-300)))
    levels: Any = np.linspace(np.percentile(logs, 1), logs.max(), 22)
    ax.contour(xs, ys, logs, levels=levels, cmap="Greys", linewidths=0.9, alpha=0.8)
    for number, (name, make) in enumerate(makers.items()):
        points = descend(function, make, start, steps)
        ax.plot(points[:, 0], points[:, 1], color=_COLOURS[number % len(_COLOURS)], marker="o", markersize=3.5, linewidth=2,
                linestyle=_STYLES[number // len(_COLOURS) % len(_STYLES)],
                label=f"{name}: {_value(function, points[-1]):.1e}")
    ax.plot(*start, linestyle="", marker="s", markersize=9, color=GREY, label="start")
    if minimum is not None:
        ax.plot(*minimum, linestyle="", marker="*", markersize=18, color="white", markeredgecolor="black", label="minimum")
    label_axes(ax, title, "x", "y")
    ax.set_xlim(*x_range)
    ax.set_ylim(*y_range)
    ax.legend(fontsize=TICK_SIZE, framealpha=0.9, title=f"value after {steps} steps", title_fontsize=TICK_SIZE)
    return ax


def _value(function: Function, point: Any) -> float:
    with no_grad():
        return float(function(*(tensor(float(coordinate), dtype="float64") for coordinate in point)))
