"""Measures of probabilities, by hand and against scikit-learn and torch."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import metrics
from tinygrad_course.errors import DataError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(60, 4)) * 3
CHANCES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
TARGET = RNG.integers(0, 4, 60)
ONE, BINARY = RNG.random(80), RNG.integers(0, 2, 80)


def test_against_scikit_learn():
    oracle = pytest.importorskip("sklearn.metrics")
    assert metrics.log_loss(CHANCES, TARGET) == pytest.approx(oracle.log_loss(TARGET, CHANCES))
    assert metrics.log_loss(tgc.tensor(LOGITS), tgc.tensor(TARGET), from_logits=True) == pytest.approx(
        oracle.log_loss(TARGET, CHANCES))
    assert metrics.log_loss(ONE, BINARY) == pytest.approx(oracle.log_loss(BINARY, ONE))
    assert metrics.log_loss(np.log(ONE / (1 - ONE)), BINARY, from_logits=True) == pytest.approx(oracle.log_loss(BINARY, ONE))
    for dtype in (np.float32, np.float64):  # certain, and wrong
        chances = np.array([[1, 0], [0.5, 0.5]], dtype)
        assert metrics.log_loss(chances, [1, 0]) == pytest.approx(oracle.log_loss([1, 0], chances), rel=1e-6)
        assert metrics.log_loss(chances[:, 1], [1, 0]) == pytest.approx(oracle.log_loss([1, 0], chances[:, 1]), rel=1e-6)
    assert metrics.brier_score(ONE, BINARY) == pytest.approx(oracle.brier_score_loss(BINARY, ONE))
    np.testing.assert_allclose(metrics.brier_score(CHANCES, TARGET), np.mean(
        [(chance[0] - (t == 0))**2 + (chance[1] - (t == 1))**2 + (chance[2] - (t == 2))**2 + (chance[3] - (t == 3))**2
         for chance, t in zip(CHANCES, TARGET, strict=True)]))


def test_logits_beyond_the_exponential():
    assert metrics.log_loss([[1e4, 0.0]], [1], from_logits=True) == 1e4
    assert metrics.log_loss([1e4, -1e4], [0, 0], from_logits=True) == 5e3
    assert metrics.perplexity([[1e4, 0.0]], [1]) == math.inf


@pytest.mark.parametrize("bins", [1, 5, 10])
def test_calibration_against_scikit_learn(bins):
    oracle = pytest.importorskip("sklearn.calibration")
    mean, share, counts = metrics.calibration_curve(ONE, BINARY, bins)
    their_share, their_mean = oracle.calibration_curve(BINARY, ONE, n_bins=bins)
    np.testing.assert_allclose(mean, their_mean)
    np.testing.assert_allclose(share, their_share)
    assert counts.sum() == 80
    assert metrics.expected_calibration_error(ONE, BINARY, bins) == pytest.approx(sum(counts * abs(mean - share)) / 80)


def test_calibration_of_several_classes():
    chances = np.array([[0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6], [0.05, 0.95, 0.0]])
    mean, share, counts = metrics.calibration_curve(chances, [0, 0, 1, 1], 4)
    np.testing.assert_allclose(mean, [(0.6 + 0.7 + 0.6) / 3, 0.95])
    np.testing.assert_allclose(share, [1 / 3, 1])
    assert counts.tolist() == [3, 1]
    assert metrics.calibration_curve(np.array([0.0, 0.5, 1.0]), [0, 1, 1], 2)[2].tolist() == [2, 1]  # 0.5 is in the lower one


def test_perplexity_against_torch():
    torch = torch_or_skip()
    logits, target = RNG.normal(size=(3, 7, 11)), RNG.integers(0, 11, (3, 7))
    target[0, 4:] = -100
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits).flatten(0, 1), torch.tensor(target).flatten()).exp()
    assert metrics.perplexity(tgc.tensor(logits), tgc.tensor(target), ignore_index=-100) == pytest.approx(expected.item())
    assert metrics.perplexity(np.zeros((2, 5, 8)), np.zeros((2, 5), int)) == pytest.approx(8)  # a guess


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.log_loss(LOGITS, TARGET), DataError, "probabilities are 0 to 1. Take the softmax"),
    (lambda: metrics.log_loss([1.5], [1]), DataError, "Take the logistic function"),
    (lambda: metrics.brier_score(CHANCES / 2, TARGET), DataError, r"row \d+ of pred sums to 0.5"),
    (lambda: metrics.log_loss(CHANCES, TARGET + 1), DataError, "labels from 1 to 4, but there are 4 classes"),
    (lambda: metrics.log_loss([np.nan], [1], from_logits=True), DataError, "1 logits are NaN"),
    (lambda: metrics.calibration_curve(ONE, BINARY, 0), DataError, "bins is 0"),
    (lambda: metrics.perplexity(np.zeros((2, 8, 5)), np.zeros((2, 5), int)), ShapeError, r"transpose\(1, 2\)"),
    (lambda: metrics.perplexity(np.zeros((2, 8)), [0, 8]), DataError, "symbols from 0 to 8, but there are 8"),
    (lambda: metrics.perplexity(np.zeros((2, 8)), [0.0, 1.0]), DTypeError, "target holds float64"),
    (lambda: metrics.perplexity(np.zeros((2, 8)), [3, 3], ignore_index=3), ShapeError, "no symbols to predict"),
])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()
