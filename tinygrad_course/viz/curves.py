"""Learning curves."""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_course.errors import DataError
from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase


def plot_loss(train: Sequence[float], validation: Sequence[float] | None = None, best_epoch: int | None = None, *,
              unit: str = "mean cross-entropy (nats)", ax: "Axes | None" = None) -> "Axes":
    """Loss after each epoch; `best_epoch`, counted from 1, is marked (early stopping keeps its weights).

    The axis is logarithmic once the largest loss is over 30 times the smallest.
    Raises DataError for curves of different lengths, or a best epoch outside them.
    """
    curves = [train] if validation is None else [train, validation]
    ax = _plot_curves("Loss", unit, "{:.3g}", curves, best_epoch, ax)
    values = [value for curve in curves for value in curve if math.isfinite(value)]
    if values and min(values) > 0 and max(values) > 30 * min(values):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=min([0.0, *values]))
    return ax


def plot_accuracy(train: Sequence[float], validation: Sequence[float] | None = None, best_epoch: int | None = None, *,
                  ax: "Axes | None" = None) -> "Axes":
    """Accuracy (shares from 0 to 1, drawn in percent) after each epoch; otherwise as `plot_loss`."""
    curves = [[100 * share for share in curve] for curve in (train, validation) if curve is not None]
    ax = _plot_curves("Accuracy", "correct (%)", "{:.1f} %", curves, best_epoch, ax)
    ax.set_ylim(top=100 + 0.03 * (100 - ax.get_ylim()[0]))
    return ax


History = Mapping[str, Sequence[float]] | str | os.PathLike[str]


def read_history(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of a run's history.csv, name -> one number per epoch; an empty cell is NaN.

    `path` may also be the folder of the run.  Raises DataError if there is no such file or it is no table of numbers.
    """
    file = Path(path)
    file = file / "history.csv" if file.is_dir() else file
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        columns = list(zip(*rows[1:], strict=True)) or [()] * len(rows[0])
        return {name: [float(cell) if cell else float("nan") for cell in column]
                for name, column in zip(rows[0], columns, strict=True)}
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{file}: the history cannot be read ({error}). Give the history.csv of a run, or its "
                        "folder.") from error


def plot_metric(history: History, metric: str, best_epoch: int | None = None, *, title: str | None = None,
                y: str | None = None, ax: "Axes | None" = None) -> "Axes":
    """One measure after each epoch on training and validation data: the columns train_<metric> and val_<metric>.

    history  name -> one number per epoch, or the path of a history.csv or of its folder
    metric   "f1_score", or the whole name of one column: "learning_rate"
    title, y  of the panel and its axis; the name of the measure without them
    Raises DataError if the history has no such column, or as `plot_loss`.
    """
    table = _table(history)
    found = [(name, key) for name, key in (("training", f"train_{metric}"), ("validation", f"val_{metric}")) if key in table]
    found = found or [(metric.replace("_", " "), metric)]
    if found[0][1] not in table:
        raise DataError(f"plot_metric: the history has no train_{metric}, val_{metric} or {metric}, only "
                        f"{', '.join(table) or 'nothing'}. Name one of these.")
    words = metric.replace("_", " ")
    curves, names = [table[key] for _, key in found], [name for name, _ in found]
    return _plot_curves(title or words[0].upper() + words[1:], y or words, "{:.3g}", curves, best_epoch, ax, names)


def plot_learning_curves(history: History, best_epoch: int | None = None, *, unit: str = "mean cross-entropy (nats)",
                         fig: "FigureBase | None" = None) -> "FigureBase":
    """Loss and accuracy side by side.

    `history` has one value per epoch under the keys train_loss and train_accuracy, and, if there was a validation set,
    val_loss and val_accuracy; or it is the path of a history.csv, or of its folder.  Raises DataError if train_loss or
    train_accuracy is missing, or as `plot_loss`.
    """
    table = _table(history)
    missing = [key for key in ("train_loss", "train_accuracy") if key not in table]
    if missing:
        raise DataError(f"plot_learning_curves: history has no {' and no '.join(missing)}, only "
                        f"{', '.join(table) or 'nothing'}. Give one list per key.")
    fig = fig or new_figure(14, 5.6)
    loss_axes, accuracy_axes = fig.subplots(1, 2)
    plot_loss(table["train_loss"], table.get("val_loss"), best_epoch, unit=unit, ax=loss_axes)
    plot_accuracy(table["train_accuracy"], table.get("val_accuracy"), best_epoch, ax=accuracy_axes)
    return fig


def _table(history: History) -> Mapping[str, Sequence[float]]:
    return history if isinstance(history, Mapping) else read_history(history)


def _plot_curves(title: str, y: str, number: str, curves: Sequence[Sequence[float]], best_epoch: int | None,
                 ax: "Axes | None", names: Sequence[str] = ("training", "validation")) -> "Axes":
    n_epochs = len(curves[0])
    if not n_epochs:
        raise DataError(f"{title} curve: there are no values. Train at least one epoch.")
    if any(len(curve) != n_epochs for curve in curves):
        raise DataError(f"{title} curve: {n_epochs} training values, {len(curves[1])} validation values. "
                        "Give one of each per epoch.")
    if best_epoch is not None and not 1 <= best_epoch <= n_epochs:
        raise DataError(f"{title} curve: best_epoch is {best_epoch}, but there are epochs 1 to {n_epochs}.")
    ax = ax or new_figure(7.5, 5.6).subplots()
    from matplotlib.ticker import MaxNLocator  # after new_figure, which says what to install

    epochs = range(1, n_epochs + 1)
    # Points show single epochs; beyond some dozens they would hide the line.
    marker = "o" if n_epochs <= 40 else ""
    for curve, name, colour in zip(curves, names, (TRAIN_COLOUR, VALIDATION_COLOUR), strict=False):
        ax.plot(epochs, curve, label=name, color=colour, linewidth=2.4, marker=marker, markersize=5)
    if best_epoch is not None:
        value = curves[-1][best_epoch - 1]
        ax.axvline(best_epoch, color=GREY, linestyle="--", linewidth=1.6, zorder=1)
        ax.plot([best_epoch], [value], linestyle="", marker="*", markersize=18, color=VALIDATION_COLOUR,
                markeredgecolor="black", zorder=4, label=f"best, epoch {best_epoch}: {number.format(value)}")
    label_axes(ax, title, "epoch", y)
    ax.set_xlim(1 - max(0.03 * n_epochs, 0.1), n_epochs + max(0.03 * n_epochs, 0.1))  # there is no epoch 0
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=TICK_SIZE + 1, framealpha=0.9)
    return ax
