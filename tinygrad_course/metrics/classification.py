"""Measures of predicted classes.

`pred` is either class labels, integers (N,), or scores, floats (N, C), of which the largest wins.
A row of scores with a NaN counts as wrong: a broken model must not look good.

All but the accuracies follow from the confusion matrix n[i, j], the number of samples of class i that were given class j;
each is a function of its own of that matrix (`..._of_counts`), so that batches can be added up.
"""

import numpy as np

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.metrics.inputs import (
    NO_CLASS,
    ArrayLike,
    as_array,
    check_average,
    check_lengths,
    predicted_labels,
    target_labels,
)

AVERAGES = ("macro", "micro", "weighted", "binary")


def accuracy(pred: ArrayLike, target: ArrayLike) -> float:
    """Share of right predictions, 0 to 1.  pred (N,) or (N, C), target integers (N,)."""
    return float(np.mean(right(pred, target)))


def right(pred: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Whether each prediction is right, bool (N,)."""
    labels, truth = predicted_labels(pred, "accuracy"), target_labels(target, "accuracy")
    check_lengths(labels, truth, "accuracy")
    return labels == truth


def topk_accuracy(scores: ArrayLike, target: ArrayLike, k: int = 5) -> float:
    """Share of samples whose true class is among the k largest scores, 0 to 1; of equal scores the first class wins.

    scores (N, C), target integers (N,), 1 <= k <= C.
    """
    return float(np.mean(among_best(scores, target, k)))


def among_best(scores: ArrayLike, target: ArrayLike, k: int = 5) -> np.ndarray:
    """Whether the true class of each sample is among its k largest scores, bool (N,)."""
    values, truth = as_array(scores), target_labels(target, "topk_accuracy")
    if values.ndim != 2:
        raise ShapeError(f"topk_accuracy: scores have the shape {values.shape}, needed is (N, C). "
                         "Give scores, not labels.")
    check_lengths(values, truth, "topk_accuracy")
    if not 1 <= k <= values.shape[1]:
        raise ShapeError(f"topk_accuracy: k={k} with {values.shape[1]} classes. Give 1 <= k <= {values.shape[1]}.")
    values = np.asarray(values, dtype=np.float64)
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return (best == truth[:, None]).any(axis=1) & ~np.isnan(values).any(axis=1)


def confusion_matrix(pred: ArrayLike, target: ArrayLike,
                     num_classes: int | None = None) -> np.ndarray:
    """Counts int64 (C, C): row = true class, column = predicted class.

    Without `num_classes` there are as many classes as the scores have columns, or the largest label needs.
    Raises DataError for labels outside 0 ... C-1, and for scores with NaN, which have no predicted class.
    """
    labels, truth = predicted_labels(pred, "confusion_matrix"), target_labels(target, "confusion_matrix")
    check_lengths(labels, truth, "confusion_matrix")
    if (labels == NO_CLASS).any() and as_array(pred).ndim == 2:
        raise DataError(f"confusion_matrix: {np.count_nonzero(labels == NO_CLASS)} rows of scores contain NaN and so "
                        "predict no class. Look for the step at which the model diverged.")
    if num_classes is None:
        columns = as_array(pred).shape[1] if as_array(pred).ndim == 2 else 0
        num_classes = max(columns, int(labels.max()) + 1, int(truth.max()) + 1)
    for name, values in (("pred", labels), ("target", truth)):
        if values.min() < 0 or values.max() >= num_classes:
            raise DataError(f"confusion_matrix: {name} holds labels from {values.min()} to {values.max()}, but "
                            f"there are {num_classes} classes (0 to {num_classes - 1}). Give a larger num_classes or "
                            "mend the labels.")
    counts = np.bincount(truth * num_classes + labels, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)  # (C * C,) -> (C, C)


def balanced_accuracy(pred: ArrayLike, target: ArrayLike) -> float:
    """Mean recall of the classes that occur in the target, 0 to 1: rare classes count as much as common ones.

    K. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    return balanced_accuracy_of_counts(confusion_matrix(pred, target))


def balanced_accuracy_of_counts(counts: np.ndarray) -> float:
    """`balanced_accuracy` of a confusion matrix."""
    support = counts.sum(axis=1)
    present = support > 0
    return float(np.mean(np.diag(counts)[present] / support[present]))


def precision(pred: ArrayLike, target: ArrayLike, average: str | None = "macro",
              zero_division: float = 0.0) -> float | np.ndarray:
    """Share of the samples given a class that belong to it, TP / (TP + FP); arguments as `fbeta_score`."""
    return precision_of_counts(confusion_matrix(pred, target), average, zero_division)


def precision_of_counts(counts: np.ndarray, average: str | None = "macro", zero_division: float = 0.0) -> float | np.ndarray:
    """`precision` of a confusion matrix."""
    hits = np.diag(counts)
    return _averaged(counts, hits, counts.sum(axis=0), average, zero_division, "precision")


def recall(pred: ArrayLike, target: ArrayLike, average: str | None = "macro",
           zero_division: float = 0.0) -> float | np.ndarray:
    """Share of the samples of a class that were given it, TP / (TP + FN); arguments as `fbeta_score`."""
    return recall_of_counts(confusion_matrix(pred, target), average, zero_division)


def recall_of_counts(counts: np.ndarray, average: str | None = "macro", zero_division: float = 0.0) -> float | np.ndarray:
    """`recall` of a confusion matrix."""
    hits = np.diag(counts)
    return _averaged(counts, hits, counts.sum(axis=1), average, zero_division, "recall")


def f1_score(pred: ArrayLike, target: ArrayLike, average: str | None = "macro",
             zero_division: float = 0.0) -> float | np.ndarray:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); arguments as `fbeta_score`."""
    return fbeta_of_counts(confusion_matrix(pred, target), 1.0, average, zero_division)


def fbeta_score(pred: ArrayLike, target: ArrayLike, beta: float, average: str | None = "macro",
                zero_division: float = 0.0) -> float | np.ndarray:
    """(1 + b^2) TP / ((1 + b^2) TP + FP + b^2 FN):  recall counts b times as much as precision.

    average        "macro": mean over the classes that occur in pred or target; "weighted": the same, weighted by how often
                   they occur in target; "micro": TP, FP and FN of all classes added up first, which is the accuracy;
                   "binary": class 1 of the classes 0 and 1; None: an array (C,), one value per class
    zero_division  value of 0 / 0, a class without samples (recall), without predictions (precision), or with neither;
                   with NaN, means leave such classes out
    Raises DataError for scores with NaN.  C. van Rijsbergen, "Information Retrieval" (1979), chapter 7.
    """
    return fbeta_of_counts(confusion_matrix(pred, target), beta, average, zero_division)


def fbeta_of_counts(counts: np.ndarray, beta: float, average: str | None = "macro",
                    zero_division: float = 0.0) -> float | np.ndarray:
    """`fbeta_score` of a confusion matrix."""
    if not (beta >= 0 and np.isfinite(beta)):
        raise ValueError(f"fbeta_score: beta is {beta}. Give 0 <= beta < inf; 1 weighs precision and recall alike.")
    hits = np.diag(counts)
    # FP + TP is the column sum, FN + TP the row sum
    total = counts.sum(axis=0) + beta**2 * counts.sum(axis=1)
    return _averaged(counts, (1 + beta**2) * hits, total, average, zero_division, "fbeta_score")


def matthews_corrcoef(pred: ArrayLike, target: ArrayLike) -> float:
    """Correlation of predicted and true classes, -1 to 1; 0 for chance, and if either is always the same class.

        (n s - sum_k p_k t_k) / sqrt((n^2 - sum p_k^2) (n^2 - sum t_k^2))

    of n samples, s of them right, p_k given class k, t_k of class k.  J. Gorodkin, "Comparing two K-category assignments by
    a K-category correlation coefficient", Computational Biology and Chemistry 28 (2004), equation 8.
    """
    return matthews_corrcoef_of_counts(confusion_matrix(pred, target))


def matthews_corrcoef_of_counts(counts: np.ndarray) -> float:
    """`matthews_corrcoef` of a confusion matrix."""
    exact = counts.astype(object)  # Python's integers: n^4 leaves int64 at 60,000 samples
    given, true = exact.sum(axis=0), exact.sum(axis=1)
    n, hits = exact.sum(), exact.trace()
    spread = (n * n - (given * given).sum()) * (n * n - (true * true).sum())
    return float((n * hits - (given * true).sum()) / float(spread) ** 0.5) if spread else 0.0


def cohen_kappa(pred: ArrayLike, target: ArrayLike) -> float:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), p_o the accuracy and p_e that of as frequent guesses.

    1 for perfect agreement, 0 for chance; NaN if pred and target are all one and the same class, where chance is perfect.
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).
    """
    return cohen_kappa_of_counts(confusion_matrix(pred, target))


