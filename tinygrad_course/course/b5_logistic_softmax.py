"""B5: logistic and softmax units, and why cross-entropy.

With the squared error a sigmoid unit learns with the gradient (y - t) y (1 - y) at its pre-activation: next to nothing
where it is badly wrong and sure of it.  Cross-entropy cancels the slope y (1 - y), as the negative log-likelihood does
for softmax, and leaves y - t in both: the worse the mistake, the faster the learning.

J. Bridle, "Probabilistic interpretation of feedforward classification network outputs", Neurocomputing (1990);
S. Solla, E. Levin, M. Fleisher, "Accelerated learning in layered neural networks", Complex Systems 2, 625-640 (1988).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.models.perceptron import LogisticUnit, SoftmaxUnit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE, START, STEPS = 0.15, 2.0, 300   # one input of 1, target 0, weight and bias 2: y = 0.98 in the beginning
SHOWN = (0, 6, 9)                     # the digits of the decision regions


def half_square(h: tgc.Tensor, t: tgc.Tensor) -> tgc.Tensor:
    """1/2 sum (t - y)^2 of a sigmoid unit, from its pre-activation."""
    return 0.5 * ((t - h.sigmoid()) ** 2).sum()


def cross_entropy(h: tgc.Tensor, t: tgc.Tensor) -> tgc.Tensor:
    """-sum (t log y + (1 - t) log(1 - y)), from the pre-activation."""
    return LogisticUnit.loss(h, t, reduction="sum")


LOSSES = {"squared error": half_square, "cross-entropy": cross_entropy}


def slow_down(name: str, steps: int) -> np.ndarray:
    """Output y before each of `steps` steps and after the last, of a unit that should learn 0."""
    unit, x, t = LogisticUnit(1), tgc.ones(1, 1), tgc.zeros(1)
    with tgc.no_grad():
        for parameter in unit.parameters():
            parameter.fill_(START)
    optimizer = optim.SGD(unit.parameters(), lr=RATE)
    outputs = []
    for _ in range(steps):
        h = unit(x)
        outputs.append(h.sigmoid().item())
        optimizer.zero_grad()
        LOSSES[name](h, t).backward()
        optimizer.step()
    return np.array([*outputs, unit.probability(x).item()])


def at_pre_activation(loss: tgc.Tensor, h: tgc.Tensor) -> np.ndarray:
    """dE/dh, by autograd."""
    gradient, = tgc.autograd.grad(loss, (h,))
    return gradient.numpy()


def two_numbers(images: np.ndarray) -> np.ndarray:
    """Of each image (N, 8, 8): ink in the 2 x 2 pixels of its middle, and the upper half's share of all ink.  (N, 2)."""
    pixels = images.astype(np.float32) / DIGIT_WHITE
    return np.stack([pixels[:, 3:5, 3:5].mean(axis=(1, 2)), pixels[:, :4].sum(axis=(1, 2)) / pixels.sum(axis=(1, 2))], axis=1)


