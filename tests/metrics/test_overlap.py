"""Overlap of masks and boxes, by hand and against scikit-learn and a count of pixels."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics
from tinygrad_course.errors import DataError, DTypeError, ShapeError


@pytest.mark.parametrize(("n_predicted", "n_true"), [(4, 4), (2, 5), (5, 2), (1, 1)])
def test_masks_against_scikit_learn(n_predicted, n_true):
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(n_true)
    pred, target = rng.integers(0, n_predicted, (3, 8, 9)), rng.integers(0, n_true, (3, 8, 9))
    for average in ("macro", None):
        np.testing.assert_allclose(metrics.mask_iou(pred, target, average=average),
                                   oracle.jaccard_score(target.ravel(), pred.ravel(), average=average))
        np.testing.assert_allclose(metrics.dice(pred, target, average=average),
                                   oracle.f1_score(target.ravel(), pred.ravel(), average=average))


def test_masks_by_hand():
    pred, target = np.array([[1, 1, 0], [0, 0, 0]]), np.array([[1, 0, 0], [1, 0, 255]])
    np.testing.assert_allclose(metrics.mask_iou(pred, target, 3, ignore_index=255, average=None), [2 / 4, 1 / 3, np.nan])
    assert metrics.mask_iou(pred, target, 3, ignore_index=255) == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert metrics.dice(pred, target, ignore_index=255) == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert metrics.mask_iou(pred == 1, target == 1) == pytest.approx((3 / 5 + 1 / 3) / 2)  # the last pixel counts


def test_scores_of_pixels():
    scores = np.random.default_rng(2).normal(size=(2, 3, 4, 5))
    target = np.random.default_rng(3).integers(0, 3, (2, 4, 5))
    assert metrics.mask_iou(tgc.tensor(scores), tgc.tensor(target)) == metrics.mask_iou(scores.argmax(axis=1), target)


def test_boxes_by_hand():
    pred = [[0, 0, 2, 2], [0, 0, 0, 0]]
    target = [[1, 1, 3, 3], [0, 0, 2, 2], [3, 0, 4, 2], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.box_iou(pred, target), [[1 / 7, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(metrics.generalized_box_iou(pred, target)[0], [1 / 7 - 2 / 9, 1, -2 / 8, 0])
    assert metrics.box_iou(np.zeros((0, 4)), target).shape == (0, 4)


def test_boxes_are_counted_pixels():
    """Boxes with whole corners are sets of pixels; hulls too."""
    rng = np.random.default_rng(4)
    corners = np.sort(rng.integers(0, 13, (9, 2, 2)), axis=1)
    corners[:, 1] += 1
    boxes = corners.reshape(9, 4)  # (x1, y1), (x2, y2)

    def pixels(box):
        image = np.zeros((14, 14), bool)
        image[box[1]:box[3], box[0]:box[2]] = True
        return image
    plain, general = metrics.box_iou(boxes[:4], tgc.tensor(boxes[4:])), metrics.generalized_box_iou(boxes[:4], boxes[4:])
    for i, a in enumerate(boxes[:4]):
        for j, b in enumerate(boxes[4:]):
            union, hull = (pixels(a) | pixels(b)).sum(), pixels([*np.minimum(a[:2], b[:2]), *np.maximum(a[2:], b[2:])]).sum()
            iou = (pixels(a) & pixels(b)).sum() / union
            assert plain[i, j] == pytest.approx(iou)
            assert general[i, j] == pytest.approx(iou - (hull - union) / hull)


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.mask_iou(np.zeros((2, 3), int), np.zeros((3, 2), int)), ShapeError, r"the shape \(2, 3\) and target"),
    (lambda: metrics.dice(np.zeros((2, 3, 4, 4)), np.zeros((2, 4, 5), int)), ShapeError, r"\(N, C, ...\) and \(N, ...\)"),
    (lambda: metrics.dice(np.zeros((2, 3), int), np.zeros((2, 3))), DTypeError, "target holds float64"),
    (lambda: metrics.mask_iou([9], [9], ignore_index=9), DataError, "no pixel counts"),
    (lambda: metrics.mask_iou([0], [5], num_classes=3), DataError, "target holds labels from 5 to 5"),
    (lambda: metrics.mask_iou([0], [0], average="micro"), ValueError, "Give 'macro', or None"),
    (lambda: metrics.box_iou([0, 0, 1, 1], [[0, 0, 1, 1]]), ShapeError, r"pred has the shape \(4,\)"),
    (lambda: metrics.box_iou([[0, 0, 1, 1]], [[5, 5, 2, 2]]), DataError, r"target holds the box \[5.0, .*x \+ width"),
    (lambda: metrics.generalized_box_iou([[0, 0, 1, np.nan]], [[0, 0, 1, 1]]), DataError, "pred holds the box"),
])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()
