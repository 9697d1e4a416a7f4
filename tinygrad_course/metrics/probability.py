"""Measures of predicted probabilities: how well they fit, and whether they mean what they say."""

import numpy as np

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.metrics.inputs import ArrayLike, as_integers, scores_and_targets
from tinygrad_course.ops.creation import as_array


def log_loss(pred: ArrayLike, target: ArrayLike, from_logits: bool = False) -> float:
    """Mean of -ln p(true class), in nats.

    pred         probabilities (N,) of class 1, or (N, C) with rows that sum to 1; kept away from 0 and 1 by the rounding
                 unit of their type, so that one wrong certainty does not make the mean infinite
    from_logits  pred are the numbers before the logistic function (N,) or the softmax (N, C)
    Raises DataError for probabilities outside 0 to 1 or rows that do not sum to 1.
    """
    return float(np.mean(surprise(pred, target, from_logits)))


def surprise(pred: ArrayLike, target: ArrayLike, from_logits: bool = False) -> np.ndarray:
    """-ln p(true class) of each sample (N,); arguments as `log_loss`."""
    scores, truth = scores_and_targets(pred, target, "log_loss", "logits" if from_logits else "probabilities")
    if from_logits:
        return _surprise_of_logits(scores, truth)
    _check_probabilities(scores, "log_loss")
    dtype = as_array(pred).dtype
    unit = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    chances = np.where(truth == 1, scores, 1 - scores) if scores.ndim == 1 else scores[np.arange(len(truth)), truth]
    return -np.log(np.clip(chances, unit, 1 - unit))


def brier_score(pred: ArrayLike, target: ArrayLike) -> float:
    """Mean squared distance of the probabilities to the outcome.

    pred (N,) of class 1:  mean (p - y)^2, 0 to 1.  pred (N, C):  mean over samples of sum_k (p_k - y_k)^2, y one-hot, 0 to 2,
    as in the source; for two classes it is twice the first form.
    G. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950), equation 2.
    """
    return float(np.mean(squared_distance(pred, target)))


def squared_distance(pred: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Squared distance of each sample's probabilities to its outcome (N,); arguments as `brier_score`."""
    chances, truth = scores_and_targets(pred, target, "brier_score", "probabilities")
    _check_probabilities(chances, "brier_score")
    if chances.ndim == 1:
        return (chances - truth) ** 2
    return ((chances - np.eye(chances.shape[1])[truth]) ** 2).sum(axis=1)


def calibration_curve(pred: ArrayLike, target: ArrayLike, bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, share of hits, and number of samples (int64), for each of the equally wide bins that has samples.

    pred (N,) of class 1: hits are the samples of class 1.  pred (N, C): the probability is that of the class with the
    largest one, hits are the samples of that class.  Probabilities that mean what they say give equal first two arrays.
    A bin has its upper edge and not its lower one; the first has both.
    C. Guo et al., "On calibration of modern neural networks", ICML 2017, equations 2 and 3.
    """
    chances, truth = scores_and_targets(pred, target, "calibration_curve", "probabilities")
    _check_probabilities(chances, "calibration_curve")
    if bins < 1:
        raise DataError(f"calibration_curve: bins is {bins}. Give 1 or more.")
    hit = truth == (1 if chances.ndim == 1 else chances.argmax(axis=1))
    confidence = chances if chances.ndim == 1 else chances.max(axis=1)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    sums = (np.bincount(place, weights=values, minlength=bins)[filled] for values in (confidence, hit))
    mean, share = (total / counts[filled] for total in sums)
    return mean, share, counts[filled]


def expected_calibration_error(pred: ArrayLike, target: ArrayLike, bins: int = 10) -> float:
    """Mean over the samples of |share of hits - mean probability| of their bin, 0 to 1; see `calibration_curve`.

    M. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    mean, share, counts = calibration_curve(pred, target, bins)
    return float(np.average(np.abs(share - mean), weights=counts))


def perplexity(pred: ArrayLike, target: ArrayLike, ignore_index: int | None = None) -> float:
    """exp(mean of -ln p(true symbol)): among how many equally likely symbols the model still has to guess.

    pred (..., V) are logits, of which the softmax is taken (log-probabilities are such logits); target (...) are integers.
    Positions with the target `ignore_index` (padding) do not count.  1 is perfect, V is a guess.
    """
    return perplexity_of_surprise(symbol_surprise(pred, target, ignore_index))


def symbol_surprise(pred: ArrayLike, target: ArrayLike, ignore_index: int | None = None) -> np.ndarray:
    """-ln p(true symbol) of every position that counts, (N,); arguments as `perplexity`."""
    logits, truth = as_array(pred), as_array(target)
    if logits.ndim < 1 or logits.shape[:-1] != truth.shape or not logits.size:
        raise ShapeError(f"perplexity: logits have the shape {logits.shape} and targets {truth.shape}, needed are (..., V) "
                         "and (...) with V >= 1. The symbols are the last axis here: move it there with .transpose(1, 2) if "
                         "they are the second, as in cross_entropy.")
    flat = logits.reshape(-1, logits.shape[-1])
    truth = as_integers(truth, "target", "perplexity").reshape(-1)
    if ignore_index is not None:
        flat, truth = flat[truth != ignore_index], truth[truth != ignore_index]
    if truth.size and (truth.min() < 0 or truth.max() >= flat.shape[1]):
        raise DataError(f"perplexity: target holds symbols from {truth.min()} to {truth.max()}, but there are "
                        f"{flat.shape[1]} (0 to {flat.shape[1] - 1}). Mend the targets, or give ignore_index for padding.")
    return _surprise_of_logits(flat.astype(np.float64), truth)


def perplexity_of_surprise(values: np.ndarray) -> float:
    """`perplexity` of what `symbol_surprise` gives."""
    if not values.size:
        raise ShapeError("perplexity: there are no symbols to predict. Give at least one that is not ignore_index.")
    with np.errstate(over="ignore"):  # a perplexity beyond the numbers is inf
        return float(np.exp(np.mean(values)))


def _surprise_of_logits(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if logits.ndim == 1:
        return np.logaddexp(0, np.where(truth == 1, -logits, logits))  # -ln of the logistic function
    largest = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
    return log_sum - logits[np.arange(len(truth)), truth]


def _check_probabilities(values: np.ndarray, caller: str) -> None:
    if values.min() < 0 or values.max() > 1:
        mend = "logistic function" if values.ndim == 1 else "softmax"
        raise DataError(f"{caller}: pred holds values from {values.min():.4g} to {values.max():.4g}, probabilities are 0 to "
                        f"1. Take the {mend} of the scores.")
    if values.ndim == 2:
        off = np.abs(values.sum(axis=1) - 1)
        if off.max() > 1e-3:  # float16 probabilities sum to 1 within that
            raise DataError(f"{caller}: row {off.argmax()} of pred sums to {values[off.argmax()].sum():.4g}, probabilities "
                            "of all classes sum to 1. Take the softmax of the scores.")
