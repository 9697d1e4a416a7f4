"""What row C11 works with, against counting."""

from itertools import combinations

import numpy as np
import pytest

from tinygrad_course.course import c11_validation as c11
from tinygrad_course.train import Search, Trial

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("trials", [1, 2, 3, 5, 6])
def test_expected_best_of_some_trials(trials):
    values = sorted(RNG.random(6).tolist())
    wanted = np.mean([min(chosen) for chosen in combinations(values, trials)])
    assert c11.best_of(Search([Trial({}, value) for value in values]), trials) == pytest.approx(wanted, rel=1e-12)


def test_left_out_residuals_are_those_of_fits_without_the_sample():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, t = RNG.standard_normal((12, 3)), RNG.standard_normal((12, 2))
    for sample, residual in enumerate(c11.left_out_residuals(x, t)):
        rest = np.arange(12) != sample
        model = linear_model.LinearRegression().fit(x[rest], t[rest])
        np.testing.assert_allclose(residual, t[sample] - model.predict(x[sample:sample + 1])[0], rtol=1e-9)


def test_the_chosen_model_is_the_first_of_the_best():
    chosen = c11.selection(RNG.random((220, 64)), RNG.integers(0, 10, 220), np.random.default_rng(1))
    assert chosen.shape == (2, c11.CANDIDATES)
    assert (np.diff(chosen[0]) <= 0).all(), "more models can only look better where they are chosen"
    changed = np.flatnonzero(np.diff(chosen[1])) + 1
    assert (np.diff(chosen[0])[changed - 1] < 0).all(), "an equal one does not replace the first"
