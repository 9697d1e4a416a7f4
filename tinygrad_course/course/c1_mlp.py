"""C1: multi-layer perceptrons: exclusive or, the four equations of backpropagation, and what each layer adds to the regions.

One threshold unit cuts the plane in two.  A second layer of them can demand several half-planes at once, a convex polygon;
a third one any of several polygons, hence any region that polygons fill (Lippmann 1987).  Nobody has to set the weights:
with a smooth activation, the error of the output is sent back through them,

    delta^L = dE/dy * f'(z^L),    delta^l = ((W^(l+1))^T delta^(l+1)) * f'(z^l),
    dE/db^l = delta^l,            dE/dW^l = delta^l (a^(l-1))^T,

and every layer learns what to offer to the next.  Training shows two things that the counting of layers does not: one layer
fails on all but the first region, and two layers with enough units also come close to the region that is not convex, so
depth is a matter of cost, not of possibility.

D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 533-536 (1986);
R. Lippmann, "An introduction to computing with neural nets", IEEE ASSP Magazine 4(2), 4-22 (1987), figure 14.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, equal, within
from tinygrad_course.models.backpropagation import Gradients, backward, forward
from tinygrad_course.models.mlp import MLP, layer_values, with_weights
from tinygrad_course.models.regions import Threshold, half_plane_network, polygon_network, region_network
from tinygrad_course.models.weight_matrix import layered_matrix
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE, XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])
WIDTHS = (3, 4, 3, 2)  # of the net on which the equations are checked
PENTAGON = 0.8 * np.stack([np.sin(0.4 * np.pi * np.arange(5)), np.cos(0.4 * np.pi * np.arange(5))], axis=1)
# A letter U, not convex, and a square inside it that it does not touch.
PARTS = [[[-0.8, -0.8], [-0.4, -0.8], [-0.4, 0.8], [-0.8, 0.8]], [[-0.4, -0.8], [0.4, -0.8], [0.4, -0.4], [-0.4, -0.4]],
         [[0.4, -0.8], [0.8, -0.8], [0.8, 0.8], [0.4, 0.8]], [[-0.15, 0.1], [0.15, 0.1], [0.15, 0.5], [-0.15, 0.5]]]
NETS = {"1 layer": [1], "2 layers (5, 1)": [5, 1], "2 layers (40, 1)": [40, 1], "3 layers (16, 8, 1)": [16, 8, 1]}
STEPS, RATE = 1000, 0.02


def in_pentagon(points: np.ndarray) -> np.ndarray:
    """By the distance to the sides of a regular pentagon with its top at (0, 0.8): no network."""
    angle = np.arctan2(points[:, 0], points[:, 1])
    to_middle = angle % (0.4 * np.pi) - 0.2 * np.pi  # from the middle of the nearest side
    return np.hypot(*points.T) * np.cos(to_middle) <= 0.8 * np.cos(0.2 * np.pi)


def in_parts(points: np.ndarray) -> np.ndarray:
    """The letter and the square, by comparing the coordinates."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    letter = (x <= 0.8) & (np.abs(y) <= 0.8) & ((x >= 0.4) | (y <= -0.4))
    return letter | ((x <= 0.15) & (y >= 0.1) & (y <= 0.5))


def in_half_plane(points: np.ndarray) -> np.ndarray:
    """x_1 + x_2 / 2 >= 0.2."""
    return points[:, 0] + points[:, 1] / 2 >= 0.2


REGIONS = {"half-plane": in_half_plane, "convex polygon": in_pentagon, "any region": in_parts}


