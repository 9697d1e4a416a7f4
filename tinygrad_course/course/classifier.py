"""What the rows of chapter F share: real images, one training loop, accuracy on images that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Settings
from tinygrad_course.data import load_fashion, mean_and_std, normalise, resize
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor
from tinygrad_course.train import cosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Images:
    """Standardised images (N, C, H, W) and labels (N,) to train on, and others to judge by."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def fashion(size: int, channels: int = 1) -> Images:
    """The 1,500 + 500 shipped images of Fashion-MNIST, enlarged or reduced to size x size.

    Mean and standard deviation are those of the training images.  Grey is repeated for networks that want 3 channels.
    """
    parts = []
    mean, std = mean_and_std(load_fashion("train")[0] / np.float32(255))
    for split in ("train", "test"):
        images, labels = load_fashion(split)
        pixels = normalise(resize(images.astype(np.float32) / 255, size), mean, std)
        x = np.repeat(pixels[:, None], channels, axis=1)  # (N, channels, size, size)
        parts += [tgc.tensor(x), tgc.tensor(labels)]
    return Images(*parts)


@dataclass
class Run:
    """Loss of every training step, and the share of right answers on the test images."""

    losses: list[float]
    accuracy: float

    @property
    def first_loss(self) -> float:
        """Mean of the first tenth of the steps."""
        return float(np.mean(self.losses[:max(1, len(self.losses) // 10)]))

    @property
    def last_loss(self) -> float:
        """Mean of the last tenth of the steps."""
        return float(np.mean(self.losses[-max(1, len(self.losses) // 10):]))


def train(model: nn.Module, images: Images, settings: Settings, *, steps: int, lr: float = 1e-3, batch: int = 32,
          weight_decay: float = 0.05, mirror: bool = True, label: str = "") -> Run:
    """AdamW with a learning rate that falls to zero along a cosine; every other batch is mirrored, unless mirror=False.

    Batches go through the images in random order, each image once per epoch.  Auxiliary heads count 0.3 each in the
    gradient (Szegedy et al., CVPR 2015, section 5), not in the losses that are noted.
    """
    steps = steps if settings.steps is None else settings.steps
    rng = np.random.default_rng(settings.seed)
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = cosine(lr, steps)
    losses: list[float] = []
    order = np.empty(0, dtype=np.int64)
    model.train()
    for step in range(steps):
        if len(order) < batch:
            order = rng.permutation(len(images.y))
        index, order = tgc.tensor(order[:batch]), order[batch:]
        x = images.x[index]
        if mirror and step % 2:
            x = x.flip(-1)
        optimizer.param_groups[0]["lr"] = schedule(step)
        scores = model(x)
        loss = total = F.cross_entropy(main_scores(scores), images.y[index])
        for auxiliary in scores[1:] if isinstance(scores, tuple) else ():  # GoogLeNet, while it trains
            total = total + 0.3 * F.cross_entropy(auxiliary, images.y[index])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, steps // 4) == 0:
            settings.say(f"{label or type(model).__name__}: step {step:4} of {steps}, loss {losses[-1]:.3f}")
    run = Run(losses, accuracy(model, images))
    settings.say(f"{label or type(model).__name__}: {steps} steps, loss {run.last_loss:.3f}, "
                 f"test accuracy {100 * run.accuracy:.1f} %")
    return run


def he_initialise(model: nn.Module) -> nn.Module:
    """Variance 2 / fan_in for all weights, biases 0; K. He et al., "Delving deep into rectifiers", ICCV 2015, equation 10.

    Networks from before 2015 start from fixed small deviations, with which they learn nothing for thousands of steps.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


def accuracy(model: nn.Module, images: Images, batch: int = 100) -> float:
    """Share of the test images whose largest score is that of their class."""
    model.eval()
    right = 0
    with tgc.no_grad():
        for start in range(0, len(images.y_test), batch):
            scores = main_scores(model(images.x_test[start:start + batch]))
            right += int((scores.argmax(1) == images.y_test[start:start + batch]).sum().item())
    model.train()
    return right / len(images.y_test)


def main_scores(scores: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The scores without those of auxiliary heads."""
    return scores[0] if isinstance(scores, tuple) else scores


def n_parameters(model: nn.Module) -> int:
    """Trainable numbers, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def smooth(losses: Sequence[float], width: int = 15) -> np.ndarray:
    """Running mean over `width` steps, shorter at the start."""
    sums = np.cumsum(np.concatenate([[0.0], losses]))
    end = np.arange(1, len(losses) + 1)
    start = np.maximum(0, end - width)
    return (sums[end] - sums[start]) / (end - start)


def plot_losses(runs: dict[str, Run], title: str) -> Figure:
    """Training losses of several networks, smoothed, with their test accuracies in the legend."""
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    figure = new_figure(9, 5.6)
    ax = figure.subplots()
    for name, run in runs.items():
        ax.plot(np.arange(1, len(run.losses) + 1), smooth(run.losses), linewidth=2.5,
                label=f"{name}: test {100 * run.accuracy:.1f} %")
    label_axes(ax, title, "training step", "cross-entropy (nats)")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=TICK_SIZE)
    return figure
