"""C9: optimisers on a steep valley and on digits, and schedules of the learning rate.

Along an eigenvector of the Hessian with curvature l, gradient descent multiplies the error by 1 - lr l in every step.  So it
converges for lr < 2 / l_max only, and the best rate 2 / (l_min + l_max) leaves (k - 1) / (k + 1) of the error per step, where
k = l_max / l_min: a steep valley (k large) takes some k steps.  Momentum, with lr = 4 / (sqrt(l_min) + sqrt(l_max))^2 and
mu = ((sqrt(k) - 1) / (sqrt(k) + 1))^2, leaves sqrt(mu): some sqrt(k) steps.  B. Polyak, "Some methods of speeding up the
convergence of iteration methods", USSR Comput. Math. Math. Phys. 4(5), 1-17 (1964).

Nesterov's momentum with lr = 1 / l_max and mu = (sqrt(k) - 1) / (sqrt(k) + 1) leaves 1 - 1 / sqrt(k) per step along the
valley and, after two steps, nothing across it (Y. Nesterov, "Introductory Lectures on Convex Optimization" (2004), section
2.2; L. Lessard, B. Recht, A. Packard, SIAM J. Optim. 26, 57-95 (2016), proposition 1).  It is stable for
lr < 2 (1 + mu) / ((1 + 2 mu) l_max), where -1 is a root of z^2 - (1 + mu) (1 - lr l) z + mu (1 - lr l); plain momentum is
up to 2 (1 + mu) / l_max.

Newton's method does not see k, and is there in one step if the loss is quadratic; its diagonal is, if the valley lies along
an axis.  AdaGrad, RMSProp, AdaDelta and Adam divide the gradient by its own size, number by number: they do not see the scale
of the loss, nor that of each axis, but a valley that lies across the axes is as steep for them as before.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim
from tinygrad_course.course import optimiser_equations as by_hand
from tinygrad_course.course.digit_nets import N_CLASSES, N_PIXELS, Sample, digits, draw, fit, judge, mlp
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, equal, within
from tinygrad_course.models.perceptron import LogisticUnit, SoftmaxUnit
from tinygrad_course.optim import lr_scheduler
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.descent import descend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLAT, STEEP = 1.0, 100.0   # curvatures of the valley
K = STEEP / FLAT
START, VALLEY_START = (-1.2, 1.0), (-2.0, 1.0)
FAR = 1e-6                 # the share of the error at which a descent has arrived
HIDDEN, STEPS, BATCH = 32, 200, 50
Make = Callable[[list[Tensor]], optim.Optimizer]


def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """(1 - x)^2 + 100 (y - x^2)^2: a valley along a parabola, with its minimum at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def rosenbrock_gradient(p: np.ndarray) -> np.ndarray:
    """By hand, (2,)."""
    x, y = p
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def rosenbrock_hessian(p: np.ndarray) -> np.ndarray:
    """By hand, (2, 2)."""
    x, y = p
    return np.array([[2 - 400 * y + 1200 * x * x, -400 * x], [-400 * x, 200.0]])


def straight(x: Tensor, y: Tensor) -> Tensor:
    """A valley along the x axis, with curvatures 1 and 100."""
    return (FLAT * x * x + STEEP * y * y) / 2


def across(x: Tensor, y: Tensor, steep: float = STEEP) -> Tensor:
    """The same valley, turned by 30 degrees."""
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    return (FLAT * (c * x + s * y) ** 2 + steep * (c * y - s * x) ** 2) / 2


BEST_SGD = 2 / (FLAT + STEEP)
HEAVY_RATE, HEAVY_MOMENTUM = 4 / (math.sqrt(FLAT) + math.sqrt(STEEP)) ** 2, ((math.sqrt(K) - 1) / (math.sqrt(K) + 1)) ** 2
NESTEROV_MOMENTUM = (math.sqrt(K) - 1) / (math.sqrt(K) + 1)


