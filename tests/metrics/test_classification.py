"""Measures of classes by hand, and against scikit-learn."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics
from tinygrad_course.errors import DataError, DTypeError, ShapeError
from tinygrad_course.metrics import accuracy, confusion_matrix, topk_accuracy

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4], [0.6, 0.1, 0.3]])
TARGET = np.array([1, 2, 2, 0])


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 7)).astype(np.float32), rng.integers(0, 7, 500)


def test_by_hand():
    assert accuracy(SCORES, TARGET) == 0.75
    assert accuracy([1, 0, 2, 0], [1, 2, 2, 0]) == 0.75
    assert topk_accuracy(SCORES, TARGET, k=1) == 0.75
    assert topk_accuracy(SCORES, TARGET, k=2) == 1
    np.testing.assert_array_equal(confusion_matrix(SCORES, TARGET), [[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(confusion_matrix([0], [1], num_classes=3), [[0, 0, 0], [1, 0, 0], [0, 0, 0]])


def test_tensors_as_arrays(sample):
    scores, target = sample
    tensors = tgc.tensor(scores, requires_grad=True), tgc.tensor(target)
    assert accuracy(*tensors) == accuracy(*sample)
    assert topk_accuracy(*tensors, k=3) == topk_accuracy(*sample, k=3)
    np.testing.assert_array_equal(confusion_matrix(*tensors), confusion_matrix(*sample))


def test_against_scikit_learn(sample):
    oracle = pytest.importorskip("sklearn.metrics")
    scores, target = sample
    pred = scores.argmax(axis=1)
    assert accuracy(scores, target) == accuracy(pred, target) == oracle.accuracy_score(target, pred)
    for k in range(1, 7):
        assert topk_accuracy(scores, target, k) == oracle.top_k_accuracy_score(target, scores, k=k)
    np.testing.assert_array_equal(confusion_matrix(pred, target), oracle.confusion_matrix(target, pred))


def test_equal_scores_go_to_the_first_class():
    assert topk_accuracy(np.zeros((2, 3)), [0, 1], k=1) == 0.5
    assert topk_accuracy(np.array([[200, 10], [0, 255]], np.uint8), [0, 1], k=1) == 1  # unsigned scores


def test_nan_is_wrong():
    scores = np.array([[np.nan, 1.0], [0.0, 1.0]])
    assert accuracy(scores, [0, 1]) == 0.5
    assert accuracy(scores, [1, 1]) == 0.5
    assert topk_accuracy(scores, [0, 1], k=2) == 0.5
    with pytest.raises(DataError, match="1 rows of scores contain NaN"):
        confusion_matrix(scores, [0, 1])


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: accuracy([1, 2], [1]), ShapeError, "2 predictions for 1 targets"),
    (lambda: accuracy([], []), ShapeError, "no samples"),
    (lambda: accuracy(SCORES, TARGET[:, None]), ShapeError, r"target has the shape \(4, 1\)"),
    (lambda: accuracy(np.zeros((2, 3, 4)), [1, 2]), ShapeError, r"pred has the shape \(2, 3, 4\)"),
    (lambda: accuracy(np.zeros((2, 0)), [1, 2]), ShapeError, "no choice of classes"),
    (lambda: accuracy(np.array([[0.2], [-3.0]]), [1, 0]), ShapeError, "of one logit per sample"),
    (lambda: accuracy([0.5, 1.0], [1, 2]), DTypeError, "pred holds float64"),
    (lambda: accuracy([1, 2], [1.0, 2.0]), DTypeError, "target holds float64"),
    (lambda: topk_accuracy(SCORES, TARGET, k=4), ShapeError, "k=4 with 3 classes"),
    (lambda: topk_accuracy(TARGET, TARGET), ShapeError, "Give scores, not labels"),
    (lambda: confusion_matrix([0, 3], [0, 1], num_classes=3), DataError, "pred holds labels from 0 to 3"),
    (lambda: confusion_matrix([0, 1], [0, -1]), DataError, "target holds labels from -1 to 0"),
])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


# Predictions (N,) and targets: ordinary; classes missing on either side; one class only; two classes
DRAWS = [(5, 5, 200), (6, 3, 40), (3, 6, 40), (1, 1, 9), (2, 2, 50), (1, 2, 30), (9, 9, 12)]


@pytest.mark.parametrize(("n_predicted", "n_true", "n"), DRAWS)
def test_scores_of_classes_against_scikit_learn(n_predicted, n_true, n):
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(n)
    pred, target = rng.integers(0, n_predicted, n), rng.integers(0, n_true, n)
    classes = range(max(pred.max(), target.max()) + 1)
    for zero in (0.0, 1.0, np.nan):
        options = {"zero_division": zero}
        for average in ("macro", "micro", "weighted", None):
            # per class, those that are nowhere count as well
            theirs = {"average": average, "labels": classes if average is None else None} | options
            ours = {"average": average} | options
            np.testing.assert_allclose(metrics.precision(pred, target, **ours),
                                       oracle.precision_score(target, pred, **theirs))
            np.testing.assert_allclose(metrics.recall(pred, target, **ours), oracle.recall_score(target, pred, **theirs))
            np.testing.assert_allclose(metrics.f1_score(pred, target, **ours), oracle.f1_score(target, pred, **theirs))
            for beta in (0.0, 0.5, 2.0):
                np.testing.assert_allclose(metrics.fbeta_score(pred, target, beta, **ours),
                                           oracle.fbeta_score(target, pred, beta=beta, **theirs))
        if len(classes) == 2:
            assert metrics.f1_score(pred, target, "binary", zero) == pytest.approx(oracle.f1_score(target, pred, **options))
    if len(classes) == 1:
        return  # scikit-learn warns below
    if set(np.unique(pred)) <= set(np.unique(target)):  # and here otherwise
        assert metrics.balanced_accuracy(pred, target) == pytest.approx(oracle.balanced_accuracy_score(target, pred))
    assert metrics.matthews_corrcoef(pred, target) == pytest.approx(oracle.matthews_corrcoef(target, pred))
    assert metrics.cohen_kappa(pred, target) == pytest.approx(oracle.cohen_kappa_score(target, pred))


def test_classes_that_are_nowhere_are_left_out_of_means():
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    pred, target = rng.choice([0, 2, 6], 40), rng.choice([0, 2, 5], 40)
    for average in ("macro", "weighted"):
        assert metrics.precision(pred, target, average) == pytest.approx(
            oracle.precision_score(target, pred, average=average, zero_division=0))
        assert metrics.f1_score(pred, target, average) == pytest.approx(oracle.f1_score(target, pred, average=average))


def test_undefined_scores():
    assert np.isnan(metrics.cohen_kappa([1, 1], [1, 1]))
    assert metrics.matthews_corrcoef([1, 1], [1, 1]) == 0
    assert metrics.precision([0, 0], [0, 0], "binary") == 0
    assert metrics.balanced_accuracy([2, 0, 0], [1, 0, 0]) == 0.5  # class 2 is never true
    assert np.isnan(metrics.f1_score([0, 0], [0, 0], "binary", float("nan")))


def test_scores_take_tensors_and_scores(sample):
    scores, target = sample
    labels = scores.argmax(axis=1)
    tensors = tgc.tensor(scores, requires_grad=True), tgc.tensor(target)
    for function in (metrics.f1_score, metrics.balanced_accuracy, metrics.matthews_corrcoef, metrics.cohen_kappa):
        assert function(*tensors) == function(labels, target)


def test_correlation_of_many_samples():
    """n^4 is beyond 64 bits here."""
    target = np.tile([0, 1, 1], 100_000)
    assert metrics.matthews_corrcoef(target, target) == 1
    assert metrics.cohen_kappa(1 - target, target) == pytest.approx(-0.8)  # p_o = 0, p_e = 4/9


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.precision([0, 1, 2], [0, 1, 2], "binary"), DataError, "average='binary' with 3 classes"),
    (lambda: metrics.recall([0, 1], [0, 1], "mean"), ValueError, "recall: average is 'mean'. Give 'macro'"),
    (lambda: metrics.fbeta_score([0], [0], -1), ValueError, "beta is -1"),
    (lambda: metrics.f1_score([[np.nan, 1.0]], [0]), DataError, "rows of scores contain NaN"),
])
def test_errors_of_scores(call, error, says):
    with pytest.raises(error, match=says):
        call()
