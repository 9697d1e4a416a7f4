"""Losses for classes of unequal size."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_course.errors import DataError, DTypeError, ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.creation import as_array, from_numpy
from tinygrad_course.tensor import Tensor


def class_weights(labels: Tensor | np.ndarray | Sequence[int], num_classes: int | None = None) -> Tensor:
    """Weights (k,) with which every class counts the same: w_c = n / (k n_c), for n labels (n,) of k classes, n_c of class c.

    The weights of all samples add up to n.  For nn.CrossEntropyLoss(weight=...).
    G. King, L. Zeng, "Logistic regression in rare events data", Political Analysis 9 (2001), section 4.2.
    Raises DataError for a class without a label, DTypeError or ShapeError for what are no labels.
    """
    values = as_array(labels)
    if values.ndim != 1 or not values.size:
        raise ShapeError(f"class_weights: labels have the shape {values.shape}, needed are (n,) with n >= 1.")
    if values.dtype.kind not in "iu":
        raise DTypeError(f"class_weights: labels are {values.dtype}, needed are integers. Convert with .long().")
    if values.min() < 0 or (num_classes is not None and values.max() >= num_classes):
        raise DataError(f"class_weights: labels go from {values.min()} to {values.max()}, allowed are 0 to "
                        f"{'...' if num_classes is None else num_classes - 1}.")
    counts = np.bincount(values, minlength=num_classes or 0)
    if not counts.all():
        raise DataError(f"class_weights: there is no sample of class {int(counts.argmin())}, whose weight would be infinite. "
                        "Give labels of all classes, or leave the class out.")
    return from_numpy((len(values) / (len(counts) * counts)).astype(np.float32))


class SensitivityWeightedMSE(Module):
    """Mean squared error in which errors on positives count `ratio` times as much as those on negatives.

        E = 1/n sum_i w_i (y_i - t_i)^2,   w_i = ratio if t_i > threshold, else 1

    Where positives are rare (a call in hours of noise), the plain error is small for a net that never says yes.  A ratio
    over 1 raises the sensitivity (positives that are found) at the price of specificity; n_negative / n_positive lets both
    kinds weigh the same, 1 is nn.MSELoss.  As the pos_weight of nn.BCEWithLogitsLoss, the ratio also scales the gradient.

    ratio      positive
    threshold  targets above it are positive: 0.5 for 0 and 1, 0 for -1 and 1
    reduction  "mean", "sum" or "none"
    """

    def __init__(self, ratio: float, threshold: float = 0.5, reduction: str = "mean") -> None:
        super().__init__()
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"SensitivityWeightedMSE: ratio={ratio}; give a positive number, over 1 to find more positives")
        self.ratio = float(ratio)
        self.threshold = float(threshold)
        self.reduction = F.check_reduction(None, None, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        error = F.mse_loss(input, target, reduction="none")
        weighted = error * (1 + (self.ratio - 1) * (target > self.threshold).to(error.dtype))
        return weighted if self.reduction == "none" else weighted.sum() if self.reduction == "sum" else weighted.mean()

    def extra_repr(self) -> str:
        return f"ratio={self.ratio:g}, threshold={self.threshold:g}, reduction={self.reduction!r}"
