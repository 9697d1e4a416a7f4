"""Newton's method, its diagonal, and gradient descent on one small network: what the second derivative is worth.

    python examples/newton.py
    python examples/newton.py --steps 5 --out /tmp/newton

A network with 4 inputs, 4 tanh units and one output tells the digits 3 and 8 apart, from the first four principal
components of their images (the 8 x 8 digits that come with the package).  With all p = 25 weights in one vector w, and the
gradient g and the Hessian matrix H of the loss there, a step is

    gradient descent   w - lr g
    diagonal Newton    w - g_i / (|h_ii| + m)      every weight has a step length of its own (Becker and LeCun 1988)
    Newton             w - (|H| + m I)^-1 g        exact where the loss is a parabola; m as small as keeps it going down
                                                   (Levenberg 1944, Marquardt 1963)

The loss is not convex, and a Newton step with H goes straight to the next saddle.  |H| has the eigenvectors of H and the
absolute values of its eigenvalues: along those that are negative it leads down the hill too (Dauphin et al. 2014).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
import tinygrad_course.nn.functional as F
from tinygrad_course import functional, viz
from tinygrad_course.data import load_digits
from tinygrad_course.viz.figure import label_axes, new_figure

N_IN, N_HIDDEN = 4, 4
SIZE = N_HIDDEN * N_IN + 2 * N_HIDDEN + 1  # 25 weights
DECAY = 1e-2
RATE = 3.0  # of gradient descent: with 5 the loss jumps
LEAST = 0.2  # the m of diagonal Newton: with 0.1 the loss jumps
COLOURS = {"gradient descent": "#5A5A5A", "diagonal Newton": "#0072B2", "Newton": "#D55E00"}


def threes_and_eights() -> tuple[tgc.Tensor, tgc.Tensor]:
    """x (N, 4): principal components with variance 1;  t (N,): 1 for an eight."""
    images, labels = load_digits("train")
    chosen = np.isin(labels, (3, 8))
    pixels = images[chosen].reshape(-1, 64).astype(np.float64)
    pixels -= pixels.mean(0)
    u, _, _ = np.linalg.svd(pixels, full_matrices=False)
    return tgc.tensor(u[:, :N_IN] * np.sqrt(len(u))), tgc.tensor((labels[chosen] == 8).astype(np.float64))


def network(w: tgc.Tensor, x: tgc.Tensor) -> tgc.Tensor:
    """Scores (N,) from all weights in one vector w (25,)."""
    ends = np.cumsum([N_HIDDEN * N_IN, N_HIDDEN, N_HIDDEN])
    hidden = tgc.tanh(x @ w[: ends[0]].reshape(N_IN, N_HIDDEN) + w[ends[0] : ends[1]])  # (N, 4) @ (4, 4)
    return hidden @ w[ends[1] : ends[2]] + w[ends[2]]


def minimise(method: str, loss: Callable[[tgc.Tensor], tgc.Tensor], w: tgc.Tensor,
             steps: int) -> tuple[list[float], list[float], tgc.Tensor]:
    """Losses and seconds after each step, and the last weights."""
    damping, losses, seconds = 1.0, [loss(w).item()], [0.0]
    start = time.perf_counter()
    for _ in range(steps):
        _, g = functional.vjp(loss, w)
        if method == "gradient descent":
            w = w - RATE * g
        elif method == "diagonal Newton":
            w = w - g / (functional.hessian_diagonal(loss, w).abs() + LEAST)
        else:
            curvatures, axes = np.linalg.eigh(functional.hessian(loss, w).numpy())
            while True:
                step = tgc.from_numpy(axes @ ((axes.T @ g.numpy()) / (np.abs(curvatures) + damping)))
                if loss(w - step).item() <= losses[-1] or damping > 1e6:
                    break
                damping *= 4.0
            w, damping = w - step, damping / 4.0
        losses.append(loss(w).item())
        seconds.append(time.perf_counter() - start)
    return losses, seconds, w


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="steps of each method (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_newton"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    x, t = threes_and_eights()
    first = tgc.randn(SIZE, dtype=tgc.float64) * 0.5

    def loss(w: tgc.Tensor) -> tgc.Tensor:
        return F.binary_cross_entropy_with_logits(network(w, x), t) + DECAY / 2 * (w * w).sum()

    # ---- three ways down from the same place ------------------------------------------------------------------------
    curves = {method: minimise(method, loss, first, options.steps) for method in COLOURS}
    best = min(min(losses) for losses, _, _ in curves.values())
    for method, (losses, seconds, w) in curves.items():
        hits = ((network(w, x) > 0).numpy() == (t.numpy() > 0)).mean()
        print(f"{method:16}  loss {losses[-1]:.6f}, {losses[-1] - best:.1e} above the least   {100 * hits:.1f} % right   "
              f"{1000 * seconds[-1] / options.steps:6.2f} ms a step")

    # ---- what the Hessian says about the end of the way -------------------------------------------------------------
    eigenvalues = np.linalg.eigvalsh(functional.hessian(loss, curves["Newton"][2]).numpy())
    print(f"eigenvalues of H at Newton's end: {eigenvalues[0]:.4f} to {eigenvalues[-1]:.4f}: "
          + ("a minimum" if eigenvalues[0] > 0 else "not a minimum yet"))
    if eigenvalues[0] > 0:
        print(f"condition number {eigenvalues[-1] / eigenvalues[0]:.0f}: near the end gradient descent needs, at the best "
              "rate, half as many steps for every factor e in the distance")

    # ---- figure -----------------------------------------------------------------------------------------------------
    figure = new_figure(12, 5)
    by_step, by_time = figure.subplots(1, 2, sharey=True)
    for method, (losses, seconds, _) in curves.items():
        gap = np.maximum(np.array(losses) - best, 1e-16)
        by_step.semilogy(gap, color=COLOURS[method], linewidth=2.5, label=method)
        by_time.semilogy(seconds, gap, color=COLOURS[method], linewidth=2.5)
    label_axes(by_step, "By the number of steps", "step", "loss above the least found")
    label_axes(by_time, "By the clock", "seconds", "")
    by_step.legend(fontsize=13, frameon=False)
    viz.save_figure(figure, options.out / "newton.png")
    print(f"the figure is in {options.out}")


if __name__ == "__main__":
    main()
