"""Errors of predicted numbers, by hand and against scikit-learn."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics
from tinygrad_course.errors import DTypeError, ShapeError

PAIRS = [("mean_squared_error", "mean_squared_error"), ("root_mean_squared_error", "root_mean_squared_error"),
         ("mean_absolute_error", "mean_absolute_error"), ("mean_absolute_percentage_error", "mean_absolute_percentage_error"),
         ("r2_score", "r2_score"), ("explained_variance", "explained_variance_score")]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_against_scikit_learn(ours, theirs):
    oracle = getattr(pytest.importorskip("sklearn.metrics"), theirs)
    function = getattr(metrics, ours)
    rng = np.random.default_rng(1)
    for shape in [(30,), (30, 1), (30, 3), (2,)]:
        target = rng.normal(size=shape) * 2 + 5
        pred = target + rng.normal(size=shape)
        assert function(pred, target) == pytest.approx(oracle(target, pred))
        assert function(tgc.tensor(pred), tgc.tensor(target)) == function(pred, target)
        assert function(target, target) == oracle(target, target)  # perfect
        assert function(pred, np.ones(shape)) == pytest.approx(oracle(np.ones(shape), pred))  # constant
        assert function(np.ones(shape), np.ones(shape)) == oracle(np.ones(shape), np.ones(shape))
    zeros = np.zeros(4)
    assert function(zeros + 1, zeros) == pytest.approx(oracle(zeros, zeros + 1))
    assert np.isnan(function([np.nan, 1.0], [1.0, 2.0]))


def test_by_hand():
    pred, target = [1, 2, 4], [1, 4, 4]
    assert metrics.mean_squared_error(pred, target) == pytest.approx(4 / 3)
    assert metrics.mean_absolute_error(pred, target) == pytest.approx(2 / 3)
    assert metrics.mean_absolute_percentage_error(pred, target) == pytest.approx(1 / 6)
    assert metrics.r2_score(pred, target) == pytest.approx(1 - 4 / 6)
    assert metrics.explained_variance([2, 3, 4], [1, 2, 3]) == 1
    assert np.isnan(metrics.r2_score([np.nan, 1.0], [2.0, 2.0]))


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.mean_squared_error(np.zeros((3, 1)), np.zeros(3)), ShapeError, r"would be \(N, N\): use .squeeze"),
    (lambda: metrics.mean_absolute_error(np.zeros((0, 2)), np.zeros((0, 2))), ShapeError, "there are no samples"),
    (lambda: metrics.r2_score([1.0], [1.0]), ShapeError, "one sample has no spread"),
    (lambda: metrics.mean_squared_error(["a"], ["b"]), DTypeError, "pred holds <U1"),
])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()
