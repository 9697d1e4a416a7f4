"""Norms of gradients, layer by layer: where they vanish or explode."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import as_array
from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gradient_norms(model: Module) -> dict[str, float]:
    """Euclidean norm of the gradients that each layer's own parameters have now, in the model's order.

    Call it between backward() and zero_grad().  Layers without gradients are left out; DataError if there are none at all.
    """
    norms = {}
    for name, module in model.named_modules():
        gradients = [parameter.grad for parameter in module.parameters(recurse=False) if parameter.grad is not None]
        if gradients:
            squares = sum(float(np.sum(as_array(gradient).astype(np.float64) ** 2)) for gradient in gradients)
            norms[name or type(module).__name__] = float(np.sqrt(squares))
    if not norms:
        raise DataError(f"gradient_norms: no parameter of {type(model).__name__} has a gradient. Call "
                        "loss.backward() before.")
    return norms


def plot_gradient_norms(norms: Module | Mapping[str, float] | Mapping[str, Sequence[float]], *, title: str = "Gradient norms",
                        ax: "Axes | None" = None) -> "Axes":
    """Gradient norms on a logarithmic axis: a bar per layer for one step, a curve per layer over many.

    norms  a model whose gradients are there; or what `gradient_norms` gives; or name -> its norms after each step:

        history = {}
        ...                                               # in the loop, after loss.backward()
            for name, norm in viz.gradient_norms(model).items():
                history.setdefault(name, []).append(norm)

    A norm of zero, NaN or infinity has no place on the axis: the bar is replaced by the word, the curve has a gap.
    """
    values = gradient_norms(norms) if isinstance(norms, Module) else dict(norms)
    arrays = {name: np.asarray(value, np.float64) for name, value in values.items()}
    if not arrays or len({array.shape for array in arrays.values()}) != 1 or next(iter(arrays.values())).ndim > 1:
        raise DataError("plot_gradient_norms: the norms have the shapes "
                        f"{[array.shape for array in arrays.values()]}. Give one number per layer, or one list per layer "
                        "with a number for each step.")
    if any((array < 0).any() for array in arrays.values()):
        raise DataError("plot_gradient_norms: a norm is negative. Give norms, not gradients.")
    table = np.stack(list(arrays.values()))  # (layers,) or (layers, steps)
    ax = ax or new_figure(9.5, 5.6 if table.ndim == 2 else max(3.6, 0.5 * len(table) + 1.9)).subplots()
    shown = np.where((table > 0) & np.isfinite(table), table, np.nan)
    ax.grid(color="#DDDDDD", linewidth=0.8, axis="y" if table.ndim == 2 else "x")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    if table.ndim == 2:
        from matplotlib import colormaps  # after new_figure, which says what to install

        colours = colormaps["viridis"](np.linspace(0, 0.92, len(table)))  # dark near the input, bright near the output
        for name, row, colour in zip(arrays, shown, colours, strict=True):
            ax.plot(range(1, len(row) + 1), row, label=name, color=colour, linewidth=1.8)
        label_axes(ax, title, "step", "norm of the gradient")
        ax.set_yscale("log")
        if len(table) <= 16:
            ax.legend(fontsize=TICK_SIZE, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        return ax
    rows = np.arange(len(table))[::-1]  # the first layer on top
    positive = shown[shown > 0]
    left = 10.0 ** np.floor(np.log10(positive.min()) - 0.3) if positive.size else 0.1
    right = 2 * positive.max() if positive.size else 1.0
    ax.set_xscale("log")
    ax.barh(rows, shown - left, left=left, height=0.65, color=TRAIN_COLOUR)
    ax.set_xlim(left, right)
    for row, value in zip(rows, table, strict=True):
        ax.annotate("zero" if value == 0 else f"{value:.2g}", (value if 0 < value < np.inf else left, row), (5, 0),
                    textcoords="offset points", va="center", fontsize=TICK_SIZE - 1)
    ax.set_xlim(left, right * (right / left) ** 0.1)  # room for the number at the longest bar
    ax.set_yticks(rows, list(arrays))
    ax.xaxis.set_minor_formatter("")  # 2 x 10^-1, 3 x 10^-1 ... would run into each other
    label_axes(ax, title, "norm of the gradient", "")
    return ax
