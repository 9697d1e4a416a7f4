"""Linear autoregression against a known process; the free run by a loop."""

import numpy as np
import pytest

from tinygrad_course.data import sliding_windows
from tinygrad_course.errors import ShapeError
from tinygrad_course.models.forecast import LinearAutoregression, free_run, relative_variance

FIBONACCI = np.array([1, 1, 2, 3, 5, 8, 13, 21, 34, 55], dtype=np.float64)


def test_linear_autoregression_finds_the_rule():
    found = LinearAutoregression.fit(*sliding_windows(FIBONACCI + 1, 2))  # y(t) = y(t-1) + y(t-2) - 1
    np.testing.assert_allclose(found.weights, [1, 1], atol=1e-9)
    assert found.bias == pytest.approx(-1, abs=1e-8)
    np.testing.assert_allclose(found(np.array([[2.0, 5.0], [0.0, 1.0]])), [6, 0], atol=1e-8)


def test_free_run():
    seen = []

    def add(window):
        seen.append(window[0].tolist())
        return window.sum(axis=1)

    window = np.array([1.0, 1.0])
    np.testing.assert_array_equal(free_run(add, window, 8), FIBONACCI[2:])
    assert seen[:3] == [[1, 1], [1, 2], [2, 3]]
    assert window.tolist() == [1, 1], "the window is left as it was"
    assert free_run(add, window, 0).shape == (0,)


def test_relative_variance():
    values = np.array([1.0, 2.0, 6.0])
    assert relative_variance(np.full(3, values.mean()), values, values.var()) == pytest.approx(1)
    assert relative_variance(values, values, values.var()) == 0


def test_wrong_shapes():
    with pytest.raises(ShapeError, match=r"windows have the shape \(4, 2\) and targets \(3,\), needed are \(N, width\)"):
        LinearAutoregression.fit(np.zeros((4, 2)), np.zeros(3))
    with pytest.raises(ShapeError, match=r"the window has the shape \(1, 5\), needed is \(width,\)"):
        free_run(lambda window: window[:, 0], np.zeros((1, 5)), 3)
