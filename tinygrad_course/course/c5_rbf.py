"""C5: radial basis function networks, trained in two stages and end to end.

The equations stand in models/rbf.py.  In two stages (k-means, then least squares) a network is ready without a single step;
but k-means does not know the targets, so it puts centres where there are many points, whether or not there is something to
tell apart.  End to end the gradient moves centres and widths as well: with few centres that gains much, with many centres
little, for then there is one near everything.

J. Moody, C. Darken, "Fast learning in networks of locally-tuned processing units", Neural Computation 1, 281-294 (1989);
D. Broomhead, D. Lowe, "Multivariable functional interpolation and adaptive networks", Complex Systems 2, 321-355 (1988).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, IRIS_CLASSES, IRIS_FEATURES, load_digits, load_iris, load_sunspots
from tinygrad_course.models.rbf import RBFNetwork, k_means, neighbour_widths, two_stage
from tinygrad_course.train import cosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CENTRES = (10, 30, 100, 300)   # for the digits
STEPS, BATCH, RATE = 600, 128, 0.01
FIRST_YEAR, YEARS_PER_UNIT = 1900, 10.0
CURVE_CENTRES = (3, 10, 40)    # for the sunspots since 1900
PETALS = (2, 3)                # columns of iris


def end_to_end(net: RBFNetwork, x: np.ndarray, y: np.ndarray, steps: int, rng: np.random.Generator) -> RBFNetwork:
    """A copy of the network after `steps` of Adam on the squared error, of all its parts."""
    net = copy.deepcopy(net)
    optimizer, schedule = optim.Adam(net.parameters(), lr=RATE), cosine(RATE, steps)
    for step in range(steps):
        batch = rng.integers(0, len(x), BATCH)
        optimizer.param_groups[0]["lr"] = schedule(step)
        loss = ((net(tgc.tensor(x[batch])) - tgc.tensor(y[batch])) ** 2).sum() / (2 * BATCH)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def output(net: RBFNetwork, x: np.ndarray) -> np.ndarray:
    """y(x) without gradients:  (N, D) -> (N, out_features)."""
    with tgc.no_grad():
        return net(tgc.tensor(x)).numpy()


def accuracy(net: RBFNetwork, x: np.ndarray, labels: np.ndarray) -> float:
    """Share of the points whose largest output is that of their class."""
    return float((output(net, x).argmax(axis=1) == labels).mean())


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Targets 0 and 1, float32 (N, classes)."""
    return np.eye(labels.max() + 1, dtype=np.float32)[labels]


