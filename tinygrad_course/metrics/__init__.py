"""Measures of predictions, on arrays, tensors or lists; nothing here is differentiable.

Every function takes the prediction first and the target second, as losses do; scikit-learn takes them the other way round.
`Streaming` gives the same number from batches.

    labels        accuracy, topk_accuracy, confusion_matrix, balanced_accuracy, precision, recall, f1_score, fbeta_score,
                  matthews_corrcoef, cohen_kappa
    rankings      roc_curve, roc_auc, precision_recall_curve, average_precision
    probabilities log_loss, brier_score, calibration_curve, expected_calibration_error, perplexity
    numbers       mean_squared_error, root_mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, r2_score,
                  explained_variance
    masks, boxes  mask_iou, dice, box_iou, generalized_box_iou
"""

from tinygrad_course.metrics.classification import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    f1_score,
    fbeta_score,
    matthews_corrcoef,
    precision,
    recall,
    topk_accuracy,
)
from tinygrad_course.metrics.overlap import box_iou, dice, generalized_box_iou, mask_iou
from tinygrad_course.metrics.probability import (
    brier_score,
    calibration_curve,
    expected_calibration_error,
    log_loss,
    perplexity,
)
from tinygrad_course.metrics.ranking import average_precision, precision_recall_curve, roc_auc, roc_curve
from tinygrad_course.metrics.regression import (
    explained_variance,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)
from tinygrad_course.metrics.streaming import Streaming

__all__ = ["Streaming", "accuracy", "average_precision", "balanced_accuracy", "box_iou", "brier_score", "calibration_curve",
           "cohen_kappa", "confusion_matrix", "dice", "expected_calibration_error", "explained_variance", "f1_score",
           "fbeta_score", "generalized_box_iou", "log_loss", "mask_iou", "matthews_corrcoef", "mean_absolute_error",
           "mean_absolute_percentage_error", "mean_squared_error", "perplexity", "precision", "precision_recall_curve",
           "r2_score", "recall", "roc_auc", "roc_curve", "root_mean_squared_error", "topk_accuracy"]
