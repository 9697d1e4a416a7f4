"""What every forecaster of a series needs besides a model: a linear one to be compared with, and the free run.

A model of a time window predicts the next value of a series from the last `width` values.  In a free run its own predictions
take the place of the series: after `width` steps it sees nothing else.  Errors then add up, and what the model has learned of
the dynamics shows: a linear model with stable roots dies out, a nonlinear one can go on swinging.

G. Yule, "On a method of investigating periodicities in disturbed series, with special reference to Wolfer's sunspot numbers",
Philosophical Transactions A 226, 267-298 (1927): linear autoregression, on the sunspots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_course.errors import ShapeError


@dataclass(frozen=True, eq=False)
class LinearAutoregression:
    """prediction = bias + sum_k weights[k] x[k]; x[-1] is the latest value."""

    weights: np.ndarray
    bias: float

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray) -> LinearAutoregression:
        """Least squares of windows (N, width) and the values that follow, (N,)."""
        if np.ndim(x) != 2 or np.shape(y) != np.shape(x)[:1]:
            raise ShapeError(f"LinearAutoregression.fit: windows have the shape {np.shape(x)} and targets {np.shape(y)}, "
                             "needed are (N, width) and (N,).")
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)
        solution = np.linalg.lstsq(design, np.asarray(y, dtype=np.float64), rcond=None)[0]
        return cls(solution[:-1], float(solution[-1]))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, width) -> (N,)."""
        return x @ self.weights + self.bias


def free_run(predict: Callable[[np.ndarray], np.ndarray], window: np.ndarray, steps: int) -> np.ndarray:
    """Predict `steps` values, each from the window before it, in which predictions have taken the place of the series.

    predict   (1, width) -> one value;  window: the last known values, (width,)
    """
    history = np.array(window)
    if history.ndim != 1 or not history.size:
        raise ShapeError(f"free_run: the window has the shape {history.shape}, needed is (width,), the last known values.")
    width = len(history)
    history = np.concatenate([history, np.zeros(steps, dtype=history.dtype)])
    for t in range(steps):
        history[width + t] = np.asarray(predict(history[t:t + width][None])).item()
    return history[width:]


def relative_variance(predicted: np.ndarray, true: np.ndarray, variance: float) -> float:
    """Mean squared error as a share of the variance of the series: 1 is what the mean of the series achieves."""
    return float(((np.asarray(predicted) - np.asarray(true)) ** 2).mean() / variance)
