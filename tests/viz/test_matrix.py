"""Matrices with numbers, and panels."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.errors import ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)


def test_every_cell_has_its_number_and_marks_are_framed():
    mark = np.array([[True, False, False], [False, False, True]])
    ax = viz.plot_matrix(tgc.tensor([[1.0, 2.5, -3.0], [0.0, 1e-4, 100.0]]), title="w", mark=mark)
    assert [text.get_text() for text in ax.texts] == ["1", "2.5", "-3", "0", "0.0001", "100"]
    assert len(ax.lines) == 2
    assert ax.get_title() == "w"


def test_numbers_are_readable_on_dark_cells():
    ax = viz.plot_matrix(np.array([[0.0, 1.0]]), cmap="Blues")
    assert [text.get_color() for text in ax.texts] == ["black", "white"]


def test_it_draws_into_given_axes_and_panels_share_a_scale():
    figure = viz.plot_panels([("a", np.zeros((2, 2))), ("b", np.full((2, 2), 4.0))], title="both", same_scale=True)
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    assert {ax.images[0].get_clim() for ax in figure.axes} == {(0.0, 4.0)}
    given = viz.figure.new_figure(6, 4)
    assert viz.plot_panels([("a", np.eye(2))], fig=given) is given
    ax = figure.axes[0]
    assert viz.plot_matrix(np.eye(2), ax=ax) is ax


@pytest.mark.parametrize(("values", "mark", "message"), [
    (np.zeros(3), None, r"the shape \(3,\), needed is \(H, W\)"),
    (np.zeros((2, 2)), np.ones((2, 3), bool), r"mark has the shape \(2, 3\), values have \(2, 2\)"),
])
def test_wrong_shapes(values, mark, message):
    with pytest.raises(ShapeError, match=message):
        viz.plot_matrix(values, mark=mark)


def test_no_panels():
    with pytest.raises(ShapeError, match="no panels"):
        viz.plot_panels([])
