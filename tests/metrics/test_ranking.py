"""Curves over thresholds and their areas, by hand and against scikit-learn."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics
from tinygrad_course.errors import DataError, DTypeError, ShapeError


def test_by_hand():
    scores, target = [0.9, 0.8, 0.8, 0.1], [1, 0, 1, 0]
    false_rate, true_rate, thresholds = metrics.roc_curve(scores, target)
    assert false_rate.tolist() == [0, 0, 0.5, 1]
    assert true_rate.tolist() == [0, 0.5, 1, 1]
    assert thresholds.tolist() == [np.inf, 0.9, 0.8, 0.1]
    assert metrics.roc_auc(scores, target) == 0.875  # of four pairs three are in order and one is a tie
    precision, recall, thresholds = metrics.precision_recall_curve(scores, target)
    assert precision.tolist() == [0.5, 2 / 3, 1, 1]
    assert recall.tolist() == [1, 1, 0.5, 0]
    assert thresholds.tolist() == [0.1, 0.8, 0.9]
    assert metrics.average_precision(scores, target) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@pytest.mark.parametrize(("n", "levels", "share"), [(300, 10**6, 0.5), (300, 4, 0.3), (40, 1, 0.5), (50, 9, 0.04),
                                                   (2, 5, 0.5)])
def test_against_scikit_learn(n, levels, share):
    """Scores with many, few and no different values; rare classes."""
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(n + levels)
    scores, target = rng.integers(0, levels, n) / levels, (rng.random(n) < share).astype(int)
    target[:2] = [0, 1]
    ours, theirs = metrics.roc_curve(scores, target), oracle.roc_curve(target, scores, drop_intermediate=False)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b)
    assert metrics.roc_auc(scores, target) == pytest.approx(oracle.roc_auc_score(target, scores))
    ours, theirs = metrics.precision_recall_curve(scores, target), oracle.precision_recall_curve(target, scores)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b)
    assert metrics.average_precision(scores, target) == pytest.approx(oracle.average_precision_score(target, scores))


@pytest.mark.parametrize("levels", [3, 10**6])
def test_one_against_the_rest(levels):
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(levels)
    scores, target = rng.integers(0, levels, (120, 4)) + 1.0, rng.choice(4, 120, p=[0.6, 0.2, 0.1, 0.1])
    scores /= scores.sum(axis=1, keepdims=True)  # scikit-learn takes no others
    tensors = tgc.tensor(scores), tgc.tensor(target)
    for average in ("macro", "weighted", None):
        np.testing.assert_allclose(metrics.roc_auc(*tensors, average),
                                   oracle.roc_auc_score(target, scores, multi_class="ovr", average=average))
        np.testing.assert_allclose(metrics.average_precision(*tensors, average),
                                   oracle.average_precision_score(target, scores, average=average))


def test_a_class_without_samples_is_left_out():
    rng = np.random.default_rng(3)
    scores, target = rng.random((20, 3)), np.arange(20) % 2
    areas = metrics.roc_auc(scores, target, None)
    assert np.isnan(areas).tolist() == [False, False, True]
    assert metrics.roc_auc(scores, target) == pytest.approx(areas[:2].mean())
    assert metrics.average_precision(scores, np.zeros(20, int)) == 1  # all samples are class 0, whatever its scores


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.roc_auc([0.1, 0.2], [1, 1]), DataError, "all 2 targets are class 1"),
    (lambda: metrics.roc_curve([0.1, 0.2], [0, 0]), DataError, "Give samples of both classes"),
    (lambda: metrics.average_precision([0.1, 0.2], [0, 0]), DataError, "Give samples of class 1"),
    (lambda: metrics.precision_recall_curve([0.1, 0.2], [0, 0]), DataError, "recall is 0 / 0"),
    (lambda: metrics.roc_auc([0.1, np.nan], [0, 1]), DataError, "1 scores are NaN"),
    (lambda: metrics.roc_auc([0.1, 0.2], [0, 2]), DataError, r"labels from 0 to 2, but there are 2 classes.*one column per"),
    (lambda: metrics.roc_auc(np.zeros((2, 1)), [0, 1]), ShapeError, r"the shape \(2, 1\)"),
    (lambda: metrics.roc_auc([0.1], [0, 1]), ShapeError, "1 predictions for 2 targets"),
    (lambda: metrics.roc_auc([0.1, 0.4], [0.0, 1.0]), DTypeError, "target holds float64"),
    (lambda: metrics.roc_auc([0.1, 0.4], [0, 1], "micro"), ValueError, "average is 'micro'"),
    (lambda: metrics.roc_curve(np.zeros((2, 3)), [0, 1]), ShapeError, r"pred\[:, k\], and target == k"),
])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()
