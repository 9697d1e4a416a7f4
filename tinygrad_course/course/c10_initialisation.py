"""C10: initialisation, vanishing and exploding gradients.

Weights from N(0, 1) give a unit pre-activations with a standard deviation of the length |x| of its input, some 10 for a
photograph of 784 pixels: sigmoid and tanh units start saturated, where their slope is next to nothing, and learn slowly.
Cross-entropy helps the output units only.  M. Nielsen, "Neural Networks and Deep Learning" (2015), chapter 3.  (For the 8 x 8
digits |x| is below 4, and such a start does no harm.)  In a deep net, whatever a layer multiplies the spread by, twenty
layers do twenty times over:

    linear or tanh near 0, N(0, 1/m)   variance times 1 per layer, forwards and backwards
    ReLU, N(0, 1/m)                    times 1/2: half of the inputs of each unit are 0
    ReLU, He, N(0, 2/m)                times 1
    sigmoid, N(0, 1/m)                 gradients times less than 1/4, the largest slope (S. Hochreiter, diploma thesis (1991))
    tanh, N(0, 1), saturated           gradients' variance times m E[(1 - tanh^2)^2] = 4/3 sqrt(m / (2 pi))

The last line: saturated inputs are +-1, so that h is from N(0, m), and the integral of (1 - tanh^2)^2 is 4/3.
An orthogonal matrix keeps every length, not the mean of the lengths; so does a product of many of them, where a product of
Gaussian ones flattens most directions (A. Saxe et al., ICLR 2014).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.digit_nets import N_CLASSES, N_PIXELS, Sample, clothes, draw, fit, judge, mlp
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, within
from tinygrad_course.models.initialisation import INITIALISATIONS, Signals, initialise, signals
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPTH, WIDTH = 20, 128                                       # of the nets that are looked at
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU}
DEEP, DEEP_WIDTH, STEPS = 16, 64, 250                        # of those that learn
STARTS = 3                                                     # random starts of the shallow nets that are compared
SATURATED = 0.05                                               # a sigmoid with a smaller slope counts as saturated
COLOURS = dict(zip(INITIALISATIONS, ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00"), strict=True))
STYLES = dict(zip(INITIALISATIONS, ("-", "-", "--", "-", ":"), strict=True))


def per_layer(values: np.ndarray) -> float:
    """Mean factor (geometric) of the square from a layer to the next one, without the first and the output layer."""
    return float((values[-2] / values[1]) ** (2 / (len(values) - 3)))


def look(activation: str, initialisation: str, sample: Sample, seed: int) -> Signals:
    """Real digits through 20 layers, and the gradient of the cross-entropy back."""
    tgc.manual_seed(seed)
    net = mlp(N_PIXELS, *[WIDTH] * (DEPTH - 1), N_CLASSES, activation=ACTIVATIONS[activation])
    initialise(net, initialisation)
    return signals(net, sample.x, lambda scores: F.cross_entropy(scores, sample.y))


def theory_facts(seen: dict[str, dict[str, Signals]]) -> list[Fact]:
    """What a layer multiplies variances by, against theory."""
    relu, tanh, sigmoid = seen["ReLU"], seen["tanh"], seen["sigmoid"]
    growth = 4 / 3 * math.sqrt(WIDTH / (2 * math.pi))
    return [
        within("ReLU, He: variance of the pre-activations from layer to layer, theory 1", per_layer(relu["He"].spread),
               0.8, 1.2),
        within("N(0, 1/m), theory 1/2", per_layer(relu["N(0, 1/m)"].spread), 0.4, 0.6),
        within("Glorot, theory 1/2", per_layer(relu["Glorot"].spread), 0.4, 0.6),
        within(f"N(0, 1), as a share of m / 2 = {WIDTH // 2}", per_layer(relu["N(0, 1)"].spread) / (WIDTH / 2), 0.8, 1.2),
        within("ReLU, He: variance of the gradients from layer to layer, theory 1", 1 / per_layer(relu["He"].gradient),
               0.8, 1.2),
        within("N(0, 1/m), theory 1/2", 1 / per_layer(relu["N(0, 1/m)"].gradient), 0.4, 0.6),
        within("sigmoid, N(0, 1/m): gradient in a layer as a share of that in the next, theory: below 1/4",
               per_layer(sigmoid["N(0, 1/m)"].gradient) ** -0.5, 0.2, 0.25),
        within("and in the first layer as a share of that in the last but one", float(
            sigmoid["N(0, 1/m)"].gradient[0] / sigmoid["N(0, 1/m)"].gradient[-2]), high=1e-10),
        within("tanh, N(0, 1): variance of the gradients from layer to layer, as a share of 4/3 sqrt(m / (2 pi))",
               1 / per_layer(tanh["N(0, 1)"].gradient) / growth, 0.75, 1.35),
        within("tanh, N(0, 1): share of the units with |y| > 0.99 in layer 10",
               float((np.abs(np.tanh(tanh["N(0, 1)"].pre_activations[9])) > 0.99).mean()), low=0.7),
        within("tanh, Glorot: the same", float((np.abs(np.tanh(tanh["Glorot"].pre_activations[9])) > 0.99).mean()),
               high=0.001),
    ]


def singular_values(initialisation: str, seed: int) -> np.ndarray:
    """Of the product of 20 weight matrices of 64 x 64, which is what a linear net does, the largest first."""
    tgc.manual_seed(seed)
    net = initialise(nn.Sequential(*[nn.Linear(64, 64).double() for _ in range(DEPTH)]), initialisation)
    product = np.eye(64)
    for layer in net.children():
        product = layer.weight.detach().numpy() @ product
    return np.linalg.svd(product, compute_uv=False)


def slow_down(initialisation: str, train: Sample, test: Sample, steps: int, seed: int) -> tuple[float, list[float]]:
    """784-100-10 with sigmoid units: share of saturated hidden units at the start, test error every 10 steps."""
    tgc.manual_seed(seed)
    net = mlp(train.x.shape[1], 100, N_CLASSES, activation=nn.Sigmoid)
    initialise(net, initialisation)
    with tgc.no_grad():
        y = net[1](net[0](train.x)).numpy()
    errors = [judge(net, test)[1]]
    fit(net, train, optim.SGD(net.parameters(), lr=0.1), steps, np.random.default_rng([seed, 1]),
        after=lambda step: None if step % 10 else errors.append(judge(net, test)[1]))
    return float((y * (1 - y) < SATURATED).mean()), errors


def learn_deep(initialisation: str, activation: str, train: Sample, steps: int, seed: int) -> list[float]:
    """16 layers on digits by SGD with momentum; loss of each step, infinite once it is no number."""
    tgc.manual_seed(seed)
    net = mlp(N_PIXELS, *[DEEP_WIDTH] * (DEEP - 1), N_CLASSES, activation=ACTIVATIONS[activation])
    initialise(net, initialisation)
    losses = fit(net, train, optim.SGD(net.parameters(), lr=0.01, momentum=0.9), steps, np.random.default_rng([seed, 1]))
    return [loss if math.isfinite(loss) else math.inf for loss in losses]


def end(losses: list[float]) -> float:
    """Mean loss of the last tenth of the steps."""
    return float(np.mean(losses[-max(1, len(losses) // 10):]))


def run(settings: Settings) -> Outcome:
    """Signals in nets of 20 layers, then learning: shallow with sigmoid units, deep with ReLU and sigmoid units."""
    steps = settings.steps or STEPS
    train, = draw([1000], np.random.default_rng(settings.seed))
    dressed, test_dressed = clothes("train"), clothes("test")
    few = Sample(train.x[:300], train.y[:300])
    seen = {activation: {name: look(activation, name, few, settings.seed) for name in INITIALISATIONS}
            for activation in ACTIVATIONS}
    shallow = {name: slow_down(name, dressed, test_dressed, min(steps, 150), settings.seed) for name in INITIALISATIONS}
    deep = {}
    for name in INITIALISATIONS:
        deep[name] = learn_deep(name, "ReLU", train, steps, settings.seed)
        settings.say(f"{DEEP} layers of ReLU units, {name}: loss {end(deep[name]):.3f}")
    deep_sigmoid = learn_deep("Glorot", "sigmoid", train, steps, settings.seed)
    orthogonal, gaussian = (singular_values(name, settings.seed) for name in ("orthogonal", "N(0, 1/m)"))
    areas = {}
    for name in ("N(0, 1)", "N(0, 1/m)"):
        further = [slow_down(name, dressed, test_dressed, min(steps, 150), settings.seed + 100 * start)[1]
                        for start in range(1, STARTS)]
        areas[name] = float(np.mean([shallow[name][1], *further]))
    others = [end(losses) for name, losses in deep.items() if name != "He"]
    facts = [
        *theory_facts(seen),
        within("20 orthogonal matrices, multiplied: largest |singular value - 1|", float(np.abs(orthogonal - 1).max()),
               high=1e-10),
        within("20 from N(0, 1/m): largest singular value as a multiple of the median one",
               float(gaussian[0] / np.median(gaussian)), low=100),
        within(f"784-100-10, sigmoid, N(0, 1): share of hidden units with a slope below {SATURATED}", shallow["N(0, 1)"][0],
               low=0.6),
        within("N(0, 1/m): the same", shallow["N(0, 1/m)"][0], high=0.01),
        within(f"mean test error while it learns, {STARTS} starts, N(0, 1) as a multiple of N(0, 1/m)",
               areas["N(0, 1)"] / areas["N(0, 1/m)"], low=1.15),
        within(f"{DEEP} layers, ReLU: loss after learning, He", end(deep["He"]), high=0.7),
        within("the least of all others", min(others), low=1.2),
        within(f"{DEEP} layers, sigmoid, Glorot: loss as a share of ln 10, which is chance", end(deep_sigmoid) / math.log(10),
               0.97, 1.03),
    ]
    return Outcome(facts, {"pre_activations": lambda: plot_pre_activations(seen),
                           "layer_by_layer": lambda: plot_layers(seen),
                           "learning": lambda: plot_learning(shallow, deep, deep_sigmoid)})


def plot_pre_activations(seen: dict[str, dict[str, Signals]]) -> Figure:
    """Distribution of the pre-activations in layers 1, 7, 13 and 19 of tanh and ReLU nets."""
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    fig = new_figure(20, 9)
    layers, shades = (0, 6, 12, 18), ("#0072B2", "#009E73", "#E69F00", "#D55E00")
    for row, activation in zip(fig.subplots(2, len(INITIALISATIONS)), ("tanh", "ReLU"), strict=True):
        for ax, name in zip(row, INITIALISATIONS, strict=True):
            shown = seen[activation][name].pre_activations
            limit = 3.5 * max(float(shown[0].std()), float(np.std(shown[6])) if activation == "tanh" else 0.0)
            for layer, shade in zip(layers, shades, strict=True):
                h = shown[layer].ravel()
                ax.hist(h, bins=np.linspace(-limit, limit, 81), weights=np.full(len(h), 100 / len(h)), histtype="step",
                        linewidth=2, color=shade, label=f"{layer + 1}: {h.std():.2g}")
            label_axes(ax, f"{activation}, {name}", "pre-activation h", "share (%)" if name == "N(0, 1)" else "")
            ax.set_yscale("log")
            ax.set_ylim(0.05, 2e4)
            ax.legend(fontsize=TICK_SIZE - 2, title="layer: spread", title_fontsize=TICK_SIZE - 2, loc="upper right")
    return fig


def plot_layers(seen: dict[str, dict[str, Signals]]) -> Figure:
    """Spread of the pre-activations and size of the gradients against the layer."""
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    fig = new_figure(17, 9.6)
    panels = fig.subplots(2, 3)
    for column, (activation, nets) in enumerate(seen.items()):
        for name, found in nets.items():
            for ax, values in zip(panels[:, column], (found.spread, found.gradient), strict=True):
                ax.plot(np.arange(1, DEPTH + 1), values, STYLES[name], color=COLOURS[name], linewidth=2.5, label=name)
        label_axes(panels[0, column], f"{activation}: forwards", "layer", "pre-activations h (rms)" if not column else "")
        label_axes(panels[1, column], f"{activation}: backwards", "layer", "gradients dE/dh (rms)" if not column else "")
        for ax in panels[:, column]:
            ax.set_yscale("log")
            ax.set_xticks((1, 5, 10, 15, 20))
            ax.grid(color="#DDDDDD", linewidth=0.8)
    panels[0, 0].legend(fontsize=TICK_SIZE)
    return fig


def plot_learning(shallow: dict[str, tuple[float, list[float]]], deep: dict[str, list[float]],
                  sigmoid: list[float]) -> Figure:
    """Test error of the shallow nets and loss of the deep ones while they learn."""
    from tinygrad_course.course.classifier import smooth
    from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

    fig = new_figure(15, 6)
    panels: tuple[Axes, Axes] = tuple(fig.subplots(1, 2))
    left, right = panels
    for name, (saturated, errors) in shallow.items():
        left.plot(10 * np.arange(len(errors)), 100 * np.array(errors), STYLES[name], color=COLOURS[name], linewidth=2.5,
                  label=f"{name}: {100 * saturated:.0f} %")
    for name, losses in deep.items():
        label = name if math.isfinite(end(losses)) else f"{name} (overflows)"
        curve = smooth(np.minimum(losses, 10.0).tolist(), 10)
        right.plot(np.arange(1, len(curve) + 1), curve, STYLES[name], color=COLOURS[name], linewidth=2.5, label=label)
    right.plot(np.arange(1, len(sigmoid) + 1), smooth(sigmoid, 10), "-.", color=GREY, linewidth=2.5, label="sigmoid, Glorot")
    label_axes(left, "784-100-10, sigmoid units", "training step", "test errors (%)")
    label_axes(right, f"{DEEP} layers, ReLU units", "training step", "cross-entropy (nats), mean of 10 steps")
    left.legend(fontsize=TICK_SIZE, title=f"units with a slope below {SATURATED} at the start",
                title_fontsize=TICK_SIZE)
    right.set_ylim(0, 3.4)
    right.legend(fontsize=TICK_SIZE, ncols=2, loc="upper right")
    return fig


ROW = Row("C10", "Initialisation, vanishing and exploding gradients", "8 x 8 digits and Fashion-MNIST (shipped)",
          "ReLU nets keep their spread with He only; sigmoid gradients shrink by 4 and more per layer; N(0, 1) saturates",
          2.0, run, ("models.initialisation.initialise", "models.initialisation.signals", "nn.init.xavier_normal_",
                "nn.init.kaiming_normal_", "nn.init.orthogonal_"))