def train(unit: SoftmaxUnit, x: tgc.Tensor, y: tgc.Tensor, steps: int, rate: float) -> list[float]:
    """Batch gradient learning by Adam; the loss before each step."""
    optimizer = optim.Adam(unit.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        loss = unit.loss(unit(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def accuracy(unit: SoftmaxUnit, x: tgc.Tensor, y: np.ndarray) -> float:
    """Share of the patterns whose most probable class is the right one."""
    with tgc.no_grad():
        return float((unit(x).numpy().argmax(axis=1) == y).mean())


def run(settings: Settings) -> Outcome:
    """Gradients by autograd, the slow-down, and a softmax unit on real digits."""
    tgc.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    h = tgc.tensor(4 * rng.standard_normal(50), requires_grad=True)
    t = tgc.tensor(rng.integers(0, 2, 50).astype(np.float64))
    y = h.detach().sigmoid().numpy()
    scores = tgc.tensor(4 * rng.standard_normal((50, 7)), requires_grad=True)
    classes = rng.integers(0, 7, 50)
    exponentials = np.exp(scores.detach().numpy())
    likelihood = SoftmaxUnit.loss(scores, tgc.tensor(classes), reduction="sum")
    steps = settings.steps or STEPS
    outputs = {name: slow_down(name, steps) for name in LOSSES}
    below = {name: int((values >= 0.5).sum()) for name, values in outputs.items()}  # steps until y < 1/2; y only falls

    images, labels = load_digits("train")
    test_images, test_labels = load_digits("test")
    x, x_test = (tgc.tensor(part.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE) for part in (images, test_images))
    unit = SoftmaxUnit(64, 10)
    losses = train(unit, x, tgc.tensor(labels), settings.steps or 200, 0.05)
    few, few_test = np.isin(labels, SHOWN), np.isin(test_labels, SHOWN)
    plane, plane_test = two_numbers(images[few]), two_numbers(test_images[few_test])
    mean, std = plane.mean(axis=0), plane.std(axis=0)
    kinds, kinds_test = np.searchsorted(SHOWN, labels[few]), np.searchsorted(SHOWN, test_labels[few_test])
    small = SoftmaxUnit(2, len(SHOWN))
    train(small, tgc.tensor((plane - mean) / std), tgc.tensor(kinds), settings.steps or 200, 0.1)
    facts = [
        within("logistic, cross-entropy: largest |dE/dh - (y - t)|",
               float(np.abs(at_pre_activation(cross_entropy(h, t), h) - (y - t.numpy())).max()), high=1e-12),
        within("softmax, negative log-likelihood: the same",
               float(np.abs(at_pre_activation(likelihood, scores)
                            - (exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(7)[classes])).max()),
               high=1e-12),
        within("sigmoid, squared error: largest |dE/dh - (y - t) y (1 - y)|",
               float(np.abs(at_pre_activation(half_square(h, t), h) - (y - t.numpy()) * y * (1 - y)).max()), high=1e-12),
        within("y in the beginning, of the unit that should say 0", float(outputs["cross-entropy"][0]), 0.98, 0.985),
        within("y after 100 steps, squared error", float(outputs["squared error"][:101][-1]), low=0.9),
        within("y after 100 steps, cross-entropy", float(outputs["cross-entropy"][:101][-1]), high=0.05),
        within("steps until y < 1/2, squared error, as a multiple of those of cross-entropy",
               below["squared error"] / below["cross-entropy"], low=5),
        equal("weights and biases of a softmax unit for 64 pixels and 10 digits",
              [list(p.shape) for p in unit.parameters()], [[10, 64], [10]]),
        within("its accuracy on test digits", accuracy(unit, x_test, test_labels), low=0.94),
        within("its loss in the end, mean -log y_t", losses[-1], high=0.1),
        within(f"digits {', '.join(map(str, SHOWN))} by two numbers each: accuracy on test digits",
               accuracy(small, tgc.tensor((plane_test - mean) / std), kinds_test), low=0.95),
    ]

    def slow() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(14.5, 5.8)
        left, right = fig.subplots(1, 2)
        activations = np.linspace(-8, 8, 400)
        sigmoid = 1 / (1 + np.exp(-activations))
        gradients = {"squared error": sigmoid * sigmoid * (1 - sigmoid), "cross-entropy": sigmoid}
        for name, colour, style in (("squared error", VALIDATION_COLOUR, "-"), ("cross-entropy", TRAIN_COLOUR, "--")):
            left.plot(outputs[name], style, color=colour, linewidth=3, label=name)
            right.plot(activations, gradients[name], style, color=colour, linewidth=3, label=name)
        right.axvline(2 * START, color="black", linewidth=1.5, linestyle=":", label="start, h = 4")
        label_axes(left, "A unit that should say 0 and starts at 0.98", f"step, $\\eta$ = {RATE:g}", "output y")
        label_axes(right, "What it learns from, target 0", "pre-activation h", "gradient dE/dh")
        left.set_ylim(0, 1.03)
        for ax in (left, right):
            ax.legend(fontsize=TICK_SIZE)
        return fig

    def weights() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import TITLE_SIZE, new_figure

        kernels = unit.linear.weight.detach().numpy().reshape(10, 8, 8)
        kernels = kernels - kernels.mean(axis=0)  # what all classes have in common softmax does not see
        limit = float(np.percentile(np.abs(kernels), 98))
        fig = new_figure(14, 6.6)
        for digit, ax in enumerate(fig.subplots(2, 5).flat):
            plot_matrix(kernels[digit], title=f"digit {digit}", numbers=False, cmap="RdBu_r", limits=(-limit, limit), ax=ax)
        fig.suptitle("Weights of a softmax unit: ink on red speaks for the digit, on blue against it", fontsize=TITLE_SIZE)
        return fig

    def regions() -> Figure:
        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(9.5, 7)

        def standardised(points: np.ndarray) -> np.ndarray:
            with tgc.no_grad():
                return small(tgc.tensor(((points - mean) / std).astype(np.float32))).numpy()

        plot_decision(standardised, plane_test, kinds_test, title="A softmax unit of two numbers per digit (test images)",
                      axes=("ink in the middle", "share of the ink in the upper half"),
                      names=[f"digit {digit}" for digit in SHOWN], ax=fig.subplots())
        return fig

    return Outcome(facts, {"slow_down": slow, "weights": weights, "decision_regions": regions})


ROW = Row("B5", "Logistic and softmax units", "one pattern; 8 x 8 digits (shipped)",
          "the gradient at the pre-activation is y - t; squared error with a sigmoid takes 5 times as long and more",
          2.0, run, ("models.LogisticUnit", "models.SoftmaxUnit"))
