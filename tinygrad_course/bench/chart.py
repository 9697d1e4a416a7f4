"""A bar chart of the models' ratios to PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinygrad_course.bench.models import Row
from tinygrad_course.viz.figure import GREY, LABEL_SIZE, TICK_SIZE, TITLE_SIZE, new_figure, save_figure

_COLOURS = ("#56B4E9", "#0072B2", "#009E73", "#CC79A7")  # of the palette in viz/figure.py


def draw(rows: Sequence[Row], path: Path) -> None:
    """One group of bars per model, one bar per number of threads, with the quartiles and the goal."""
    timed = [row for row in rows if row.timed]
    models = list(dict.fromkeys(row.model for row in timed))
    threads = list(dict.fromkeys(row.threads for row in timed))
    figure = new_figure(11, max(4.5, 1.9 + 0.3 * len(models) * (1 + len(threads))))
    ax = figure.subplots()
    height = 0.8 / max(1, len(threads))
    place = {model: number for number, model in enumerate(models)}
    for number, n in enumerate(threads):
        group = [row for row in timed if row.threads == n]
        offset = (number - (len(threads) - 1) / 2) * height
        values = [row.ratio() for row in group]
        positions = [place[row.model] + offset for row in group]
        ax.barh(positions, [found.value for found in values], height * 0.92, color=_COLOURS[number % len(_COLOURS)],
                label=f"{n} thread{'s' * (n > 1)}")
        for position, found in zip(positions, values, strict=True):
            # The quartiles are those of single rounds and need not hold the ratio of the medians between them.
            low, high = min(found.low, found.value), max(found.high, found.value)
            ax.plot([low, high], [position, position], color="black", linewidth=1.6)
            ax.text(high + 0.04, position, f"{found.value:.2f}x", va="center", fontsize=TICK_SIZE - 1)
    goals = {row.model: row.goal for row in timed}
    for number, (model, goal) in enumerate(goals.items()):
        ax.plot([goal, goal], [place[model] - 0.46, place[model] + 0.46], color="#D55E00", linewidth=2.6,
                linestyle=(0, (2, 1)), label="goal with 2 threads" if number == 0 else None)
    ax.axvline(1, color=GREY, linewidth=2, label="as fast as PyTorch")
    ax.set_yticks(range(len(models)), [next(row.title for row in timed if row.model == model) for model in models])
    ax.invert_yaxis()
    ax.tick_params(labelsize=TICK_SIZE)
    ax.set_title("Training step: how many times faster than PyTorch", fontsize=TITLE_SIZE, pad=10, loc="right")
    ax.set_xlabel("time of PyTorch / time of ours (black: quartiles)", fontsize=LABEL_SIZE)
    highest = max([1.2, *(max(row.ratio().high, row.ratio().value, row.goal) for row in timed)])
    ax.set_xlim(0, highest * 1.12)
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(threads) + 2, fontsize=TICK_SIZE)
    save_figure(figure, path)
