"""Grid and random search on functions whose best settings are known."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.train import DivergenceError, grid_search, log_uniform, random_search, uniform


def bowl(x, y):
    return (x - 2) ** 2 + (y + 1) ** 2


def test_a_grid_is_every_combination_the_best_first():
    search = grid_search(bowl, {"x": [0, 2, 4], "y": (-1, 3)})
    assert search.best.settings == {"x": 2, "y": -1}
    assert [trial.value for trial in search.trials] == [0, 4, 4, 16, 20, 20]
    assert [tuple(trial.settings.values()) for trial in search.trials[1:3]] == [(0, -1), (4, -1)]  # ties as tried
    assert grid_search(bowl, {"x": [0, 2, 4], "y": (-1, 3)}, mode="max").best.settings == {"x": 0, "y": 3}
    assert str(search).splitlines()[:2] == ["value  x   y", "    0  2  -1"]


def test_random_settings_come_from_their_distributions():
    settings = {"even": uniform(-1, 3), "rate": log_uniform(1e-4, 1), "name": ["a", "b", "c"]}
    search = random_search(lambda even, rate, name: 0.0, settings, 400, generator=tgc.Generator().manual_seed(1))
    even, rate, name = (np.array([trial.settings[key] for trial in search.trials]) for key in ("even", "rate", "name"))
    assert -1 <= even.min() < -0.95 < 2.95 < even.max() <= 3
    assert even.mean() == pytest.approx(1, abs=0.2)
    decades = np.histogram(np.log10(rate), [-4, -3, -2, -1, 0])[0]
    assert decades.sum() == 400
    assert decades.min() > 70
    assert min(np.sum(name == letter) for letter in "abc") > 100


def test_same_seed_same_trials():
    def noisy(x):
        return x + tgc.rand(1).item()

    first, second, third = (random_search(noisy, {"x": uniform(0, 1)}, 5, generator=tgc.Generator().manual_seed(seed))
                            for seed in (3, 3, 4))
    assert first == second != third
    # Luck is the same for all settings, and the program's random numbers are as they were.
    tgc.manual_seed(5)
    same = grid_search(lambda x: tgc.rand(1).item(), {"x": [1, 2, 3]}, generator=tgc.Generator().manual_seed(0))
    assert len({trial.value for trial in same.trials}) == 1
    assert tgc.rand(1).item() == tgc.rand(1, generator=tgc.Generator().manual_seed(5)).item()


@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_diverges_comes_last(mode):
    def objective(x):
        if x == 1:
            raise DivergenceError("too fast", 1, 0.1, "")
        return math.nan if x == 2 else x

    search = grid_search(objective, {"x": [1, 2, 3, 4]}, mode=mode)
    assert search.best.settings["x"] == (3 if mode == "min" else 4)
    assert [math.isinf(trial.value) for trial in search.trials] == [False, False, True, True]


@pytest.mark.parametrize(("call", "match"), [
    (lambda: uniform(1, 1), "low < high"), (lambda: log_uniform(0, 1), "0 < low < high"),
    (lambda: grid_search(bowl, {"x": uniform(0, 1)}), "x is .*random_search takes distributions"),
    (lambda: grid_search(bowl, {"x": "abc"}), "give a list of values"),
    (lambda: grid_search(bowl, {"x": []}), "no combination"),
    (lambda: grid_search(bowl, {}), "no combination"), (lambda: random_search(bowl, {}, 3), "no settings"),
    (lambda: random_search(bowl, {"x": 3}, 3), "x is 3; give uniform"),
    (lambda: random_search(bowl, {"x": [1]}, 0), "trials=0"),
    (lambda: grid_search(bowl, {"x": [1], "y": [1]}, mode="low"), "'min' or 'max', got 'low'")])
def test_wrong_settings(call, match):
    with pytest.raises(ValueError, match=match):
        call()
