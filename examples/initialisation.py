"""What the first weights of a deep net do to signals, to gradients, and to learning.

    python examples/initialisation.py
    python examples/initialisation.py --steps 50 --out /tmp/initialisation

Row C10 of the course has the theory, layer by layer: `tinygrad-course run C10`.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.models.initialisation import INITIALISATIONS, initialise, signals
from tinygrad_course.nn import functional as F
from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

DEPTH, WIDTH = 16, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250, help="training steps of each net (default: 250)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_initialisation"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits("train")
    x, y = tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels)
    fig = new_figure(15, 5.6)
    forwards, backwards = fig.subplots(1, 2)
    for name in INITIALISATIONS:
        tgc.manual_seed(options.seed)
        layers = [layer for _ in range(DEPTH - 1) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
        net = nn.Sequential(*layers, nn.Linear(WIDTH, 10))
        initialise(net, name)

        # ---- before learning: pre-activations on their way forward, gradients on their way back ----------------------
        seen = signals(net, x[:300], lambda scores: F.cross_entropy(scores, y[:300]))
        forwards.plot(np.arange(1, DEPTH + 1), seen.spread, linewidth=2.5, label=name)
        backwards.plot(np.arange(1, DEPTH + 1), seen.gradient, linewidth=2.5, label=name)

        # ---- learning ------------------------------------------------------------------------------------------------
        rng = np.random.default_rng(options.seed)
        optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        for _ in range(options.steps):
            batch = tgc.tensor(rng.permutation(len(y))[:50])
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{name:10} h in layer {DEPTH}: {seen.spread[-1]:.1e}   dE/dh in layer 1: {seen.gradient[0]:.1e}   "
              f"loss after {options.steps} steps: {loss.item():.3f}")

    label_axes(forwards, "ReLU: forwards", "layer", "pre-activations h (rms)")
    label_axes(backwards, "ReLU: backwards", "layer", "gradients dE/dh (rms)")
    for ax in (forwards, backwards):
        ax.set_yscale("log")
        ax.legend(fontsize=TICK_SIZE)
    viz.save_figure(fig, options.out / "layer_by_layer.png")
    print(f"the figure is in {options.out}")


if __name__ == "__main__":
    main()
