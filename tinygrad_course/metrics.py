"""Measures of a classifier, on arrays or tensors; nothing here is differentiable.

`pred` is either class labels, integers (N,), or scores, floats (N, C), of which the largest wins.
A row of scores with a NaN counts as wrong: a broken model must not look good.
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_course.errors import DataError, DTypeError, ShapeError
from tinygrad_course.tensor import Tensor

ArrayLike = Tensor | np.ndarray | Sequence[int]

_NO_CLASS = -1  # the predicted class of a row with NaN


def accuracy(pred: ArrayLike | Sequence[Sequence[float]], target: ArrayLike) -> float:
    """Share of right predictions, 0 to 1.  pred (N,) or (N, C), target integers (N,)."""
    labels, truth = _labels(pred, "accuracy"), _targets(target, "accuracy")
    _check_lengths(labels, truth, "accuracy")
    return float(np.mean(labels == truth))


def topk_accuracy(scores: ArrayLike | Sequence[Sequence[float]], target: ArrayLike, k: int = 5) -> float:
    """Share of samples whose true class is among the k largest scores, 0 to 1; of equal scores the first class wins.

    scores (N, C), target integers (N,), 1 <= k <= C.
    """
    values, truth = _array(scores), _targets(target, "topk_accuracy")
    if values.ndim != 2:
        raise ShapeError(f"topk_accuracy: scores have the shape {values.shape}, needed is (N, C). "
                         "Give scores, not labels.")
    _check_lengths(values, truth, "topk_accuracy")
    if not 1 <= k <= values.shape[1]:
        raise ShapeError(f"topk_accuracy: k={k} with {values.shape[1]} classes. Give 1 <= k <= {values.shape[1]}.")
    values = np.asarray(values, dtype=np.float64)
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    right = (best == truth[:, None]).any(axis=1) & ~np.isnan(values).any(axis=1)
    return float(np.mean(right))


def confusion_matrix(pred: ArrayLike | Sequence[Sequence[float]], target: ArrayLike,
                     num_classes: int | None = None) -> np.ndarray:
    """Counts int64 (C, C): row = true class, column = predicted class.

    Without `num_classes` there are as many classes as the scores have columns, or the largest label needs.
    Raises DataError for labels outside 0 ... C-1, and for scores with NaN, which have no predicted class.
    """
    labels, truth = _labels(pred, "confusion_matrix"), _targets(target, "confusion_matrix")
    _check_lengths(labels, truth, "confusion_matrix")
    if (labels == _NO_CLASS).any() and _array(pred).ndim == 2:
        raise DataError(f"confusion_matrix: {np.count_nonzero(labels == _NO_CLASS)} rows of scores contain NaN and so "
                        "predict no class. Look for the step at which the model diverged.")
    if num_classes is None:
        columns = _array(pred).shape[1] if _array(pred).ndim == 2 else 0
        num_classes = max(columns, int(labels.max()) + 1, int(truth.max()) + 1)
    for name, values in (("pred", labels), ("target", truth)):
        if values.min() < 0 or values.max() >= num_classes:
            raise DataError(f"confusion_matrix: {name} holds labels from {values.min()} to {values.max()}, but "
                            f"there are {num_classes} classes (0 to {num_classes - 1}). Give a larger num_classes or "
                            "mend the labels.")
    counts = np.bincount(truth * num_classes + labels, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)  # (C * C,) -> (C, C)


def _array(values: object) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _labels(pred: object, caller: str) -> np.ndarray:
    values = _array(pred)
    if values.ndim == 2:
        if not values.shape[1]:
            raise ShapeError(f"{caller}: scores of shape {values.shape} have no classes. Give (N, C) with C >= 1.")
        labels = values.argmax(axis=1)
        return np.where(np.isnan(values).any(axis=1), _NO_CLASS, labels)
    if values.ndim != 1:
        raise ShapeError(f"{caller}: pred has the shape {values.shape}; needed are labels (N,) or scores (N, C).")
    return _integers(values, "pred", caller)


def _targets(target: object, caller: str) -> np.ndarray:
    values = _array(target)
    if values.ndim != 1:
        raise ShapeError(f"{caller}: target has the shape {values.shape}, needed are labels (N,). "
                         "Flatten it, or take the argmax of one-hot rows.")
    return _integers(values, "target", caller)


def _integers(values: np.ndarray, name: str, caller: str) -> np.ndarray:
    if values.size and values.dtype.kind not in "iub":
        raise DTypeError(f"{caller}: {name} holds {values.dtype} values, labels are integers. Convert with .long().")
    return values.astype(np.int64)


def _check_lengths(pred: np.ndarray, truth: np.ndarray, caller: str) -> None:
    if len(pred) != len(truth):
        raise ShapeError(f"{caller}: {len(pred)} predictions for {len(truth)} targets. Give as many of both.")
    if not len(truth):
        raise ShapeError(f"{caller}: there are no samples. Give at least one.")
