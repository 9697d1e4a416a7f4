"""C11: how good is a model on data that it has not seen, and which of several is the best?

    hold-out        train on one part, judge by the rest: simple, and the answer hangs on which part it was
    k-fold          k parts, each judged by a model trained on the others: every sample is used for both.  The parts may
                    differ in size, so the errors e_f of n_f samples are weighted:  e = sum n_f e_f / sum n_f
    leave-one-out   k = n.  A model that is linear in its targets, y_hat = H y, needs no n trainings:
                    the error on sample i, left out, is (y_i - y_hat_i) / (1 - H_ii), with H = X (X^T X)^-1 X^T

The same estimates choose hyper-parameters.  Where only one of them matters, a grid of m x m trials looks at m values of it,
and m x m random trials at m x m.  And whatever chose the model cannot judge it: the best of many on the validation set is,
in part, the luckiest there.  A test set that had no say tells.

M. Stone, J. Royal Statistical Society B 36 (1974); D. Allen, Technometrics 16 (1974), the closed form;
J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13, 281-305 (2012);
G. Cawley, N. Talbot, "On over-fitting in model selection and subsequent selection bias", JMLR 11, 2079-2107 (2010).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, Dataset, TensorDataset, kfold, leave_one_out, load_digits, load_wine
from tinygrad_course.metrics import accuracy
from tinygrad_course.models import SoftmaxUnit
from tinygrad_course.nn import functional as F
from tinygrad_course.train import CrossValidation, Search, cross_validate, grid_search, log_uniform, random_search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHUFFLES, FOLDS = 60, 5
RATES, DECAYS, SIDE, SEARCHES = (1e-4, 10.0), (1e-8, 1e-4), 4, 16  # ranges; a grid of 4 x 4; how often it is repeated
CANDIDATES, PIXELS, ROUNDS = 300, 12, 15


def least_squares(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Weights (n + 1, K), bias first, that minimise sum (t - (1, x) w)^2:  x (N, n), t (N, K)."""
    return np.linalg.lstsq(with_one(x), t, rcond=None)[0]


