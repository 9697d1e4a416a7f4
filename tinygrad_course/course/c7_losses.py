"""C7: losses: what each one assumes, what its gradient at the output is, and how to make rare positives count.

A loss is a negative log-likelihood in disguise.  Half the squared error over sigma^2 is that of a Gaussian around the output,
binary cross-entropy that of a coin with P(1) = y, categorical cross-entropy that of a die with the sides y_k; so they differ
in what the output is taken for, and in the gradient that starts backpropagation:

    MSE  1/n sum (y - t)^2                            2 (y - t) / n
    SSE  sum (y - t)^2                                2 (y - t)
    BCE  -1/n sum (t log y + (1 - t) log(1 - y))      (y - t) / (n y (1 - y))
    CE   -1/N sum_i sum_k t_ik log y_ik               -t / (N y);  with softmax, at its input: (y - t) / N
    weighted MSE  1/n sum w (y - t)^2                 2 w (y - t) / n,  w = r for positives, 1 for negatives

Where a share p of the targets at some input is positive, the weighted error is least at y = r p / (r p + 1 - p).  It passes
1/2 where p = 1 / (1 + r): a ratio r over 1 makes the net say yes on less evidence, which raises the sensitivity and lowers
the specificity.  A net that can give these outputs, trained to the minimum, so answers as one of r = 1 does with the
threshold 1 / (1 + r).  With r = n_negative / n_positive, both kinds weigh the same, and the balanced accuracy is about the
best.

C. Bishop, "Neural Networks for Pattern Recognition" (1995), chapter 6, for losses as likelihoods; C. Elkan, "The foundations
of cost-sensitive learning", IJCAI 2001, theorem 1, for the shifted threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, within
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.nn import functional as F
from tinygrad_course.train import SensitivityWeightedMSE, class_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATIOS = (0.1, 0.3, 1.0, 3.0, 9.0, 30.0, 100.0)
BALANCED = 9.0  # negatives for each positive: nine other digits
STEPS, RATE = 1500, 0.05  # the threshold shifts as computed only near the minimum: after 300 steps r = 1 is not there


def gradients(rng: np.random.Generator) -> list[Fact]:
    """The table, against autograd."""
    n, k, ratio = 40, 5, 7.0
    y = tgc.tensor(rng.uniform(0.02, 0.98, (n, k)), requires_grad=True)
    t = (rng.random((n, k)) < 0.3).astype(float)
    targets, values = tgc.tensor(t), y.detach().numpy()
    scores = tgc.tensor(rng.standard_normal((n, k)), requires_grad=True)
    classes = rng.integers(0, k, n)
    shares = scores.detach().softmax(-1).numpy()
    hot = np.eye(k)[classes]
    weights = np.where(t == 1, ratio, 1.0)
    table = [
        ("MSE", F.mse_loss(y, targets), y, 2 * (values - t) / (n * k)),
        ("SSE", F.mse_loss(y, targets, reduction="sum"), y, 2 * (values - t)),
        ("binary cross-entropy", F.binary_cross_entropy(y, targets), y, (values - t) / (n * k * values * (1 - values))),
        ("log-likelihood of the right class", F.nll_loss(y.log(), tgc.tensor(classes)), y, -hot / (n * values)),
        ("categorical cross-entropy, before the softmax", F.cross_entropy(scores, tgc.tensor(classes)), scores,
         (shares - hot) / n),
        ("sensitivity-weighted MSE", SensitivityWeightedMSE(ratio)(y, targets), y, 2 * weights * (values - t) / (n * k)),
    ]
    facts = []
    for name, loss, at, formula in table:
        found, = tgc.autograd.grad(loss, (at,))
        facts.append(within(f"{name}: largest difference of dE/dy from the formula, as a share of the largest gradient",
                            float(np.abs(found.numpy() - formula).max() / np.abs(formula).max()), high=1e-12))
    return facts


def likelihoods(rng: np.random.Generator) -> list[Fact]:
    """Losses as negative log-likelihoods, the probabilities multiplied out."""
    n, sigma = 60, 0.7
    y, t = rng.uniform(0.05, 0.95, n), (rng.random(n) < 0.3).astype(float)
    coin = -np.log(np.prod(np.where(t == 1, y, 1 - y)))
    cross = F.binary_cross_entropy(tgc.tensor(y), tgc.tensor(t), reduction="sum").item()
    scores, classes = rng.standard_normal((n, 4)), rng.integers(0, 4, n)
    sides = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    die = -np.log(np.prod(sides[np.arange(n), classes]))
    categorical = F.cross_entropy(tgc.tensor(scores), tgc.tensor(classes), reduction="sum").item()
    mean, seen = rng.standard_normal(n), rng.standard_normal(n)
    bells = np.exp(-((seen - mean) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    squared = F.mse_loss(tgc.tensor(mean), tgc.tensor(seen), reduction="sum").item()
    constant = n * np.log(sigma * np.sqrt(2 * np.pi))
    return [
        within("binary cross-entropy less -log of the product of the coins' probabilities", cross - coin, -1e-9, 1e-9),
        within("categorical cross-entropy less -log of the product of the dice's", categorical - die, -1e-9, 1e-9),
        within("SSE / (2 sigma^2) + n log(sigma sqrt(2 pi)) less -log of the product of the Gaussians'",
               float(squared / (2 * sigma**2) + constant + np.log(bells).sum()), -1e-9, 1e-9),
    ]


def least_at(share: float, ratio: float, steps: int) -> float:
    """The constant output that training with the weighted error finds, where a share of the targets is 1."""
    t = tgc.tensor((np.arange(1000) < 1000 * share).astype(float))
    y = tgc.tensor([0.5], dtype=tgc.float64, requires_grad=True)
    optimizer = optim.SGD([y], lr=0.2 / (ratio * share + 1 - share))  # 0.4 of the way at each step, whatever the weights
    loss = SensitivityWeightedMSE(ratio)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(y.expand(1000), t).backward()
        optimizer.step()
    return y.item()


def coarse_digits(split: str) -> tuple[tgc.Tensor, np.ndarray]:
    """Digits of 4 x 4 pixels, each the mean of four, (N, 16); and one target per digit, 1 for what it is, (N, 10)."""
    images, labels = load_digits(split)
    x = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / DIGIT_WHITE
    return tgc.tensor(x.astype(np.float32)), np.eye(10, dtype=np.float32)[labels]


def detectors(ratio: float, x: tgc.Tensor, t: np.ndarray, steps: int, seed: int) -> nn.Sequential:
    """Ten sigmoid units, each of which tells one digit from the rest, trained together."""
    tgc.manual_seed(seed)
    net, loss_of, targets = nn.Sequential(nn.Linear(16, 10), nn.Sigmoid()), SensitivityWeightedMSE(ratio), tgc.tensor(t)
    optimizer = optim.Adam(net.parameters(), lr=RATE)
    for _ in range(steps):
        loss = loss_of(net(x), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def rates(said: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    """Sensitivity, the share of the positives that are found, and specificity, the share of the negatives that are let go."""
    return float(said[t == 1].mean()), float(1 - said[t == 0].mean())


def run(settings: Settings) -> Outcome:
    """Gradients, likelihoods, and one digit against the rest with seven ratios."""
    rng = np.random.default_rng(settings.seed)
    facts = gradients(rng) + likelihoods(rng)
    steps = settings.steps or STEPS
    for share, ratio in ((0.1, 1.0), (0.1, 9.0), (0.02, 20.0)):
        facts.append(within(f"share {share:g} of positives, r = {ratio:g}: the best constant output less r p / (r p + 1 - p)",
                            least_at(share, ratio, steps) - ratio * share / (ratio * share + 1 - share), -1e-9, 1e-9))
    labels = load_digits("train")[1]
    balance = class_weights((labels == 8).astype(np.int64)).numpy()
    facts.append(within("class_weights of eights against the rest: their ratio less n_negative / n_positive",
                        float(balance[1] / balance[0] - (labels != 8).sum() / (labels == 8).sum()), -1e-5, 1e-5))

    (x, t), (x_test, t_test) = coarse_digits("train"), coarse_digits("test")
    outputs = {}
    for ratio in RATIOS:
        net = detectors(ratio, x, t, steps, settings.seed)
        with tgc.no_grad():
            outputs[ratio] = net(x_test).numpy()
    found = np.array([rates(outputs[ratio] > 0.5, t_test) for ratio in RATIOS])  # (ratios, 2)
    sensitivity, specificity = found.T
    balanced = found.mean(axis=1)
    for ratio, (yes, no) in zip(RATIOS, found, strict=True):
        settings.say(f"r = {ratio:g}: sensitivity {yes:.3f}, specificity {no:.3f}, balanced {(yes + no) / 2:.3f}")
    fair, plain = RATIOS.index(BALANCED), RATIOS.index(1.0)
    shifted = outputs[1.0] > 1 / (1 + BALANCED)
    facts += [
        within("one digit against the rest: sensitivity with r = 1", sensitivity[plain], 0.3, 0.85),
        within("with r = 9", sensitivity[fair], low=0.88),
        within("with r = 100", sensitivity[-1], low=0.95),
        within("least change of the sensitivity from one r to the next larger one", float(np.diff(sensitivity).min()),
               low=-0.01),
        within("largest change of the specificity", float(np.diff(specificity).max()), high=0.01),
        within("specificity with r = 1", specificity[plain], low=0.97),
        within("with r = 100", specificity[-1], high=0.9),
        within("balanced accuracy with r = 9, n_negative / n_positive, less the best of all r",
               balanced[fair] - balanced.max(), low=-0.02),
        within("less that with r = 1", balanced[fair] - balanced[plain], low=0.03),
        within("share of equal answers: r = 9 at 1/2, r = 1 at 1 / (1 + 9)", float((shifted == (outputs[9.0] > 0.5)).mean()),
               low=0.92),
    ]

    def shapes() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(15, 6.2)
        left, right = fig.subplots(1, 2)
        grid = np.linspace(0.005, 0.995, 400)
        lines = (("squared error", (1 - grid) ** 2, 2 * (grid - 1), "-"), ("cross-entropy", -np.log(grid), -1 / grid, "--"),
                 ("squared error, weight 3", 3 * (1 - grid) ** 2, 6 * (grid - 1), ":"))
        for (name, loss, slope, style), colour in zip(lines, CLASS_COLOURS, strict=False):
            left.plot(grid, loss, style, color=colour, linewidth=3, label=name)
            right.plot(grid, slope, style, color=colour, linewidth=3, label=name)
        label_axes(left, "Loss of an output y that should be 1", "output y", "loss E")
        label_axes(right, "Where backpropagation starts", "output y", "gradient dE/dy")
        left.set_ylim(0, 5)
        right.set_ylim(-12, 0.5)
        left.legend(fontsize=TICK_SIZE, loc="upper right")
        right.legend(fontsize=TICK_SIZE, loc="lower right")
        return fig

    def ratio_figure() -> Figure:
        from tinygrad_course.viz.decision import CLASS_COLOURS
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, label_axes, new_figure

        fig = new_figure(15, 6.8)
        left, right = fig.subplots(1, 2)
        for values, name, style, colour in ((sensitivity, "sensitivity", "o-", CLASS_COLOURS[0]),
                                            (specificity, "specificity", "s--", CLASS_COLOURS[1]),
                                            (balanced, "balanced accuracy", "^:", CLASS_COLOURS[2])):
            left.semilogx(RATIOS, 100 * values, style, color=colour, linewidth=2.8, markersize=9, label=name)
        left.axvline(BALANCED, color=GREY, linewidth=2, linestyle="-.", label="negatives per positive")
        left.set_xticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
        left.minorticks_off()
        label_axes(left, "One digit against the rest, 4 x 4 pixels", "ratio r", "test digits (%)")
        left.legend(fontsize=TICK_SIZE, loc="lower right", framealpha=0.95)
        curve = np.array([rates(outputs[1.0] > threshold, t_test) for threshold in np.linspace(0, 1, 201)])
        right.plot(100 * (1 - curve[:, 1]), 100 * curve[:, 0], color=GREY, linewidth=2.5, label="r = 1, all thresholds")
        right.plot(100 * (1 - specificity), 100 * sensitivity, "o", color=CLASS_COLOURS[0], markersize=11,
                   label="threshold 1/2, r as written")
        for ratio, one, other in zip(RATIOS, 100 * (1 - specificity), 100 * sensitivity, strict=True):
            right.annotate(f"{ratio:g}", (one, other), xytext=(9, -16), textcoords="offset points", fontsize=TICK_SIZE)
        right.plot([0, 100], [0, 100], color=GREY, linestyle=":", linewidth=1.5, label="guessing")
        label_axes(right, "The ratio moves along the ROC curve", "false positives (%) = 100 - specificity", "sensitivity (%)")
        right.legend(fontsize=TICK_SIZE, loc="lower right")
        return fig

    return Outcome(facts, {"losses": shapes, "sensitivity_and_ratio": ratio_figure})


ROW = Row("C7", "Losses and rare positives", "numbers; 8 x 8 digits (shipped) at 4 x 4 pixels, one against the rest",
          "losses are negative log-likelihoods; a larger ratio raises sensitivity and lowers specificity", 3.0, run,
          ("train.SensitivityWeightedMSE", "train.class_weights", "nn.MSELoss", "nn.CrossEntropyLoss", "nn.BCELoss"))
