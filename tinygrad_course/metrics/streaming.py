"""A measure over batches: the same number, to the bit, as the function gives on everything at once.

Means of batch values would not do: the last batch is smaller, and F1, AUC or R^2 of the whole is no mean of those of parts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.metrics import classification, overlap, probability
from tinygrad_course.metrics.inputs import ArrayLike
from tinygrad_course.ops.creation import as_array

# Functions of the confusion matrix: what is remembered is that matrix.
_OF_COUNTS: dict[Any, Callable[..., Any]] = {
    classification.balanced_accuracy: classification.balanced_accuracy_of_counts,
    classification.precision: classification.precision_of_counts,
    classification.recall: classification.recall_of_counts,
    classification.f1_score: lambda counts, *args, **options: classification.fbeta_of_counts(counts, 1.0, *args, **options),
    classification.fbeta_score: classification.fbeta_of_counts,
    classification.matthews_corrcoef: classification.matthews_corrcoef_of_counts,
    classification.cohen_kappa: classification.cohen_kappa_of_counts,
}
_OF_PIXEL_COUNTS: dict[Any, Callable[..., Any]] = {
    overlap.mask_iou: overlap.iou_of_counts,
    overlap.dice: overlap.dice_of_counts,
}
# Functions of one number per sample: what is remembered are these.
_OF_SAMPLES: dict[Any, tuple[Callable[..., np.ndarray], Callable[[np.ndarray], Any]]] = {
    classification.accuracy: (classification.right, np.mean),
    classification.topk_accuracy: (classification.among_best, np.mean),
    probability.log_loss: (probability.surprise, np.mean),
    probability.brier_score: (probability.squared_distance, np.mean),
    probability.perplexity: (probability.symbol_surprise, probability.perplexity_of_surprise),
}


class Streaming:
    """One of the functions of this package, or any `function(pred, target, **options)`, over batches.

        f1 = Streaming(f1_score, average="weighted")
        for x, y in loader:
            f1.update(model(x), y)
        f1.compute()                        # f1_score(all predictions, all targets, average="weighted")

    Functions of the confusion matrix remember that matrix alone, however many samples come; accuracies, losses and
    perplexity one number per sample; all others, and functions of your own, copies of both arguments.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._counts: np.ndarray | None = None
        self._kept: list[tuple[np.ndarray, ...]] = []

    def update(self, pred: ArrayLike, target: ArrayLike) -> None:
        """Take note of a batch."""
        if self.function is classification.confusion_matrix:
            self._add(classification.confusion_matrix(pred, target, **self.options))
        elif self.function in _OF_COUNTS:
            self._add(classification.confusion_matrix(pred, target))
        elif self.function in _OF_PIXEL_COUNTS:
            self._add(overlap.mask_counts(pred, target, self.options.get("num_classes"), self.options.get("ignore_index"),
                                          self.function.__name__))
        elif self.function in _OF_SAMPLES:
            self._kept.append((_OF_SAMPLES[self.function][0](pred, target, **self.options),))
        else:
            self._kept.append((as_array(pred).copy(), as_array(target).copy()))

    def compute(self) -> Any:
        """The measure of all batches since the last reset.  Raises ShapeError if there were none."""
        if self._counts is None and not self._kept:
            raise ShapeError(f"Streaming({self.function.__name__}): there are no samples. Call update(pred, target) first.")
        if self._counts is not None:
            if self.function in _OF_COUNTS:
                return _OF_COUNTS[self.function](self._counts, **self.options)
            if self.function in _OF_PIXEL_COUNTS:
                return _OF_PIXEL_COUNTS[self.function](self._counts, self.options.get("average", "macro"))
            return self._counts.copy()
        together = [np.concatenate(parts) for parts in zip(*self._kept, strict=True)]
        if self.function in _OF_SAMPLES:
            return float(_OF_SAMPLES[self.function][1](together[0]))
        return self.function(*together, **self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Streaming({self.function.__name__}{options})"

    def _add(self, counts: np.ndarray) -> None:
        """Add a matrix (C, C); one with more classes than before makes room for them."""
        if self._counts is None:
            self._counts = counts
            return
        before, size = self._counts, max(len(self._counts), len(counts))
        self._counts = np.zeros((size, size), np.int64)
        for part in (before, counts):
            self._counts[:len(part), :len(part)] += part
