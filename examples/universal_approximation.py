"""One hidden layer and a curve: stairs of steep sigmoids with weights by hand, and what training makes of as many units.

    python examples/universal_approximation.py
    python examples/universal_approximation.py --steps 200 --out /tmp/approximation

`tinygrad-course run C2` checks all facts of the row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.models import MLP
from tinygrad_course.models.approximation import best_monotone, bump_network
from tinygrad_course.nn import functional as F
from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure


def target(x: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * x)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each network (default: 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_approximation"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)
    x = np.linspace(-1, 1, 400)[:, None]
    y = target(x)
    fig = new_figure(14, 6)
    left, right = fig.subplots(1, 2)
    for ax, title in ((left, "Bumps, weights by hand"), (right, "Learned")):
        ax.plot(x, y, color="black", linewidth=5, alpha=0.3, label="sin 2$\\pi$x")
        label_axes(ax, title, "x", "output y")

    # ---- by hand: the more bumps, the nearer --------------------------------------------------------------------------
    for bumps in (4, 8, 16):
        with tgc.no_grad():
            stairs = bump_network(target, bumps, -1, 1)(tgc.tensor(x)).numpy()
        print(f"by hand, {2 * bumps:2d} hidden units: RMS error {rms(stairs - y):.4f}")
        left.plot(x, stairs, linewidth=2, label=f"{2 * bumps} hidden")

    # ---- learned ------------------------------------------------------------------------------------------------------
    inputs, targets = tgc.tensor(x.astype(np.float32)), tgc.tensor(y.astype(np.float32))
    for width in (1, 2, 4, 8, 16):
        net = MLP(1, [width, 1], activation_layer=nn.Tanh)
        with tgc.no_grad():
            for parameter in net.linears[0].parameters():
                parameter.mul_(5.0)  # slopes all over [-1, 1]
        optimizer = optim.Adam(net.parameters(), lr=0.03)
        for _ in range(options.steps):
            loss = F.mse_loss(net(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tgc.no_grad():
            learned = net(inputs).numpy()
        print(f"learned, {width:2d} hidden units: RMS error {rms(learned - y):.4f}")
        right.plot(x, learned, linewidth=2, label=f"{width} hidden")
    print(f"one unit is monotone, so its error is at least {rms(best_monotone(y[:, 0]) - y[:, 0]):.4f}")
    for ax in (left, right):
        ax.legend(fontsize=TICK_SIZE)
    viz.save_figure(fig, options.out / "approximation.png")
    print(f"the figure is in {options.out}")


if __name__ == "__main__":
    main()
