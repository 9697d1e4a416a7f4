"""C8: over- and underfitting, and what helps: L1, L2, dropout, early stopping, more data, true or distorted.

A fifth of the training labels is false here, so that a net that learns all of them has learned something wrong.  Too small
a net or too short a training errs on training and test digits alike (underfitting); a large net that is trained for long
gets every training label right, the false ones as well, and errs on the test digits (overfitting).

    L2             E + lambda/2 sum w^2, a Gaussian prior of the weights
    L1             E + lambda sum |w|, a Laplacian prior: most weights end at zero
    dropout        the mean of very many nets that share weights.  For one hidden layer and softmax it is a mean in the
                   strict sense: scaling by 1 - p gives the normalised geometric mean over all masks, G. Hinton et al.,
                   "Improving neural networks by preventing co-adaptation of feature detectors", arXiv:1207.0580
    early stopping the weights of the smallest validation loss; for a quadratic loss nearly L2 with lambda = 1 / (lr steps),
                   C. Bishop, "Neural Networks for Pattern Recognition" (1995), section 9.2.4
    batch norm     what a pattern gives depends on the others in its batch: noise, which falls as 1 / sqrt(batch size),
                   S. Ioffe, C. Szegedy, ICML 2015, section 3.4; P. Luo et al., ICLR 2019.  Over a batch of 60 the noise is
                   too little, and the net learns true and false labels faster than without.  The same batches normalised
                   three patterns at a time (train/regularisation.py) leave most false labels unlearned

What helps against false labels need not help against few ones: on 100 digits, all labels true, dropout gains nothing here,
and the noise of small groups does harm.

Wide nets are not the worst: the test error goes on falling with the width after the training error has got to zero, though
no net does as well as a regularised one.  M. Belkin et al., "Reconciling modern machine-learning practice and the classical
bias-variance trade-off", PNAS 116, 15849-15854 (2019).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.digit_nets import N_CLASSES, N_PIXELS, Sample, Watched, clothes, digits, draw, fit, judge, mlp
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, within
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor
from tinygrad_course.train import RandomAffine
from tinygrad_course.train.regularisation import (
    DropoutScaledAtTest,
    GhostBatchNorm1d,
    decay_groups,
    l1_penalty,
    l2_penalty,
    split_parameters,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_TRAIN, N_VALIDATION, WRONG, FEW = 300, 100, 0.2, 100
HIDDEN, RATE, STEPS, BATCH, REPEATS = 64, 0.04, 500, 60, 3
L2, L1, DROPOUT, INPUT_DROPOUT, GROUP = 1e-2, 2.5e-3, 0.5, 0.2, 3
ABSENT = 0.3  # p where the two scalings are compared: at 1/2 they could be mistaken for each other's inverse
WIDTHS, AMOUNTS = (1, 2, 4, 8, 16, 32, 64, 128), (25, 50, 100, 200, 400, 800)
EVERY = 20   # steps between two looks at the validation loss
NEARLY_ZERO = 2e-3


def distort(x: Tensor) -> Tensor:
    """Each digit (N, 64) turned by up to 10 degrees, scaled by up to 10 %, shifted by up to a pixel."""
    return RandomAffine(10, 1.0, 0.1)(x.reshape(-1, 1, 8, 8)).reshape(-1, N_PIXELS)


@dataclass
class Learned:
    """A net after training, what was watched on the way, and its error with the weights that early stopping keeps."""

    net: nn.Module
    watched: Watched
    best: int          # which look had the smallest validation loss
    kept_error: float  # on the test digits, with the weights of that look

    @property
    def weights(self) -> np.ndarray:
        """All weights without biases, (W,)."""
        return np.concatenate([w.detach().numpy().ravel() for w in split_parameters(self.net)[0]])


def learn(kind: str, train: Sample, validation: Sample, test: Sample, steps: int, seed: int) -> Learned:
    """One layer of 64 hidden units, trained with one means against overfitting, or none; all start from the same weights."""
    tgc.manual_seed(seed)
    rng = np.random.default_rng(seed)
    norms: dict[str, Callable[[int], nn.Module]] = {
        "batch norm": nn.BatchNorm1d, "in groups": lambda width: GhostBatchNorm1d(width, GROUP)}
    net = mlp(train.x.shape[1], HIDDEN, N_CLASSES, norm=norms.get(kind),
              extra=(lambda width: nn.Dropout(DROPOUT)) if kind == "dropout" else None)
    if kind == "dropout":
        net = nn.Sequential(nn.Dropout(INPUT_DROPOUT), *net)
    optimizer = optim.SGD(decay_groups(net, L2 if kind == "L2" else 0.0), lr=RATE, momentum=0.9)
    watched, kept, best = Watched(), net.state_dict(), 0

    def look(step: int) -> None:
        nonlocal kept, best
        if step % EVERY and step != steps:
            return
        watched.look(step, net, {"training": train, "validation": validation, "test": test})
        if watched.loss["validation"][-1] <= min(watched.loss["validation"]):
            best, kept = len(watched.steps) - 1, {name: value.clone() for name, value in net.state_dict().items()}

    fit(net, train, optimizer, steps, rng, batch=BATCH, after=look, augment=distort if kind == "augmentation" else None,
        penalty=(lambda model: L1 * l1_penalty(model)) if kind == "L1" else None)
    last = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    kept_error = judge(net, test)[1]
    net.load_state_dict(last)
    return Learned(net, watched, best, kept_error)


KINDS = ("none", "L2", "L1", "dropout", "augmentation", "batch norm", "in groups")


def fitting_curves(test: Sample, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Training and test error (2, n) against the number of hidden units and the number of training digits."""
    curves = {}
    for name, cases in (("hidden units", [(N_TRAIN, width) for width in WIDTHS]),
                        ("training digits", [(amount, HIDDEN) for amount in AMOUNTS])):
        errors = []
        for amount, width in cases:
            runs = []
            for repeat in range(REPEATS):
                tgc.manual_seed(seed + repeat)
                rng = np.random.default_rng([seed, repeat])
                train, = draw([amount], rng, WRONG)
                net = mlp(N_PIXELS, width, N_CLASSES)
                fit(net, train, optim.Adam(net.parameters(), lr=0.02), steps, rng, batch=amount)
                runs.append([judge(net, train)[1], judge(net, test)[1]])
            errors.append(np.mean(runs, axis=0))
        curves[name] = np.array(errors).T
    return curves


