"""One digit against the rest: weighing errors on the few positives finds more of them, at the price of false alarms.

    python examples/rare_positives.py
    python examples/rare_positives.py --digit 3 --steps 200 --out /tmp/rare

`tinygrad-course run C7` checks all facts of the row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.train import SensitivityWeightedMSE, class_weights
from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure


def load(split: str, digit: int) -> tuple[tgc.Tensor, np.ndarray]:
    """4 x 4 pixels, each the mean of four, and whether it is the digit."""
    images, labels = load_digits(split)
    x = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / DIGIT_WHITE
    return tgc.tensor(x.astype(np.float32)), labels == digit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digit", type=int, default=8, choices=range(10), help="the one to find (default: 8)")
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each network (default: 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_rare_positives"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (x, t), (x_test, t_test) = load("train", options.digit), load("test", options.digit)
    weights = class_weights(t.astype(np.int64)).numpy()
    print(f"{t.sum()} of {len(t)} are positive, so both kinds weigh the same with r = {weights[1] / weights[0]:.2f}")

    targets = tgc.tensor(t.astype(np.float32)[:, None])
    ratios, found = (0.3, 1.0, 3.0, 9.0, 30.0, 100.0), []
    for ratio in ratios:
        tgc.manual_seed(options.seed)
        net, loss_of = nn.Sequential(nn.Linear(16, 1), nn.Sigmoid()), SensitivityWeightedMSE(ratio)
        optimizer = optim.Adam(net.parameters(), lr=0.05)
        for _ in range(options.steps):
            loss = loss_of(net(x), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tgc.no_grad():
            said = net(x_test).numpy()[:, 0] > 0.5
        found.append((said[t_test].mean(), 1 - said[~t_test].mean()))
        print(f"r = {ratio:5g}: sensitivity {found[-1][0]:.3f}, specificity {found[-1][1]:.3f}, "
              f"balanced accuracy {np.mean(found[-1]):.3f}")

    ax = new_figure(8.5, 6.2).subplots()
    for values, name in zip(100 * np.array(found).T, ("sensitivity", "specificity"), strict=True):
        ax.semilogx(ratios, values, "o-", linewidth=2.5, label=name)
    label_axes(ax, f"Digit {options.digit} against the rest", "ratio r", "test digits (%)")
    ax.legend(fontsize=TICK_SIZE)
    viz.save_figure(ax, options.out / "ratio.png")
    print(f"the figure is in {options.out}")


if __name__ == "__main__":
    main()
