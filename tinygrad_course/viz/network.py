"""A network as units and arrows, drawn from its weight matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.figure import GREY, TICK_SIZE, TITLE_SIZE, new_figure
from tinygrad_course.viz.layers import check_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POSITIVE, NEGATIVE = "#D55E00", "#0072B2"  # warm and cold, as in the other figures of weights
_RADIUS = 0.27  # of a unit, where the units of a layer are 1 apart
_MOST_NUMBERS = 24
_BEHIND_NUMBERS = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


def network_layers(weights: Tensor | np.ndarray) -> list[list[int]]:
    """The units of a network W (N, N), W[i, j] from j to i, in layers: arrows that are not recurrent go to later ones.

    Units that reach each other stand in the same layer, the other ones after the last unit that feeds them (longest path).
    Raises ShapeError if W is not square.
    """
    linked = _matrix(weights, "network_layers") != 0
    mutual = _components(linked)
    layer = np.zeros(len(linked), int)
    for _ in range(len(linked)):  # the longest path has no more steps
        fed = np.where(linked & ~mutual, layer[None, :] + 1, 0).max(axis=1)  # of each unit: behind all that feed it
        together = np.where(mutual, fed[None, :], 0).max(axis=1)  # of each component the last one
        if (together == layer).all():
            break
        layer = together
    return [np.flatnonzero(layer == number).tolist() for number in np.unique(layer)]


def plot_network(weights: Tensor | np.ndarray, biases: Tensor | np.ndarray | Sequence[float] | None = None, *,
                 names: Sequence[str] | None = None, layers: Sequence[Sequence[int]] | None = None,
                 numbers: bool | None = None, title: str = "", ax: "Axes | None" = None) -> "Axes":
    """The units and connections of W (N, N), W[i, j] from unit j to unit i; 0 is no connection.

    Arrows are as wide as |w|, orange for positive and blue for negative weights.  Connections between units of one layer,
    or back, and those that jump over layers, are curved; a unit's connection to itself is a loop.  Layers run from left to
    right; a network in which all units reach each other stands in a circle.

    biases   (N,), written below the unit, which is filled with the colour of their sign
    names    of the units; their numbers without it
    layers   the units of each layer, from below; `network_layers` finds them without it
    numbers  whether weights are written at the arrows; without it, if there are at most 24
    Raises ShapeError if W is not square, biases or names are not N, or layers do not hold every unit once.
    """
    matrix = _matrix(weights, "plot_network")
    n = len(matrix)
    shifts = None if biases is None else as_array(biases).astype(np.float64)
    if shifts is not None and shifts.shape != (n,):
        raise ShapeError(f"plot_network: biases have the shape {shifts.shape} for {n} units. Give one per unit, 0 for "
                         "inputs.")
    labels = [str(number) for number in range(n)] if names is None else list(names)
    if len(labels) != n:
        raise ShapeError(f"plot_network: {len(labels)} names for {n} units. Give one per unit.")
    found = network_layers(matrix) if layers is None else [list(layer) for layer in layers]
    if sorted(unit for layer in found for unit in layer) != list(range(n)):
        raise ShapeError(f"plot_network: layers {found} do not hold each of the units 0 to {n - 1} once.")
    places = _places(found)
    edges = [(int(j), int(i)) for i, j in np.argwhere(matrix)]
    numbers = len(edges) <= _MOST_NUMBERS if numbers is None else numbers
    largest = float(np.abs(matrix).max()) or 1.0
    low, high = places.min(axis=0), places.max(axis=0)
    if ax is None:
        width, height = 1.5 * (high - low) + 2.4
        ax = new_figure(min(max(5.0, width), 20), min(max(4.2, height), 20)).subplots()
    from matplotlib.patches import Circle, FancyArrowPatch
    from matplotlib.path import Path

    column = {unit: number for number, layer in enumerate(found) for unit in layer}
    circle = len(found) == 1 and n > 2
    for source, target in edges:
        weight = matrix[target, source]
        style: dict[str, Any] = {
            "color": POSITIVE if weight > 0 else NEGATIVE, "linewidth": 0.6 + 4 * abs(weight) / largest,
            "alpha": 0.35 + 0.55 * abs(weight) / largest, "zorder": 1, "gid": f"{source}->{target}"}
        start, end = places[source], places[target]
        if source == target:
            outwards = _outwards(start, circle)
            ax.add_patch(Circle(tuple(start + _RADIUS * outwards), 0.75 * _RADIUS, fill=False, **style))
            middle = start + 1.75 * _RADIUS * outwards
        else:
            jump = column[target] - column[source]
            bend = 0.0 if jump == 1 else 0.16 if jump > 1 or circle else 0.3
            others = np.delete(places, [source, target], axis=0)
            points = _curve(start, end, bend) if jump == 1 else _around(start, end, bend, others)
            ax.add_patch(FancyArrowPatch(path=Path(points, [Path.MOVETO, Path.CURVE3, Path.CURVE3]), arrowstyle="-|>",
                                         mutation_scale=12, **style))
            t = 0.36 if jump else 0.5  # not half way, where the arrows of two full layers cross
            middle = _on_curve(points, t)
        if numbers:
            ax.text(middle[0], middle[1], f"{weight:.2g}", ha="center", va="center", fontsize=TICK_SIZE - 2, zorder=4,
                    bbox=_BEHIND_NUMBERS)
    for unit, place in enumerate(places):
        colour = "white"
        if shifts is not None and shifts[unit] != 0:
            colour = "#F6D3B8" if shifts[unit] > 0 else "#B8D6EA"  # the colours of the arrows, light
        ax.add_patch(Circle(tuple(place), _RADIUS, facecolor=colour, edgecolor=GREY, linewidth=1.8, zorder=3,
                            gid=f"unit {unit}"))
        ax.text(place[0], place[1], labels[unit], ha="center", va="center", fontsize=TICK_SIZE, zorder=5)
        if shifts is not None and shifts[unit] != 0:
            ax.text(place[0], place[1] - 1.55 * _RADIUS, f"{shifts[unit]:.2g}", ha="center", va="center",
                    fontsize=TICK_SIZE - 2, color=GREY, zorder=4, bbox=_BEHIND_NUMBERS)
    ax.set_aspect("equal")
    ax.set_xlim(low[0] - 0.8, high[0] + 0.8)
    ax.set_ylim(low[1] - 0.8, high[1] + 0.8)
    ax.set_axis_off()
    ax.set_title(title, fontsize=TITLE_SIZE, pad=10)
    return ax


def _components(linked: np.ndarray) -> np.ndarray:
    """Whether two units reach each other, bool (N, N); every unit reaches itself."""
    reach = linked | np.eye(len(linked), dtype=bool)
    length = 1
    while length < len(linked):  # paths of up to `length` arrows
        reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
        length *= 2
    return reach & reach.T


def _places(layers: Sequence[Sequence[int]]) -> np.ndarray:
    """Places (N, 2) of the units."""
    n = sum(map(len, layers))
    places = np.zeros((n, 2))
    if len(layers) == 1 and n > 2:
        angles = np.pi / 2 - 2 * np.pi * np.arange(n) / n  # clockwise from the top
        places[list(layers[0])] = 0.62 / np.sin(np.pi / n) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return places
    gap = max(2.0, 0.35 * max(map(len, layers)))  # steep arrows are hard to follow
    for number, layer in enumerate(layers):
        for row, unit in enumerate(layer):
            places[unit] = gap * number, (len(layer) - 1) / 2 - row
    return places


def _outwards(place: np.ndarray, circle: bool) -> np.ndarray:
    """The direction in which a unit has room for a loop."""
    return place / np.linalg.norm(place) if circle else np.array([0.0, 1.0])


def _curve(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """The three points (3, 2) of a parabola from rim to rim of two units, swinging out to the left by `bend` of the way."""
    way = end - start
    control = (start + end) / 2 + bend * np.array([-way[1], way[0]])
    return np.stack([start + _RADIUS * (control - start) / np.linalg.norm(control - start), control,
                     end + _RADIUS * (control - end) / np.linalg.norm(control - end)])


def _on_curve(points: np.ndarray, t: float) -> np.ndarray:
    return (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]


def _around(start: np.ndarray, end: np.ndarray, bend: float, others: np.ndarray) -> np.ndarray:
    """The flattest of some curves, bent by `bend` or more to either side, that runs over no other unit."""
    for wider in np.arange(0, 0.7, 0.1):
        for side in (bend + wider, -bend - wider):
            points = _curve(start, end, side)
            on_it = np.stack([_on_curve(points, t) for t in np.linspace(0, 1, 25)])
            if (np.linalg.norm(on_it[:, None] - others, axis=2) > 1.2 * _RADIUS).all():
                return points
    return _curve(start, end, bend)


def _matrix(weights: Tensor | np.ndarray, caller: str) -> np.ndarray:
    matrix = as_array(weights)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"{caller}: weights have the shape {matrix.shape}, needed is (N, N), W[i, j] from unit j to unit i "
                         "of all N units, inputs included.")
    check_finite(matrix, caller, "weights")
    return matrix