def run(settings: Settings) -> Outcome:
    """Interpolation and a curve in one dimension, regions in two, digits in 64."""
    tgc.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    steps = settings.steps or STEPS

    years, sunspots = load_sunspots()
    recent = years >= FIRST_YEAR
    x = ((years[recent] - FIRST_YEAR) / YEARS_PER_UNIT).astype(np.float32)[:, None]
    y = (sunspots[recent] / 100)[:, None]
    known = np.arange(len(x)) % 2 == 0                     # every second year; the others are to be guessed
    curves = {k: two_stage(x[known], y[known], k, rng) for k in CURVE_CENTRES}
    through = RBFNetwork(x[known], neighbour_widths(x[known]), 1).double()
    through.fit_read_out(x[known], y[known])
    misses = np.abs(output(through, x[known].astype(np.float64)) - y[known]).max()
    unknown_error = {k: float(np.sqrt(((output(net, x[~known]) - y[~known]) ** 2).mean()) / y.std())
                     for k, net in curves.items()}

    features, species = load_iris()
    petals = features[:, PETALS]
    mean, std = petals.mean(axis=0), petals.std(axis=0)
    flowers = (petals - mean) / std
    iris = {"in two stages": two_stage(flowers, one_hot(species), 6, rng)}
    iris["end to end"] = end_to_end(iris["in two stages"], flowers, one_hot(species), steps, rng)

    (images, labels), (test_images, test_labels) = load_digits("train"), load_digits("test")
    pixels, test_pixels = (part.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE for part in (images, test_images))
    shares: dict[str, list[float]] = {"in two stages": [], "end to end": []}
    moved = 0.0
    for k in CENTRES:
        staged = two_stage(pixels, one_hot(labels), k, rng)
        trained = end_to_end(staged, pixels, one_hot(labels), steps, rng)
        for name, net in (("in two stages", staged), ("end to end", trained)):
            shares[name].append(accuracy(net, test_pixels, test_labels))
        if k == CENTRES[0]:
            first, last = staged, trained
            moved = float((trained.centres - staged.centres).detach().norm(dim=1).mean().item())
        settings.say(f"{k:3} centres: {100 * shares['in two stages'][-1]:.1f} % in two stages, "
                     f"{100 * shares['end to end'][-1]:.1f} % end to end")
    rises = np.diff(k_means(pixels, 10, rng).errors)
    gain = [after - before for before, after in zip(*shares.values(), strict=True)]
    facts = [
        within("k-means: largest rise of its error from one round to the next", float(rises.max()), high=1e-9),
        within(f"a centre on each of {int(known.sum())} years: largest error there, sunspots", 100 * float(misses),
               high=1e-6),
        within("years between: error with 40 centres as a share of that with 10", unknown_error[40] / unknown_error[10],
               high=0.6),
        within("error with 40 centres, in standard deviations", unknown_error[40], high=0.45),
        within("iris, two petal features, 6 centres: accuracy in two stages",
               accuracy(iris["in two stages"], flowers, species), low=0.9),
        within("accuracy end to end", accuracy(iris["end to end"], flowers, species), low=0.94),
        equal("digits, 10 centres: numbers of centres, widths, read-out", [p.numel() for p in first.parameters()],
              [640, 10, 100, 10]),
        within("accuracy on test digits, 10 centres, two stages", shares["in two stages"][0], 0.6, 0.9),
        within("10 centres: gained by training end to end", gain[0], low=0.03),
        within("mean way of the 10 centres while they are trained", moved, low=0.3),
        within("accuracy with 100 centres, two stages", shares["in two stages"][2], low=0.93),
        within("accuracy with 300 centres, two stages", shares["in two stages"][3], low=0.96),
        within("300 centres: gained by training end to end", gain[3], -0.03, 0.02),
    ]

    def curve() -> Figure:
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(14, 9)
        ax, below = fig.subplots(2, 1, sharex=True)
        fine = np.linspace(x.min(), x.max(), 1000, dtype=np.float32)[:, None]
        time = FIRST_YEAR + YEARS_PER_UNIT * fine[:, 0]
        for k, colour, style in ((3, GREY, ":"), (10, VALIDATION_COLOUR, "--"), (40, TRAIN_COLOUR, "-")):
            ax.plot(time, 100 * output(curves[k], fine)[:, 0], style, color=colour, linewidth=2.4, label=f"{k} centres")
        ax.plot(years[recent][known], 100 * y[known], "o", color="black", markersize=6, label="known years")
        ax.plot(years[recent][~known], 100 * y[~known], "o", color="white", markeredgecolor="black", markersize=6,
                label="years to be guessed")
        label_axes(ax, "Sunspots as a sum of bumps, read out by least squares", "", "sunspot number")
        ax.legend(fontsize=TICK_SIZE, ncols=5, loc="upper left")
        ax.set_ylim(-25, 245)
        with tgc.no_grad():
            units = (curves[40].activity(tgc.tensor(fine)) * curves[40].linear.weight[0]).numpy()
        below.plot(time, 100 * units, linewidth=1.6)
        label_axes(below, "The 40 bumps, each times its weight", "year", "sunspot number")
        return fig

    def regions() -> Figure:
        from matplotlib.patches import Ellipse

        from tinygrad_course.viz import plot_decision
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(15, 6.8)
        for ax, (name, net) in zip(fig.subplots(1, 2), iris.items(), strict=True):

            def scores(points: np.ndarray, net: RBFNetwork = net) -> np.ndarray:
                return output(net, ((points - mean) / std).astype(np.float32))

            plot_decision(scores, petals, species, axes=(IRIS_FEATURES[PETALS[0]], IRIS_FEATURES[PETALS[1]]),
                          title=f"Iris, 6 centres, {name}: {100 * accuracy(net, flowers, species):.0f} % right",
                          names=IRIS_CLASSES, x_range=(0, 8), y_range=(-0.5, 3.2), ax=ax)
            for centre, width in zip(net.centres.detach().numpy(), net.widths.detach().numpy(), strict=True):
                place, size = mean + std * centre, 2 * std * width
                ax.add_patch(Ellipse(tuple(place), *size, fill=False, edgecolor="black", linewidth=1.8))
                ax.plot(*place, "k+", markersize=10, markeredgewidth=2)
        return fig

    def digits() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(15, 6.6)
        left, right = fig.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.25))[0]
        ax = left.subplots()
        for name, colour, style in (("in two stages", VALIDATION_COLOUR, "s--"), ("end to end", TRAIN_COLOUR, "o-")):
            ax.plot(CENTRES, [100 * share for share in shares[name]], style, color=colour, linewidth=2.4, label=name)
        ax.set_xscale("log")
        ax.set_xticks(CENTRES, [str(k) for k in CENTRES])
        ax.minorticks_off()
        label_axes(ax, "Digits", "number of centres", "right on test images (%)")
        ax.legend(fontsize=TICK_SIZE)
        panels = right.subplots(4, 5)
        for row, (net, name) in enumerate(((first, "k-means"), (last, "trained"))):
            for number, centre in enumerate(net.centres.detach().numpy()):
                plot_matrix(centre.reshape(8, 8), title=f"{name} {number + 1}", numbers=False,
                            cmap="gray_r", limits=(0, 1), ax=panels[2 * row + number // 5, number % 5])
        return fig

    return Outcome(facts, {"curve": curve, "receptive_fields": regions, "digits": digits})


ROW = Row("C5", "Radial basis function network", "sunspots, iris, 8 x 8 digits (shipped)",
          "k-means and least squares do well with many centres; with few, training end to end gains several points", 1.5, run,
          ("models.RBFNetwork", "models.rbf.k_means", "models.rbf.two_stage"))
