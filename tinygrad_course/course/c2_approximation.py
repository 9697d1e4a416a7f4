"""C2: one hidden layer approximates any continuous function on a bounded range, if it is wide enough.

The theorem (Cybenko 1989, Hornik 1991) says that the weights exist, not how many units it takes nor that training finds them.
Existence is seen by construction: two steep sigmoids make a bump, bumps side by side make stairs along the curve, and their
error halves when there are twice as many.  Training does far better with far fewer units, as it may place slopes instead of
stairs.  What cannot be had: a net with one hidden unit is monotone, so a wave keeps the error of the best monotone curve;
and no continuous function follows a jump, whatever the width.

G. Cybenko, "Approximation by superpositions of a sigmoidal function", Mathematics of Control, Signals and Systems 2,
303-314 (1989); K. Hornik, "Approximation capabilities of multilayer feedforward networks", Neural Networks 4, 251-257
(1991); M. Nielsen, "Neural networks and deep learning" (2015), chapter 4, for the bumps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, within
from tinygrad_course.models.approximation import best_monotone, bump_network
from tinygrad_course.models.mlp import MLP
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE = 0.2  # standard deviation of what is added to the third curve
WIDTHS, BUMPS = (1, 2, 4, 8, 16, 32), (5, 10, 20, 40, 80)
STEPS, RATE, STARTS = 1500, 0.03, 2
STEEPER = 5.0  # the first weights, times PyTorch's: slopes all over [-1, 1]


def sine(x: np.ndarray) -> np.ndarray:
    """Two periods of sin 2 pi x; at most 2 pi steep."""
    return np.sin(2 * np.pi * x)


def step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 from there on."""
    return (x >= 0).astype(x.dtype)


def curve(x: np.ndarray) -> np.ndarray:
    """A wave that dies out on a slope."""
    return x + 0.5 * np.exp(-x) * np.sin(2 * np.pi * x)


TARGETS = {"sin 2$\\pi$x": sine, "a step": step, "a noisy curve": curve}


def outputs(net: MLP, x: np.ndarray) -> np.ndarray:
    """y (N,) at x (N,)."""
    with tgc.no_grad():
        return net(tgc.tensor(x[:, None].astype(net.linears[0].weight.detach().numpy().dtype))).numpy()[:, 0]


def rms(difference: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(difference))))


