"""Networks that are nothing but a matrix, W[i, j] from unit j to unit i: layers, shortcuts, cycles.

    python examples/weight_matrix.py
    python examples/weight_matrix.py --steps 100 --out /tmp/weight_matrix

`tinygrad-course run C6` checks all facts of the row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.models import WeightMatrixNetwork
from tinygrad_course.models.weight_matrix import feed_forward_layers, find_cycle, has_shortcuts, period
from tinygrad_course.nn import functional as F


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800, help="training steps (default: 800)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_weight_matrix"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)

    # ---- exclusive or with one hidden unit: the output also sees the inputs, past the hidden layer --------------------
    exists = np.zeros((4, 4), bool)
    exists[2, :2] = True  # both inputs to the hidden unit 2
    exists[3, :3] = True  # and to the output 3, beside the hidden unit
    print(f"exclusive or: layers {feed_forward_layers(exists)}, shortcuts {has_shortcuts(exists)}")
    x = tgc.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    t = tgc.tensor([[0.0], [1.0], [1.0], [0.0]])
    net = WeightMatrixNetwork((rng.standard_normal((4, 4)) * exists).astype(np.float32), activation=tgc.tanh,
                              output_activation=nn.Identity())
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    for _ in range(options.steps):
        loss = F.binary_cross_entropy_with_logits(net(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.4f}, outputs {net(x).sigmoid().detach().numpy()[:, 0].round(2)}")
    viz.save_figure(viz.plot_network(net.matrix, names=("x$_1$", "x$_2$", "h", "y"), title="Exclusive or, one hidden unit"),
                    options.out / "exclusive_or.png")

    # ---- three units in a ring: each is on unless the one before it is ------------------------------------------------
    ring_weights = -20.0 * np.roll(np.eye(3), 1, axis=0)
    ring = WeightMatrixNetwork(ring_weights, np.full(3, 10.0))
    states = ring.run(None, 36, tgc.tensor([1.0, 0.0, 0.0]).double()).detach().numpy()
    print(f"ring: cycle {find_cycle(ring_weights)}, period {period(states)}; its first states")
    print(states[:7].round().astype(int))
    viz.save_figure(viz.plot_network(ring_weights, title="A ring"), options.out / "ring.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
