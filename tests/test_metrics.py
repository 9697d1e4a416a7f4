"""Metrics by hand, and against scikit-learn."""

import numpy as np
import pytest

import tinygrad_course as tgc
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
    metrics = pytest.importorskip("sklearn.metrics")
    scores, target = sample
    pred = scores.argmax(axis=1)
    assert accuracy(scores, target) == accuracy(pred, target) == metrics.accuracy_score(target, pred)
    for k in range(1, 7):
        assert topk_accuracy(scores, target, k) == metrics.top_k_accuracy_score(target, scores, k=k)
    np.testing.assert_array_equal(confusion_matrix(pred, target), metrics.confusion_matrix(target, pred))


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
    (lambda: accuracy(np.zeros((2, 0)), [1, 2]), ShapeError, "no classes"),
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