def equation_facts() -> list[Fact]:
    """Each optimiser against the equation of its paper, 25 steps on Rosenbrock's function."""
    g, p, n = rosenbrock_gradient, np.array(START), 25
    cases: dict[str, tuple[Make, by_hand.Path]] = {
        "SGD": (lambda w: optim.SGD(w, lr=1e-3), by_hand.sgd(p, g, 1e-3)),
        "momentum": (lambda w: optim.SGD(w, lr=5e-4, momentum=0.9), by_hand.momentum(p, g, 5e-4, 0.9)),
        "Nesterov": (lambda w: optim.SGD(w, lr=5e-4, momentum=0.9, nesterov=True), by_hand.nesterov(p, g, 5e-4, 0.9)),
        "AdaGrad": (lambda w: optim.Adagrad(w, lr=0.1), by_hand.adagrad(p, g, 0.1)),
        "AdaDelta": (lambda w: optim.Adadelta(w), by_hand.adadelta(p, g)),
        "RMSProp": (lambda w: optim.RMSprop(w, lr=0.02), by_hand.rmsprop(p, g, 0.02)),
        "Adam": (lambda w: optim.Adam(w, lr=0.1), by_hand.adam(p, g, 0.1)),
        "AdamW": (lambda w: optim.AdamW(w, lr=0.1, weight_decay=0.3), by_hand.adam(p, g, 0.1, decay=0.3)),
        "Quickprop": (lambda w: optim.Quickprop(w, lr=5e-4), by_hand.quickprop(p, g, 5e-4)),
        "Newton": (lambda w: optim.Newton(w), by_hand.newton(p, g, rosenbrock_hessian)),
        "diagonal Newton": (lambda w: optim.DiagonalNewton(w, lr=0.5, damping=1.0),
                            by_hand.diagonal_newton(p, g, rosenbrock_hessian, 0.5, 1.0)),
    }
    return [within(f"{name}: largest distance from the equation of the paper in {n} steps",
                   float(np.abs(descend(rosenbrock, make, START, n) - by_hand.points(path, n)).max()), high=1e-8)
            for name, (make, path) in cases.items()]


def steps_until(make: Make, function: Callable[[Tensor, Tensor], Tensor] = straight, most: int = 2000) -> int:
    """Steps until the distance from the minimum at (0, 0) is for good below a millionth of that of the start."""
    distance = np.linalg.norm(descend(function, make, VALLEY_START, most), axis=1)
    return int(np.flatnonzero(distance > FAR * distance[0])[-1]) + 1


def first_step(make: Make, scale: float = 1.0) -> np.ndarray:
    """Sizes (2,) of the first step in x and y, with the loss multiplied by `scale`."""
    path = descend(lambda x, y: scale * straight(x, y), make, VALLEY_START, 1)
    return np.abs(path[1] - path[0])


