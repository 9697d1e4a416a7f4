"""How far regions cover each other: masks of classes, and boxes."""

import numpy as np

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.metrics.classification import confusion_matrix
from tinygrad_course.metrics.inputs import ArrayLike, as_integers, check_average
from tinygrad_course.ops.creation import as_array


def mask_iou(pred: ArrayLike, target: ArrayLike, num_classes: int | None = None, ignore_index: int | None = None,
             average: str | None = "macro") -> float | np.ndarray:
    """Intersection over union of masks, TP / (TP + FP + FN) of all pixels of a class, 0 to 1; also the Jaccard index.

    pred          labels, integers of the shape of target, or scores (N, C, ...) for a target (N, ...)
    target        labels, integers of any shape, (H, W) or (N, H, W)
    num_classes   the number of columns of the scores, or the largest label and one, without it
    ignore_index  pixels with this target do not count (borders, unlabelled)
    average       "macro": mean over the classes that occur in pred or target; None: an array (C,), NaN for the others
    M. Everingham et al., "The Pascal visual object classes challenge" (2010), section 4.4.
    """
    return iou_of_counts(mask_counts(pred, target, num_classes, ignore_index, "mask_iou"), average)


def dice(pred: ArrayLike, target: ArrayLike, num_classes: int | None = None, ignore_index: int | None = None,
         average: str | None = "macro") -> float | np.ndarray:
    """Dice coefficient of masks, 2 TP / (2 TP + FP + FN), which is 2 IoU / (1 + IoU) and the F1 score; as `mask_iou`.

    L. Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945).
    """
    return dice_of_counts(mask_counts(pred, target, num_classes, ignore_index, "dice"), average)


def mask_counts(pred: ArrayLike, target: ArrayLike, num_classes: int | None, ignore_index: int | None,
                caller: str) -> np.ndarray:
    """Confusion matrix int64 (C, C) of the pixels that count."""
    values, truth = as_array(pred), as_integers(as_array(target), "target", caller)
    if values.dtype.kind == "f":
        if values.ndim != truth.ndim + 1 or values.shape[:1] + values.shape[2:] != truth.shape:
            raise ShapeError(f"{caller}: scores have the shape {values.shape} and target {truth.shape}, needed are (N, C, "
                             "...) and (N, ...).")
        num_classes = values.shape[1] if num_classes is None else num_classes
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])  # (N, C, ...) -> (pixels, C)
    elif values.shape != truth.shape:
        raise ShapeError(f"{caller}: pred has the shape {values.shape} and target {truth.shape}. Give labels of the same "
                         "shape, or scores (N, C, ...) as floats.")
    else:
        values = as_integers(values, "pred", caller).reshape(-1)
    truth = truth.reshape(-1)
    if ignore_index is not None:
        values, truth = values[truth != ignore_index], truth[truth != ignore_index]
        if not len(truth):
            return np.zeros((num_classes or 1, num_classes or 1), np.int64)
    return confusion_matrix(values, truth, num_classes)


def iou_of_counts(counts: np.ndarray, average: str | None = "macro") -> float | np.ndarray:
    """`mask_iou` of a confusion matrix."""
    hits = np.diag(counts)
    return _mean_of_classes(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits, average, "mask_iou")


def dice_of_counts(counts: np.ndarray, average: str | None = "macro") -> float | np.ndarray:
    """`dice` of a confusion matrix."""
    return _mean_of_classes(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1), average, "dice")


def _mean_of_classes(upper: np.ndarray, lower: np.ndarray, average: str | None, caller: str) -> float | np.ndarray:
    check_average(average, ("macro",), caller)
    if not lower.any():
        raise DataError(f"{caller}: no pixel counts, all have the target ignore_index. Leave such images out.")
    values = np.where(lower > 0, upper / np.where(lower > 0, lower, 1), np.nan)
    return values if average is None else float(np.nanmean(values))


def box_iou(pred: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Intersection over union of every box of pred (N, 4) with every box of target (M, 4), float64 (N, M), 0 to 1.

    Boxes are (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, as in torchvision.ops.  Two empty boxes have 0.
    Raises ShapeError for other shapes, DataError for corners in the wrong order.
    """
    shared, union, _ = _areas(pred, target, "box_iou")
    return shared / np.where(union > 0, union, 1)


def generalized_box_iou(pred: ArrayLike, target: ArrayLike) -> np.ndarray:
    """IoU - (hull - union) / hull, with the smallest box around both as hull, float64 (N, M), -1 to 1; as `box_iou`.

    Boxes that do not meet still tell how far they are apart.
    H. Rezatofighi et al., "Generalized intersection over union", CVPR 2019, algorithm 1.
    """
    shared, union, hull = _areas(pred, target, "generalized_box_iou")
    return shared / np.where(union > 0, union, 1) - (hull - union) / np.where(hull > 0, hull, 1)


def _areas(pred: ArrayLike, target: ArrayLike, caller: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Areas of intersection, union and hull (N, M)."""
    p, t = (_boxes(values, name, caller) for name, values in (("pred", pred), ("target", target)))
    low, high = np.maximum(p[:, None, :2], t[None, :, :2]), np.minimum(p[:, None, 2:], t[None, :, 2:])  # (N, M, 2)
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    area_p, area_t = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (p, t))
    around = np.maximum(p[:, None, 2:], t[None, :, 2:]) - np.minimum(p[:, None, :2], t[None, :, :2])
    return shared, area_p[:, None] + area_t[None, :] - shared, np.prod(around, axis=2)


def _boxes(values: ArrayLike, name: str, caller: str) -> np.ndarray:
    boxes = as_array(values)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"{caller}: {name} has the shape {boxes.shape}, needed is (N, 4), one (x1, y1, x2, y2) per box. "
                         "Give one box as boxes[None].")
    boxes = boxes.astype(np.float64)
    wrong = ~(boxes[:, 2:] >= boxes[:, :2]).all(axis=1)  # also with NaN
    if wrong.any():
        raise DataError(f"{caller}: {name} holds the box {boxes[wrong][0].tolist()}, needed is x1 <= x2 and y1 <= y2. Is it "
                        "(x, y, width, height)? Add the corner: (x, y, x + width, y + height).")
    return boxes
