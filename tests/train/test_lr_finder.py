"""The learning-rate finder: against the loop written out, where it points, and that it leaves no trace."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, viz
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError
from tinygrad_course.optim import SGD, Adam
from tinygrad_course.train import LRFinder, lr_finder


def make(optimizer=SGD, n=64, batch_size=16, **options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    tgc.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 1))
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdims=True)), batch_size, shuffle=True,
                        generator=tgc.Generator().manual_seed(1), **options)
    return model, optimizer(model.parameters(), 0.01), nn.MSELoss(), loader


def trace(model, optimizer, loader):
    state = {**model.state_dict(), "random": tgc.get_rng_state()}
    for number, entry in optimizer.state_dict()["state"].items():
        state |= {f"{number}.{name}": value for name, value in entry.items()}
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    return ({name: value.numpy().tobytes() for name, value in state.items()}, groups, loader.state_dict(),
            [module.training for module in model.modules()],
            [None if parameter.grad is None else parameter.grad.numpy().tobytes() for parameter in model.parameters()])


def test_the_losses_are_those_of_the_loop_written_out():
    model, optimizer, loss_fn, loader = make()
    found = lr_finder(model, optimizer, loss_fn, loader, low=1e-3, high=1e-1, steps=9, smoothing=0.5)
    np.testing.assert_allclose(found.rates, np.logspace(-3, -1, 9))
    losses, running, smoothed = [], 0.0, []
    batches = [batch for _ in range(3) for batch in loader][:9]
    for step, (x, y) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = found.rates[step]
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        running = 0.5 * running + 0.5 * losses[-1]
        smoothed.append(running / (1 - 0.5 ** (step + 1)))
    assert found.losses == losses
    np.testing.assert_allclose(found.smoothed, smoothed)


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_everything_is_as_before(optimizer):
    model, optimizer, loss_fn, loader = make(optimizer)
    for x, y in loader:  # some state, and gradients that are kept
        loss_fn(model(x), y).backward()
        optimizer.step()
    model[0].eval()
    before = trace(model, optimizer, loader)
    assert before[4][0] is not None
    found = lr_finder(model, optimizer, loss_fn, loader, high=1e3)
    assert trace(model, optimizer, loader) == before
    assert len(found.rates) < 100  # it ended early
    assert found.smoothed[-1] > 4 * min(found.smoothed)


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = np.logspace(-6, 0, 121)
    losses = 1 / (1 + np.exp(8 * (np.log10(rates) + 3)))  # falls fastest at 1e-3
    losses[100:] += np.arange(21)
    assert LRFinder(rates.tolist(), losses.tolist(), losses.tolist()).suggestion == pytest.approx(1e-3)
    assert LRFinder([1e-3, 1e-2, 1e-1], [1, 2, 3], [1, 2, 3]).suggestion == 1e-3


def test_the_suggested_rate_trains_and_a_thousand_times_more_does_not():
    model, optimizer, loss_fn, loader = make()
    rate = lr_finder(model, optimizer, loss_fn, loader).suggestion
    ends = []
    for lr in (rate, 1000 * rate):
        model, optimizer, loss_fn, loader = make()
        optimizer.param_groups[0]["lr"] = lr
        for _ in range(20):
            for x, y in loader:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                optimizer.step()
        ends.append(loss.item())
    assert ends[0] < 1 < ends[1] or np.isnan(ends[1])


def test_wrong_settings():
    model, optimizer, loss_fn, loader = make()
    for options in ({"low": 0}, {"low": 1, "high": 0.1}, {"steps": 1}, {"smoothing": 1}):
        with pytest.raises(ValueError, match="needed are 0 < low < high"):
            lr_finder(model, optimizer, loss_fn, loader, **options)
    with pytest.raises(DataError, match="the loader gives no batches"):
        lr_finder(*make(batch_size=100, drop_last=True))
    model[0].weight.data = tgc.full((8, 3), float("nan"))
    with pytest.raises(DataError, match="no number before the first step"):
        lr_finder(model, optimizer, loss_fn, loader)


def test_the_figure(tmp_path):
    pytest.importorskip("matplotlib")
    rates = np.logspace(-6, 0, 50)
    losses = 1 / (1 + rates / 1e-3)
    losses[-5:] += np.arange(5)
    ax = viz.plot_lr_finder(LRFinder(rates.tolist(), losses.tolist(), losses.tolist()))
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "learning rate"
    viz.save_figure(ax, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_few_steps_over_many_decades_still_have_a_slope():
    assert LRFinder([1e-6, 1e-3, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]).suggestion == 1e-3
    assert LRFinder([1e-6, 1e-4, 1e-2, 1.0], [4.0, 3.9, 2.0, 1.0], [4.0, 3.9, 2.0, 1.0]).suggestion == 1e-2


def test_it_ends_at_four_times_the_smallest_loss():
    found = lr_finder(*make(), low=1e-3, high=1e3, steps=120, smoothing=0.97)  # so smooth that it cannot jump over the end
    rises = [value / min(found.smoothed[:number]) for number, value in enumerate(found.smoothed, 1)]
    assert len(rises) < 120
    assert 8 > rises[-1] > 4 >= max(rises[:-1])