def valley_facts() -> list[Fact]:
    """What theory says about a quadratic valley."""
    factors = []
    for rate in (1.98 / STEEP, 2.02 / STEEP):
        path = descend(straight, functools.partial(optim.SGD, lr=rate), VALLEY_START, 50)
        factors.append(float(np.abs(path[1:, 1] / path[:-1, 1]).mean()))
    edge = descend(straight, lambda w: optim.SGD(w, lr=2 / STEEP), VALLEY_START, 50)
    plain = steps_until(lambda w: optim.SGD(w, lr=BEST_SGD))
    heavy = steps_until(lambda w: optim.SGD(w, lr=HEAVY_RATE, momentum=HEAVY_MOMENTUM))
    ahead = np.abs(descend(straight, lambda w: optim.SGD(w, lr=1 / STEEP, momentum=NESTEROV_MOMENTUM, nesterov=True),
                           VALLEY_START, 400))
    stable = 2 * (1 + 0.9) / ((1 + 2 * 0.9) * STEEP)
    swings = [np.abs(descend(straight, functools.partial(optim.SGD, lr=share * stable, momentum=0.9, nesterov=nesterov),
                             VALLEY_START, 200)[:, 1]) for share, nesterov in ((0.98, True), (1.02, True), (1.02, False))]
    lasting = [float((swing[-50:].max() / swing[-100:-50].max()) ** (1 / 50)) for swing in swings]
    newton = descend(across, lambda w: optim.Newton(w), VALLEY_START, 1)
    along, turned = (descend(f, lambda w: optim.DiagonalNewton(w), VALLEY_START, 1)[1] for f in (straight, across))
    scaled: dict[str, Make] = {
        "AdaGrad": lambda w: optim.Adagrad(w, lr=0.1), "RMSProp": lambda w: optim.RMSprop(w, lr=0.01),
        "Adam": lambda w: optim.Adam(w, lr=0.1), "Newton": lambda w: optim.Newton(w, lr=0.1)}
    moved = max(float(np.abs(descend(lambda x, y: 1000 * across(x, y), make, VALLEY_START, 20)
                             - descend(across, make, VALLEY_START, 20)).max()) for make in scaled.values())
    return [
        within("SGD across the valley, lr = 1.98 / l_max: error per step as a share of the one before", factors[0],
               0.98 - 1e-9, 0.98 + 1e-9),
        within("lr = 2.02 / l_max: it diverges", factors[1], 1.02 - 1e-9, 1.02 + 1e-9),
        within("lr = 2 / l_max: largest change of |y| in 50 steps", float(np.abs(np.abs(edge[:, 1]) - 1).max()), high=1e-9),
        within("SGD at its best rate: steps to a millionth, as a share of ln 10^-6 / ln((k - 1) / (k + 1))",
               plain / (math.log(FAR) / math.log((K - 1) / (K + 1))), 0.98, 1.02),
        within(f"steps of SGD as a multiple of those of momentum, k = {K:g}, sqrt(k) = {math.sqrt(K):g}", plain / heavy,
               6, 12),
        within("Nesterov, lr = 1 / l_max: error along the valley per step as a share of the one before, from step 200 on, "
               f"theory 1 - 1 / sqrt(k) = {1 - 1 / math.sqrt(K):g}", float((ahead[400, 0] / ahead[200, 0]) ** (1 / 200)),
               0.89, 0.91),
        within("and across it after 2 steps, theory 0", float(ahead[2, 1]), high=1e-12),
        within("mu = 0.9, 0.98 of its largest stable rate: the same across the valley", lasting[0], high=0.99),
        within("1.02 of it: it diverges", lasting[1], low=1.01),
        within("momentum at that rate", lasting[2], high=0.99),
        within("Newton: distance from the minimum of a turned valley after 1 step", float(np.linalg.norm(newton[1])),
               high=1e-10),
        within("diagonal Newton: the same of a valley along the axis", float(np.linalg.norm(along)), high=1e-10),
        within("and of the turned one", float(np.linalg.norm(turned)), low=0.5),
        within("Adam: largest |first step| - lr, gradients of 2 and 100",
               float(np.abs(first_step(lambda w: optim.Adam(w, lr=0.1)) - 0.1).max()), high=1e-8),
        within("AdaGrad: the same", float(np.abs(first_step(lambda w: optim.Adagrad(w, lr=0.1)) - 0.1).max()), high=1e-8),
        within("RMSProp: largest |first step| - lr / sqrt(1 - alpha), ten times as long",
               float(np.abs(first_step(lambda w: optim.RMSprop(w, lr=0.01)) - 0.1).max()), high=1e-7),
        within("a loss 1,000 times as large: how far AdaGrad, RMSProp, Adam and Newton go other ways", moved, high=1e-6),
    ]


