"""Slices through the loss over all weights: along a line between two settings, and over a plane of two directions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import as_array, randn, tensor
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.decision import CLASS_COLOURS
from tinygrad_course.viz.figure import TICK_SIZE, VALIDATION_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Loss = Callable[[], Any]  # of the model as it is, a number or a tensor with one
Setting = Mapping[str, Any]  # parameter name -> values


def weights_of(model: Module) -> dict[str, np.ndarray]:
    """Copies of the parameters, name -> array: a setting of the weights for the functions of this file."""
    return {name: as_array(values).copy() for name, values in model.named_parameters()}


def random_direction(model: Module, generator: Generator | None = None) -> dict[str, np.ndarray]:
    """A normal random direction whose every filter is as long as the model's: d <- d / |d| |w|, parameter name -> array.

    A filter is what makes one output, w[i]; biases and the scales of normalisations, which have one axis, stay where they
    are.  Without this the scale of the weights, arbitrary with batch normalisation and ReLU, decides how flat a minimum is.
    H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018, section 4.
    """
    direction = {}
    for name, values in weights_of(model).items():
        if values.ndim < 2:
            direction[name] = np.zeros_like(values)
            continue
        drawn = as_array(randn(*values.shape, generator=generator)).astype(values.dtype)
        axes = tuple(range(1, values.ndim))
        lengths = (np.sqrt(np.sum(array.astype(np.float64) ** 2, axis=axes, keepdims=True)) for array in (values, drawn))
        wanted, have = lengths
        direction[name] = (drawn * (wanted / np.where(have > 0, have, 1))).astype(values.dtype)
    return direction


def loss_slice(model: Module, loss: Loss, directions: Sequence[Setting], *ticks: np.ndarray) -> np.ndarray:
    """loss() at the model's weights + sum_k ticks[k][i_k] directions[k], float64, one axis per direction.

    The weights are put back afterwards, to the bit.  Put the model in eval mode before: in training mode batch
    normalisation would move its running means.
    """
    _check(model, directions)
    values = np.empty([len(tick) for tick in ticks])
    with _restored(model) as start:
        for place in np.ndindex(values.shape):
            _move(model, start, directions, [tick[i] for tick, i in zip(ticks, place, strict=True)])
            with no_grad():
                values[place] = float(loss())
    return values


def plot_loss_line(model: Module, loss: Loss | Mapping[str, Loss], start: Setting, end: Setting, *,
                   span: tuple[float, float] = (-0.25, 1.25), points: int = 51, names: tuple[str, str] = ("start", "end"),
                   title: str = "Loss along a line", y: str = "loss", ax: "Axes | None" = None) -> "Axes":
    """Loss at (1 - a) start + a end, for a over the span.

    loss        function without arguments that computes the loss of the model as it is; or name -> function, a curve each
    start, end  settings of the weights: what `weights_of` gave at two moments, or state dicts
    names       of the two, for the axis
    The model's own weights are put back.  A straight way without a hill between initialisation and solution is common:
    I. Goodfellow, O. Vinyals, A. Saxe, "Qualitatively characterizing neural network optimization problems", ICLR 2015.
    """
    losses = loss if isinstance(loss, Mapping) else {"": loss}
    _check(model, [start, end])
    places = np.linspace(*span, points)
    ax = ax or new_figure(8.5, 5.6).subplots()
    with _restored(model) as before:
        _move(model, {name: as_array(start[name]) for name in before}, [], [])
        step = {name: as_array(end[name]).astype(np.float64) - as_array(start[name]) for name in before}
        for number, (name, function) in enumerate(losses.items()):
            ax.plot(places, loss_slice(model, function, [step], places), label=name or None, linewidth=2.4,
                    color=CLASS_COLOURS[number % len(CLASS_COLOURS)])
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.1 * (high - low))  # room for the names
    for place, name in zip((0, 1), names, strict=True):
        ax.axvline(place, color="#999999", linewidth=1.2, linestyle="--", zorder=1)
        ax.annotate(name, (place, 1), (5, -6), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
                    fontsize=TICK_SIZE)
    label_axes(ax, title, f"way from {names[0]} (0) to {names[1]} (1)", y)
    ax.set_xlim(*span)
    ax.grid(color="#DDDDDD", linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    if isinstance(loss, Mapping):
        ax.legend(fontsize=TICK_SIZE)
    return ax


def plot_loss_surface(model: Module, loss: Loss, directions: Sequence[Setting] | None = None, *, span: float = 1.0,
                      points: int = 25, path: Sequence[Setting] | None = None, generator: Generator | None = None,
                      title: str = "Loss around the weights", unit: str = "loss", ax: "Axes | None" = None) -> "Axes":
    """Contours of the loss at w + a d1 + b d2 around the model's weights w, a and b from -span to span.

    loss        function without arguments that computes the loss of the model as it is; called points^2 times
    directions  d1 and d2, parameter name -> values; two filter-normalised random ones (`random_direction`) without it
    path        settings of the weights over the training (`weights_of`): their shadow on the plane is drawn, and the plane
                is as large as it needs.  `path_directions` gives a plane in which most of the way lies
    generator   of the random directions
    The colours are logarithmic once the largest loss is over 30 times the smallest.  The weights are put back.
    """
    if directions is None:
        directions = [random_direction(model, generator), random_direction(model, generator)]
    if len(directions) != 2:
        raise DataError(f"plot_loss_surface: {len(directions)} directions. Give two.")
    _check(model, [*directions, *(path or [])])
    shadow = None if path is None else _shadow(model, directions, path)
    ranges = [(-span, span)] * 2 if shadow is None else [_around(shadow[:, 0], span), _around(shadow[:, 1], span)]
    a, b = (np.linspace(*limits, points) for limits in ranges)
    heights = loss_slice(model, loss, directions, a, b).T  # (b, a): b upwards

    ax = ax or new_figure(8.6, 6.8).subplots()
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator

    finite = heights[np.isfinite(heights)]
    if not finite.size:
        raise DataError("plot_loss_surface: the loss is nowhere a number. Give a smaller span.")
    low, high = float(finite.min()), float(finite.max())
    wide = low > 0 and high > 30 * low
    levels: Any = np.geomspace(low, high, 22) if wide else np.linspace(low, high if high > low else low + 1, 22)
    picture = ax.contourf(a, b, heights, levels=levels, cmap="viridis", norm=LogNorm(low, high) if wide else None)
    ax.contour(a, b, heights, levels=levels[1:-1], colors="white", linewidths=0.5, alpha=0.6)
    if shadow is not None:
        ax.plot(shadow[:, 0], shadow[:, 1], color=VALIDATION_COLOUR, linewidth=2, marker="o", markersize=3.5,
                markeredgecolor="white", markeredgewidth=0.4, label=f"training, {len(shadow)} settings")
    ax.plot(0, 0, linestyle="", marker="*", markersize=18, color="white", markeredgecolor="black", label="the model")
    label_axes(ax, title, "step along direction 1", "step along direction 2")
    ax.set_xlim(*ranges[0])
    ax.set_ylim(*ranges[1])
    bar = ax.figure.colorbar(picture, ax=ax, ticks=LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(6))
    bar.ax.yaxis.set_major_formatter("{x:.3g}")
    bar.ax.yaxis.set_minor_formatter("")
    bar.set_label(unit, fontsize=TICK_SIZE + 2)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    ax.legend(fontsize=TICK_SIZE, framealpha=0.9)
    return ax


def path_directions(model: Module, path: Sequence[Setting]) -> list[dict[str, np.ndarray]]:
    """The two directions from the model's weights along which the settings of the path lie farthest, name -> array.

    The principal components of (setting - weights), of length 1, not centred: the model stays in the plane (Li et al. 2018,
    section 7).  Raises DataError for fewer than two settings.
    """
    if len(path) < 2:
        raise DataError(f"path_directions: {len(path)} settings. Give two or more, from different moments of the training.")
    _check(model, path)
    now = weights_of(model)
    ways = np.stack([_flat(setting, now) - _flat(now, now) for setting in path])  # (settings, weights)
    rows = np.linalg.svd(ways, full_matrices=False)[2][:2]
    directions = []
    for row in rows:
        parts = np.split(row, np.cumsum([values.size for values in now.values()])[:-1])
        directions.append({name: part.reshape(now[name].shape) for name, part in zip(now, parts, strict=True)})
    return directions


def _shadow(model: Module, directions: Sequence[Setting], path: Sequence[Setting]) -> np.ndarray:
    """Places (settings, 2) in the plane, by least squares: the directions need not be orthogonal."""
    now = weights_of(model)
    plane = np.stack([_flat(direction, now) for direction in directions], axis=1)  # (weights, 2)
    ways = np.stack([_flat(setting, now) - _flat(now, now) for setting in path], axis=1)  # (weights, settings)
    return np.linalg.lstsq(plane, ways, rcond=None)[0].T


def _around(places: np.ndarray, least: float) -> tuple[float, float]:
    """What the places and zero span, and a fifth more on both sides; around one place, `least`."""
    low, high = min(0.0, float(places.min())), max(0.0, float(places.max()))
    margin = 0.2 * (high - low) or least
    return low - margin, high + margin


def _flat(setting: Setting, names: Mapping[str, Any]) -> np.ndarray:
    return np.concatenate([as_array(setting[name]).astype(np.float64).ravel() for name in names])


def _check(model: Module, settings: Sequence[Setting]) -> None:
    for setting in settings:
        for name, parameter in model.named_parameters():
            if name not in setting:
                raise DataError(f"loss slice: a setting or direction has nothing for the parameter {name!r}. Give all of "
                                "them, as weights_of(model) does.")
            shape = as_array(setting[name]).shape
            if shape != tuple(parameter.shape):
                raise ShapeError(f"loss slice: for the parameter {name!r} a setting or direction has the shape {shape}, the "
                                 f"model {tuple(parameter.shape)}. Give values of the same shape.")


def _move(model: Module, start: Mapping[str, np.ndarray], directions: Sequence[Setting], steps: Sequence[float]) -> None:
    """Set the weights to start + sum of steps times directions."""
    with no_grad():
        for name, parameter in model.named_parameters():
            values = start[name].astype(np.float64)
            for direction, step in zip(directions, steps, strict=True):
                values = values + step * as_array(direction[name])
            parameter.copy_(_like(values, parameter))


@contextmanager
def _restored(model: Module) -> Iterator[dict[str, np.ndarray]]:
    """The model's weights, which are put back at the end."""
    before = weights_of(model)
    try:
        yield before
    finally:
        with no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(_like(before[name], parameter))


def _like(values: np.ndarray, parameter: Tensor) -> Tensor:
    return tensor(values.astype(parameter.dtype), device=parameter.device)
