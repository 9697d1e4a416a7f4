"""Cross-validation: every sample is judged once, by a model that was not trained on it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinygrad_course.data import Dataset, Subset, kfold
from tinygrad_course.nn import Module
from tinygrad_course.ops.random import Generator

AnyModel = TypeVar("AnyModel", bound=Module)


@dataclass(frozen=True)
class CrossValidation:
    """The error of each fold on its part of the data, and how many samples the part has; `print` shows a table."""

    errors: list[float]
    sizes: list[int]

    @property
    def mean(self) -> float:
        """The error per sample over all of them:  sum_f n_f e_f / sum_f n_f.  Folds may differ in size by one."""
        return math.fsum(size * error for size, error in zip(self.sizes, self.errors, strict=True)) / sum(self.sizes)

    @property
    def std(self) -> float:
        """Standard deviation of the errors of the folds, with k - 1 below."""
        return float(np.std(self.errors, ddof=1))

    def __str__(self) -> str:
        lines = [f"fold {fold:>3}  {size:>7,} samples  {error:>11.6g}"
                 for fold, (size, error) in enumerate(zip(self.sizes, self.errors, strict=True), 1)]
        return "\n".join([*lines, f"mean      {sum(self.sizes):>7,} samples  {self.mean:>11.6g} +- {self.std:.3g}"])


def cross_validate(make_model: Callable[[], AnyModel], dataset: Dataset[Any], train: Callable[[AnyModel, Subset[Any]], Any],
                   error: Callable[[AnyModel, Subset[Any]], float], k: int = 10, *,
                   generator: Generator | None = None) -> CrossValidation:
    """Cut the data into k parts at random; k times train a fresh model on all but one part and judge it on that one.

    make_model  () -> an untrained model
    train       (model, training part) trains it
    error       (model, other part) -> its mean error per sample there
    k           2 to len(dataset); len(dataset) is leave-one-out
    generator   of the order in which the samples are dealt out; the default one without it

    M. Stone, "Cross-validatory choice and assessment of statistical predictions", J. R. Stat. Soc. B 36 (1974).
    """
    errors, sizes = [], []
    for rest, fold in kfold(len(dataset), k, shuffle=True, generator=generator):
        model = make_model()
        train(model, Subset(dataset, rest))
        errors.append(float(error(model, Subset(dataset, fold))))
        sizes.append(len(fold))
    return CrossValidation(errors, sizes)
