"""Numbers that are none, and other things that a run gone wrong hands to the drawings."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, viz
from tinygrad_course.errors import DataError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("draw", "match"), [
    (lambda: viz.plot_regression([1.0, NAN], [1.0, 2.0]), "plot_regression: 1 of 2 predictions are NaN or infinite"),
    (lambda: viz.plot_residuals([1.0, 2.0], [1.0, INF]), "plot_residuals: 1 of 2 targets"),
    (lambda: viz.plot_network([[0.0, NAN], [0.0, 0.0]]), "plot_network: 1 of 4 weights"),
    (lambda: viz.plot_filters(np.full((2, 1, 3, 3), NAN)), "plot_filters: 18 of 18 weights"),
    (lambda: viz.plot_filters(np.full((2, 1, 3, 3), INF)), "plot_filters: 18 of 18 weights"),
    (lambda: viz.plot_images(np.array([[[INF, 1.0]]]), [0]), "plot_images: 1 of 2 pixels"),
    (lambda: viz.plot_activations(nn.Sequential(nn.ReLU()), "0", NAN * tgc.ones(1, 3)), "3 of 3 activations"),
    (lambda: viz.plot_decision(nn.Linear(2, 2), np.full((3, 2), NAN, np.float32), [0, 1, 0]), "6 of 6 coordinates"),
])
def test_what_has_no_place_is_told(draw, match):
    with pytest.raises(DataError, match=match):
        draw()


def test_single_numbers_are_no_regression():
    with pytest.raises(ShapeError, match="plot_regression: pred has the shape"):
        viz.plot_regression(1.0, 1.0)


def test_a_loss_that_runs_away_leaves_a_gap():
    for curve in ([-INF, 1.0, NAN], [INF, 1.0, 2.0], [NAN, NAN]):
        ax = viz.plot_loss(curve)
        assert np.isfinite(ax.get_ylim()).all()
        assert ax.get_yscale() == "linear"


def test_gradients_that_are_no_numbers_are_called_so():
    ax = viz.plot_gradient_norms({"first": 1.0, "dead": 0.0, "lost": NAN, "burst": INF})
    assert [text.get_text() for text in ax.texts] == ["1", "zero", "nan", "inf"]
    assert np.isfinite(ax.get_xlim()).all()


def test_names_may_be_numbers_and_marks_lists():
    viz.plot_images(np.zeros((1, 2, 2)), [1], class_names=np.arange(2))
    viz.plot_confusion_matrix(np.eye(2, dtype=int), class_names=[3, 8])
    assert len(viz.plot_matrix(np.eye(2), mark=[[True, False], [False, False]]).lines) == 1
