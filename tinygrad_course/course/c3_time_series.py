"""C3: predicting a time series with a sliding window.

A feed-forward network has no memory; a window gives it one.  Its input is the last n values, its target the next:

    x_hat(t) = W2 tanh(W1 (x(t - n), ..., x(t - 1)) + b1) + b2

Sunspots are the classical test: cycles of some 11 years that differ in height and rise faster than they fall, which a linear
model of the window cannot say.  Years, window and number of hidden units are those of A. Weigend, B. Huberman, D. Rumelhart,
"Predicting the future: a connectionist approach", International Journal of Neural Systems 1, 193-209 (1990): 12 inputs, 8
hidden units, learned on 1700 to 1920.  Errors are shares of the variance of the series: 1 is the error of the mean.

Two questions: how good is the next year, when all years before it are known; and what does the network do on its own, fed
with its own predictions?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import load_sunspots, sliding_windows
from tinygrad_course.models.forecast import LinearAutoregression, free_run, relative_variance
from tinygrad_course.nn import functional as F
from tinygrad_course.train import cosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HIDDEN, STEPS, RATE = 12, 8, 1000, 0.01
LAST_TRAINING_YEAR, LAST_EASY_YEAR = 1920, 1955  # the cycle of 1957 is higher than any before
SCALE = 100.0                                    # sunspots per unit of the network


def train(x: np.ndarray, y: np.ndarray, steps: int) -> nn.Module:
    """The network of the window, trained with all patterns at once by AdamW with a falling rate."""
    net = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    optimizer, schedule = optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.1), cosine(RATE, steps)
    inputs, targets = tgc.tensor(x), tgc.tensor(y[:, None])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = schedule(step)
        loss = F.mse_loss(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def period(values: np.ndarray) -> float:
    """Years per cycle: the largest peak of the spectrum, between 5 and 100 years."""
    frequencies = np.fft.rfftfreq(4096)
    power = np.abs(np.fft.rfft(values - values.mean(), 4096)) ** 2
    power[(frequencies < 1 / 100) | (frequencies > 1 / 5)] = 0
    return float(1 / frequencies[power.argmax()])


def run(settings: Settings) -> Outcome:
    """One step ahead and free, against persistence and a linear model of the same window."""
    tgc.manual_seed(settings.seed)
    years, sunspots = load_sunspots()
    series = sunspots / np.float32(SCALE)
    x, y = sliding_windows(series, WIDTH)
    target_years = years[WIDTH:]
    training = target_years <= LAST_TRAINING_YEAR
    easy, hard = ~training & (target_years <= LAST_EASY_YEAR), target_years > LAST_EASY_YEAR

    net = train(x[training], y[training], settings.steps or STEPS)
    linear = LinearAutoregression.fit(x[training], y[training])

    def network(windows: np.ndarray) -> np.ndarray:
        with tgc.no_grad():
            return net(tgc.tensor(windows)).numpy()[:, 0]

    next_year = {"persistence": x[:, -1], "linear": linear(x), "network": network(x)}
    variance = float(series.var())
    error = {(name, part): relative_variance(values[mask], y[mask], variance) for name, values in next_year.items()
             for part, mask in (("training", training), ("easy", easy), ("hard", hard))}
    start = int(np.searchsorted(years, LAST_TRAINING_YEAR)) + 1
    true = series[start:]
    free = {name: free_run(predict, series[start - WIDTH:start], len(true))
            for name, predict in (("linear", linear), ("network", network))}
    settings.say(f"error in 1921-1955: network {error['network', 'easy']:.3f}, linear {error['linear', 'easy']:.3f}")
    facts = [
        equal("windows and targets of 309 years, 12 seen", [list(x.shape), list(y.shape)], [[297, 12], [297]]),
        equal("weights and biases of 12-8-1", sum(p.numel() for p in net.parameters()), 113),
        within("next year, 1921-1955: error of \"as this year\"", error["persistence", "easy"], 0.38, 0.40),
        within("error of linear autoregression", error["linear", "easy"], 0.11, 0.13),
        within("error of the network", error["network", "easy"], high=0.105),
        within("error of the network as a share of that of the linear model",
               error["network", "easy"] / error["linear", "easy"], high=0.88),
        within("next year, 1956-2008, with cycles higher than any learned: error of the network", error["network", "hard"],
               0.2, 0.4),
        within("free run from 1921 on: error of the network in the first 22 years",
               relative_variance(free["network"][:22], true[:22], variance), high=0.2),
        within("error of the linear model in them", relative_variance(free["linear"][:22], true[:22], variance), low=0.24),
        within("the network's cycle, years (true: 10.6)", period(free["network"]), 9.8, 11.3),
        within("swing in the last 30 years as a share of the true one: linear model, has died out",
               float(free["linear"][-30:].std() / true[-30:].std()), high=0.06),
        within("swing of the network in them", float(free["network"][-30:].std() / true[-30:].std()), low=0.2),
    ]

    def forecast() -> Figure:
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(15, 11)
        top, middle, bottom = fig.subplots(3, 1)
        top.plot(years, sunspots, color=GREY, linewidth=1.6, label="sunspots")
        top.plot(target_years[training], SCALE * next_year["network"][training], color=TRAIN_COLOUR, linewidth=2,
                 label="network, learned years")
        top.axvline(LAST_TRAINING_YEAR + 0.5, color="black", linestyle=":", linewidth=1.5)
        label_axes(top, f"Learned: the next year from {WIDTH} years, until {LAST_TRAINING_YEAR}", "year", "sunspot number")
        shown = target_years > LAST_TRAINING_YEAR
        middle.plot(target_years[shown], SCALE * y[shown], "o-", color=GREY, markersize=4, linewidth=1.4, label="sunspots")
        middle.plot(target_years[shown], SCALE * next_year["network"][shown], color=TRAIN_COLOUR, linewidth=2.4,
                    label="network, one step ahead")
        middle.plot(target_years[shown], SCALE * next_year["linear"][shown], "--", color=VALIDATION_COLOUR, linewidth=2,
                    label="linear, one step ahead")
        label_axes(middle, "New years, one step ahead: all years before are known", "year", "sunspot number")
        bottom.plot(years[start:], SCALE * true, "o-", color=GREY, markersize=4, linewidth=1.4, label="sunspots")
        bottom.plot(years[start:], SCALE * free["network"], color=TRAIN_COLOUR, linewidth=2.4, label="network, free")
        bottom.plot(years[start:], SCALE * free["linear"], "--", color=VALIDATION_COLOUR, linewidth=2, label="linear, free")
        label_axes(bottom, "Free run: fed with their own predictions since 1921", "year", "sunspot number")
        for ax in (top, middle, bottom):
            ax.legend(fontsize=TICK_SIZE, loc="upper left", ncols=3)
            ax.set_ylim(-8, 250)
        return fig

    return Outcome(facts, {"forecast": forecast})


ROW = Row("C3", "Time series prediction by sliding window", "sunspots, 1700-2008 (shipped)",
          "the network predicts the next year better than a linear model, and swings on when it runs free", 0.2, run,
          ("data.sliding_windows", "data.load_sunspots", "models.forecast.free_run", "models.forecast.LinearAutoregression"))
