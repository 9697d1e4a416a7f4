"""Batches give the number of the whole, to the bit."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics
from tinygrad_course.errors import ShapeError

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(103, 5)).astype(np.float32)
LABELS = RNG.integers(0, 5, 103)
CHANCES = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
NUMBERS = RNG.normal(size=(103, 2))

CASES = [
    (metrics.accuracy, {}, SCORES, LABELS), (metrics.topk_accuracy, {"k": 2}, SCORES, LABELS),
    (metrics.confusion_matrix, {}, SCORES.argmax(axis=1), LABELS),
    (metrics.confusion_matrix, {"num_classes": 7}, SCORES, LABELS),
    (metrics.balanced_accuracy, {}, SCORES, LABELS), (metrics.precision, {"average": None}, SCORES, LABELS),
    (metrics.recall, {"average": "weighted"}, SCORES, LABELS), (metrics.f1_score, {"zero_division": 1.0}, SCORES, LABELS),
    (metrics.fbeta_score, {"beta": 2}, SCORES, LABELS), (metrics.matthews_corrcoef, {}, SCORES, LABELS),
    (metrics.cohen_kappa, {}, SCORES, LABELS),
    (metrics.roc_auc, {"average": None}, SCORES, LABELS), (metrics.average_precision, {}, SCORES, LABELS),
    (metrics.roc_curve, {}, SCORES[:, 0], LABELS == 0),
    (metrics.log_loss, {}, CHANCES, LABELS), (metrics.log_loss, {"from_logits": True}, SCORES, LABELS),
    (metrics.brier_score, {}, CHANCES, LABELS), (metrics.expected_calibration_error, {"bins": 7}, CHANCES, LABELS),
    (metrics.perplexity, {"ignore_index": 3}, SCORES, LABELS),
    (metrics.mask_iou, {"ignore_index": 3, "average": None, "num_classes": 6}, SCORES.argmax(axis=1), LABELS),
    (metrics.dice, {}, SCORES, LABELS),
    (metrics.r2_score, {}, NUMBERS, NUMBERS + SCORES[:, :2]), (metrics.root_mean_squared_error, {}, NUMBERS, SCORES[:, :2]),
]


@pytest.mark.parametrize(("function", "options", "pred", "target"), CASES,
                         ids=[f"{function.__name__}{number}" for number, (function, *_) in enumerate(CASES)])
def test_as_the_function_on_everything(function, options, pred, target):
    whole = function(pred, target, **options)
    for sizes in ([103], [1, 50, 2, 50], [1] * 103):
        stream = metrics.Streaming(function, **options)
        for part in np.split(np.arange(103), np.cumsum(sizes)[:-1]):
            stream.update(tgc.tensor(pred[part]), tgc.tensor(target[part]))
        np.testing.assert_array_equal(stream.compute(), whole)
        np.testing.assert_array_equal(stream.compute(), whole)  # asking changes nothing
    stream.reset()
    stream.update(pred[:60], target[:60])
    np.testing.assert_array_equal(stream.compute(), function(pred[:60], target[:60], **options))


def test_later_batches_may_bring_new_classes():
    stream = metrics.Streaming(metrics.f1_score, average=None)
    stream.update([0, 0], [0, 1])
    stream.update([3], [3])
    np.testing.assert_array_equal(stream.compute(), metrics.f1_score([0, 0, 3], [0, 1, 3], average=None))


def test_what_is_given_may_change_afterwards():
    pred, target = np.array([1.0, 2.0]), np.array([0.0, 0.0])
    stream = metrics.Streaming(metrics.mean_absolute_error)
    stream.update(pred, target)
    pred[:] = 9
    assert stream.compute() == 1.5


def test_a_function_of_your_own():
    stream = metrics.Streaming(lambda pred, target, power: float(((pred - target) ** power).sum()), power=2)
    stream.update([1.0], [0.0])
    stream.update([3.0], [0.0])
    assert stream.compute() == 10


def test_without_batches():
    stream = metrics.Streaming(metrics.accuracy)
    with pytest.raises(ShapeError, match=r"Streaming\(accuracy\): there are no samples. Call update"):
        stream.compute()
    assert repr(metrics.Streaming(metrics.fbeta_score, beta=2)) == "Streaming(fbeta_score, beta=2)"
