"""B4: gradient learning, least mean squares.

The unit goes down the gradient of half the squared error, E = 1/2 sum (t - y)^2, with y = h or y = 1 / (1 + exp(-h)):

    w <- w + eta sum (t - y) f'(h) x        summed over all patterns (batch), some (mini-batch), or one (online)

Unlike Rosenblatt's rule it learns from right patterns too, takes targets that are no 0 or 1, and settles where the error
is least even if the classes cannot be separated.  Online the rate must be small, for the last pattern pulls at the
weights without end; the batch pays for its calm with one step per epoch.

B. Widrow, M. Hoff, "Adaptive switching circuits", IRE WESCON Convention Record, part 4, 96-104 (1960).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.models.perceptron import (
    Learning,
    delta_step,
    half_squared_error,
    learn_delta,
    with_bias,
)
from tinygrad_course.models.separability import truth_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START, RATE = (0.5, 0.0, -1.0), 0.25
TARGETS = np.array([0.2, 0.1, 0.9, 1.1])  # of (0, 0), (0, 1), (1, 0), (1, 1)
PAIR = (3, 8)                             # the two digits of the error curves
RATES = {"online": (1, 0.003), "mini-batches of 16": (16, 0.002), "batch": (None, 0.0004)}  # patterns per step, eta


def steps(patterns: list[np.ndarray], targets: list[np.ndarray]) -> list[list[float]]:
    """Weights of the linear unit at the start and after each step, to 12 digits."""
    path = [np.array(START)]
    for x, t in zip(patterns, targets, strict=True):
        path.append(delta_step(path[-1], x, t, RATE))
    return np.round(path, 12).tolist()


def step_by_autograd(w: np.ndarray, x: np.ndarray, t: np.ndarray, output: str) -> np.ndarray:
    """The same step with the gradient that the engine finds by itself."""
    weights = tgc.tensor(w, requires_grad=True)
    h = tgc.tensor(with_bias(x)) @ weights
    y = h if output == "linear" else h.sigmoid()
    (0.5 * (tgc.tensor(t) - y) ** 2).sum().backward()
    assert weights.grad is not None
    return w - RATE * weights.grad.numpy()


def two_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 64) from 0 to 1 of the digits 3 (target 0) and 8 (target 1)."""
    images, labels = load_digits(split)
    chosen = np.isin(labels, PAIR)
    return images[chosen].reshape(-1, 64) / DIGIT_WHITE, (labels[chosen] == PAIR[1]).astype(np.float64)