def equations(seed: int) -> tuple[list[Fact], MLP, Gradients]:
    """The four equations in NumPy and autograd on the same net, layer by layer; the net and its gradients, for the figure."""
    rng = np.random.default_rng(seed)
    tgc.manual_seed(seed)
    names = ["tanh", "sigmoid", "sigmoid"]
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2), nn.Sigmoid()).double()
    linears = [part for part in net if isinstance(part, nn.Linear)]
    weights, biases = ([getattr(linear, name).detach().numpy().copy() for linear in linears] for name in ("weight", "bias"))
    x, t = rng.standard_normal((5, WIDTHS[0])), rng.random((5, WIDTHS[-1]))
    z, a = layer_values(net, tgc.tensor(x))
    done = forward(weights, biases, x, names)
    y = done.output
    costs = {"half squared error": (0.5 * ((a[-1] - tgc.tensor(t)) ** 2).sum(), y - t),
             "cross-entropy": (F.binary_cross_entropy(a[-1], tgc.tensor(t), reduction="sum"), (y - t) / (y * (1 - y)))}
    facts = []
    for name, (cost, cost_gradient) in costs.items():
        parameters = [linear.weight for linear in linears], [linear.bias for linear in linears]
        wanted = [value.numpy() for value in tgc.autograd.grad(cost, [*z, *parameters[0], *parameters[1]], retain_graph=True)]
        found = backward(weights, done, cost_gradient, names)
        parts = [*found.deltas, *found.weights, *found.biases]
        worst = [float(np.abs(ours - theirs).max()) for ours, theirs in zip(parts, wanted, strict=True)]
        facts += [within(f"{name}, BP1: largest difference of delta in layer 3 from autograd's", worst[2], high=1e-12)]
        facts += [within(f"{name}, BP2: of delta in layer {layer}", worst[layer - 1], high=1e-12) for layer in (2, 1)]
        facts += [within(f"{name}, BP3 and BP4: of dE/db and dE/dW in layer {layer}",
                         max(worst[2 + layer], worst[5 + layer]), high=1e-12) for layer in (3, 2, 1)]
    found = backward(weights, done, y - t, names)
    step, numeric = 1e-5, []
    for value in (*weights, *biases):
        slopes = np.empty_like(value)
        for place in np.ndindex(value.shape):
            kept, ends = value[place], []
            for shift in (step, -step):
                value[place] = kept + shift
                ends.append(0.5 * ((forward(weights, biases, x, names).output - t) ** 2).sum())
            value[place] = kept
            slopes[place] = (ends[0] - ends[1]) / (2 * step)
        numeric.append(slopes)
    worst_numeric = max(float(np.abs(ours - slope).max()) for ours, slope in
                        zip([*found.weights, *found.biases], numeric, strict=True))
    facts.append(within("largest difference of any dE/dw and dE/db from the difference quotient", worst_numeric, high=1e-8))
    shown = with_weights(MLP(WIDTHS[0], WIDTHS[1:]), list(zip(weights, biases, strict=True)))
    return facts, shown, found


