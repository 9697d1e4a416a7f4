"""Optimisers on a steep valley, on Rosenbrock's function, and on real digits.

    python examples/optimiser_paths.py
    python examples/optimiser_paths.py --steps 30 --out /tmp/paths

Row C9 of the course checks each against the equation of its paper, and the theory of the valley: `tinygrad-course run C9`.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.nn import functional as F

PLACES = {  # function, start, minimum, ranges of x and y
    "valley": (lambda x, y: (x * x + 20 * y * y) / 2, (-2.0, 1.0), (0.0, 0.0), (-2.4, 1.2), (-1.4, 1.4)),
    "rosenbrock": (lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2, (-1.2, 1.0), (1.0, 1.0), (-1.6, 1.6), (-0.6, 2.0)),
}
MAKERS = {
    "valley": {
        "SGD": lambda w: optim.SGD(w, lr=0.09),  # 2 / 20 is the largest stable rate
        "momentum": lambda w: optim.SGD(w, lr=0.05, momentum=0.7),
        "Adam": lambda w: optim.Adam(w, lr=0.2),
        "Newton": lambda w: optim.Newton(w),
    },
    "rosenbrock": {
        "SGD": lambda w: optim.SGD(w, lr=1.5e-3),
        "momentum": lambda w: optim.SGD(w, lr=1e-3, momentum=0.9),
        "Adam": lambda w: optim.Adam(w, lr=0.2),
        "Newton": lambda w: optim.Newton(w, line_search_fn="strong_wolfe"),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="steps of each optimiser (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_optimiser_paths"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    for name, (function, start, minimum, x_range, y_range) in PLACES.items():
        ax = viz.optimiser_paths(function, MAKERS[name], start, options.steps, x_range=x_range, y_range=y_range,
                                 minimum=minimum, title=name.capitalize())
        viz.save_figure(ax, options.out / f"{name}.png")

    # ---- the same on a net: each from the same weights and with the same batches -------------------------------------
    images, labels = load_digits("train")
    x, y = tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels)
    for name, make in {"SGD": lambda w: optim.SGD(w, lr=0.3), "momentum": lambda w: optim.SGD(w, lr=0.1, momentum=0.9),
                       "Adam": lambda w: optim.Adam(w, lr=0.01)}.items():
        tgc.manual_seed(options.seed)
        rng = np.random.default_rng(options.seed)
        net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = make(net.parameters())
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
        for _ in range(options.steps):
            batch = tgc.tensor(rng.permutation(len(y))[:50])
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with tgc.no_grad():
            print(f"{name:8} loss of all digits after {options.steps} steps: {F.cross_entropy(net(x), y).item():.3f}")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
