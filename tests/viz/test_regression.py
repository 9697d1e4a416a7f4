"""Predicted against true numbers."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.errors import ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)

PRED, TARGET = np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 4.0])


def test_predictions():
    ax = viz.plot_regression(tgc.tensor(PRED).unsqueeze(1), tgc.tensor(TARGET).unsqueeze(1), unit="mV")
    diagonal, points = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.stack([TARGET, PRED], axis=1))
    assert (diagonal.get_xdata() == diagonal.get_ydata()).all()
    assert ax.get_title() == "Predictions: R² = 0.333, RMSE = 1.15 mV"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true value (mV)", "predicted value (mV)")
    assert ax.get_xlim() == ax.get_ylim()
    assert viz.plot_regression(PRED, TARGET, ax=ax) is ax


def test_residuals():
    ax = viz.plot_residuals(PRED, TARGET)
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), np.stack([PRED, TARGET - PRED], axis=1))
    assert ax.get_title() == "Residuals: 0.67 ± 0.94"
    low, high = ax.patches[0].get_y(), ax.patches[0].get_y() + ax.patches[0].get_height()
    np.testing.assert_allclose([low, high], [2 / 3 - np.std(TARGET - PRED), 2 / 3 + np.std(TARGET - PRED)])
    assert ax.get_ylabel() == "true - predicted value"
    assert viz.plot_residuals(TARGET, TARGET, ax=ax) is ax  # nothing left


@pytest.mark.parametrize(("pred", "target"), [(np.zeros((3, 2)), np.zeros((3, 2))), (np.zeros((3, 1)), np.zeros(3)),
                                              (np.zeros(1), np.zeros(1))])
def test_refuses(pred, target):
    for function in (viz.plot_regression, viz.plot_residuals):
        with pytest.raises(ShapeError, match=rf"{function.__name__}: pred has the shape .*pred\[:, k\]"):
            function(pred, target)
