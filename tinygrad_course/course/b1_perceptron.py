"""B1: the perceptron and its geometry.

A threshold unit fires if w . x >= theta.  Its boundary w . x = theta is a line (with n inputs a plane) that stands
perpendicular on the weight vector w, at the distance theta / |w| from the origin.  The weights turn the line, the
threshold shifts it.  An input that is always 1, with the weight w_0 = -theta, takes the place of the threshold.

F. Rosenblatt, Psychological Review 65(6), 386-408 (1958); W. McCulloch, W. Pitts, Bulletin of Mathematical Biophysics 5,
115-133 (1943), for the threshold unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.models.perceptron import Perceptron, with_bias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS, THRESHOLD = (1, 2), 2
RANGE = (-1.0, 3.0)  # of both inputs in the figures


def run(settings: Settings) -> Outcome:
    """The line w = (1, 2), theta = 2, and the bias in place of the threshold."""
    unit = Perceptron(WEIGHTS, THRESHOLD)
    points = np.random.default_rng(settings.seed).uniform(*RANGE, size=(1000, 2))
    line = unit.decision_line()
    scaled = Perceptron(3 * unit.weights, 3 * unit.threshold)
    by_bias = (with_bias(points) @ unit.vector >= 0).astype(int)
    facts = [
        equal("where the line crosses the axes, (2, 0) and (0, 1), the net input is 0", unit.net(np.array([[2, 0], [0, 1]]))
              .tolist(), [0, 0]),
        equal("(w_0, w_1, w_2)", unit.vector.tolist(), [-2, 1, 2]),
        within("points of decision_line: x_1 + 2 x_2 - 2", float(np.abs(line @ WEIGHTS - 2).max()), high=1e-15),
        within("the line is perpendicular to the weights: their product", float(abs((line[1] - line[0]) @ WEIGHTS)),
               high=1e-15),
        within("distance of the origin, minus theta / |w|", float(-unit.distance(np.zeros(2))) - 2 / 5**0.5, -1e-15, 1e-15),
        equal("outputs at (0, 0), (2, 0), (0, 1), (2, 2)", unit(np.array([[0, 0], [2, 0], [0, 1], [2, 2]])).tolist(),
              [0, 1, 1, 1]),
        equal("of 1,000 random points, those on the side x_1 + 2 x_2 >= 2 fire",
              int((unit(points) != (points[:, 0] + 2 * points[:, 1] >= 2)).sum()), 0),
        equal("of 1,000 random points, outputs that differ with a bias in place of the threshold",
              int((unit(points) != by_bias).sum()), 0),
        equal("of 1,000 random points, outputs that differ for 3 w and 3 theta",
              int((unit(points) != scaled(points)).sum()), 0),
    ]

    def geometry() -> Figure:
        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, new_figure

        fig = new_figure(8, 7.4)
        ax = fig.subplots()
        corners = np.array([[0, 0], [0, 2], [2, 0.5], [1, 0], [2, 2], [-0.5, 0.5]])
        plot_decision(unit, corners, unit(corners), title="w = (1, 2), $\\theta$ = 2: the line $x_1 + 2 x_2 = 2$",
                      names=("output 0", "output 1"), x_range=RANGE, y_range=RANGE, ax=ax)
        ax.axline(line[0], line[1], color="black", linewidth=2.5, label="$x_1 + 2 x_2 = 2$")
        ax.annotate("", xy=line[0] + unit.weights / 2, xytext=line[0],
                    arrowprops={"arrowstyle": "-|>", "linewidth": 3, "color": "black", "mutation_scale": 24})
        x, y = line[0] + unit.weights / 2
        ax.text(x + 0.1, y + 0.02, "w", fontsize=TICK_SIZE + 4, weight="bold")
        ax.plot(*np.stack([np.zeros(2), line[0]]).T, color=GREY, linestyle="--", linewidth=2,
                label="distance $\\theta$ / |w| = 0.894")
        ax.set_aspect("equal")
        ax.legend(fontsize=TICK_SIZE, loc="lower left", framealpha=0.95)
        return fig

    def threshold() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(13.5, 6.2)
        left, right = fig.subplots(1, 2)
        for theta, colour, style in zip((0, 2, 4), CLASS_COLOURS, ("-", "--", ":"), strict=False):
            left.axline(*Perceptron(WEIGHTS, theta).decision_line(), color=colour, linestyle=style, linewidth=3,
                        label=f"$\\theta$ = {theta}")
        for weights, colour, style in zip(((1, 2), (2, 1), (0, 1)), CLASS_COLOURS, ("-", "--", ":"), strict=False):
            right.axline(*Perceptron(weights, sum(weights)).decision_line(), color=colour, linestyle=style,
                         linewidth=3, label=f"w = {weights}")
        for ax, title in ((left, "The threshold shifts, w = (1, 2)"), (right, "The weights turn")):
            label_axes(ax, title, "x$_1$", "x$_2$")
            ax.set(xlim=RANGE, ylim=RANGE, aspect="equal")
            ax.grid(alpha=0.3)
            ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"geometry": geometry, "threshold": threshold})


ROW = Row("B1", "Perceptron, geometry", "numbers worked by hand",
          "w = (1, 2) and theta = 2 split the plane at x_1 + 2 x_2 = 2; the threshold is a weight of an input 1", 0.1, run,
          ("models.Perceptron",))
