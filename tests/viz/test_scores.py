"""Curves over thresholds: what is drawn is what the measures say."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics, viz
from tinygrad_course.errors import DataError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)

RNG = np.random.default_rng(0)
SCORES, TRUTH = RNG.normal(size=60), RNG.integers(0, 2, 60)
MANY, CLASSES = RNG.random((60, 10)), np.arange(60) % 9  # class 9 has no samples
CHANCES = MANY / MANY.sum(axis=1, keepdims=True)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_roc():
    ax = viz.plot_roc(tgc.tensor(SCORES), tgc.tensor(TRUTH))
    false_rate, true_rate, _ = metrics.roc_curve(SCORES, TRUTH)
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), np.stack([false_rate, true_rate], axis=1))
    assert ax.get_title() == f"ROC curve: area {metrics.roc_auc(SCORES, TRUTH):.3f}"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("false positive rate", "true positive rate")
    assert ax.get_legend() is None
    assert viz.plot_roc(SCORES, TRUTH, title="again", ax=ax) is ax
    assert ax.get_title().startswith("again: area")


def test_a_curve_per_class():
    names = list("abcdefghij")
    ax = viz.plot_roc(MANY, CLASSES, names)
    areas = metrics.roc_auc(MANY, CLASSES, None)
    assert legend(ax) == [f"{name}: {area:.3f}" for name, area in zip(names[:9], areas, strict=False)]
    assert ax.get_title() == f"ROC curve: area in the mean {np.nanmean(areas):.3f}"
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[1:]}) == 9
    ax = viz.plot_precision_recall(MANY, CLASSES)
    assert legend(ax) == [f"class {k}: {metrics.average_precision(MANY[:, k], k == CLASSES):.3f}" for k in range(9)]


def test_the_area_of_the_stair_is_the_average_precision():
    ax = viz.plot_precision_recall(SCORES, TRUTH)
    stair = ax.lines[0]
    corners = stair.get_path()
    assert stair.get_drawstyle() == "steps-post"
    x, y = corners.vertices.T  # recall falls; between two of them the precision of the larger one
    assert -np.sum(np.diff(x) * y[:-1]) == pytest.approx(metrics.average_precision(SCORES, TRUTH))
    assert ax.lines[1].get_ydata()[0] == TRUTH.mean()  # a guess
    assert ax.get_title() == f"Precision and recall: average precision {metrics.average_precision(SCORES, TRUTH):.3f}"
    assert viz.plot_precision_recall(SCORES, TRUTH, ax=ax) is ax


def test_calibration():
    ax = viz.plot_calibration(CHANCES, CLASSES, 20)
    mean, share, counts = metrics.calibration_curve(CHANCES, CLASSES, 20)
    np.testing.assert_allclose(ax.lines[1].get_xydata(), np.stack([mean, share], axis=1))
    sizes = ax.collections[-1].get_sizes()
    np.testing.assert_allclose((sizes - 30) / (sizes - 30).sum(), counts / 60)
    error = metrics.expected_calibration_error(CHANCES, CLASSES, 20)
    assert ax.get_title() == f"Calibration: expected error {100 * error:.1f} %"
    assert ax.get_xlabel() == "probability of the predicted class"
    assert viz.plot_calibration(CHANCES[:, 0], TRUTH, ax=ax) is ax
    assert ax.get_xlabel() == "probability of class 1"


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: viz.plot_roc(SCORES, TRUTH[:-1]), ShapeError, "60 predictions for 59 targets"),
    (lambda: viz.plot_roc(SCORES, np.ones(60, int)), DataError, "all 60 targets are class 1"),
    (lambda: viz.plot_roc(MANY, CLASSES, ["a"]), ShapeError, "plot_roc: 1 names for 10 curves"),
    (lambda: viz.plot_precision_recall(SCORES, TRUTH, ["a", "b"]), ShapeError, "2 names for 1 curves"),
    (lambda: viz.plot_calibration(SCORES, TRUTH), DataError, "Take the logistic function"),
])
def test_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()
