"""Measures of predicted numbers.

pred and target have the same shape, (N,) or (N, D); with D > 1 each is the mean over the D outputs of its value for one.
A NaN in the prediction makes the result NaN: a broken model must not look good.
"""

import numpy as np

from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.metrics.inputs import ArrayLike
from tinygrad_course.ops.creation import as_array


def mean_squared_error(pred: ArrayLike, target: ArrayLike) -> float:
    """Mean of (p - y)^2, in the square of the unit."""
    p, y = _pair(pred, target, "mean_squared_error")
    return float(np.mean((p - y) ** 2))


def root_mean_squared_error(pred: ArrayLike, target: ArrayLike) -> float:
    """Square root of the mean of (p - y)^2, in the unit itself."""
    p, y = _pair(pred, target, "root_mean_squared_error")
    return float(np.mean(np.sqrt(np.mean((p - y) ** 2, axis=0))))


def mean_absolute_error(pred: ArrayLike, target: ArrayLike) -> float:
    """Mean of |p - y|, in the unit."""
    p, y = _pair(pred, target, "mean_absolute_error")
    return float(np.mean(np.abs(p - y)))


def mean_absolute_percentage_error(pred: ArrayLike, target: ArrayLike) -> float:
    """Mean of |p - y| / |y|, as a share: 0.1 is 10 %.

    A target of 0 counts as the rounding unit, 2.2e-16: the result is huge.
    """
    p, y = _pair(pred, target, "mean_absolute_percentage_error")
    return float(np.mean(np.abs(p - y) / np.maximum(np.abs(y), np.finfo(np.float64).eps)))


def r2_score(pred: ArrayLike, target: ArrayLike) -> float:
    """1 - sum (p - y)^2 / sum (y - mean y)^2: the part of the spread that is predicted.

    1 is perfect, 0 as good as always saying the mean, below 0 worse.  For a constant target 1 if it is met and else 0.
    """
    p, y = _pair(pred, target, "r2_score")
    return _explained(((p - y) ** 2).mean(axis=0), y, "r2_score")


def explained_variance(pred: ArrayLike, target: ArrayLike) -> float:
    """1 - var(p - y) / var(y):  `r2_score` that forgives a constant error."""
    p, y = _pair(pred, target, "explained_variance")
    return _explained((p - y).var(axis=0), y, "explained_variance")


def _explained(left: np.ndarray, y: np.ndarray, caller: str) -> float:
    """1 - left / var(y), mean over the outputs."""
    if len(y) < 2:
        raise ShapeError(f"{caller}: one sample has no spread to explain. Give at least two.")
    spread = y.var(axis=0)
    constant = np.where(left == 0, 1.0, np.where(np.isnan(left), np.nan, 0.0))
    return float(np.mean(np.where(spread > 0, 1 - left / np.where(spread > 0, spread, 1), constant)))


def _pair(pred: ArrayLike, target: ArrayLike, caller: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (N, D)."""
    p, y = as_array(pred), as_array(target)
    if p.shape != y.shape or p.ndim not in (1, 2):
        raise ShapeError(f"{caller}: pred has the shape {p.shape} and target {y.shape}, needed are the same, (N,) or (N, D). "
                         "A difference of (N, 1) and (N,) would be (N, N): use .squeeze(1) or .reshape.")
    if not p.size:
        raise ShapeError(f"{caller}: there are no samples. Give at least one.")
    for name, values in (("pred", p), ("target", y)):
        if values.dtype.kind not in "fiub":
            raise DTypeError(f"{caller}: {name} holds {values.dtype} values. Give real numbers.")
    return p.reshape(len(p), -1).astype(np.float64), y.reshape(len(y), -1).astype(np.float64)