def fit(widths: list[int], x: np.ndarray, t: np.ndarray, steps: int, seed: int) -> MLP:
    """All points at once, by Adam, cross-entropy."""
    tgc.manual_seed(seed)
    net = MLP(2, widths, activation_layer=nn.Tanh)
    inputs, targets = tgc.tensor(x.astype(np.float32)), tgc.tensor(t.astype(np.float32)[:, None])
    optimizer = optim.Adam(net.parameters(), lr=RATE)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def fired(net: MLP, points: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Whether the output is above the threshold, bool (N,)."""
    with tgc.no_grad():
        return net(tgc.tensor(points.astype(net.linears[0].weight.detach().numpy().dtype))).numpy()[:, 0] > threshold


def run(settings: Settings) -> Outcome:
    """The equations, exclusive or, regions by hand and by training."""
    facts, checked, gradients = equations(settings.seed)
    rng = np.random.default_rng(settings.seed)
    steps = settings.steps or STEPS

    by_hand = with_weights(MLP(2, [2, 1], activation_layer=Threshold, output_layer=Threshold),
                           [([[1, 1], [-1, -1]], [-0.5, 1.5]), ([[1, 1]], [-1.5])])  # OR and NAND
    facts.append(equal("exclusive or of (0, 0), (0, 1), (1, 0), (1, 1) by OR, NAND and AND",
                       fired(by_hand, TABLE, 0.5).astype(int).tolist(), XOR.tolist()))
    learned = fit([4, 1], TABLE, XOR, steps, settings.seed)
    one_layer = fit([1], TABLE, XOR, steps, settings.seed)
    facts.append(equal("the same, learned, 4 hidden units", fired(learned, TABLE).astype(int).tolist(), XOR.tolist()))
    facts.append(within("one layer, learned: how many of the four are right", int((fired(one_layer, TABLE) == XOR).sum()),
                        high=3))

    points = rng.uniform(-1, 1, (20_000, 2))
    built = {"half-plane": half_plane_network((1, 0.5), 0.2), "convex polygon": polygon_network(PENTAGON),
             "any region": region_network(PARTS)}
    for layers, (name, net) in enumerate(built.items(), start=1):
        facts.append(equal(f"{name} by hand: number of layers, and of 20,000 points those on the wrong side",
                           [len(net.linears), int((fired(net, points, 0.5) != REGIONS[name](points)).sum())], [layers, 0]))

    x, x_test = rng.uniform(-1, 1, (600, 2)), points[:4000]
    nets = {(kind, name): fit(widths, x, region(x), steps, settings.seed)
            for name, region in REGIONS.items() for kind, widths in NETS.items()}
    right = {(kind, name): float((fired(net, x_test) == REGIONS[name](x_test)).mean()) for (kind, name), net in nets.items()}
    one, few, many, three = NETS
    for kind, name, low, high in ((one, "half-plane", 0.98, 1), (one, "convex polygon", 0, 0.75),
                                  (few, "convex polygon", 0.91, 1), (one, "any region", 0, 0.75), (few, "any region", 0, 0.9),
                                  (many, "any region", 0.92, 1), (three, "any region", 0.92, 1)):
        facts.append(within(f"learned, {name}, {kind}: share of new points that are right", right[kind, name], low, high))
    settings.say(f"{len(nets)} networks on {len(x)} points")

    def regions(models: dict[str, MLP], threshold: float, titles: dict[str, str], shown: np.ndarray) -> Figure:
        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(19, 6.6)
        for (name, net), ax in zip(models.items(), fig.subplots(1, 3), strict=True):
            plot_decision(partial(fired, net, threshold=threshold), shown, REGIONS[name](shown), title=titles[name],
                          names=("outside", "inside"), x_range=(-1, 1), y_range=(-1, 1), ax=ax)
        return fig

    def constructed() -> Figure:
        return regions(built, 0.5, {"half-plane": "1 layer: 1 unit, a half-plane",
                                    "convex polygon": "2 layers: 5 sides, AND",
                                    "any region": "3 layers: 16 sides, 4 AND, OR"}, points[:250])

    def trained() -> Figure:
        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(20, 11)
        for row, name in zip(fig.subplots(2, 4), list(REGIONS)[1:], strict=True):
            for ax, kind in zip(row, NETS, strict=True):
                plot_decision(nets[kind, name], x[:250], REGIONS[name](x[:250]), names=("outside", "inside"), x_range=(-1, 1),
                              y_range=(-1, 1), title=f"{kind}: {100 * right[kind, name]:.1f} % right", ax=ax)
                if (kind, name) != (one, "convex polygon"):
                    ax.get_legend().remove()  # it would hide the points of small panels
        return fig

    def exclusive_or() -> Figure:
        from tinygrad_course.viz import plot_decision, plot_network
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(19, 6.4)
        left, middle, right_axes = fig.subplots(1, 3)
        plot_network(*layered_matrix(by_hand.linears), names=("x$_1$", "x$_2$", "OR", "NAND", "AND"),
                     title="Exclusive or by hand, biases below the units", ax=left)
        plot_decision(partial(fired, by_hand, threshold=0.5), TABLE, XOR, title="What it computes", names=("0", "1"),
                      x_range=(-0.5, 1.5), y_range=(-0.5, 1.5), ax=middle)
        plot_decision(learned, TABLE, XOR, title="Learned, 4 hidden units", names=("0", "1"), x_range=(-0.5, 1.5),
                      y_range=(-0.5, 1.5), ax=right_axes)
        return fig

    def backpropagation() -> Figure:
        from tinygrad_course.viz import plot_network
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(17, 7)
        left, right_axes = fig.subplots(1, 2)
        names = [f"x$_{i}$" for i in (1, 2, 3)] + [f"a$^{layer}_{i}$" for layer in (1, 2, 3)
                                                 for i in range(1, WIDTHS[layer] + 1)]
        plot_network(*layered_matrix(checked.linears), names=names, numbers=False, title="Forward: weights and biases",
                     ax=left)
        slopes = with_weights(MLP(WIDTHS[0], WIDTHS[1:]), list(zip(gradients.weights, gradients.biases, strict=True)))
        plot_network(*layered_matrix(slopes.linears), numbers=False,
                     names=[*names[:3], *(name.replace("a$", r"$\delta") for name in names[3:])],
                     title="Backward: dE/dW as arrows, dE/db below the units", ax=right_axes)
        return fig

    return Outcome(facts, {"by_hand": constructed, "trained": trained, "exclusive_or": exclusive_or,
                           "backpropagation": backpropagation})


ROW = Row("C1", "Multi-layer perceptron and backpropagation", "truth tables; points of three regions of the plane",
          "the four equations are autograd's to 1e-12; half-plane, convex polygon, any region with 1, 2, 3 layers", 3.0, run,
          ("models.MLP", "models.backpropagation.backward", "models.regions.region_network"))
