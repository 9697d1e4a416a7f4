"""Measures of scores by their order alone: any growing function of the scores gives the same.

Scores (N,) of class 1 with target 0 and 1, or scores (N, C), where each class in turn stands against the rest.
Samples with the same score cannot be told apart, and pass a threshold together.
"""

import numpy as np

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.metrics.inputs import ArrayLike, check_average, scores_and_targets

AVERAGES = ("macro", "weighted")


def roc_curve(pred: ArrayLike, target: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rates, true positive rates and thresholds, (K + 1,) each, for K different scores (N,).

    At a threshold t the samples with score >= t are called class 1.  The first point is (0, 0) at t = inf, the last (1, 1).
    Raises DataError unless the target (N,) has both classes.  T. Fawcett, "An introduction to ROC analysis" (2006).
    """
    scores, truth = _binary(pred, target, "roc_curve")
    thresholds, hits, alarms = _counts_at_thresholds(scores, truth)
    if not 0 < hits[-1] < len(truth):
        raise DataError(f"roc_curve: all {len(truth)} targets are class {int(truth[0])}, so that one of the rates is 0 / 0. "
                        "Give samples of both classes.")
    return (np.concatenate([[0.0], alarms / alarms[-1]]), np.concatenate([[0.0], hits / hits[-1]]),
            np.concatenate([[np.inf], thresholds]))


def roc_auc(pred: ArrayLike, target: ArrayLike, average: str | None = "macro") -> float | np.ndarray:
    """Area under the ROC curve: the chance that a sample of class 1 scores higher than one of class 0, ties counting a half.

    1 is perfect, 0.5 chance.  With scores (N, C) one area per class against the rest:
    average  "macro": their mean; "weighted": weighted by how often a class occurs; None: an array (C,)
    A class that has none, or all, of the samples has no area: NaN in the array, left out of the means.
    Raises DataError if there is no area at all.
    J. Hanley, B. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982).
    """
    def area(scores: np.ndarray, truth: np.ndarray) -> float:
        if not 0 < truth.sum() < len(truth):
            return float("nan")
        false_rate, true_rate, _ = roc_curve(scores, truth)
        return float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))  # trapezoids

    return _one_against_rest(area, pred, target, average, "roc_auc", "samples of two classes at least")


def precision_recall_curve(pred: ArrayLike, target: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision (K + 1,), recall (K + 1,) and thresholds (K,), growing, for K different scores (N,).

    At a threshold t the samples with score >= t are called class 1.  The last point, precision 1 at recall 0, has no
    threshold: there nothing is called class 1.  Raises DataError if no target is class 1.
    """
    scores, truth = _binary(pred, target, "precision_recall_curve")
    if not truth.any():
        raise DataError(f"precision_recall_curve: none of the {len(truth)} targets is class 1, so that recall is 0 / 0. Give "
                        "samples of class 1.")
    thresholds, hits, alarms = _counts_at_thresholds(scores, truth)
    return (np.concatenate([(hits / (hits + alarms))[::-1], [1.0]]), np.concatenate([(hits / hits[-1])[::-1], [0.0]]),
            thresholds[::-1])


def average_precision(pred: ArrayLike, target: ArrayLike, average: str | None = "macro") -> float | np.ndarray:
    """Mean precision over the steps of recall, sum_k (R_k - R_(k-1)) P_k; chance gives the share of class 1.

    Arguments as `roc_auc`; only a class without samples has no value.  No interpolation between the points, which would be
    too good: J. Davis, M. Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006.
    """
    def mean(scores: np.ndarray, truth: np.ndarray) -> float:
        if not truth.any():
            return float("nan")
        _, hits, alarms = _counts_at_thresholds(scores, truth)
        return float(np.sum(np.diff(hits, prepend=0) * hits / (hits + alarms)) / hits[-1])

    return _one_against_rest(mean, pred, target, average, "average_precision", "samples of class 1")


def _one_against_rest(measure, pred: ArrayLike, target: ArrayLike, average: str | None,  # type: ignore[no-untyped-def]
                      caller: str, needed: str) -> float | np.ndarray:
    check_average(average, AVERAGES, caller)
    scores, truth = scores_and_targets(pred, target, caller)
    several = scores.ndim == 2
    values = np.array([measure(scores[:, k], truth == k) for k in range(scores.shape[1])] if several else
                      [measure(scores, truth == 1)])
    defined = ~np.isnan(values)
    if not defined.any():
        raise DataError(f"{caller}: all {len(truth)} targets are class {int(truth[0])}, so that there is nothing to rank. "
                        f"Give {needed}.")
    if not several:
        return float(values[0])
    if average is None:
        return values
    support = np.bincount(truth, minlength=len(values))
    return float(np.average(values[defined], weights=support[defined] if average == "weighted" else None))


def _binary(pred: ArrayLike, target: ArrayLike, caller: str) -> tuple[np.ndarray, np.ndarray]:
    scores, truth = scores_and_targets(pred, target, caller)
    if scores.ndim != 1:
        raise ShapeError(f"{caller}: pred has the shape {scores.shape}, a curve has one class. Give the scores of class k, "
                         "pred[:, k], and target == k.")
    return scores, truth == 1


def _counts_at_thresholds(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different scores, falling (K,), and how many samples of class 1 and of class 0 have at least that score."""
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
    hits = np.cumsum(truth)[last]
    return scores[last], hits, last + 1 - hits