def with_one(x: np.ndarray) -> np.ndarray:
    """A column of ones in front of x (N, n)."""
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def wrong(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Share of the samples whose largest output is not that of their class."""
    return float(((with_one(x) @ w).argmax(axis=1) != y).mean())


def left_out_residuals(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """t_i - t_hat_i of each sample, left out of the fit that predicts it, (N, K): from one fit and the hat matrix."""
    q, _ = np.linalg.qr(with_one(x))  # H = Q Q^T
    return (t - q @ (q.T @ t)) / (1 - (q * q).sum(axis=1, keepdims=True))


def samples(part: Dataset[Any]) -> tuple[tgc.Tensor, tgc.Tensor]:
    """All samples of a data set as one batch."""
    x, y = zip(*(part[index] for index in range(len(part))), strict=True)
    return tgc.stack(list(x)), tgc.stack(list(y))


def learn(model: SoftmaxUnit, part: Dataset[Any], steps: int) -> None:
    """Batch gradient learning by Adam."""
    x, y = samples(part)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = model.loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def judge(model: SoftmaxUnit, part: Dataset[Any]) -> float:
    """Share of wrong answers."""
    x, y = samples(part)
    with tgc.no_grad():
        return 1 - accuracy(model(x), y)


class Objective:
    """Validation loss of a small net as a function of its learning rate, which matters, and its weight decay, which hardly
    does.  One training set and one validation set for all trials."""

    def __init__(self, x: np.ndarray, y: np.ndarray, steps: int) -> None:
        self.x, self.y, self.steps = tgc.tensor(x), tgc.tensor(y), steps

    def __call__(self, rate: float, decay: float) -> float:
        net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = optim.SGD(net.parameters(), lr=rate, weight_decay=decay)
        half = len(self.y) // 2
        for _ in range(self.steps):
            loss = F.cross_entropy(net(self.x[:half]), self.y[:half])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tgc.no_grad():
            loss = F.cross_entropy(net(self.x[half:]), self.y[half:]).item()
        return min(loss, 10.0) if np.isfinite(loss) else 10.0  # diverged, or as good as


def search_both(objective: Objective, rng: np.random.Generator, generator: tgc.Generator) -> tuple[Search, Search]:
    """A grid of 4 x 4 trials that lies anywhere in the ranges, and 16 random trials."""
    def spaced(low: float, high: float) -> list[float]:
        shares = (np.arange(SIDE) + rng.random()) / SIDE
        return np.exp(np.log(low) + shares * np.log(high / low)).tolist()

    grid = grid_search(objective, {"rate": spaced(*RATES), "decay": spaced(*DECAYS)}, generator=generator)
    drawn = random_search(objective, {"rate": log_uniform(*RATES), "decay": log_uniform(*DECAYS)}, SIDE * SIDE,
                          generator=generator)
    return grid, drawn


def best_of(search: Search, trials: int) -> float:
    """Expected best value of `trials` of the search's trials, drawn without replacement."""
    values = np.array([trial.value for trial in search.trials])  # ascending
    n = len(values)
    expected, reached = 0.0, 1.0  # reached: probability that none of the better ones was drawn
    for rank, value in enumerate(values):
        chance = trials / (n - rank) if n - rank > trials else 1.0
        expected += reached * chance * value
        reached *= 1 - chance
    return expected


def selection(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Errors (2, CANDIDATES) of the best of the first m candidates: on the 50 images that chose it, and on others.

    Candidates are linear read-outs of 12 random pixels each, fitted to 100 images.
    """
    order = rng.permutation(len(y))
    train, validation, test = order[:100], order[100:150], order[150:]
    targets = np.eye(10)[y]
    found = []
    for _ in range(CANDIDATES):
        seen = x[:, rng.choice(64, PIXELS, replace=False)]
        w = least_squares(seen[train], targets[train])
        found.append((wrong(w, seen[validation], y[validation]), wrong(w, seen[test], y[test])))
    errors = np.array(found)                                                    # (CANDIDATES, 2)
    best = [int(errors[:m, 0].argmin()) for m in range(1, CANDIDATES + 1)]
    return errors[best].T


def run(settings: Settings) -> Outcome:
    """Estimates by hand and on wine, their spread on digits, two searches, and what a choice costs."""
    tgc.manual_seed(settings.seed)
    rng, generator = np.random.default_rng(settings.seed), tgc.Generator().manual_seed(settings.seed)
    by_hand = CrossValidation([0.1, 0.2, 0.4], [10, 10, 5])

    features, cultivar = load_wine()
    wine = ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float64)
    targets = np.eye(3)[cultivar]
    dataset = TensorDataset(tgc.tensor(wine.astype(np.float32)), tgc.tensor(cultivar))
    steps = settings.steps or 40
    counted: list[float] = []

    def judged(model: SoftmaxUnit, part: Dataset[Any]) -> float:
        counted.append(judge(model, part) * len(part))
        return counted[-1] / len(part)

    found = cross_validate(lambda: SoftmaxUnit(13, 3), dataset, lambda model, part: learn(model, part, steps), judged, 10,
                           generator=generator)
    settings.say(f"softmax unit on {len(wine)} wines, 10-fold: {100 * found.mean:.1f} % wrong")
    left_out = np.concatenate([targets[test] - with_one(wine[test]) @ least_squares(wine[train], targets[train])
                               for train, test in leave_one_out(len(wine))])
    closed = left_out_residuals(wine, targets)
    fitted = targets - with_one(wine) @ least_squares(wine, targets)
    same = [[train.tolist(), test.tolist()] for train, test in leave_one_out(len(wine))] == \
        [[train.tolist(), test.tolist()] for train, test in kfold(len(wine), len(wine))]

    images, labels = (np.concatenate(parts) for parts in zip(load_digits("train"), load_digits("test"), strict=True))
    x = images.reshape(-1, 64) / DIGIT_WHITE
    few = rng.permutation(len(x))[:300]
    few_x, few_y, few_t = x[few], labels[few], np.eye(10)[labels[few]]
    estimates = np.array([[wrong(least_squares(few_x[train], few_t[train]), few_x[test], few_y[test])
                           for train, test in kfold(len(few), FOLDS, shuffle=True, generator=generator)]
                          for _ in range(SHUFFLES)])                            # (SHUFFLES, FOLDS)
    hold_out, k_fold = estimates[:, 0], estimates.mean(axis=1)
    settings.say(f"300 digits, {SHUFFLES} shuffles: hold-out {hold_out.mean():.3f} +- {hold_out.std():.3f}, "
                 f"{FOLDS}-fold {k_fold.mean():.3f} +- {k_fold.std():.3f}")

    objective = Objective(few_x.astype(np.float32), few_y, settings.steps or 40)
    searches = [search_both(objective, rng, generator) for _ in range(SEARCHES)]
    on_grid = float(np.mean([grid.best.value for grid, _ in searches]))
    drawn = [float(np.mean([best_of(found, m) for _, found in searches])) for m in range(1, SIDE * SIDE + 1)]
    settings.say(f"validation loss: best of the grid {on_grid:.3f}, of as many random trials {drawn[-1]:.3f}")
    tried = [len({round(trial.settings["rate"], 12) for trial in search.trials}) for search in searches[0]]

    chosen = np.array([selection(x, labels, rng) for _ in range(ROUNDS)])       # (ROUNDS, 2, CANDIDATES)
    gap = (chosen[:, 1] - chosen[:, 0]).mean(axis=0)                            # test - validation
    settings.say(f"best of {CANDIDATES} on 50 images: {100 * chosen[:, 0, -1].mean():.1f} % wrong there, "
                 f"{100 * chosen[:, 1, -1].mean():.1f} % on others")
    facts = [
        within("errors 0.1, 0.2, 0.4 on 10, 10 and 5 samples: weighted mean minus 0.2", abs(by_hand.mean - 0.2), high=1e-15),
        equal("178 wines in 10 folds: sizes", sorted(found.sizes), [17] * 2 + [18] * 8),
        within("weighted mean of the folds minus the share of all held-out samples that is wrong",
               abs(found.mean - sum(counted) / len(wine)), high=1e-12),
        within("softmax unit on wine, 10-fold: share of wrong answers", found.mean, high=0.05),
        equal("leave-one-out and n-fold: the same splits", same, True),
        within("least squares on wine, each left out: 178 fits against one and the hat matrix, largest difference",
               float(np.abs(left_out - closed).max()), high=1e-10),
        within("squared error of leave-one-out as a multiple of that on the training data",
               float((left_out ** 2).sum() / (fitted ** 2).sum()), low=1.1),
        within(f"least squares on 300 digits: spread of hold-out over {SHUFFLES} shuffles as a multiple of {FOLDS}-fold's",
               float(hold_out.std() / k_fold.std()), low=1.5),
        equal(f"{SIDE * SIDE} trials: learning rates tried by grid and by random search", tried, [SIDE, SIDE * SIDE]),
        within(f"validation loss, mean of {SEARCHES}: best of 16 random trials as a share of the best of the grid",
               drawn[-1] / on_grid, high=1),
        within("random trials that are as good as 16 on the grid",
               next((m for m, value in enumerate(drawn, 1) if value <= on_grid), SIDE * SIDE + 1), high=14),
        within(f"best of {CANDIDATES} models on 50 images: its error on others minus that there, points",
               100 * float(gap[-1]), low=5),
        within("the same for a model that nothing chose", 100 * float(gap[0]), -6, 6),
    ]

    def spread() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(10, 5.8)
        ax = fig.subplots()
        part = len(few) // FOLDS  # a hold-out estimate is a multiple of 1 / part
        bins = (100 / part * (np.arange(np.rint(part * hold_out.max()) + 2) - 0.5)).tolist()
        ax.hist(100 * hold_out, bins, color="#D55E00", alpha=0.6, label="hold-out, 60 of 300 images")
        ax.hist(100 * k_fold, bins, color="#0072B2", alpha=0.7, label=f"{FOLDS}-fold, all 300")
        label_axes(ax, f"One data set, one model, {SHUFFLES} shuffles", "estimated error (%)", "shuffles")
        ax.legend(fontsize=TICK_SIZE)
        return fig

    def search() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(17, 5.6)
        panels = fig.subplots(1, 3)
        for ax, result, title in zip(panels, searches[0], ("Grid: 4 learning rates", "Random: 16 learning rates"),
                                     strict=False):
            dots = ax.scatter([trial.settings["rate"] for trial in result.trials],
                              [trial.settings["decay"] for trial in result.trials],
                              c=[min(trial.value, 2.5) for trial in result.trials], cmap="viridis_r", s=160,
                              edgecolors="black", vmin=0, vmax=2.5)
            label_axes(ax, title, "learning rate", "weight decay")
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xlim(RATES)
            ax.set_ylim(DECAYS)
        bar = fig.colorbar(dots, ax=panels[1])
        bar.set_label("validation loss (nats)", fontsize=TICK_SIZE)
        panels[2].plot(np.arange(1, len(drawn) + 1), drawn, "o-", color="#0072B2", linewidth=2.5, label="random")
        panels[2].axhline(on_grid, color="#D55E00", linestyle="--", linewidth=2.5, label="grid, 16 trials")
        label_axes(panels[2], f"Best so far, mean of {SEARCHES}", "trials", "validation loss (nats)")
        panels[2].set_xticks([1, 4, 8, 12, 16])
        panels[2].legend(fontsize=TICK_SIZE)
        return fig

    def optimism() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(10, 5.8)
        ax = fig.subplots()
        tried_models = np.arange(1, CANDIDATES + 1)
        ax.plot(tried_models, 100 * chosen[:, 1].mean(axis=0), color=TRAIN_COLOUR, linewidth=2.5, label="on other images")
        ax.plot(tried_models, 100 * chosen[:, 0].mean(axis=0), color=VALIDATION_COLOUR, linewidth=2.5,
                label="on the 50 images that chose it")
        label_axes(ax, f"Error of the best model, mean of {ROUNDS}", "models to choose from", "wrong (%)")
        ax.set_xscale("log")
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"spread": spread, "search": search, "optimism": optimism})


ROW = Row("C11", "Validation and the choice of hyper-parameters", "wine and 8 x 8 digits (shipped)",
          "k-fold spreads less than hold-out, random search needs fewer trials than a grid, and the best of many models is "
          "not as good as the samples that chose it say", 4.0, run,
          ("data.kfold", "data.leave_one_out", "train.cross_validate", "train.grid_search", "train.random_search"))
