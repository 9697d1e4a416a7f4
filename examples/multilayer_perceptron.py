"""A multi-layer perceptron learns exclusive or; then, by hand, the gradients that trained it, and regions of 1, 2, 3 layers.

    python examples/multilayer_perceptron.py
    python examples/multilayer_perceptron.py --steps 100 --out /tmp/mlp

`tinygrad-course run C1` checks all facts of the row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.models import MLP
from tinygrad_course.models.backpropagation import backward, forward
from tinygrad_course.models.regions import half_plane_network, polygon_network, region_network
from tinygrad_course.nn import functional as F

REGIONS = {"half_plane": half_plane_network((1, 0.5), 0.2),
           "triangle": polygon_network([(-0.8, -0.6), (0.8, -0.6), (0, 0.8)]),
           "two_squares": region_network([[(-0.8, -0.8), (0, -0.8), (0, 0), (-0.8, 0)], [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8),
                                                                                      (0.2, 0.8)]])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="training steps (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_mlp"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    # ---- exclusive or: one hidden layer is enough, none is not --------------------------------------------------------
    table, wanted = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])
    x, t = tgc.tensor(table), tgc.tensor(wanted.astype(np.float32)[:, None])
    net = MLP(2, [4, 1], activation_layer=nn.Tanh)
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(options.steps):
        loss = F.binary_cross_entropy_with_logits(net(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"exclusive or: loss {losses[0]:.3f} -> {losses[-1]:.4f}")
    viz.save_figure(viz.plot_loss(losses), options.out / "loss.png")
    viz.save_figure(viz.plot_decision(net, table, wanted, title="Exclusive or"), options.out / "exclusive_or.png")

    # ---- the same gradients by the four equations, in NumPy -----------------------------------------------------------
    weights, biases = ([getattr(linear, name).detach().numpy() for linear in net.linears] for name in ("weight", "bias"))
    done = forward(weights, biases, table, ["tanh", "sigmoid"])
    y = done.output
    gradients = backward(weights, done, (y - t.numpy()) / (y * (1 - y)) / len(table), ["tanh", "sigmoid"])
    optimizer.zero_grad()
    F.binary_cross_entropy_with_logits(net(x), t).backward()
    for layer, (linear, by_hand) in enumerate(zip(net.linears, gradients.weights, strict=True), start=1):
        print(f"layer {layer}: largest |dE/dW| {np.abs(by_hand).max():.2e}, "
              f"difference from autograd {np.abs(linear.weight.grad.numpy() - by_hand).max():.0e}")

    # ---- what each layer adds, with threshold units -------------------------------------------------------------------
    points = np.random.default_rng(options.seed).uniform(-1, 1, (200, 2))
    for name, region in REGIONS.items():

        def fires(grid: np.ndarray, region: MLP = region) -> np.ndarray:
            return region(tgc.tensor(grid)).numpy()[:, 0].astype(int)

        title = f"{len(region.linears)} layers: {name.replace('_', ' ')}"
        viz.save_figure(viz.plot_decision(fires, points, fires(points), title=title), options.out / f"{name}.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
