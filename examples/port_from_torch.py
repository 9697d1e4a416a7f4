"""A training script written for PyTorch, run by this package after changing its imports: the same loss curve.

    python examples/port_from_torch.py                 with tinygrad_course
    python examples/port_from_torch.py --engine torch  the same lines with PyTorch
    python examples/port_from_torch.py --engine both   both, and a figure with the two curves

Everything behind the imports is the same for both.  Initial weights and the order of the images come from NumPy, because
the two packages draw different random numbers from the same seed.  It runs in float64, where the curves agree to twelve
digits.  In float32 (--float32) each step rounds a little differently, and after some tens of steps the two are different
runs of the same training.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from tinygrad_course.data import DIGIT_WHITE, load_digits

if {"torch", "--engine=torch"} & set(sys.argv):
    import torch
    from torch import nn, optim
    from torch.nn import functional as F
    from torch.nn.utils import clip_grad_norm_
    from torch.optim import lr_scheduler
    from torch.utils.data import DataLoader, TensorDataset
else:
    import tinygrad_course as torch
    from tinygrad_course import nn, optim
    from tinygrad_course.nn import functional as F
    from tinygrad_course.nn.utils import clip_grad_norm_
    from tinygrad_course.optim import lr_scheduler
    from tinygrad_course.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    """A residual block of two 3 x 3 convolutions."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(y)))


class Net(nn.Module):
    """Convolutions over the image, then an LSTM over its rows: (N, 1, 8, 8) -> (N, 10)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.ModuleList([Block(16), Block(16)])
        self.pool = nn.MaxPool2d(2)
        self.rows = nn.LSTM(16 * 4, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.pool(x)                              # (N, 16, 4, 4)
        x = x.permute(0, 2, 1, 3).flatten(2)          # (N, 4 rows, 64)
        x, _ = self.rows(x)                           # (N, 4, 64)
        return self.head(x.mean(dim=1))


def train(steps, seed, dtype):
    """The losses of all steps, and the accuracy on the test images."""
    rng = np.random.default_rng(seed)
    images, labels = load_digits("train")
    order = rng.permutation(len(images))
    x = torch.from_numpy(images[order, None] / DIGIT_WHITE).to(dtype)
    data = DataLoader(TensorDataset(x, torch.from_numpy(labels[order])), batch_size=64, shuffle=False, drop_last=True)

    net = Net().to(dtype)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            scale = 0.0 if name.endswith("bias") else (2 / np.prod(parameter.shape[1:])) ** 0.5 if parameter.ndim > 1 else 1.0
            values = rng.standard_normal(tuple(parameter.shape)) * scale if parameter.ndim > 1 else np.full(
                tuple(parameter.shape), scale)
            parameter.copy_(torch.from_numpy(values))

    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim == 1]
    optimizer = optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=3e-3)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=max(steps, 2))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)

    losses = []
    net.train()
    while len(losses) < steps:
        for batch, target in data:
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(net(batch), target)
            loss.backward()
            clip_grad_norm_(net.parameters(), max_norm=1.0)
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
            scheduler.step()

    net.eval()
    test_images, test_labels = load_digits("test")
    with torch.no_grad():
        scores = net(torch.from_numpy(test_images[:, None] / DIGIT_WHITE).to(dtype))
    accuracy = (scores.argmax(dim=1) == torch.from_numpy(test_labels)).float().mean().item()
    return losses, accuracy


def compare(options):
    """Run this script once with each package, and draw both curves."""
    import subprocess

    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure, save_figure

    arguments = ["--steps", str(options.steps), "--seed", str(options.seed), "--out", str(options.out)]
    arguments += ["--float32"] if options.float32 else []
    curves = {}
    for engine in ("torch", "tinygrad_course"):
        subprocess.run([sys.executable, __file__, "--engine", engine, *arguments], check=True)
        curves[engine] = np.loadtxt(options.out / f"losses_{engine}.csv", ndmin=1)
    difference = np.abs(curves["torch"] - curves["tinygrad_course"]).max()
    print(f"largest difference of a loss: {difference:.1e}")
    figure = new_figure(9, 5.6)
    ax = figure.subplots()
    for (engine, losses), width in zip(curves.items(), (7, 2.5), strict=True):
        ax.plot(np.arange(1, len(losses) + 1), losses, linewidth=width, label=engine, alpha=0.5 if width > 5 else 1)
    label_axes(ax, "One script, two imports", "training step", "cross-entropy (nats)")
    ax.legend(fontsize=TICK_SIZE)
    save_figure(figure, options.out / "port_from_torch.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["tinygrad_course", "torch", "both"], default="tinygrad_course")
    parser.add_argument("--steps", type=int, default=100, help="training steps; 22 are one epoch (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", action="store_true", help="float32 in place of float64")
    parser.add_argument("--out", type=Path, default=Path("runs/port_from_torch"), help="folder for the losses")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.engine == "both":
        compare(options)
        return
    losses, accuracy = train(options.steps, options.seed, torch.float32 if options.float32 else torch.float64)
    np.savetxt(options.out / f"losses_{options.engine}.csv", losses)
    print(f"{options.engine}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, test accuracy {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