def run(settings: Settings) -> Outcome:
    """The worked example, the engine's gradient, the minimum, and three ways to take the steps."""
    table = truth_table(2)
    online = steps([table[3], table[0]], [TARGETS[3], TARGETS[0]])
    batch = steps([table] * 3, [TARGETS] * 3)
    rng = np.random.default_rng(settings.seed)
    x, t, w = rng.standard_normal((20, 5)), rng.random(20), rng.standard_normal(6)
    difference = {output: float(np.abs(delta_step(w, x, t, RATE, output) - step_by_autograd(w, x, t, output)).max())
                  for output in ("linear", "sigmoid")}
    settled = learn_delta(table, TARGETS, start=START, rate=RATE, epochs=200)
    best = np.linalg.lstsq(with_bias(table), TARGETS, rcond=None)[0]
    x_train, t_train = two_digits("train")
    x_test, t_test = two_digits("test")
    curves: dict[tuple[str, str], Learning] = {}
    for output in ("linear", "sigmoid"):
        for name, (size, rate) in RATES.items():
            curves[name, output] = learn_delta(
                x_train, t_train, batch_size=size, rate=rate if output == "linear" else 10 * rate, output=output,
                epochs=settings.steps or 60, rng=np.random.default_rng(settings.seed))
    right = [float(((with_bias(x_test) @ curve.weights >= (0.5 if output == "linear" else 0)) == t_test).mean())
             for (_, output), curve in curves.items()]
    least = half_squared_error(np.linalg.lstsq(with_bias(x_train), t_train, rcond=None)[0], x_train, t_train)
    facts = [
        equal("online, eta 0.25: weights after (1, 1) and (0, 0)", online,
              [[0.5, 0, -1], [0.9, 0.4, -0.6], [0.725, 0.4, -0.6]]),
        equal("batch, eta 0.25: weights after 1, 2, 3 steps", batch,
              [[0.5, 0, -1], [1.075, 0.5, -0.45], [0.55, 0.325, -0.5875], [0.70625, 0.534375, -0.35]]),
        within("largest difference between the rule and autograd, linear", difference["linear"], high=1e-12),
        within("largest difference between the rule and autograd, sigmoid", difference["sigmoid"], high=1e-12),
        within("worked example after 200 batch steps: distance from the solution of the normal equations",
               float(np.abs(settled.weights - best).max()), high=1e-9),
        within("its error there: 1/2 sum (t - y)^2 = 0.01125, minus that", float(settled.errors[-1]) - 0.01125, -1e-9, 1e-9),
        within("digits 3 and 8, linear: error after online learning, as a multiple of the least there is",
               float(curves["online", "linear"].errors[-1]) / least, 1, 2),
        within("the same for mini-batches", float(curves["mini-batches of 16", "linear"].errors[-1]) / least, 1, 2),
        within("error of the batch in the end, as a multiple of the online error",
               float(curves["batch", "linear"].errors[-1] / curves["online", "linear"].errors[-1]), low=1.1),
        within("lowest accuracy on test digits, of the six ways", min(right), low=0.94),
    ]

    def errors() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

        fig = new_figure(14.5, 6)
        for ax, output in zip(fig.subplots(1, 2, sharey=True), ("linear", "sigmoid"), strict=True):
            for name, colour, style in zip(RATES, CLASS_COLOURS, ("-", "--", ":"), strict=False):
                rate = RATES[name][1] * (1 if output == "linear" else 10)
                ax.plot(curves[name, output].errors, style, color=colour, linewidth=3, label=f"{name}, $\\eta$ = {rate:g}")
            if output == "linear":
                ax.axhline(least, color=GREY, linewidth=1.5, label="least possible")
            ax.set_yscale("log")
            ax.set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
            ax.set_yticks([], minor=True)
            label_axes(ax, f"Digits 3 and 8, {output} output", "epoch", "E = 1/2 sum (t - y)$^2$")
            ax.legend(fontsize=TICK_SIZE)
        return fig

    def worked_example() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

        fig = new_figure(14.5, 6)
        left, right_axes = fig.subplots(1, 2)
        ways = {"online": 1, "mini-batches of 2": 2, "batch": None}
        for (name, size), colour, style in zip(ways.items(), CLASS_COLOURS, ("-", "--", ":"), strict=False):
            run_ = learn_delta(table, TARGETS, start=START, rate=RATE, epochs=12, batch_size=size)
            left.plot(run_.path[:, 1], run_.path[:, 2], style, marker="o", color=colour, linewidth=2.5, markersize=7,
                      label=name)
            right_axes.plot(run_.errors, style, marker="o", color=colour, linewidth=2.5, markersize=7, label=name)
        left.plot(*START[1:], linestyle="", marker="s", markersize=12, color=GREY, label="start")
        left.plot(*best[1:], linestyle="", marker="*", markersize=22, color="white", markeredgecolor="black",
                  label="least error")
        right_axes.axhline(0.01125, color=GREY, linewidth=1.5, label="least error")
        right_axes.set_yscale("log")
        label_axes(left, f"The way of the weights, $\\eta$ = {RATE:g}", "w$_1$", "w$_2$")
        label_axes(right_axes, "Error after each epoch", "epoch", "E = 1/2 sum (t - y)$^2$")
        for ax in (left, right_axes):
            ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"worked_example": worked_example, "errors": errors})


ROW = Row("B4", "Gradient learning (least mean squares)", "numbers worked by hand; digits 3 and 8 (shipped)",
          "the weights worked by hand; the rule is the gradient that autograd finds; it settles at the least error", 2.0, run,
          ("models.perceptron.delta_step", "models.perceptron.learn_delta"))
