"""Standardising: every feature to mean 0 and standard deviation 1 on the training set.

Inputs of mean 0 and equal spread make the error surface rounder, so gradient descent goes straighter: Y. LeCun et al.,
"Efficient BackProp" (1998), section 4.3.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from tinygrad_course.errors import DataError, ShapeError, StateDictError
from tinygrad_course.ops.creation import as_array, as_tensor, tensor
from tinygrad_course.tensor import Tensor

Values = TypeVar("Values", np.ndarray, Tensor)
ROWS = 4096  # samples whose squares are summed at a time, which bounds the memory


class Standardiser:
    """(x - mean) / std, with the mean and standard deviation of a training set:

        scale = Standardiser().fit(train)     # never of all data: the test set would leak into the training
        train, test = scale.transform(train), scale.transform(test)

    Features are along axis 1, as in BatchNorm: columns of (N, D), channels of images (N, C, H, W) or series (N, C, T); (N,)
    is one feature.  `std` is that of the sample itself (divided by N).  A feature without variation is only shifted.
    Arrays and tensors give their like, in float32, or float64 if given so; statistics are computed in float64.
    """

    def __init__(self) -> None:
        self.mean: np.ndarray | None = None  # (D,), float64
        self.std: np.ndarray | None = None   # (D,), 1 for a feature without variation

    def fit(self, x: np.ndarray | Tensor) -> "Standardiser":
        """Take mean and standard deviation from the training set.

        Raises ShapeError if it is empty, DataError if it contains NaN or infinity.
        """
        array = _by_feature("fit", as_array(x))
        axes = (0, *range(2, array.ndim))
        bad = ~np.isfinite(array).all(axis=axes)
        if bad.any():
            some = ", ".join(map(str, np.flatnonzero(bad)[:5]))
            raise DataError(f"Standardiser.fit: NaN or infinity in {np.count_nonzero(bad)} of {len(bad)} features ({some}"
                            f"{', ...' if bad.sum() > 5 else ''}). Leave those samples out, or fill the gaps first.")
        n = array.size // array.shape[1]
        mean = array.mean(axis=axes, dtype=np.float64)
        square = np.zeros_like(mean)
        for start in range(0, len(array), ROWS):
            square += ((array[start:start + ROWS] - _along(mean, array.ndim)) ** 2).sum(axis=axes)
        eps = np.finfo(np.float64).eps
        # The mean is rounded, so the sum is not 0 for equal values: at most (n mean eps)^2 per value.
        constant = square / n <= n * eps * square / n + (n * mean * eps) ** 2
        self.mean, self.std = mean, np.where(constant, 1.0, np.sqrt(square / n))
        return self

    def transform(self, x: Values) -> Values:
        """(x - mean) / std.  Raises DataError before fit, ShapeError for another number of features."""
        mean, std, x = self._ready("transform", x)
        high = mean.astype(x.dtype if isinstance(x, np.ndarray) else x.array.dtype)
        # In two steps, since a large mean is not a float32: what it was rounded by is taken off afterwards.
        return self._like(x, lambda v, a, b, s: ((v - a) - b) / s, high, mean - high, std)

    def fit_transform(self, x: Values) -> Values:
        """fit(x), then transform(x)."""
        return self.fit(x).transform(x)

    def inverse_transform(self, x: Values) -> Values:
        """x std + mean."""
        mean, std, x = self._ready("inverse_transform", x)
        return self._like(x, lambda v, m, s: v * s + m, mean, std)

    def state_dict(self) -> dict[str, Tensor]:
        """Mean and standard deviation as float64 tensors.  Raises DataError before fit."""
        mean, std = self._fitted("state_dict")
        return {"mean": tensor(mean), "std": tensor(std)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the result of state_dict().  Raises StateDictError if it does not fit."""
        if set(state_dict) != {"mean", "std"}:
            raise StateDictError(f"Standardiser.load_state_dict: the state has {', '.join(state_dict) or 'nothing'}. Give "
                                 "mean and std, the result of state_dict().")
        mean, std = (np.array(as_array(state_dict[key]), dtype=np.float64) for key in ("mean", "std"))
        if mean.ndim != 1 or mean.shape != std.shape:
            raise StateDictError(f"Standardiser.load_state_dict: mean {mean.shape} and std {std.shape} must be equally long.")
        self.mean, self.std = mean, std

    def _fitted(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        if self.mean is None or self.std is None:
            raise DataError(f"Standardiser.{method}: nothing was fitted yet. Call fit(x) with the training set first.")
        return self.mean, self.std

    def _ready(self, method: str, x: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """Mean, standard deviation, and x as floating point numbers."""
        mean, std = self._fitted(method)
        values = x if isinstance(x, Tensor) else np.asarray(x)
        found = 1 if values.ndim == 1 else values.shape[1] if values.ndim else 0
        if found != len(mean):
            raise ShapeError(f"Standardiser.{method}: {tuple(values.shape)} has {found} features along axis 1, fitted were "
                             f"{len(mean)}.")
        if isinstance(values, Tensor):
            return mean, std, values if values.is_floating_point() else values.float()
        return mean, std, values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)

    def _like(self, x: Any, formula: Any, *statistics: np.ndarray) -> Any:
        """The formula on values along axis 1, in the type of x."""
        shaped = [value if x.ndim == 1 else _along(value, x.ndim) for value in statistics]
        if isinstance(x, Tensor):
            return formula(x, *(as_tensor(value, dtype=x.dtype, device=x.device) for value in shaped))
        return formula(x, *(value.astype(x.dtype) for value in shaped))


def _by_feature(method: str, array: np.ndarray) -> np.ndarray:
    if not array.size:
        raise ShapeError(f"Standardiser.{method}: shape {array.shape} holds nothing. Give (N, D) or (N, C, H, W).")
    if array.dtype.kind not in "biuf":
        raise DataError(f"Standardiser.{method}: {array.dtype} are no numbers that have a mean. Give real numbers.")
    return array[:, None] if array.ndim == 1 else array.reshape(1, 1) if array.ndim == 0 else array


def _along(values: np.ndarray, ndim: int) -> np.ndarray:
    """(D,) as (1, D, 1, ...)."""
    return values.reshape(1, -1, *[1] * (ndim - 2))