def cohen_kappa_of_counts(counts: np.ndarray) -> float:
    """`cohen_kappa` of a confusion matrix."""
    n = int(counts.sum())
    by_chance = sum(int(given) * int(true) for given, true in zip(counts.sum(axis=0), counts.sum(axis=1), strict=True))
    return (n * int(counts.trace()) - by_chance) / (n * n - by_chance) if by_chance < n * n else float("nan")


def _averaged(counts: np.ndarray, upper: np.ndarray, lower: np.ndarray, average: str | None, zero_division: float,
              caller: str) -> float | np.ndarray:
    """Quotients upper / lower (C,) per class, or their mean."""
    check_average(average, AVERAGES, caller)
    support = counts.sum(axis=1)
    if average == "binary":
        if len(counts) > 2:
            raise DataError(f"{caller}: average='binary' with {len(counts)} classes. Give average='macro', 'micro', "
                            "'weighted' or None.")
        return float(_quotient(upper[1:], lower[1:], zero_division)[0]) if len(counts) == 2 else float(zero_division)
    if average == "micro":
        return float(_quotient(upper.sum(keepdims=True), lower.sum(keepdims=True), zero_division)[0])
    values = _quotient(upper, lower, zero_division)
    if average is None:
        return values
    weights = support if average == "weighted" else (support + counts.sum(axis=0) > 0)
    defined = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[defined], weights=weights[defined])) if defined.any() else float("nan")


def _quotient(upper: np.ndarray, lower: np.ndarray, zero_division: float) -> np.ndarray:
    return np.where(lower > 0, upper / np.where(lower > 0, lower, 1), zero_division)
