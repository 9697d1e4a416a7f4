"""Sunspots through a sliding window: the next year, and a free run of the network on its own predictions.

    python examples/time_series.py
    python examples/time_series.py --steps 3000 --out /tmp/sunspots     # too many steps: see what the free run does

Row C3 of the course asks the same in more depth: `tinygrad-course run C3`.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import load_sunspots, sliding_windows
from tinygrad_course.models.forecast import LinearAutoregression, free_run, relative_variance
from tinygrad_course.viz.figure import GREY, TRAIN_COLOUR, label_axes, new_figure

WIDTH, LAST_YEAR = 12, 1920


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="training steps (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_time_series"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    years, sunspots = load_sunspots()
    series = sunspots / np.float32(100)
    x, y = sliding_windows(series, WIDTH)  # (297, 12), (297,)
    learned = years[WIDTH:] <= LAST_YEAR

    net = nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    inputs, targets = tgc.tensor(x[learned]), tgc.tensor(y[learned][:, None])
    for step in range(options.steps):
        loss = nn.functional.mse_loss(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, options.steps // 5) == 0:
            print(f"step {step:5}: mean squared error {loss.item():.4f}")

    def network(windows: np.ndarray) -> np.ndarray:
        with tgc.no_grad():
            return net(tgc.tensor(windows)).numpy()[:, 0]

    linear = LinearAutoregression.fit(x[learned], y[learned])
    for name, predict in (("as this year", lambda windows: windows[:, -1]), ("linear", linear), ("network", network)):
        error = relative_variance(predict(x[~learned]), y[~learned], float(series.var()))
        print(f"next year, {LAST_YEAR + 1} to {years[-1]}, {name:12}: error {error:.3f} of the variance")

    start = int(np.searchsorted(years, LAST_YEAR)) + 1
    free = free_run(network, series[start - WIDTH:start], len(series) - start)
    fig = new_figure(13, 5.5)
    ax = fig.subplots()
    ax.plot(years, sunspots, color=GREY, label="sunspots")
    ax.plot(years[start:], 100 * free, color=TRAIN_COLOUR, linewidth=2.4, label="network, fed with its own predictions")
    label_axes(ax, f"Free run after {LAST_YEAR}", "year", "sunspot number")
    ax.legend(fontsize=13)
    viz.save_figure(fig, options.out / "free_run.png")
    print(f"the free run is in {options.out}")


if __name__ == "__main__":
    main()
