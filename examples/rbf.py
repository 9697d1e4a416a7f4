"""Radial basis functions on handwritten digits: k-means and least squares, then every part by gradient.

    python examples/rbf.py
    python examples/rbf.py --centres 100 --steps 2000 --out /tmp/rbf

Row C5 of the course has the numbers for 10 to 300 centres: `tinygrad-course run C5`.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.metrics import accuracy
from tinygrad_course.models import RBFNetwork
from tinygrad_course.models.rbf import k_means, neighbour_widths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--centres", type=int, default=20, help="hidden units (default: 20)")
    parser.add_argument("--steps", type=int, default=600, help="steps of training end to end (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_rbf"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    (x, y), (x_test, y_test) = ((images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE, labels)
                                for images, labels in (load_digits("train"), load_digits("test")))
    targets = np.eye(10, dtype=np.float32)[y]

    def report(what: str) -> None:
        with tgc.no_grad():
            scores = net(tgc.tensor(x_test))
        print(f"{what}: {100 * accuracy(scores, tgc.tensor(y_test)):.1f} % of the test digits are right")
        centres = net.centres.detach().numpy().reshape(-1, 8, 8)
        speaks_for = net.linear.weight.detach().numpy().argmax(axis=0)
        figure = viz.plot_images(centres, speaks_for, title=f"Centres, {what}, and the digits that they speak for most")
        viz.save_figure(figure, options.out / f"centres_{what.replace(' ', '_')}.png")

    # ---- two stages: no step of training --------------------------------------------------------------------------------
    clusters = k_means(x, options.centres, rng)
    print(f"k-means: squared error {clusters.errors[0]:.0f} -> {clusters.errors[-1]:.0f} in {len(clusters.errors)} rounds")
    net = RBFNetwork(clusters.centres, neighbour_widths(clusters.centres), 10)
    net.fit_read_out(x, targets)
    report("in two stages")

    # ---- end to end: the gradient moves centres, widths and read-out ----------------------------------------------------
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for step in range(options.steps):
        batch = rng.integers(0, len(x), 128)
        loss = ((net(tgc.tensor(x[batch])) - tgc.tensor(targets[batch])) ** 2).sum(1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, options.steps // 4) == 0:
            print(f"step {step:4}: loss {loss.item():.4f}")
    report("end to end")


if __name__ == "__main__":
    main()
