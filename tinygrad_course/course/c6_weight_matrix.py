"""C6: any weight matrix as a network: shortcuts, layers that are found, and networks that have none.

W[i, j] is the weight from unit j to unit i, so one square matrix is a whole network.  If the units can be numbered so that W
is strictly lower triangular, it is feed-forward and has layers, first order without and second order with shortcuts over
layers.  Shortcuts save units: with them exclusive or takes one hidden unit, and the parity of n inputs about log2(n)
threshold units where a hidden layer takes n.  If there is no such numbering, some unit reaches itself: the state goes on in
time, and may settle or go round.

D. Rumelhart, G. Hinton, R. Williams, "Learning internal representations by error propagation", in: Parallel Distributed
Processing 1 (1986), figure 2; R. Minnick, "Linear-input logic", IRE Transactions on Electronic Computers EC-10, 6-16
(1961), for parity; E. Goles, J. Olivos, "Comportement periodique des fonctions a seuil binaires et applications", Discrete
Applied Mathematics 3, 93-105 (1981): symmetric threshold networks, all units at once, settle or alternate between two states.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.metrics import accuracy
from tinygrad_course.models.mlp import MLP
from tinygrad_course.models.regions import Threshold
from tinygrad_course.models.weight_matrix import (
    WeightMatrixNetwork,
    feed_forward_layers,
    find_cycle,
    has_shortcuts,
    layered_matrix,
    period,
    topological_order,
)
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE, XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])
# Exclusive or, units x_1, x_2, hidden, output: the hidden unit sees both (AND) and forbids the output, which sees one (OR).
XOR_WEIGHTS = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, -2, 0]], float)
XOR_BIASES = np.array([0, 0, -1.5, -0.5])
STEEP = 20.0  # weight of a unit that inhibits, whose bias is half of it: its sigmoid is a NOT
STARTS, XOR_STEPS, DIGIT_STEPS, HIDDEN = 6, 800, 150, 12


def parity_matrix(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """W and b of threshold units that write the number of ones among the inputs in binary, the last digit is the parity.

    The unit of the digit 2^k fires if the number, less the higher digits that fired, is 2^k or more.
    """
    digits = bits.bit_length()
    weights, biases = np.zeros((bits + digits, bits + digits)), np.zeros(bits + digits)
    for unit, power in enumerate(range(digits - 1, -1, -1), start=bits):
        weights[unit, :bits] = 1
        weights[unit, bits:unit] = -(2.0 ** np.arange(digits - 1, power, -1))
        biases[unit] = 0.5 - 2**power
    return weights, biases


def learn_xor(exists: np.ndarray, steps: int, rng: np.random.Generator) -> WeightMatrixNetwork:
    """Units x_1, x_2, hidden, output with these connections, trained by Adam; the best of some starts."""
    x, t = tgc.tensor(TABLE), tgc.tensor(XOR[:, None].astype(float))
    found = []
    for _ in range(STARTS):
        net = WeightMatrixNetwork(rng.standard_normal((4, 4)) * exists, outputs=[3], activation=tgc.tanh,
                                  output_activation=nn.Identity())
        optimizer = optim.Adam(net.parameters(), lr=0.05)
        for _ in range(steps):
            loss = F.binary_cross_entropy_with_logits(net(x), t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append((loss.item(), net))
    return min(found, key=lambda pair: pair[0])[1]


def right(net: WeightMatrixNetwork) -> int:
    """How many of the four rows of exclusive or it knows."""
    with tgc.no_grad():
        return int(((net(tgc.tensor(TABLE)).numpy()[:, 0] > 0) == XOR).sum())


def on_digits(steps: int, rng: np.random.Generator) -> tuple[WeightMatrixNetwork, float, float]:
    """64 pixels, 12 hidden units each of which sees all before it, 10 outputs that see all: net, test accuracy, last loss."""
    (x, y), (x_test, y_test) = ((tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels))
                                for images, labels in (load_digits("train"), load_digits("test")))
    n = 64 + HIDDEN + 10
    exists = np.tril(np.ones((n, n), bool), -1)
    exists[:64] = False                       # nothing feeds the pixels,
    exists[64 + HIDDEN:, 64 + HIDDEN:] = False  # and the outputs do not see each other
    weights = (rng.standard_normal((n, n)) / 8 * exists).astype(np.float32)
    net = WeightMatrixNetwork(weights, activation=tgc.tanh, output_activation=nn.Identity())
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    for _ in range(steps):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with tgc.no_grad():
        return net, accuracy(net(x_test), y_test), loss.item()


def inhibiting(exists: np.ndarray) -> WeightMatrixNetwork:
    """Units that are on unless one that is on inhibits them."""
    return WeightMatrixNetwork(-STEEP * exists.astype(float), np.full(len(exists), STEEP / 2))


def trajectory(net: WeightMatrixNetwork, start: np.ndarray, steps: int) -> np.ndarray:
    """States (steps + 1, ..., N)."""
    with tgc.no_grad():
        return net.run(None, steps, tgc.tensor(np.asarray(start, float))).numpy()


def run(settings: Settings) -> Outcome:
    """Layers found, shortcuts by hand and learned, recurrent networks in time."""
    tgc.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)

    layered = MLP(3, [4, 5, 2], activation_layer=nn.Tanh).double()
    matrix, biases = layered_matrix(layered.linears)
    order = rng.permutation(len(matrix))
    place = np.argsort(order)
    shuffled = matrix[np.ix_(order, order)]
    net = WeightMatrixNetwork(shuffled, biases[order], activation=tgc.tanh, output_activation=nn.Identity(),
                              inputs=place[:3], outputs=place[-2:])
    x = tgc.tensor(rng.standard_normal((50, 3)))
    with tgc.no_grad():
        difference = float(np.abs((net(x) - layered(x)).numpy()).max())
    sorted_order = topological_order(shuffled) or []
    back = shuffled.copy()
    back[place[4], place[-1]] = 1.0  # from an output to a hidden unit
    cycle = find_cycle(back) or []
    facts = [
        equal("3-4-5-2 with the units shuffled: units of the layers that are found",
              [len(layer) for layer in feed_forward_layers(shuffled) or []], [3, 4, 5, 2]),
        equal("weights on or above the diagonal, shuffled and in topological order",
              [bool(np.triu(w).any()) for w in (shuffled, shuffled[np.ix_(sorted_order, sorted_order)])], [True, False]),
        within("largest difference of the outputs from the layered network's", difference, high=1e-12),
        equal("with a connection back from an output: a topological order; the cycle has connections all the way",
              [topological_order(back), bool(cycle) and all(back[np.roll(cycle, -1), cycle])], [None, True]),
        equal("second order: the layered network, exclusive or with one hidden unit",
              [has_shortcuts(shuffled), has_shortcuts(XOR_WEIGHTS)], [False, True]),
    ]

    by_hand = WeightMatrixNetwork(XOR_WEIGHTS, XOR_BIASES, activation=Threshold())
    facts.append(equal("exclusive or by hand, one hidden unit and shortcuts",
                       by_hand(tgc.tensor(TABLE)).detach().numpy()[:, 0].astype(int).tolist(), XOR.tolist()))
    steps = settings.steps or XOR_STEPS
    with_shortcuts, without = XOR_WEIGHTS != 0, XOR_WEIGHTS != 0
    without[3, :2] = False
    learned, chain = learn_xor(with_shortcuts, steps, rng), learn_xor(without, steps, rng)
    facts += [equal("learned, one hidden unit and shortcuts: rows that are right", right(learned), 4),
              within("learned, one hidden unit, no shortcuts: rows that are right", right(chain), high=3),
              equal("weights that training gave to connections that do not exist",
                    float(np.abs(learned.weight.detach().numpy()[~with_shortcuts]).max()), 0.0)]
    for bits in (4, 7):
        patterns = np.array(list(product((0, 1), repeat=bits)), float)
        counter = WeightMatrixNetwork(*parity_matrix(bits), activation=Threshold())
        wrong = counter(tgc.tensor(patterns)).detach().numpy()[:, 0] != patterns.sum(axis=1) % 2
        facts.append(equal(f"parity of {bits} inputs: units behind the inputs, wrong ones of {2**bits} patterns",
                           [len(counter.weight) - bits, int(wrong.sum())], [3, 0]))
    digits, share, last = on_digits(settings.steps or DIGIT_STEPS, rng)
    settings.say(f"digits: test accuracy {100 * share:.1f} %, loss {last:.3f}")
    facts += [equal(f"digits, 64 pixels, {HIDDEN} hidden units that feed each other, 10 outputs, all shortcuts: connections",
                    int(digits.mask.sum().item()), 64 * HIDDEN + HIDDEN * (HIDDEN - 1) // 2 + 10 * (64 + HIDDEN)),
              equal("layers: inputs, each hidden unit its own, outputs", [len(layer) for layer in digits.layers or []],
                    [64, *[1] * HIDDEN, 10]),
              within("accuracy on test digits", share, low=0.92)]

    flip_flop = inhibiting(np.array([[0, 1], [1, 0]], bool))
    ring = inhibiting(np.roll(np.eye(3, dtype=bool), 1, axis=0))
    facts += [
        equal("two units that inhibit each other, all units at once, period from (1, 0), (0, 1), (0, 0)",
              [period(trajectory(flip_flop, np.array(start), 40)) for start in ((1, 0), (0, 1), (0, 0))], [1, 1, 2]),
        equal("three units in a ring, each inhibits the next: period", period(trajectory(ring, np.array([1, 0, 0]), 60)), 6)]
    periods: dict[bool, list[int]] = {True: [], False: []}
    for symmetric, found in periods.items():
        for _ in range(20):
            w = rng.standard_normal((12, 12))
            w = w + w.T if symmetric else w
            states = trajectory(WeightMatrixNetwork(w, rng.standard_normal(12), activation=Threshold()),
                                rng.integers(0, 2, (5, 12)), 120)
            found += [period(states[:, start]) or 61 for start in range(5)]
    facts += [within("20 symmetric networks of 12 threshold units, 5 starts each: longest period", max(periods[True]),
                     high=2),
              within("20 that are not symmetric: longest period", max(periods[False]), low=3)]
    contraction = rng.standard_normal((8, 8))
    contraction *= 0.9 / np.linalg.norm(contraction, 2)
    ends = trajectory(WeightMatrixNetwork(contraction, rng.standard_normal(8), activation=tgc.tanh),
                      rng.uniform(-1, 1, (10, 8)), 300)
    facts.append(within("8 units, tanh, largest singular value of W 0.9: distance of the ends of 10 starts",
                        float(np.ptp(ends[-1], axis=0).max()), high=1e-9))

    def networks() -> Figure:
        from tinygrad_course.viz import plot_network
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(20, 12)
        axes = fig.subplots(2, 2).flat
        names = ("x$_1$", "x$_2$", "AND", "XOR")
        plot_network(XOR_WEIGHTS, XOR_BIASES, names=names, title="Exclusive or, one hidden unit and shortcuts", ax=axes[0])
        plot_network(learned.matrix, learned.bias * learned.mask.any(dim=1), names=("x$_1$", "x$_2$", "h", "y"),
                     title="The same, learned", ax=axes[1])
        weights, shifts = parity_matrix(4)
        plot_network(weights, shifts, names=["x$_1$", "x$_2$", "x$_3$", "x$_4$", "4", "2", "1"],
                     title="The number of ones in binary, the last is the parity", ax=axes[2])
        plot_network(ring.matrix, ring.bias, title="Recurrent: each unit inhibits the next", ax=axes[3])
        return fig

    def matrices() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import label_axes, new_figure

        fig = new_figure(15, 7)
        left, right_axes = fig.subplots(1, 2)
        limit = float(np.abs(shuffled).max())
        for numbers, title, ax in ((range(len(order)), "W of a layered network, units shuffled", left),
                                   (sorted_order, "In topological order: lower triangular", right_axes)):
            units = list(numbers)
            plot_matrix(shuffled[np.ix_(units, units)], title=title, numbers=False, cmap="RdBu_r", limits=(-limit, limit),
                        ax=ax)
            ax.set_xticks(range(len(units)), map(str, units))
            ax.set_yticks(range(len(units)), map(str, units))
            label_axes(ax, title, "from unit j", "to unit i")
        return fig

    def in_time() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(20, 6)
        shown = (("Settles: singular values up to 0.9", ends[:25, 0, :4]),
                 ("Alternates: two units inhibit each other", trajectory(flip_flop, np.zeros(2), 24)),
                 ("Goes round: three in a ring", trajectory(ring, np.array([1, 0, 0]), 24)))
        for ax, (title, states) in zip(fig.subplots(1, 3), shown, strict=True):
            for unit, (values, style) in enumerate(zip(states.T, ("o-", "s--", "^:", "D-."), strict=False)):
                ax.plot(values, style, color=CLASS_COLOURS[unit], linewidth=2, markersize=6, label=f"unit {unit}")
            label_axes(ax, title, "step (all units at once)", "output y")
            ax.set_ylim(top=states.max() + 0.35 * np.ptp(states))  # room for the legend
            ax.legend(fontsize=TICK_SIZE, ncols=2, loc="upper right")
        return fig

    return Outcome(facts, {"networks": networks, "matrices": matrices, "in_time": in_time})


ROW = Row("C6", "Second-order networks, any weight matrix", "truth tables; 8 x 8 digits (shipped); random networks",
          "W alone tells layers from cycles; shortcuts need fewer units; recurrent networks settle or go round", 5.0, run,
          ("models.WeightMatrixNetwork", "models.weight_matrix.topological_order", "models.weight_matrix.find_cycle"))
