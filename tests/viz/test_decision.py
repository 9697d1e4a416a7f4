"""Decision regions."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, viz
from tinygrad_course.errors import DataError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)
POINTS, CLASSES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 0])


def region(model, **options):
    ax = viz.plot_decision(model, POINTS, CLASSES, x_range=(-1, 1), y_range=(-1, 1), **options)
    return np.asarray(ax.images[0].get_array())  # (rows from the bottom, columns)


def test_regions_lie_where_the_model_says():
    right = region(lambda points: points[:, 0] > 0)
    assert (right[:, 200:] == 1).all()
    assert (right[:, :200] == 0).all()
    top = region(lambda points: points[:, 1:])
    assert (top[200:] == 1).all()
    assert (top[:200] == 0).all()
    scores = region(lambda points: np.stack([points[:, 0], -points[:, 0], np.full(len(points), 0.5)], axis=1))
    assert (scores[0, 0], scores[0, 200], scores[0, -1]) == (1, 2, 0)
    assert (region(lambda points: np.full(len(points), 0.3), threshold=0.5) == 0).all()


def test_a_module_is_given_tensors():
    net = nn.Linear(2, 2)
    with tgc.no_grad():
        net.weight.copy_(tgc.tensor([[0.0, 0.0], [1.0, 0.0]]))
        net.bias.zero_()
    assert (region(net) == region(lambda points: points[:, 0] > 0)).all()


def test_given_axes_names_and_points():
    ax = viz.plot_decision(lambda points: points[:, 0] > 0, tgc.tensor(POINTS), tgc.tensor(CLASSES), names=("a", "b"))
    assert viz.plot_decision(lambda points: points[:, 0] > 0, POINTS, CLASSES, title="t", ax=ax) is ax
    assert ax.get_title() == "t"
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [0, 1]]
    assert [line.get_label() for line in ax.lines[:2]] == ["a", "b"]


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: viz.plot_decision(len, np.zeros((3, 3)), CLASSES), ShapeError, r"\(3, 3\) and classes \(3,\), needed"),
    (lambda: viz.plot_decision(lambda p: p[:5, 0], POINTS, CLASSES), ShapeError, r"returns \(5,\), needed are scores"),
    (lambda: viz.plot_decision(lambda p: p[:, 0] > 0, POINTS, CLASSES + 8), DataError, "whole numbers from 0 to 7"),
])
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
