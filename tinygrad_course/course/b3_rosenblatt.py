"""B3: Rosenblatt's learning rule.

A pattern that the unit gets right changes nothing.  A wrong one is added to the weights if the unit should have fired, and
taken away if it should not:  w <- w + eta (t - y) x, with x_0 = 1.  If weights exist that separate the classes, this ends
after finitely many changes; at most (R / gamma)^2 for patterns no longer than R and a gap of gamma (A. Novikoff, 1962).
If none exist it goes on for ever: the weights stay bounded and, with whole numbers, come back in a cycle.

F. Rosenblatt, "Principles of Neurodynamics", Spartan (1962); A. Novikoff, "On convergence proofs for perceptrons",
Symposium on the Mathematical Theory of Automata (1962).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.course.b2_separability import AND, XOR
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import load_digits
from tinygrad_course.models.perceptron import Perceptron, learn_perceptron, rosenblatt_step, with_bias
from tinygrad_course.models.separability import boolean_function, separable_functions, separate, truth_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START = (0.5, 0.0, -1.0)
PRESENTED = ((1, 1), (0, 0), (0, 0))   # the worked example: target = x1, eta = 1
PAIR = (1, 8)                          # digits told apart by their 64 pixels
BOUND = 50                             # epochs after which a run counts as not converging


def worked_example() -> list[list[float]]:
    """The weights at the start and after each pattern presented."""
    path = [np.array(START)]
    for x in PRESENTED:
        path.append(rosenblatt_step(path[-1], np.array(x), x[0]))
    return [w.tolist() for w in path]


def novikoff_bound(x: np.ndarray, t: np.ndarray, w: np.ndarray) -> float:
    """(R / gamma)^2: changes that suffice from weights of 0 if w separates the classes."""
    x = with_bias(x)
    gap = ((2 * t - 1) * (x @ w)).min() / np.linalg.norm(w)
    return float((x * x).sum(axis=1).max() / gap**2)


def cycle(path: np.ndarray) -> int | None:
    """Changes since the weights were last what they are in the end; None if they never were."""
    before = np.flatnonzero((path[:-1] == path[-1]).all(axis=1))
    return len(path) - 1 - int(before[-1]) if len(before) else None


def run(settings: Settings) -> Outcome:
    """The worked example, all functions of two and three inputs, XOR, and two digits."""
    table = truth_table(2)
    path = worked_example()
    and_online, and_batch = (learn_perceptron(table, boolean_function(AND, 2), batch=batch) for batch in (False, True))
    xor_online, xor_batch = (learn_perceptron(table, boolean_function(XOR, 2), batch=batch, max_epochs=BOUND)
                             for batch in (False, True))
    learned = {n: np.array([[learn_perceptron(truth_table(n), boolean_function(k, n), batch=batch, max_epochs=BOUND).converged
                             for batch in (False, True)] for k in range(2 ** 2**n)]) for n in (2, 3)}
    bound = novikoff_bound(table, boolean_function(AND, 2), np.array(separate(table, boolean_function(AND, 2)).weights))
    images, labels = load_digits("train")
    chosen = np.isin(labels, PAIR)
    digits = learn_perceptron(images[chosen].reshape(-1, 64), labels[chosen] == PAIR[1], max_epochs=settings.steps or 100,
                              rng=np.random.default_rng(settings.seed))
    test, truth = load_digits("test")
    tested = np.isin(truth, PAIR)
    right = Perceptron.from_vector(digits.weights)(test[tested].reshape(-1, 64)) == (truth[tested] == PAIR[1])
    facts = [
        equal("weights of the worked example: (1, 1), (0, 0), (0, 0) presented", path,
              [[0.5, 0, -1], [1.5, 1, 0], [0.5, 1, 0], [-0.5, 1, 0]]),
        equal("its outputs for 00, 01, 10, 11 in the end: all right", Perceptron.from_vector(path[-1])(table).tolist(),
              [0, 0, 1, 1]),
        equal("AND is learned, online and batch", [and_online.converged, and_batch.converged], [True, True]),
        within("changes for AND, online, from 0; Novikoff's bound, not to be exceeded, is its upper end",
               len(and_online.path) - 1, 1, bound),
        equal(f"XOR is not, in {BOUND} epochs", [xor_online.converged, xor_batch.converged], [False, False]),
        equal("XOR, online: changes after which the same weights are back", cycle(xor_online.path), 4),
        equal("functions of 2 and of 3 inputs that the rule learns, online and batch",
              [found.sum(axis=0).tolist() for found in learned.values()], [[14, 14], [104, 104]]),
        equal("they are the separable ones",
              [bool((separable_functions(n) == found.T).all()) for n, found in learned.items()], [True, True]),
        equal("digits 1 and 8 are separable, 64 pixels, training images wrong in the end", int(digits.errors[-1]), 0),
        within("accuracy on test images of the two", float(right.mean()), low=0.92),
    ]

    def moving_line() -> Figure:
        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import TITLE_SIZE, new_figure

        fig = new_figure(16.5, 5.4)
        for number, (ax, w) in enumerate(zip(fig.subplots(1, 4), path, strict=True)):
            unit = Perceptron.from_vector(w)
            title = f"({', '.join(f'{value:g}' for value in w)})"
            plot_decision(unit, table, table[:, 0], title=title, names=("target 0", "target 1"), x_range=(-0.6, 1.6),
                          y_range=(-0.6, 1.6), ax=ax)
            ax.axline(*unit.decision_line(), color="black", linewidth=2.5)
            wrong = table[unit(table) != table[:, 0]]
            ax.plot(*wrong.T, linestyle="", marker="x", markersize=20, markeredgewidth=3, color="black", label="wrong")
            if number < len(PRESENTED):
                ax.plot(*PRESENTED[number], linestyle="", marker="o", markersize=27, markerfacecolor="none",
                        markeredgecolor="black", markeredgewidth=2.5, label="presented next")
            ax.set(aspect="equal", xticks=(0, 1), yticks=(0, 1))
            ax.legend_.remove()
            if number:
                ax.set_ylabel("")
        handles, labels_ = fig.axes[0].get_legend_handles_labels()
        fig.legend(handles, labels_, loc="outside lower center", ncols=4, fontsize=TITLE_SIZE - 2)
        fig.suptitle("Rosenblatt's rule, target $x_1$: (w$_0$, w$_1$, w$_2$) after each pattern", fontsize=TITLE_SIZE + 2)
        return fig

    def errors() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(14, 5.4)
        left, right_axes = fig.subplots(1, 2)
        for curve, colour, style, inside, name in ((and_online, TRAIN_COLOUR, "o-", TRAIN_COLOUR, "AND, online"),
                                                   (and_batch, TRAIN_COLOUR, "o--", "white", "AND, batch"),
                                                   (xor_online, VALIDATION_COLOUR, "s-", VALIDATION_COLOUR, "XOR, online"),
                                                   (xor_batch, VALIDATION_COLOUR, "D:", "white", "XOR, batch")):
            left.plot(curve.errors[:13], style, color=colour, linewidth=2.5, markersize=9 if inside != "white" else 6,
                      markerfacecolor=inside, label=name)
        label_axes(left, "AND ends, XOR never does", "epoch", "wrong patterns of 4")
        left.set_ylim(-0.2, 4.2)
        left.set_xticks(range(0, 13, 2))
        left.set_yticks(range(5))
        left.legend(fontsize=TICK_SIZE)
        right_axes.plot(digits.errors, "o-", color=TRAIN_COLOUR, linewidth=2.5, markersize=8, label="online")
        label_axes(right_axes, f"Digits 1 against 8, {chosen.sum()} images", "epoch", "wrong images")
        right_axes.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"moving_line": moving_line, "errors": errors})


ROW = Row("B3", "Perceptron learning rule (Rosenblatt)", "Boolean functions; digits 1 and 8 (shipped)",
          "learns exactly the separable functions, by the weights worked by hand; XOR is reported as not converging",
          3.0, run, ("models.perceptron.rosenblatt_step", "models.perceptron.learn_perceptron"))
