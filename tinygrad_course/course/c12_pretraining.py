"""C12: pre-training layer by layer, without labels, for a net of which few labels are known.

Each layer learns to represent what the one below gives out: as a denoising autoencoder, or as a restricted Boltzmann
machine by contrastive divergence.  The stack, with a linear read-out on top, is then fine-tuned by gradient descent on the
few patterns with labels.  A deep net of sigmoid units that starts from the random weights of that time fits these labels
too, though slowly, and is wrong more than twice as often on other images.

Two things are at work, and the row takes them apart.  Most of the gain is a matter of scale: larger random weights, such
that neither signal nor gradient shrinks from layer to layer, do nearly as well, as do rectified units with Adam.  This is
why pre-training went out of use.  The rest is what the images without labels say; it goes as labels are added.

G. Hinton, S. Osindero, Y.-W. Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18 (2006);
Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, "Greedy layer-wise training of deep networks", NIPS 2006;
P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, "Extracting and composing robust features with denoising
autoencoders", ICML 2008;
D. Erhan et al., "Why does unsupervised pre-training help deep learning?", JMLR 11, 625-660 (2010);
X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, within
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.energy import DeepBeliefNet
from tinygrad_course.metrics import accuracy
from tinygrad_course.models import DenoisingAutoencoder
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor
from tinygrad_course.train import classifier, pretrain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES, CLASSES = (64, 200, 100, 50), 10
EPOCHS, BATCH = 30, 100
LABELS = {5: 5, 20: 1, 144: 1}  # per class, and in how many draws; 144 are all, on average
FEW, MANY = min(LABELS), max(LABELS)
RANDOM, AUTOENCODERS, MACHINES = "small random weights", "denoising autoencoders", "Boltzmann machines"
LARGE, MODERN = "larger random weights", "rectified units, Adam"
STEPS = {RANDOM: 1500, AUTOENCODERS: 250, MACHINES: 250, LARGE: 250, MODERN: 250}  # the first needs more
Optimizer = Callable[[Iterable[nn.Parameter]], optim.Optimizer]


def descent(parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimiser of fine-tuning for nets of sigmoid units, whatever they start from."""
    return optim.SGD(parameters, lr=0.5, momentum=0.9)