def logistic_facts(sample: Sample, seed: int) -> list[Fact]:
    """Newton's method on real digits, even against odd: 65 parameters, a Hessian from the engine."""
    tgc.manual_seed(seed)
    x, t = sample.x.double(), (sample.y % 2).double()
    decay, n_steps = 1e-3, 8
    unit = LogisticUnit(N_PIXELS).double()

    def loss() -> Tensor:
        penalty: Tensor = sum((p * p).sum() for p in unit.parameters())
        return LogisticUnit.loss(unit(x), t) + decay / 2 * penalty

    parameters = list(unit.parameters())
    bordered = np.concatenate([x.numpy(), np.ones((len(x), 1))], axis=1)  # (N, 65), the last input is that of the bias

    def at_zero(w: Tensor) -> Tensor:
        return LogisticUnit.loss(tgc.tensor(bordered) @ w, t) + decay / 2 * (w * w).sum()

    w = np.random.default_rng(seed).standard_normal(N_PIXELS + 1)
    y = 1 / (1 + np.exp(-bordered @ w))
    by_formula = bordered.T @ (bordered * (y * (1 - y))[:, None]) / len(x) + decay * np.eye(len(w))
    by_engine = tgc.functional.hessian(at_zero, tgc.tensor(w)).numpy()

    optimizer = optim.Newton(parameters)
    for parameter in parameters:
        parameter.data.zero_()
    sizes = []
    for _ in range(n_steps):
        optimizer.step(loss)
        gradient = [p.grad.numpy().ravel() for p in parameters if p.grad is not None]
        sizes.append(float(np.linalg.norm(np.concatenate(gradient))))
    wrong = float(((unit(x).detach().numpy() > 0) != t.numpy()).mean())
    return [
        within("Hessian of a logistic unit on real digits: largest |engine - X^T diag(y (1 - y)) X / N|",
               float(np.abs(by_engine - by_formula).max()), high=1e-12),
        within("Newton, even against odd digits: size of the gradient after 7 steps", sizes[-1], high=1e-9),
        within("training error then", wrong, high=0.15),
    ]


OPTIMISERS: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda w, lr: optim.SGD(w, lr=lr),
    "momentum": lambda w, lr: optim.SGD(w, lr=lr, momentum=0.9),
    "Nesterov": lambda w, lr: optim.SGD(w, lr=lr, momentum=0.9, nesterov=True),
    "AdaGrad": lambda w, lr: optim.Adagrad(w, lr=lr),
    "AdaDelta": lambda w, lr: optim.Adadelta(w, lr=lr),
    "RMSProp": lambda w, lr: optim.RMSprop(w, lr=lr),
    "Adam": lambda w, lr: optim.Adam(w, lr=lr),
    "AdamW": lambda w, lr: optim.AdamW(w, lr=lr),
}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def learn(name: str, rate: float, sample: Sample, steps: int, seed: int) -> tuple[list[float], float]:
    """64-32-10 on digits, from the same weights and in the same order: loss of each step, and of the whole sample after."""
    tgc.manual_seed(seed)
    net = mlp(N_PIXELS, HIDDEN, N_CLASSES)
    optimizer = OPTIMISERS[name](net.parameters(), rate)
    losses = fit(net, sample, optimizer, steps, np.random.default_rng([seed, 1]), batch=BATCH)
    return losses, judge(net, sample)[0]


SCHEDULE_RATE = 0.3
SCHEDULE_STEPS = 400


def schedules(steps: int) -> dict[str, Callable[[optim.Optimizer], lr_scheduler.LRScheduler]]:
    """The rate against the step: constant, halved in steps, cosine, with a warm-up, and one cycle."""
    warm = max(1, steps // 10)
    return {
        "constant": lambda o: lr_scheduler.ConstantLR(o, factor=1.0),
        "step": lambda o: lr_scheduler.StepLR(o, max(1, steps // 5), gamma=0.5),
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, steps),
        "warm-up, cosine": lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, total_iters=warm), lr_scheduler.CosineAnnealingLR(o, max(1, steps - warm))],
            [warm]),
        "one cycle": lambda o: lr_scheduler.OneCycleLR(o, SCHEDULE_RATE, total_steps=steps + 1),
    }