def draws(source: Sample, size: int, wrong: float, seed: int, repeats: int = REPEATS) -> list[list[Sample]]:
    """Training and validation samples, drawn again for each repeat."""
    return [draw([size, N_VALIDATION], np.random.default_rng([seed, repeat]), wrong, source) for repeat in range(repeats)]


def at_end(nets: list[Learned], measure: str, sample: str) -> float:
    """Mean error or loss of some nets on a sample after the last step."""
    return float(np.mean([getattr(net.watched, measure)[sample][-1] for net in nets]))


def other_data_facts(steps: int, settings: Settings) -> list[Fact]:
    """Few digits, all of their labels true; and photographs of clothes, a fifth of the labels false."""
    facts = {}
    for name, source, test, size, wrong, kinds in (
            (f"{FEW} digits, all labels true", digits(), digits("test"), FEW, 0.0,
             ("none", "dropout", "batch norm", "in groups")),
            (f"{N_TRAIN} clothes, a fifth of the labels false", clothes(), clothes("test"), N_TRAIN, WRONG,
             ("none", "dropout"))):
        samples = draws(source, size, wrong, settings.seed, 2 * REPEATS if size == FEW else REPEATS)
        length = min(steps, 300) if size == FEW else steps
        nets = {kind: [learn(kind, train, validation, test, length, settings.seed + 100 * repeat)
                       for repeat, (train, validation) in enumerate(samples)] for kind in kinds}
        error, loss = ({kind: at_end(found, measure, "test") for kind, found in nets.items()}
                       for measure in ("error", "loss"))
        settings.say(f"{name}: test error " + ", ".join(f"{kind} {100 * value:.1f} %" for kind, value in error.items()))
        facts[size] = name, error, loss
    name, error, loss = facts[FEW]
    clothed, clothes_error, clothes_loss = facts[N_TRAIN]
    return [
        within(f"{name}, dropout gains nothing: test error as a share", error["dropout"] / error["none"], 0.85, 1.2),
        within(f"{name}, {GROUP} at a time does harm: test loss as a multiple of batch norm over {BATCH}",
               loss["in groups"] / loss["batch norm"], low=1.1),
        within(f"{clothed}, dropout: test loss as a share", clothes_loss["dropout"] / clothes_loss["none"], high=0.8),
        within("test error as a share", clothes_error["dropout"] / clothes_error["none"], high=1.0),
    ]