def adam(parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """That of the autoencoders, and of the net of today."""
    return optim.Adam(parameters, lr=0.003)


def sigmoid_net(large: bool) -> nn.Sequential:
    """Sigmoid units.  Small weights are those of Linear, U(-1 / sqrt(n), 1 / sqrt(n)), as was usual before 2010.

    Large ones are four times those of X. Glorot and Y. Bengio, equation 16, as the slope of the sigmoid, at most 1/4, asks
    for.  The read-out then starts from zero, as in the nets that were pre-trained.
    """
    net = nn.Sequential(*(part for n, m in pairwise(SIZES) for part in (nn.Linear(n, m), nn.Sigmoid())),
                        nn.Linear(SIZES[-1], CLASSES))
    if large:
        *hidden, last = (layer for layer in net if isinstance(layer, nn.Linear))
        for layer in hidden:
            nn.init.xavier_uniform_(layer.weight, gain=4)
        for layer in (*hidden, last):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # made with bias=True
        nn.init.zeros_(last.weight)
    return net


def modern_net() -> nn.Sequential:
    """Rectified units, weights of variance 2 / n; K. He et al., ICCV 2015, equation 10."""
    net = nn.Sequential(*(part for n, m in pairwise(SIZES) for part in (nn.Linear(n, m), nn.ReLU())),
                        nn.Linear(SIZES[-1], CLASSES))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # made with bias=True
    return net


@dataclass(frozen=True)
class Digits:
    """Images (N, 64) with values from 0 to 1, and labels (N,)."""

    x: Tensor
    y: np.ndarray
    x_test: Tensor
    y_test: np.ndarray

    def labelled(self, per_class: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the training images whose labels are known: `per_class` of each class at most, drawn at random."""
        return np.concatenate([rng.permutation(np.flatnonzero(self.y == digit))[:per_class] for digit in range(CLASSES)])


def digits() -> Digits:
    """The shipped ones."""
    (images, y), (images_test, y_test) = load_digits("train"), load_digits("test")
    x, x_test = (tgc.tensor(part.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE) for part in (images, images_test))
    return Digits(x, y, x_test, y_test)


def fine_tune(net: nn.Module, data: Digits, known: np.ndarray, optimizer: Optimizer, steps: int,
              rng: np.random.Generator) -> tuple[float, float]:
    """Cross-entropy on the known labels, by batches; the error afterwards, on them and on the test images."""
    stepper = optimizer(net.parameters())
    x, y = data.x[tgc.tensor(known)], data.y[known]
    order = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        if len(order) < min(BATCH, len(y)):
            order = rng.permutation(len(y))
        batch, order = order[:BATCH], order[BATCH:]
        loss = F.cross_entropy(net(x[tgc.tensor(batch)]), tgc.tensor(y[batch]))
        stepper.zero_grad()
        loss.backward()
        stepper.step()
    with tgc.no_grad():
        return 1 - accuracy(net(x), y), 1 - accuracy(net(data.x_test), data.y_test)


def run(settings: Settings) -> Outcome:
    """Pre-train both stacks on all images, then train five nets on few and on many labels."""
    tgc.manual_seed(settings.seed)
    data = digits()
    epochs = settings.steps or EPOCHS
    machines = list(DeepBeliefNet(SIZES, std=0.05).rbms)
    machines[0].start_from(data.x)
    autoencoders = [DenoisingAutoencoder(pair, amount=0.25) for pair in pairwise(SIZES)]
    settings.say(f"{AUTOENCODERS}, {len(data.x)} images without labels")
    pretrain(autoencoders, data.x, adam, epochs=epochs, batch_size=50, say=settings.say)
    settings.say(f"{MACHINES}, the same images")
    pretrain(machines, data.x, lambda p: optim.SGD(p, lr=0.1, momentum=0.8), epochs=epochs, batch_size=50, say=settings.say)

    nets: dict[str, tuple[Callable[[], nn.Module], Optimizer]] = {
        RANDOM: (lambda: sigmoid_net(False), descent), AUTOENCODERS: (lambda: classifier(autoencoders, CLASSES), descent),
        MACHINES: (lambda: classifier(machines, CLASSES), descent), LARGE: (lambda: sigmoid_net(True), descent),
        MODERN: (modern_net, adam)}
    errors: dict[str, dict[int, np.ndarray]] = {name: {} for name in nets}  # % wrong, (draws, 2): known labels, test images
    for n, draws in LABELS.items():
        for name, (build, optimizer) in nets.items():
            rng = np.random.default_rng(settings.seed)  # the same labels for all
            errors[name][n] = 100 * np.array([fine_tune(build(), data, data.labelled(n, rng), optimizer,
                                                        settings.steps or STEPS[name], np.random.default_rng(draw))
                                              for draw in range(draws)])
        settings.say(f"{n} labels per class, % wrong on test images: " + ", ".join(
            f"{name} {errors[name][n][:, 1].mean():.1f}" for name in nets))
    test = {name: {n: float(found[:, 1].mean()) for n, found in by_labels.items()} for name, by_labels in errors.items()}
    pretrained = {n: (test[AUTOENCODERS][n] + test[MACHINES][n]) / 2 for n in LABELS}
    with tgc.no_grad():
        damaged = autoencoders[0].corrupt(data.x_test)
        mended = autoencoders[0](damaged)
        left = float((((mended - data.x_test) ** 2).sum() / ((damaged - data.x_test) ** 2).sum()).item())
    few = f"{FEW} labels per class"
    gain = test[RANDOM][FEW] - pretrained[FEW] or math.nan  # 0 if nothing has learnt anything yet
    facts = [
        within("test images with a quarter of their pixels masked: share of the squared error that the autoencoder leaves",
               left, high=0.55),
        *(within(f"{few}, {name}: % wrong of the labels learnt", float(errors[name][FEW][:, 0].mean()), high=2)
          for name in (RANDOM, AUTOENCODERS, MACHINES)),
        *(within(f"{few}, {name}: test error as a share of that from small random weights",
                 test[name][FEW] / test[RANDOM][FEW], high=0.65) for name in (AUTOENCODERS, MACHINES)),
        within(f"{few}: the same of the worse of both, in the least favourable of {LABELS[FEW]} draws of the labels",
               float((np.maximum(errors[AUTOENCODERS][FEW][:, 1], errors[MACHINES][FEW][:, 1])
                      / errors[RANDOM][FEW][:, 1]).max()), high=0.8),
        within("all labels: gain of pre-training in points of test error, as a share of that with few",
               (test[RANDOM][MANY] - pretrained[MANY]) / gain, high=0.5),
        *(within(f"{few}, {name}, no pre-training: share of that gain", (test[RANDOM][FEW] - test[name][FEW]) / gain, low=0.5)
          for name in (LARGE, MODERN)),
        *(within(f"{few}: pre-training is better than {name} by so many points", test[name][FEW] - pretrained[FEW], low=0)
          for name in (LARGE, MODERN)),
        *(within(f"all labels: points between pre-training and {name}", abs(test[name][MANY] - pretrained[MANY]), high=3)
          for name in (LARGE, MODERN)),
    ]

    def curves() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(10, 6.4)
        ax = fig.subplots()
        for (name, by_labels), colour, style in zip(errors.items(), ("#5A5A5A", "#0072B2", "#D55E00", "#CC79A7", "#009E73"),
                                                    ("-", "-", "-", "--", "--"), strict=True):
            means = [test[name][n] for n in LABELS]
            spread = [float(by_labels[n][:, 1].std()) for n in LABELS]
            ax.errorbar(list(LABELS), means, yerr=spread, fmt=style + "o", color=colour, linewidth=2.5, capsize=5, label=name)
        label_axes(ax, "Pre-training helps where labels are few", "labels per class", "wrong on test images (%)")
        ax.set_xscale("log")
        ax.set_xticks(list(LABELS), [f"all ({n})" if n == MANY else str(n) for n in LABELS])
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        ax.legend(fontsize=TICK_SIZE)
        return fig

    def filters() -> Figure:
        from tinygrad_course.viz.figure import TITLE_SIZE, new_figure

        weights = {AUTOENCODERS: autoencoders[0].encoder[0].weight, MACHINES: machines[0].weight,
                   RANDOM: next(iter(sigmoid_net(False).parameters()))}
        fig = new_figure(15, 6.2)
        panels = fig.subplots(1, len(weights))
        for ax, (name, weight) in zip(panels, weights.items(), strict=True):
            ax.imshow(mosaic(weight.detach().numpy(), 8, 8), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            ax.set_title(name, fontsize=TITLE_SIZE, pad=10)
            ax.set_axis_off()
        fig.suptitle("First layer: weights of 64 of 200 units, each on its own scale (red positive, blue negative)",
                     fontsize=TITLE_SIZE)
        return fig

    return Outcome(facts, {"labels": curves, "filters": filters})


def mosaic(weights: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The first rows x columns weight vectors of 8 x 8 pixels, each divided by its largest size, with gaps of one pixel."""
    tiles = weights[:rows * columns].reshape(rows, columns, 8, 8)
    tiles = tiles / np.abs(tiles).max(axis=(2, 3), keepdims=True)
    framed = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return framed.transpose(0, 2, 1, 3).reshape(rows * 9, columns * 9)[:-1, :-1]


ROW = Row("C12", "Layer-wise pre-training and fine-tuning", "8 x 8 digits (shipped), 5 to 144 labels per class",
          "with 5 labels per class pre-training halves the error of a deep net of sigmoid units; most of this, but not all, "
          "comes with larger random weights as well, and with all labels next to nothing is left of it", 7.0, run,
          ("energy.RBM", "energy.DeepBeliefNet", "models.DenoisingAutoencoder", "train.pretrain", "train.classifier"))
