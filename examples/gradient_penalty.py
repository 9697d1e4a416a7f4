"""The critic of a WGAN with gradient penalty: a loss that contains a gradient, so that training it differentiates twice.

    python examples/gradient_penalty.py
    python examples/gradient_penalty.py --steps 5 --out /tmp/gradient_penalty

The Wasserstein distance between two distributions is the largest E f(real) - E f(false) that a function f with slopes of at
most 1 can reach (Kantorovich and Rubinstein 1958).  A critic, a small network in the place of f, is held to slopes of 1 in
one of two ways:

    weight clipping     every weight is cut to [-c, c] after each step (Arjovsky, Chintala and Bottou 2017)
    gradient penalty    10 E (|grad f(x)| - 1)^2 is added to the loss, at points x between real and false ones
                        (Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, equation 3)

After the paper's figure 1: real are eight Gaussians on a ring, false the same with noise, and what is drawn are the levels
of the two critics.  Clipping yields a function too simple to see the ring; the penalty one that knows where the data are.
"""

import argparse
import math
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.viz.figure import label_axes, new_figure

BATCH, WEIGHT, CLIP = 256, 10.0, 0.1
RADIUS, REACH = 2.0, 3.2  # of the ring, of the drawing


def ring(n: int) -> tgc.Tensor:
    """Points (n, 2) of eight narrow Gaussians on a ring."""
    angle = tgc.randint(8, (n,)).float() * (math.pi / 4)
    return RADIUS * tgc.stack([tgc.cos(angle), tgc.sin(angle)], 1) + 0.05 * tgc.randn(n, 2)


def slopes(critic: nn.Module, real: tgc.Tensor, false: tgc.Tensor) -> tgc.Tensor:
    """|grad f| (N,) at a random place between each real and false point, to be differentiated again."""
    share = tgc.rand(len(real), 1)
    between = (real + share * (false - real)).requires_grad_()
    g, = tgc.autograd.grad(critic(between).sum(), between, create_graph=True)  # (N, 2)
    return ((g * g).sum(1) + 1e-12).sqrt()  # the root has no derivative at 0


def train(penalised: bool, steps: int) -> tuple[nn.Module, list[float]]:
    """A trained critic, and the mean slope at each step."""
    critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.9))
    history = []
    for step in range(1, steps + 1):
        real = ring(BATCH)
        false = ring(BATCH) + tgc.randn(BATCH, 2)
        distance = critic(real).mean() - critic(false).mean()
        slope = slopes(critic, real, false)
        loss = -distance
        if penalised:
            loss = loss + WEIGHT * ((slope - 1.0) * (slope - 1.0)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not penalised:
            with tgc.no_grad():
                for weight in critic.parameters():
                    weight.copy_(tgc.clamp(weight, -CLIP, CLIP))
        history.append(slope.detach().mean().item())
        if step % max(steps // 8, 1) == 0:
            print(f"  step {step:5}   E f(real) - E f(false) = {distance.item():7.4f}   mean slope {history[-1]:.3f}")
    return critic, history


def levels(critic: nn.Module, n: int = 160) -> np.ndarray:
    """Values (n, n) on a grid over the drawing."""
    line = tgc.linspace(-REACH, REACH, n).numpy()
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)  # (n, n) and (n, n) -> (n n, 2)
    with tgc.no_grad():
        return critic(tgc.from_numpy(grid)).numpy().reshape(n, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="steps of each critic (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_gradient_penalty"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    critics, histories = {}, {}
    for name in ("weight clipping", "gradient penalty"):
        print(name)
        critics[name], histories[name] = train(name == "gradient penalty", options.steps)
    last = float(np.mean(histories["gradient penalty"][-50:]))
    print(f"mean slope with the penalty {last:.3f}: " + ("1, as it must be" if abs(last - 1) < 0.1 else "not 1 yet"))

    # ---- figure: the levels of both critics, and their slopes -------------------------------------------------------
    figure = new_figure(15, 5)
    panels = figure.subplots(1, 3)
    points = ring(400).numpy()
    for ax, (name, critic) in zip(panels, critics.items(), strict=False):
        ax.contour(levels(critic), levels=14, extent=(-REACH, REACH, -REACH, REACH), cmap="viridis", linewidths=1.5)
        ax.scatter(points[:, 0], points[:, 1], s=6, color="#D55E00")
        label_axes(ax, name.capitalize(), "", "")
        ax.set_aspect("equal")
    for name, history in histories.items():
        panels[2].semilogy(history, linewidth=2, label=name, color="#0072B2" if name == "gradient penalty" else "#5A5A5A")
    panels[2].axhline(1.0, color="black", linewidth=1)
    label_axes(panels[2], "Mean slope between the points", "step", "|grad f|")
    panels[2].legend(fontsize=13, frameon=False)
    viz.save_figure(figure, options.out / "gradient_penalty.png")
    print(f"the figure is in {options.out}")


if __name__ == "__main__":
    main()