def fit(width: int, x: np.ndarray, y: np.ndarray, steps: int) -> tuple[float, MLP]:
    """One hidden layer of tanh by Adam, all points at once; of some starts the one with the least training error (RMS)."""
    inputs, targets = (tgc.tensor(values[:, None].astype(np.float32)) for values in (x, y))
    found = []
    for _ in range(STARTS):
        net = MLP(1, [width, 1], activation_layer=nn.Tanh)
        with tgc.no_grad():
            for parameter in net.linears[0].parameters():
                parameter.mul_(STEEPER)
        optimizer = optim.Adam(net.parameters(), lr=RATE)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            loss = F.mse_loss(net(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        found.append((rms(outputs(net, x) - y), net))
    return min(found, key=lambda pair: pair[0])


def run(settings: Settings) -> Outcome:
    """Bumps by hand, and three curves learned by networks of 1 to 32 hidden units."""
    tgc.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    x, fine = np.linspace(-1, 1, 200), np.linspace(-1, 1, 5001)

    stairs = {bumps: bump_network(sine, bumps, -1, 1, steepness=1000) for bumps in BUMPS}
    far = {bumps: float(np.abs(outputs(net, fine) - sine(fine)).max()) for bumps, net in stairs.items()}
    mean = {bumps: rms(outputs(net, fine) - sine(fine)) for bumps, net in stairs.items()}
    facts = [within(f"{bumps} bumps by hand, sine: largest error as a share of the bound L D / 2 = {2 * np.pi / bumps:.3f}",
                    far[bumps] / (2 * np.pi / bumps), 0.5, 1.01) for bumps in BUMPS]
    facts.append(within("twice as many bumps: RMS error as a share, 20 to 40 and 40 to 80, the mean",
                        (mean[40] / mean[20] + mean[80] / mean[40]) / 2, 0.48, 0.52))

    noisy = curve(x) + NOISE * rng.standard_normal(len(x))
    samples = {name: noisy if f is curve else f(x) for name, f in TARGETS.items()}
    nets, errors = {}, {}
    for name, f in TARGETS.items():
        for width in WIDTHS:
            _, nets[name, width] = fit(width, x, samples[name], settings.steps or STEPS)
            errors[name, width] = rms(outputs(nets[name, width], fine) - f(fine))
        settings.say(f"{name}: RMS error {errors[name, 1]:.3f} with 1 hidden unit, {errors[name, 32]:.4f} with 32")
    wave, jump, rough = TARGETS
    monotone = {name: rms(best_monotone(f(x)) - f(x)) for name, f in TARGETS.items()}
    alone = rms(outputs(nets[wave, 1], x) - sine(x))
    facts += [
        within("sine, 1 hidden unit: RMS error less that of the best monotone curve", alone - monotone[wave], low=0),
        within("sine, 1 hidden unit: RMS error", errors[wave, 1], low=0.5),
        within("sine, 4 hidden units: the same", errors[wave, 4], high=0.3),
        within("sine, 8 hidden units: the same", errors[wave, 8], high=0.08),
        within("sine, 32 hidden units: the same", errors[wave, 32], high=0.02),
        within("sine, 8 hidden units learned: RMS error as a share of that of 8 units by hand, 4 bumps",
               errors[wave, 8] / rms(outputs(bump_network(sine, 4, -1, 1), fine) - sine(fine)), high=0.2),
        within("step, 1 hidden unit: RMS error", errors[jump, 1], high=0.2),
        within("step, 32 hidden units: largest error, at the jump", float(np.abs(outputs(nets[jump, 32], fine)
                                                                              - step(fine)).max()), low=0.4),
        within("step, 32 hidden units: RMS error away from the jump, |x| > 0.1",
               rms((outputs(nets[jump, 32], fine) - step(fine))[np.abs(fine) > 0.1]), high=0.03),
        within("noisy curve, 1 hidden unit: RMS distance from the curve without noise", errors[rough, 1], low=0.25),
        within("noisy curve, 8 hidden units: the same", errors[rough, 8], high=0.1),
        within("noisy curve, 8 hidden units: RMS distance from the points they learned, as a share of the noise",
               rms(outputs(nets[rough, 8], x) - noisy) / rms(noisy - curve(x)), 0.9, 1.05),
    ]

    def bumps() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

        fig = new_figure(20, 6)
        left, middle, right = fig.subplots(1, 3)
        for steepness, colour, style in zip((3, 10, 100), CLASS_COLOURS, (":", "--", "-"), strict=False):
            up, down = (1 / (1 + np.exp(-np.clip(steepness * (fine - s) / 0.8, -500, 500))) for s in (-0.4, 0.4))
            left.plot(fine, 0.8 * up - 0.8 * down, style, color=colour, linewidth=3, label=f"k D = {steepness}")
        label_axes(left, "Step up at -0.4, step down at 0.4: a bump", "x", "output y")
        for count, colour in ((5, CLASS_COLOURS[1]), (20, CLASS_COLOURS[0])):
            middle.plot(fine, outputs(stairs[count], fine), color=colour, linewidth=2.5, label=f"{count} bumps")
        middle.plot(fine, sine(fine), color="black", linewidth=1.8, linestyle="--", label="sin 2$\\pi$x")
        label_axes(middle, "Bumps side by side, weights by hand", "x", "output y")
        right.loglog(BUMPS, [far[count] for count in BUMPS], "o-", color=CLASS_COLOURS[1], linewidth=2.5, label="largest")
        right.loglog(BUMPS, [mean[count] for count in BUMPS], "s-", color=CLASS_COLOURS[0], linewidth=2.5, label="RMS")
        right.loglog(BUMPS, 2 * np.pi / np.array(BUMPS), color=GREY, linestyle=":", linewidth=2.5, label="bound L D / 2")
        right.set_xticks(BUMPS, map(str, BUMPS))
        right.minorticks_off()
        label_axes(right, "Twice the bumps, half the error", "number of bumps", "error of y")
        for ax in (left, middle, right):
            ax.legend(fontsize=TICK_SIZE)
            ax.grid(alpha=0.3)
        return fig

    def fits() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

        fig = new_figure(20, 6)
        for ax, (name, f) in zip(fig.subplots(1, 3), TARGETS.items(), strict=True):
            if f is curve:
                ax.plot(x, noisy, ".", color=GREY, markersize=6, label="learned from")
            ax.plot(fine, f(fine), color="black", linewidth=5, alpha=0.3, label="target")
            for width, number, style in ((1, 1, ":"), (4, 2, "--"), (16, 0, "-")):
                colour = CLASS_COLOURS[number]
                ax.plot(fine, outputs(nets[name, width], fine), style, color=colour, linewidth=2.8, label=f"{width} hidden")
            label_axes(ax, f"One hidden layer learns {name}", "x", "output y")
            ax.legend(fontsize=TICK_SIZE)
        return fig

    def widths() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS, CLASS_MARKERS
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(9.5, 6.6)
        ax = fig.subplots()
        for name, colour, marker in zip(TARGETS, CLASS_COLOURS, CLASS_MARKERS, strict=False):
            ax.loglog(WIDTHS, [errors[name, width] for width in WIDTHS], color=colour, marker=marker, markersize=9,
                      linewidth=2.8, label=name)
        ax.axhline(monotone[wave], color=CLASS_COLOURS[0], linestyle=":", linewidth=2.2, label="best monotone curve for sin")
        ax.set_xticks(WIDTHS, map(str, WIDTHS))
        ax.minorticks_off()
        label_axes(ax, "Error against hidden width", "hidden units", "RMS error of y, without noise")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"bumps": bumps, "fits": fits, "error_against_width": widths})


ROW = Row("C2", "Universal approximation", "points of a sine, a step and a noisy curve",
          "one hidden layer comes as near as wanted with enough units; one unit stays monotone, no width follows a jump",
          4.0, run, ("models.MLP", "models.approximation.bump_network"))
