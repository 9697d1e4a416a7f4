"""B2: which Boolean functions one threshold unit can compute.

Those whose ones and zeros a line (a plane) separates.  Two kinds of proof decide it exactly: weights, or a point that lies
in the convex hull of the ones and in that of the zeros.  For XOR it is the middle of the square.  The share of functions
that can be separated falls fast with the number of inputs.

M. Minsky, S. Papert, "Perceptrons", MIT Press (1969); S. Muroga, "Threshold Logic and Its Applications", Wiley (1971).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_course.course.row import Outcome, Row, Settings, equal
from tinygrad_course.models.perceptron import Perceptron
from tinygrad_course.models.separability import (
    boolean_function,
    same_midpoint,
    separable_functions,
    separate,
    truth_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AND, XOR, XNOR = 8, 6, 9
# By number: bit p is the output for row p of the truth table 00, 01, 10, 11.
NAMES = ("0", "NOR", "x2 and not x1", "not x1", "x1 and not x2", "not x2", "XOR", "NAND",
         "AND", "XNOR", "x2", "x1 implies x2", "x1", "x2 implies x1", "OR", "1")


def proven(n: int) -> bool:
    """For every function of n inputs, the proof that `separate` returns is checked in whole numbers."""
    table = truth_table(n)
    rows = np.concatenate([np.ones((2**n, 1), dtype=int), table], axis=1)
    for number in range(2 ** 2**n):
        t = boolean_function(number, n)
        found = separate(table, t)
        if found.weights is not None:
            right = bool(((2 * t - 1) * (rows @ found.weights) > 0).all())
        else:
            m = np.array(found.multipliers)
            right = bool((m >= 0).all() and m.any() and not ((2 * t - 1) * m @ rows).any())
        if not right:
            return False
    return True


def run(settings: Settings) -> Outcome:
    """Counts by listing, proofs by the exact linear programme."""
    sizes = range(1, 5)
    separable, excluded = [separable_functions(n) for n in sizes], [same_midpoint(n) for n in sizes]
    by_programme = [int(sum(separate(truth_table(n), boolean_function(k, n)).separable for k in range(2 ** 2**n)))
                    for n in (1, 2, 3)]
    facts = [
        equal("separable functions of 1, 2, 3, 4 inputs", [int(found.sum()) for found in separable], [4, 14, 104, 1882]),
        equal("of", [len(found) for found in separable], [4, 16, 256, 65536]),
        equal("functions that are neither: computed by small whole weights, or excluded by a shared midpoint",
              [int((~found & ~out).sum()) for found, out in zip(separable, excluded, strict=True)], [0, 0, 0, 0]),
        equal("functions that would be both", [int((found & out).sum()) for found, out in
                                               zip(separable, excluded, strict=True)], [0, 0, 0, 0]),
        equal("separable functions of 1, 2, 3 inputs, by linear programming in fractions", by_programme, [4, 14, 104]),
        equal("every one of these 276 answers comes with a proof in whole numbers", [proven(n) for n in (1, 2, 3)],
              [True] * 3),
        equal("the two of 2 inputs that are not", [NAMES[k] for k in np.flatnonzero(~separable[1])], ["XOR", "XNOR"]),
        equal("XOR: its ones and its zeros have the same sum, each pattern taken so many times",
              separate(truth_table(2), boolean_function(XOR, 2)).multipliers, (1, 1, 1, 1)),
        equal("weights of AND fire for (1, 1) alone",
              Perceptron.from_vector(separate(truth_table(2), boolean_function(AND, 2)).weights or ())(truth_table(2))
              .tolist(), [0, 0, 0, 1]),
    ]

    def functions() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import TICK_SIZE, TITLE_SIZE, WRONG_COLOUR, new_figure

        table = truth_table(2)
        fig = new_figure(13, 13.2)
        for number, ax in enumerate(fig.subplots(4, 4).flat):
            t = boolean_function(number, 2)
            found = separate(table, t)
            for value, style in ((0, {"markerfacecolor": "white", "marker": "o"}),
                                 (1, {"markerfacecolor": CLASS_COLOURS[0], "marker": "s"})):
                ax.plot(*table[t == value].T, linestyle="", markersize=14, color=CLASS_COLOURS[0], markeredgewidth=2.5,
                        **style)
            ax.set_title(NAMES[number], fontsize=TICK_SIZE + 2)
            ax.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xticks=(0, 1), yticks=(0, 1), aspect="equal")
            ax.tick_params(labelsize=TICK_SIZE)
            if found.weights is None:
                for spine in ax.spines.values():
                    spine.set(color=WRONG_COLOUR, linewidth=4)
                for target, dashes in ((0, ":"), (1, "-")):  # the two diagonals that cross
                    ax.plot(*table[t == target].T, dashes, color=WRONG_COLOUR, linewidth=2.5, zorder=0)
                ax.set_title(f"{NAMES[number]}: not separable", fontsize=TICK_SIZE + 2, color=WRONG_COLOUR, weight="bold")
            elif any(found.weights[1:]):
                ax.axline(*Perceptron.from_vector(found.weights).decision_line(), color="black", linewidth=2.5)
        for ax in fig.axes[-4:]:
            ax.set_xlabel("x$_1$", fontsize=TICK_SIZE)
        for ax in fig.axes[::4]:
            ax.set_ylabel("x$_2$", fontsize=TICK_SIZE)
        handles = [fig.axes[1].lines[0], fig.axes[1].lines[1], fig.axes[1].lines[2]]
        fig.suptitle("The 16 Boolean functions of two inputs", fontsize=TITLE_SIZE + 3)
        fig.legend(handles, ["output 0", "output 1", "separating line"], loc="outside lower center", ncols=3,
                   fontsize=TICK_SIZE + 2)
        return fig

    def counts() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure

        fig = new_figure(8.5, 5.8)
        ax = fig.subplots()
        shares = [100 * found.mean() for found in separable]
        bars = ax.bar([str(n) for n in sizes], shares, color=TRAIN_COLOUR, label="linearly separable")
        ax.bar_label(bars, [f"{found.sum():,} of {len(found):,}" for found in separable], fontsize=TICK_SIZE, padding=4)
        label_axes(ax, "Boolean functions that one unit can compute", "inputs", "share of all functions (%)")
        ax.set_ylim(0, 112)
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"functions": functions, "counts": counts})


ROW = Row("B2", "Linear separability of Boolean functions", "all Boolean functions of 1 to 4 inputs",
          "4 of 4, 14 of 16, 104 of 256, 1,882 of 65,536 are separable; XOR and XNOR are not", 2.0, run,
          ("models.separate", "models.separability.separable_functions"))