def decay_facts(train: Sample) -> list[Fact]:
    """Weight decay is the L2 penalty, biases left out or not."""
    facts = []
    for biases in (False, True):
        ends = []
        for by_penalty in (False, True):
            tgc.manual_seed(1)
            net = mlp(N_PIXELS, 8, N_CLASSES).double()
            optimizer = optim.SGD(decay_groups(net, 0.0 if by_penalty else 0.1, biases=biases), lr=0.1, momentum=0.9)
            for _ in range(10):
                loss = F.cross_entropy(net(train.x.double()), train.y)
                if by_penalty:
                    loss = loss + 0.1 * l2_penalty(net, biases=biases)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            ends.append(np.concatenate([p.detach().numpy().ravel() for p in net.parameters()]))
        facts.append(within(f"L2 {'with' if biases else 'without'} biases: largest difference between the penalty in the "
                            "loss and weight decay, after 10 steps of SGD",
                            float(np.abs(ends[0] - ends[1]).max()), high=1e-12))
    return facts


def all_masks(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Every mask of n units (2^n, n), and the probability (2^n,) of each: p^absent (1 - p)^present."""
    masks = np.array(list(itertools.product((0.0, 1.0), repeat=n)))
    present = masks.sum(axis=1)
    return masks, ABSENT ** (n - present) * (1 - ABSENT) ** present


def dropout_facts(test: Sample, steps: int, seed: int) -> list[Fact]:
    """Both scalings: equal in expectation for a linear unit, equal mask by mask for a net, and what the mean is."""
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal(10), rng.standard_normal(10), rng.standard_normal()
    masks, shares = all_masks(10)
    inverted = float(shares @ ((masks * x / (1 - ABSENT)) @ w + b))
    published = float(shares @ ((masks * x) @ w + b))
    values, weights = tgc.tensor(x), tgc.tensor(w)
    plain = float((nn.Dropout(ABSENT).eval()(values) * weights).sum()) + b
    scaled = float((DropoutScaledAtTest(ABSENT).eval()(values) * weights).sum()) + b

    tgc.manual_seed(seed)
    a, = draw([N_TRAIN], rng)
    net = mlp(N_PIXELS, HIDDEN, N_CLASSES, extra=lambda width: nn.Dropout(ABSENT))
    fit(net, a, optim.Adam(net.parameters(), lr=0.01), min(steps, 150), rng)
    twin = nn.Sequential(net[0], net[1], DropoutScaledAtTest(ABSENT), nn.Linear(HIDDEN, N_CLASSES))
    with tgc.no_grad():
        twin[3].weight.copy_(net[3].weight / (1 - ABSENT))
        twin[3].bias.copy_(net[3].bias)
        gaps = []
        for mode in (True, False):
            outputs = []
            for model in (net.train(mode), twin.train(mode)):
                tgc.manual_seed(seed)
                outputs.append(model(test.x).numpy())
            gaps.append(float(np.abs(outputs[0] - outputs[1]).max()))

    small = mlp(N_PIXELS, 8, N_CLASSES, extra=lambda width: DropoutScaledAtTest(ABSENT)).double()
    x_few = test.x[:20].double()
    masks, shares = all_masks(8)
    with tgc.no_grad():
        hidden = small[1](small[0](x_few)).numpy()            # (20, 8)
        weight, bias = small[3].weight.detach().numpy(), small[3].bias.detach().numpy()
        scores = (masks[:, None] * hidden) @ weight.T + bias      # (256, 20, 10)
        mean_net = small.eval()(x_few).softmax(1).numpy()
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    geometric = np.exp(np.tensordot(shares, logs, axes=1))
    geometric /= geometric.sum(axis=1, keepdims=True)
    return [
        within("linear unit, all 1,024 masks: expected output in training, values divided by 1 - p, minus that in evaluation",
               abs(inverted - plain), high=1e-12),
        within("the same, weights scaled at test time", abs(published - scaled), high=1e-12),
        within("64-64-10 net, training: largest difference of the two scalings, next weights times 1 - p, same mask", gaps[0],
               high=1e-4),
        within("the same net, evaluation", gaps[1], high=1e-4),
        within("softmax behind one layer of 8 units: evaluation minus the normalised geometric mean over all 256 masks",
               float(np.abs(geometric - mean_net).max()), high=1e-12),
    ]


def batch_noise(train: Sample, rng: np.random.Generator, sizes: tuple[int, ...] = (10, 40)) -> list[float]:
    """Standard deviation of what batch norm makes of a pattern, over random companions; one for each batch size."""
    norm = nn.BatchNorm1d(N_PIXELS, track_running_stats=False)
    alive = np.flatnonzero(train.x.numpy().std(axis=0) > 0.1)
    deviations = []
    for size in sizes:
        spreads = []
        for pattern in range(12):
            others = np.delete(np.arange(len(train)), pattern)
            outputs = []
            for _ in range(100):
                index = np.concatenate([[pattern], rng.choice(others, size - 1, replace=False)])
                with tgc.no_grad():
                    outputs.append(norm(train.x[tgc.tensor(index)])[0].numpy()[alive])
            spreads.append(np.std(outputs, axis=0).mean())
        deviations.append(float(np.mean(spreads)))
    return deviations


def run(settings: Settings) -> Outcome:
    """Curves of fitting, then one net per means against overfitting, three times with other digits."""
    steps = settings.steps or STEPS
    test = digits("test")
    curves = fitting_curves(test, min(steps, 300), settings.seed)
    settings.say("over- and underfitting curves are done")
    runs: dict[str, list[Learned]] = {kind: [] for kind in KINDS}
    for repeat, (train, validation) in enumerate(draws(digits(), N_TRAIN, WRONG, settings.seed)):
        for kind in KINDS:
            runs[kind].append(learn(kind, train, validation, test, steps, settings.seed + 100 * repeat))
    error = {kind: at_end(nets, "error", "test") for kind, nets in runs.items()}
    error["early stopping"] = float(np.mean([net.kept_error for net in runs["none"]]))
    train_error = {kind: at_end(nets, "error", "training") for kind, nets in runs.items()}
    train_error["early stopping"] = float(np.mean([net.watched.error["training"][net.best] for net in runs["none"]]))
    for kind in error:
        settings.say(f"{kind}: training error {100 * train_error[kind]:.1f} %, test error {100 * error[kind]:.1f} %")
    norm = {kind: float(np.mean([np.linalg.norm(net.weights) for net in nets])) for kind, nets in runs.items()}
    tiny = {kind: float(np.mean([(np.abs(net.weights) < NEARLY_ZERO).mean() for net in nets])) for kind, nets in runs.items()}
    turned = [net.watched.loss["validation"][-1] / min(net.watched.loss["validation"]) for net in runs["none"]]
    noise = batch_noise(train, np.random.default_rng(settings.seed))
    widths, amounts = curves["hidden units"], curves["training digits"]
    facts = [
        within("1 hidden unit underfits: training error", widths[0, 0], low=0.55),
        within("and test error", widths[1, 0], low=0.55),
        within(f"{WIDTHS[-1]} hidden units overfit, a fifth of the labels being false: training error", widths[0, -1],
               high=0.02),
        within("and test error", widths[1, -1], low=0.2),
        within(f"test error with {AMOUNTS[0]} digits as a multiple of that with {AMOUNTS[-1]}",
               amounts[1, 0] / amounts[1, -1], low=1.4),
        within("64 hidden units, nothing done against overfitting: training error, a share of 0.2 being false",
               train_error["none"], high=0.15),
        within("validation loss in the end as a multiple of the smallest one", float(np.mean(turned)), low=1.2),
        within("early stopping: test error as a share of that in the end", error["early stopping"] / error["none"], high=0.8),
        within("L2: test error as a share", error["L2"] / error["none"], high=0.8),
        within("L2: norm of the weights as a share", norm["L2"] / norm["none"], high=0.7),
        within("L1: test error as a share", error["L1"] / error["none"], high=0.95),
        within(f"L1: share of the weights within {NEARLY_ZERO:g} of zero", tiny["L1"], low=0.5),
        within("without it", tiny["none"], high=0.05),
        within("dropout: test error as a share", error["dropout"] / error["none"], high=0.8),
        within("augmentation: test error as a share", error["augmentation"] / error["none"], high=0.8),
        within(f"batch norm over {BATCH} learns the false labels too: training error", train_error["batch norm"], high=0.02),
        within(f"the same batches normalised {GROUP} at a time: training error", train_error["in groups"], low=0.1),
        within(f"test error as a share of that of batch norm over {BATCH}", error["in groups"] / error["batch norm"],
               high=0.8),
        within("as a share of that without batch norm", error["in groups"] / error["none"], high=0.9),
        within("batch norm: noise from the companions, batches of 10 as a multiple of that of 40, sqrt(4) expected",
               noise[0] / noise[1], 1.7, 2.6),
        *other_data_facts(steps, settings), *decay_facts(train), *dropout_facts(test, steps, settings.seed),
    ]

    def fitting() -> Figure:
        return plot_fitting(curves, runs["none"])

    def methods() -> Figure:
        return plot_methods(train_error, error)

    def histograms() -> Figure:
        return plot_weights({kind: np.concatenate([net.weights for net in runs[kind]]) for kind in ("none", "L2", "L1")})

    def stopping() -> Figure:
        return plot_stopping(runs["none"][0])

    def distorted() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, new_figure

        tgc.manual_seed(settings.seed)
        fig = new_figure(11, 4.6)
        for column, row in enumerate(fig.subplots(3, 9).T):
            pattern = test.x[column:column + 1]
            for ax, image in zip(row, (pattern, distort(pattern), distort(pattern)), strict=True):
                ax.imshow(image.numpy().reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
                ax.set_xticks([])
                ax.set_yticks([])
            for ax, title in zip(row, ("digit", "distorted", "again"), strict=True):
                ax.set_title(title, fontsize=TICK_SIZE - 2)
        return fig

    return Outcome(facts, {"fitting": fitting, "methods": methods, "weights": histograms, "early_stopping": stopping,
                           "augmentation": distorted})


def plot_fitting(curves: dict[str, np.ndarray], nets: list[Learned]) -> Figure:
    """Errors against hidden units, training steps, and training digits."""
    from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

    fig = new_figure(16, 5.4)
    panels = fig.subplots(1, 3, sharey=True)
    looks = np.array([[np.mean([net.watched.error[name][look] for net in nets]) for look in range(len(nets[0].watched.steps))]
                      for name in ("training", "test")])
    for ax, title, x, errors in zip(panels, ("Size of the net", "Length of the training", "Amount of data"),
                                    (("hidden units", WIDTHS), ("training steps", nets[0].watched.steps),
                                     ("training digits", AMOUNTS)),
                                    (curves["hidden units"], looks, curves["training digits"]), strict=True):
        for values, name, colour, style in zip(errors, ("training, a fifth of the labels false", "test, all labels true"),
                                               (TRAIN_COLOUR, VALIDATION_COLOUR), ("-", "--"), strict=True):
            ax.plot(x[1], 100 * values, style, marker="o", linewidth=2.5, color=colour, label=name)
        label_axes(ax, title, x[0], "errors (%)" if ax is panels[0] else "")
        ax.grid(color="#DDDDDD", linewidth=0.8)
        if title != "Length of the training":
            ax.set_xscale("log", base=2)
            ax.set_xticks(x[1], [str(value) for value in x[1]])
        ax.set_ylim(bottom=-2)
    panels[1].legend(fontsize=TICK_SIZE)
    return fig


def plot_methods(train_error: dict[str, float], error: dict[str, float]) -> Figure:
    """Training and test error of each means as bars."""
    from tinygrad_course.viz.figure import TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

    fig = new_figure(14, 6)
    ax = fig.subplots()
    for shift, values, name, colour in ((-0.2, train_error, f"training, {WRONG:.0%} of the labels false", TRAIN_COLOUR),
                                        (0.2, error, "test, all labels true", VALIDATION_COLOUR)):
        bars = ax.bar(np.arange(len(error)) + shift, [100 * values[kind] for kind in error], 0.38, color=colour, label=name)
        ax.bar_label(bars, fmt="%.0f", fontsize=TICK_SIZE)
    ax.axhline(100 * WRONG, color="black", linewidth=1.5, linestyle=":", label="share of false labels")
    label_axes(ax, f"{HIDDEN} hidden units, {N_TRAIN} digits, mean of {REPEATS} nets", "", "errors (%)")
    names = {"batch norm": f"batch norm\nof {BATCH}", "in groups": f"batch norm\nof {GROUP}",
             "early stopping": "early\nstopping"}
    ax.set_xticks(np.arange(len(error)), [names.get(kind, kind) for kind in error])
    ax.set_ylim(top=1.35 * max(100 * value for value in (WRONG, *error.values(), *train_error.values())))
    ax.legend(fontsize=TICK_SIZE, loc="upper left")
    return fig


def plot_stopping(net: Learned) -> Figure:
    """Loss on training, validation and test digits against the steps; the weights that early stopping keeps."""
    from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

    ax = new_figure(9, 5.8).subplots()
    watched, end = net.watched, 100 * net.watched.error["test"][-1]
    for name, colour, style in (("training", TRAIN_COLOUR, "-"), ("validation", VALIDATION_COLOUR, "-"),
                                ("test", "black", "--")):
        ax.plot(watched.steps, watched.loss[name], style, color=colour, linewidth=2.5,
                label=name if name == "test" else f"{name}, a fifth of the labels false")
    ax.axvline(watched.steps[net.best], color=GREY, linestyle=":", linewidth=2)
    ax.plot(watched.steps[net.best], watched.loss["validation"][net.best], linestyle="", marker="*", markersize=18,
            color=VALIDATION_COLOUR, markeredgecolor="black", label="these weights are kept")
    label_axes(ax, f"Early stopping: {100 * net.kept_error:.0f} % test errors at the star, {end:.0f} % in the end",
               "training step", "mean cross-entropy (nats)")
    ax.set_ylim(0, 1.35 * max(watched.loss["validation"]))
    ax.legend(fontsize=TICK_SIZE, loc="upper left", ncols=2)
    return ax.figure  # type: ignore[return-value]


def plot_weights(weights: dict[str, np.ndarray]) -> Figure:
    """Distribution of the weights without penalty, with L2, with L1."""
    from tinygrad_course.viz.figure import TRAIN_COLOUR, label_axes, new_figure

    fig = new_figure(15, 4.8)
    titles = {"none": "no penalty", "L2": "L2", "L1": "L1"}
    for ax, (kind, values) in zip(fig.subplots(1, 3, sharex=True, sharey=True), weights.items(), strict=True):
        ax.hist(values, bins=np.linspace(-1.2, 1.2, 97), weights=np.full(len(values), 100 / len(values)), color=TRAIN_COLOUR)
        ax.set_yscale("log")
        label_axes(ax, f"{titles[kind]}: {100 * (np.abs(values) < NEARLY_ZERO).mean():.0f} % within {NEARLY_ZERO:g} of 0",
                   "weight", "share of the weights (%)" if kind == "none" else "")
    return fig


ROW = Row("C8", "Regularisation, over- and underfitting",
          "8 x 8 digits and Fashion-MNIST (shipped), a fifth of the labels false",
          "L2, L1, dropout, early stopping, augmentation and the noise of batch norm in small groups lower the test error of "
          "a net that overfits", 8.0, run,
          ("train.regularisation.decay_groups", "train.regularisation.l1_penalty", "nn.Dropout",
           "train.regularisation.DropoutScaledAtTest", "train.regularisation.GhostBatchNorm1d",
           "train.EarlyStopping", "train.RandomAffine"))