def anneal(name: str, sample: Sample, steps: int, seed: int) -> tuple[list[float], list[float], float]:
    """A softmax unit by SGD with momentum and a schedule: loss and rate of each step, loss of the whole sample after.

    With a fifth of the labels false no weights fit all digits, so that the gradients of small batches differ at the minimum
    too: with a constant rate the weights keep dancing around it.
    """
    tgc.manual_seed(seed)
    unit = SoftmaxUnit(N_PIXELS, N_CLASSES)
    optimizer = optim.SGD(unit.parameters(), lr=SCHEDULE_RATE, momentum=0.9)
    scheduler = schedules(steps)[name](optimizer)
    rates: list[float] = []

    def after(step: int) -> None:
        rates.append(float(scheduler.get_last_lr()[0]))  # that of the step which is done
        scheduler.step()

    losses = fit(unit, sample, optimizer, steps, np.random.default_rng([seed, 1]), batch=20, after=after)
    return losses, rates, judge(unit, sample)[0]


def schedule_facts(runs: dict[str, tuple[list[float], list[float], float]], steps: int) -> list[Fact]:
    """The rates are those of the formulas, and a rate that falls ends lower."""
    t = np.arange(steps)
    formulas = {"step": SCHEDULE_RATE * 0.5 ** (t // max(1, steps // 5)),
                "cosine": SCHEDULE_RATE * (1 + np.cos(np.pi * t / steps)) / 2}
    warm = max(1, steps // 10)
    facts = [within(f"schedule {name!r}: largest difference from its formula", float(np.abs(runs[name][1] - formula).max()),
                    high=1e-9) for name, formula in formulas.items()]
    facts += [
        within("warm-up: first rate as a share of the highest", runs["warm-up, cosine"][1][0] / SCHEDULE_RATE, 0.1 - 1e-9,
               0.1 + 1e-9),
        equal("step of the highest rate, warm-up and one cycle",
              [int(np.argmax(runs[name][1])) for name in ("warm-up, cosine", "one cycle")],
              [warm, round(0.3 * (steps + 1)) - 1]),
    ]
    return facts + [within(f"loss in the end, constant rate minus {name!r}", runs["constant"][2] - runs[name][2], low=0.08)
                    for name in runs if name != "constant"]


def run(settings: Settings) -> Outcome:
    """Equations, the valley, Newton on a logistic unit, then eight optimisers at eight rates on digits, and schedules."""
    steps = settings.steps or STEPS
    rng = np.random.default_rng(settings.seed)
    sample, = draw([1000], rng)
    losses: dict[str, dict[float, list[float]]] = {}
    last: dict[str, dict[float, float]] = {}
    for name in OPTIMISERS:
        runs = {rate: learn(name, rate, sample, steps, settings.seed) for rate in RATES}
        losses[name] = {rate: curve for rate, (curve, _) in runs.items()}
        last[name] = {rate: end for rate, (_, end) in runs.items()}
        settings.say(f"{name}: loss {min(last[name].values()):.3f} at the best of {len(RATES)} rates after {steps} steps")
    best = {name: min(values.values()) for name, values in last.items()}
    anneal_steps = settings.steps or SCHEDULE_STEPS
    false, = draw([1000], rng, wrong=0.2)
    annealed = {name: anneal(name, false, anneal_steps, settings.seed) for name in schedules(anneal_steps)}
    facts = [
        *equation_facts(), *valley_facts(), *logistic_facts(digits(), settings.seed),
        within(f"64-32-10 on digits: largest loss after {STEPS} steps, each optimiser at its best of {len(RATES)} rates",
               max(best.values()), high=0.2),
        within("Adam: the same as a share of that of SGD", best["Adam"] / best["SGD"], high=0.7),
        within("lr = 0.01: loss with Adam as a share of that with SGD", last["Adam"][0.01] / last["SGD"][0.01], high=0.1),
        within("momentum 0.9 goes on for 1 / (1 - 0.9) = 10 steps: its loss at lr = 0.01 as a share of that of SGD at 0.1",
               last["momentum"][0.01] / last["SGD"][0.1], 0.8, 1.4),
        within("AdaDelta with lr = 1, as published, as a share of the loss in the beginning",
               last["AdaDelta"][1.0] / math.log(N_CLASSES), high=0.3),
        *schedule_facts(annealed, anneal_steps),
    ]
    return Outcome(facts, {"paths": plot_paths, "steep_valley": plot_valley,
                           "digits": lambda: plot_digits(losses, last), "schedules": lambda: plot_schedules(annealed)})


PATHS: dict[str, tuple[dict[str, Make], dict[str, Make]]] = {  # each on the valley and on Rosenbrock's function
    "Momentum": (
        {"SGD": lambda w: optim.SGD(w, lr=0.09), "momentum": lambda w: optim.SGD(w, lr=0.05, momentum=0.7),
         "Nesterov": lambda w: optim.SGD(w, lr=0.05, momentum=0.7, nesterov=True)},
        {"SGD": lambda w: optim.SGD(w, lr=1.5e-3), "momentum": lambda w: optim.SGD(w, lr=1e-3, momentum=0.9),
         "Nesterov": lambda w: optim.SGD(w, lr=1e-3, momentum=0.9, nesterov=True)}),
    "A rate for each number": (
        {"AdaGrad": lambda w: optim.Adagrad(w, lr=0.5), "AdaDelta": lambda w: optim.Adadelta(w, lr=40),
         "RMSProp": lambda w: optim.RMSprop(w, lr=0.05, alpha=0.9), "Adam": lambda w: optim.Adam(w, lr=0.2)},
        {"AdaGrad": lambda w: optim.Adagrad(w, lr=0.4), "AdaDelta": lambda w: optim.Adadelta(w, lr=10),
         "RMSProp": lambda w: optim.RMSprop(w, lr=0.02, alpha=0.9), "Adam": lambda w: optim.Adam(w, lr=0.2)}),
    "Curvature": (
        {"Newton": lambda w: optim.Newton(w), "diagonal Newton": lambda w: optim.DiagonalNewton(w, lr=0.5),
         "Quickprop": lambda w: optim.Quickprop(w, lr=0.03)},
        {"Newton": lambda w: optim.Newton(w, line_search_fn="strong_wolfe"),
         "diagonal Newton": lambda w: optim.DiagonalNewton(w, line_search_fn="strong_wolfe"),
         "Quickprop": lambda w: optim.Quickprop(w, lr=5e-4)}),
}


def plot_paths() -> Figure:
    """Paths of ten optimisers over a quadratic valley that lies across the axes, and over Rosenbrock's function."""
    from tinygrad_course.viz import optimiser_paths
    from tinygrad_course.viz.figure import new_figure

    fig = new_figure(21, 13)
    upper, lower = fig.subplots(2, 3)
    for column, (title, (valley, curved)) in enumerate(PATHS.items()):
        optimiser_paths(lambda x, y: across(x, y, steep=20.0), valley, VALLEY_START, 40, x_range=(-2.4, 1.6),
                        y_range=(-1.3, 1.9), minimum=(0, 0), title=f"{title}: curvatures 1 and 20",
                        ax=upper[column])
        optimiser_paths(rosenbrock, curved, START, 200, x_range=(-1.7, 1.7), y_range=(-0.8, 2.4), minimum=(1, 1),
                        title=f"{title}: Rosenbrock's function", ax=lower[column])
    return fig


def plot_valley() -> Figure:
    """Distance from the minimum against the steps: below, at and above the largest stable rate, momentum, Newton."""
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    ax = new_figure(10, 6.2).subplots()
    cases: dict[str, tuple[Make, str, str]] = {
        "SGD, lr = 2.02 / $l_{max}$": (lambda w: optim.SGD(w, lr=2.02 / STEEP), "#D55E00", "-"),
        "SGD, lr = 2 / $l_{max}$": (lambda w: optim.SGD(w, lr=2 / STEEP), "#E69F00", "--"),
        "SGD, best, lr = 2 / ($l_{min} + l_{max}$)": (lambda w: optim.SGD(w, lr=BEST_SGD), "#0072B2", "-"),
        "momentum, best": (lambda w: optim.SGD(w, lr=HEAVY_RATE, momentum=HEAVY_MOMENTUM), "#009E73", "-"),
        "Newton": (lambda w: optim.Newton(w), "black", ":"),
    }
    for name, (make, colour, style) in cases.items():
        path = descend(straight, make, VALLEY_START, 300)
        distance = np.maximum(np.linalg.norm(path, axis=1), 1e-8)
        ax.plot(distance, style, color=colour, linewidth=2.5, label=name)
    ax.set_yscale("log")
    label_axes(ax, "A quadratic valley, $l_{min}$ = 1, $l_{max}$ = 100", "step",
               "distance from the minimum (cut at $10^{-8}$)")
    ax.set_ylim(3e-9, 1e7)
    ax.legend(fontsize=TICK_SIZE, loc="upper right", ncols=2)
    return ax.figure  # type: ignore[return-value]


def plot_digits(losses: dict[str, dict[float, list[float]]], last: dict[str, dict[float, float]]) -> Figure:
    """Loss against the steps, each optimiser at its best rate; loss in the end against the rate."""
    from tinygrad_course.course.classifier import smooth
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    fig = new_figure(16, 6.4)
    left, right = fig.subplots(1, 2)
    colours = ("#000000", "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#5A5A5A")
    for (name, values), colour in zip(last.items(), colours, strict=True):
        style = "--" if name in ("Nesterov", "AdamW") else "-"
        rate = min(values, key=values.__getitem__)
        curve = smooth(losses[name][rate], 20)
        left.plot(np.arange(1, len(curve) + 1), curve, style, color=colour, linewidth=2.3, label=f"{name}, lr = {rate:g}")
        right.plot(list(values), list(values.values()), style, marker="o", color=colour, linewidth=2.3, label=name)
    label_axes(left, "Each at its best rate", "training step", "cross-entropy (nats), mean of 20 steps")
    label_axes(right, f"After {len(losses['SGD'][RATES[0]])} steps", "learning rate", "cross-entropy of all digits (nats)")
    left.set_yscale("log")
    left.legend(fontsize=TICK_SIZE)
    right.set_xscale("log")
    right.set_yscale("log")
    return fig


def plot_schedules(runs: dict[str, tuple[list[float], list[float], float]]) -> Figure:
    """The rate against the step, and the loss."""
    from tinygrad_course.course.classifier import smooth
    from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

    fig = new_figure(15, 5.8)
    left, right = fig.subplots(1, 2)
    colours = ("#000000", "#0072B2", "#009E73", "#CC79A7", "#D55E00")
    for (name, (losses, rates, end)), colour in zip(runs.items(), colours, strict=True):
        left.plot(rates, color=colour, linewidth=2.5, label=name)
        right.plot(np.arange(1, len(losses) + 1), smooth(losses, 50), color=colour, linewidth=2.5, label=f"{name}: {end:.3f}")
    label_axes(left, "Schedules of the learning rate", "training step", "learning rate")
    label_axes(right, "A softmax unit, a fifth of the labels false", "training step",
               "cross-entropy (nats), mean of 50 steps")
    left.set_ylim(top=0.4)
    left.legend(fontsize=TICK_SIZE, loc="upper right", ncols=3)
    right.legend(fontsize=TICK_SIZE, title="of all digits in the end", title_fontsize=TICK_SIZE)
    return fig


ROW = Row("C9", "Optimisers and schedules", "quadratic and Rosenbrock valleys; 8 x 8 digits (shipped)",
          "SGD diverges above 2 / l_max, momentum takes sqrt(k) in place of k steps, Newton one; Adam forgives the rate", 2.0,
          run, ("viz.optimiser_paths", "optim.SGD", "optim.Adagrad", "optim.Adadelta", "optim.RMSprop", "optim.Adam",
                "optim.AdamW", "optim.Quickprop", "optim.Newton", "optim.DiagonalNewton", "optim.lr_scheduler.OneCycleLR"))
