"""A net that learns false labels by heart, and what helps: L2, L1, dropout, early stopping.

    python examples/regularisation.py
    python examples/regularisation.py --steps 50 --out /tmp/regularisation

Row C8 of the course has augmentation, batch norm and the curves of over- and underfitting: `tinygrad-course run C8`.
"""

import argparse
import math
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.metrics import accuracy
from tinygrad_course.nn import functional as F
from tinygrad_course.train.regularisation import decay_groups, l1_penalty
from tinygrad_course.viz.figure import TITLE_SIZE

N_TRAIN, N_VALIDATION, WRONG, BATCH = 300, 100, 0.2, 50
PER_EPOCH = N_TRAIN // BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="training steps of each net (default: 500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_regularisation"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)

    # ---- data: few digits, a fifth of them with a random label ------------------------------------------------------
    (images, labels), (test_images, test_labels) = load_digits("train"), load_digits("test")
    chosen = rng.permutation(len(labels))[:N_TRAIN + N_VALIDATION]
    labels = labels[chosen]
    labels = np.where(rng.random(len(labels)) < WRONG, rng.integers(0, 10, len(labels)), labels)
    x, x_test = (tgc.tensor(part.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE) for part in (images[chosen], test_images))
    y = tgc.tensor(labels)
    x_val, y_val = x[N_TRAIN:], y[N_TRAIN:]

    for name in ("nothing", "L2", "L1", "dropout"):
        tgc.manual_seed(options.seed)
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5 if name == "dropout" else 0), nn.Linear(64, 10))
        optimizer = optim.SGD(decay_groups(net, 1e-2 if name == "L2" else 0.0), lr=0.04, momentum=0.9)
        losses, val_losses, best_loss, best_epoch, best = [], [], math.inf, 0, net.state_dict()
        for step in range(options.steps):
            place = step % PER_EPOCH
            if place == 0:
                order, seen = rng.permutation(N_TRAIN), []
            batch = tgc.tensor(order[place * BATCH:][:BATCH])
            net.train()
            loss = F.cross_entropy(net(x[batch]), y[batch])
            penalty = 2.5e-3 * l1_penalty(net) if name == "L1" else 0.0
            optimizer.zero_grad()
            (loss + penalty).backward()
            optimizer.step()
            seen.append(loss.item())
            if place < PER_EPOCH - 1 and step < options.steps - 1:
                continue
            # -- early stopping: the weights with the smallest loss on digits that are not trained on
            net.eval()
            with tgc.no_grad():
                val_loss = F.cross_entropy(net(x_val), y_val).item()
            losses.append(sum(seen) / len(seen))
            val_losses.append(val_loss)
            if val_loss < best_loss:
                best_loss, best_epoch = val_loss, len(losses)
                best = {key: value.clone() for key, value in net.state_dict().items()}
        net.eval()
        with tgc.no_grad():
            last = accuracy(net(x_test), test_labels)
            net.load_state_dict(best)
            kept = accuracy(net(x_test), test_labels)
        print(f"{name:8} test errors {100 * (1 - last):.1f} % in the end, {100 * (1 - kept):.1f} % with the weights of epoch "
              f"{best_epoch}")
        ax = viz.plot_loss(losses, val_losses, best_epoch)
        ax.set_title(f"Against overfitting: {name}", fontsize=TITLE_SIZE)
        viz.save_figure(ax, options.out / f"{name}.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
