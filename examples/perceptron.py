"""One unit learns: Rosenblatt's rule, gradient learning, and a softmax unit on real digits.

    python examples/perceptron.py
    python examples/perceptron.py --steps 20 --out /tmp/perceptron

The functions are those of rows B1 to B5 of the course; `tinygrad-course run B3` checks all facts of a row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.metrics import accuracy
from tinygrad_course.models import Perceptron, SoftmaxUnit, separate
from tinygrad_course.models.perceptron import learn_delta, learn_perceptron
from tinygrad_course.models.separability import truth_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="training steps, or epochs (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_perceptron"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    # ---- Rosenblatt's rule: OR can be learned, XOR cannot, and the reason is a point in both classes' hulls -----------
    table = truth_table(2)
    for name, targets in (("OR", np.array([0, 1, 1, 1])), ("XOR", np.array([0, 1, 1, 0]))):
        learned = learn_perceptron(table, targets, max_epochs=options.steps)
        unit = Perceptron.from_vector(learned.weights)
        print(f"{name}: converged {learned.converged} after {learned.epochs} epochs, {unit}; {separate(table, targets)}")
        viz.save_figure(viz.plot_decision(unit, table, targets, title=f"{name}, {learned.errors[-1]} of 4 wrong"),
                        options.out / f"{name.lower()}.png")

    # ---- the delta rule goes to the least squared error, whether or not the targets can be reached --------------------
    targets = np.array([0.2, 0.1, 0.9, 1.1])
    settled = learn_delta(table, targets, start=(0.5, 0, -1), rate=0.25, epochs=options.steps)
    print(f"delta rule: E = {settled.errors[0]:.4f} -> {settled.errors[-1]:.4f}, weights {settled.weights.round(4)}")

    # ---- a softmax unit on 8 x 8 digits -------------------------------------------------------------------------------
    (x, y), (x_test, y_test) = ((tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels))
                                for images, labels in (load_digits("train"), load_digits("test")))
    net = SoftmaxUnit(64, 10)
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(options.steps):
        loss = net.loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    viz.save_figure(viz.plot_loss(losses), options.out / "softmax_loss.png")
    with tgc.no_grad():
        print(f"softmax unit: test accuracy {100 * accuracy(net(x_test), y_test):.1f} %; figures are in {options.out}")


if __name__ == "__main__":
    main()
