"""A net fits labels that were drawn at random, as it fits the true ones, and is right by chance on other images.

    python examples/random_labels.py
    python examples/random_labels.py --share 0.5 --out /tmp/random_labels

`tinygrad-course run C13` shows the way from true to random labels, and what random pixels do.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, corrupt_labels, load_digits
from tinygrad_course.metrics import accuracy
from tinygrad_course.nn import functional as F


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="epochs at most (default: 60)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the labels drawn at random (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_random_labels"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)

    (x, y), (x_test, y_test) = ((tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE - 0.3), labels)
                                for images, labels in (load_digits("train"), load_digits("test")))
    x, y = x[:700], y[:700]
    for name, labels in (("true", y), ("random", corrupt_labels(y, options.share, 10, rng))):
        tgc.manual_seed(options.seed)
        net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
        optimizer = optim.Adam(net.parameters(), lr=0.003)
        right: list[float] = []
        while len(right) < options.steps and (not right or right[-1] < 1):
            for batch in np.array_split(rng.permutation(len(y)), 7):
                loss = F.cross_entropy(net(x[tgc.tensor(batch)]), tgc.tensor(labels[batch]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with tgc.no_grad():
                right.append(accuracy(net(x), labels))
        with tgc.no_grad():
            print(f"{name} labels: {100 * right[-1]:.1f} % of the training images right after {len(right)} epochs, "
                  f"{100 * accuracy(net(x_test), y_test):.1f} % of the test images")
        viz.save_figure(viz.plot_accuracy(right), options.out / f"{name}.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
