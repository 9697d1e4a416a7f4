"""What all measures ask of their arguments."""

from typing import Any

import numpy as np

from tinygrad_course.errors import DataError, DTypeError, ShapeError
from tinygrad_course.ops.creation import as_array

ArrayLike = Any  # Tensor, array, or lists of numbers

NO_CLASS = -1  # the predicted class of a row with NaN


def predicted_labels(pred: ArrayLike, caller: str) -> np.ndarray:
    """Labels int64 (N,) of labels (N,) or scores (N, C); NO_CLASS where a row of scores holds a NaN."""
    values = as_array(pred)
    if values.ndim == 2:
        if values.shape[1] < 2:  # the largest of one column is always the first
            raise ShapeError(f"{caller}: scores of shape {values.shape} leave no choice of classes. Give (N, C) with C >= 2, "
                             "or labels: of one logit per sample (z > 0).squeeze(1), of a probability (p > 0.5).squeeze(1).")
        labels = values.argmax(axis=1)
        return np.where(np.isnan(values).any(axis=1), NO_CLASS, labels)
    if values.ndim != 1:
        raise ShapeError(f"{caller}: pred has the shape {values.shape}; needed are labels (N,) or scores (N, C).")
    return as_integers(values, "pred", caller)


def target_labels(target: ArrayLike, caller: str) -> np.ndarray:
    """Labels int64 (N,)."""
    values = as_array(target)
    if values.ndim != 1:
        raise ShapeError(f"{caller}: target has the shape {values.shape}, needed are labels (N,). "
                         "Flatten it, or take the argmax of one-hot rows.")
    return as_integers(values, "target", caller)


def as_integers(values: np.ndarray, name: str, caller: str) -> np.ndarray:
    """Values int64, if they are integers or bools."""
    if values.size and values.dtype.kind not in "iub":
        raise DTypeError(f"{caller}: {name} holds {values.dtype} values, labels are integers. Convert with .long().")
    return values.astype(np.int64)


def check_lengths(pred: np.ndarray, truth: np.ndarray, caller: str) -> None:
    """As many of both, and at least one."""
    if len(pred) != len(truth):
        raise ShapeError(f"{caller}: {len(pred)} predictions for {len(truth)} targets. Give as many of both.")
    if not len(truth):
        raise ShapeError(f"{caller}: there are no samples. Give at least one.")


def scores_and_targets(pred: ArrayLike, target: ArrayLike, caller: str,
                       what: str = "scores") -> tuple[np.ndarray, np.ndarray]:
    """Scores float64, (N,) of class 1 or (N, C), and labels int64 (N,) below the number of classes; no NaN."""
    values, truth = as_array(pred), target_labels(target, caller)
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] < 2):
        raise ShapeError(f"{caller}: pred has the shape {values.shape}; needed are {what} (N,) of class 1, or (N, C) of C >= "
                         "2 classes.")
    check_lengths(values, truth, caller)
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise DataError(f"{caller}: {np.count_nonzero(np.isnan(values))} {what} are NaN and so have no rank. Look for the "
                        "step at which the model diverged.")
    n_classes = values.shape[1] if values.ndim == 2 else 2
    if truth.min() < 0 or truth.max() >= n_classes:
        mend = "Give scores (N, C), one column per class." if values.ndim == 1 else "Give a column of scores for each class."
        raise DataError(f"{caller}: target holds labels from {truth.min()} to {truth.max()}, but there are {n_classes} "
                        f"classes (0 to {n_classes - 1}). {mend}")
    return values, truth


def check_average(average: str | None, allowed: tuple[str, ...], caller: str) -> None:
    """`average` is one of `allowed`, or None."""
    if average is not None and average not in allowed:
        raise ValueError(f"{caller}: average is {average!r}. Give {', '.join(map(repr, allowed))}, or None for one value per "
                         "class.")
