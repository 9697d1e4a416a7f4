"""C13: a net fits labels that were drawn at random, and then knows nothing about others.

With the labels of the training images replaced by random ones there is nothing to learn but the images themselves, one by
one.  A net of ordinary size does so to the last image.  So its number of parameters, and the fact that gradient descent
finds weights that fit, cannot be what makes the same net right on new images when the labels are true.  What differs is
how long it takes, and how much of the weights it uses up: true labels are fitted in a fraction of the time.

Between the two lies a part of the labels being wrong: the net fits these as well, and what it has learnt of the others is
worth less on new images.  Pixels that are shuffled, by one permutation for all images, do no harm: the net has no idea of
neighbourhood that could be hurt.  Pixels drawn anew for each image make it learn by heart again.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals, "Understanding deep learning requires rethinking generalization",
ICLR 2017, figure 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, corrupt_labels, load_digits
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, CLASSES = 256, 10
DRAWS = 8  # of random labels
IMAGES, BATCH, MOST_STEPS = 700, 100, 1000  # images to train on; the other 1,097 are for the test
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
TRUE, RANDOM, SHUFFLED, NOISE = "true labels", "random labels", "shuffled pixels", "random pixels"


@dataclass(frozen=True)
class Fit:
    """How a training went.

    errors         share of the training images that are wrong, after each epoch; the last is 0 if they were fitted
    test_accuracy  share of right answers on the test images, by their true labels
    distance       how far the weights moved, as a share of the length they started from
    """

    errors: list[float]
    test_accuracy: float
    distance: float

    @property
    def epochs(self) -> int:
        """Until the last training image was right, or the steps were used up."""
        return len(self.errors)


def network() -> nn.Sequential:
    """Two layers of 256 rectified units: 85,002 parameters for 700 images."""
    net = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # made with bias=True
    return net


def fit(x: Tensor, labels: np.ndarray, x_test: Tensor, y_test: np.ndarray, seed: int, most_steps: int = MOST_STEPS) -> Fit:
    """Adam on batches until every training image is right; without weight decay, dropout or the like."""
    tgc.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net, y = network(), tgc.tensor(labels)
    start = [p.detach().clone() for p in net.parameters()]
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    errors: list[float] = []
    steps = 0
    while steps < most_steps and (not errors or errors[-1]):
        order = rng.permutation(len(labels))
        for first in range(0, min(len(labels), BATCH * (most_steps - steps)), BATCH):
            batch = tgc.tensor(order[first:first + BATCH])
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        errors.append(1 - right(net, x, labels))
    moved = sum(float(((p.detach() - q) ** 2).sum().item()) for p, q in zip(net.parameters(), start, strict=True))
    length = sum(float((q ** 2).sum().item()) for q in start)
    return Fit(errors, right(net, x_test, y_test), math.sqrt(moved / length))


def right(net: nn.Module, x: Tensor, labels: np.ndarray) -> float:
    """Share of right answers."""
    with tgc.no_grad():
        return float((net(x).numpy().argmax(axis=1) == labels).mean())


def run(settings: Settings) -> Outcome:
    """Fit labels of which more and more are random, and images of which the pixels are."""
    rng = np.random.default_rng(settings.seed)
    images, digits = (np.concatenate(parts) for parts in zip(load_digits("train"), load_digits("test"), strict=True))
    order = rng.permutation(len(digits))
    pixels = images[order].reshape(-1, 64).astype(np.float32) / DIGIT_WHITE
    pixels = (pixels - pixels[:IMAGES].mean()) / pixels[:IMAGES].std()
    x, x_test = tgc.tensor(pixels[:IMAGES]), tgc.tensor(pixels[IMAGES:])
    y, y_test = digits[order][:IMAGES], digits[order][IMAGES:]
    places = rng.permutation(64)
    drawn, drawn_test = (tgc.tensor(rng.standard_normal(part.shape).astype(np.float32)) for part in (x, x_test))
    labels = {share: corrupt_labels(y, share, CLASSES, rng) for share in SHARES}
    cases = {**{f"{100 * share:.0f} % random": (x, labels[share], x_test) for share in SHARES[1:-1]},
             TRUE: (x, y, x_test), RANDOM: (x, labels[1.0], x_test),
             SHUFFLED: (x[:, tgc.tensor(places)], y, x_test[:, tgc.tensor(places)]), NOISE: (drawn, y, drawn_test)}
    fits = {}
    for name, (inputs, targets, inputs_test) in cases.items():
        found = fits[name] = fit(inputs, targets, inputs_test, y_test, settings.seed, settings.steps or MOST_STEPS)
        settings.say(f"{name}: {100 * found.errors[-1]:.1f} % of the training images wrong after {found.epochs} epochs, "
                     f"test accuracy {100 * found.test_accuracy:.1f} %, weights moved by {found.distance:.2f}")
    by_share = [fits[TRUE], *(fits[f"{100 * share:.0f} % random"] for share in SHARES[1:-1]), fits[RANDOM]]
    by_draw = [fits[RANDOM].test_accuracy, *(
        fit(x, corrupt_labels(y, 1, CLASSES, rng), x_test, y_test, settings.seed, settings.steps or MOST_STEPS).test_accuracy
        for _ in range(DRAWS - 1))]
    settings.say(f"random labels, test accuracy in {DRAWS} draws: " + ", ".join(f"{100 * share:.1f} %" for share in by_draw))
    # By chance more or fewer of the training labels are the true ones, and so are the answers to the test images: the
    # variances of the two shares add up.  Similar images are answered alike, which spreads single draws a little wider.
    chance = 1 / CLASSES
    spread = math.sqrt(chance * (1 - chance) * (1 / len(y) + 1 / len(y_test)))
    low, high = chance - 3.3 * spread, chance + 3.3 * spread  # 99.9 %
    facts = [
        equal("training images that are wrong in the end: 0, 25, 50, 75, 100 % random labels, shuffled and random pixels",
              [round(len(y) * found.errors[-1]) for found in (*by_share, fits[SHUFFLED], fits[NOISE])], [0] * 7),
        within("true labels: test accuracy", fits[TRUE].test_accuracy, low=0.93),
        within(f"random labels: mean test accuracy of {DRAWS} draws, in the binomial interval of chance (99.9 %)",
               float(np.mean(by_draw)), low, high),
        within("random pixels: test accuracy, in the same interval", fits[NOISE].test_accuracy, low, high),
        within("shuffled pixels: test accuracy", fits[SHUFFLED].test_accuracy, low=0.93),
        within("epochs to fit random labels, as a multiple of those for true ones", fits[RANDOM].epochs / fits[TRUE].epochs,
               low=2),
        within("way of the weights to random labels, as a multiple of that to true ones",
               fits[RANDOM].distance / fits[TRUE].distance, low=1.5),
        within("half of the labels random: test accuracy", by_share[2].test_accuracy, 0.3, 0.85),
        equal("the more labels are random, the lower the test accuracy",
              bool((np.diff([found.test_accuracy for found in by_share]) < 0).all()), True),
    ]

    def curves() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(14.5, 6)
        left, right_panel = fig.subplots(1, 2)
        for name, colour, style in ((TRUE, "#0072B2", "-"), (SHUFFLED, "#56B4E9", "--"), (NOISE, "#009E73", "-"),
                                    (RANDOM, "#D55E00", "-")):
            left.plot(np.arange(1, fits[name].epochs + 1), [100 * error for error in fits[name].errors], style, color=colour,
                      linewidth=2.5, label=name)
        label_axes(left, "Random labels are fitted too", "epoch", "wrong on training images (%)")
        left.set_ylim(bottom=-1)
        left.legend(fontsize=TICK_SIZE)
        percent = [100 * share for share in SHARES]
        tested = [found.test_accuracy for found in by_share[:-1]] + [float(np.mean(by_draw))]
        right_panel.plot(percent, [100 * share for share in tested], "o-", color="#0072B2", linewidth=2.5,
                         label="test images")
        right_panel.plot(percent, [100 * (1 - found.errors[-1]) for found in by_share], "s--", color="#5A5A5A", linewidth=2.5,
                         label="training images, by their labels")
        right_panel.axhline(100 * chance, color="black", linestyle=":", linewidth=2, label="chance")
        label_axes(right_panel, "The net fits all, and knows less and less", "labels drawn at random (%)", "right (%)")
        right_panel.set_ylim(0, 104)
        right_panel.legend(fontsize=TICK_SIZE, loc="lower left", bbox_to_anchor=(0.02, 0.12))
        return fig

    def effort() -> Figure:
        from tinygrad_course.viz.figure import label_axes, new_figure

        fig = new_figure(13, 5.4)
        for ax, title, unit, values in zip(
                fig.subplots(1, 2), ("Time it takes", "Way of the weights"),
                ("epochs until no training image is wrong", "distance moved / length of the start"),
                ([found.epochs for found in by_share], [found.distance for found in by_share]), strict=True):
            ax.bar([f"{100 * share:.0f}" for share in SHARES], values, color="#0072B2", width=0.6)
            label_axes(ax, title, "labels drawn at random (%)", unit)
        return fig

    return Outcome(facts, {"random_labels": curves, "effort": effort})


ROW = Row("C13", "Random labels", "8 x 8 digits (shipped), with random labels or pixels",
          "a net fits random labels to the last image and is right by chance on others; true labels are fitted in a fraction "
          "of the time", 2.0, run, ("nn.Linear", "data.corrupt_labels"))
