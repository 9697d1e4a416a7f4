"""Paths of optimisers: the points are those of the optimisers, and the picture says what it shows."""

import numpy as np
import pytest

from tinygrad_course import optim, viz
from tinygrad_course.errors import DataError
from tinygrad_course.viz.descent import descend

pytest.importorskip("matplotlib", exc_type=ImportError)


def bowl(x, y):
    return x * x + 2 * y * y


MAKERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "LBFGS": lambda p: optim.LBFGS(p, line_search_fn="strong_wolfe"),
    "Newton": lambda p: optim.Newton(p),
    "diagonal": lambda p: optim.DiagonalNewton(p, lr=0.5),
}


def test_points():
    steps = np.arange(5)[:, None]
    np.testing.assert_allclose(descend(bowl, MAKERS["SGD"], (1.0, -1.0), 4), [1.0, -1.0] * np.array([0.8, 0.6]) ** steps)
    np.testing.assert_allclose(descend(bowl, MAKERS["diagonal"], (1.0, -1.0), 4), [1.0, -1.0] * 0.5**steps)
    np.testing.assert_allclose(descend(bowl, MAKERS["Newton"], (1.0, -1.0), 1)[1], 0, atol=1e-12)
    np.testing.assert_allclose(descend(bowl, MAKERS["LBFGS"], (1.0, -1.0), 1)[1], 0, atol=1e-5)


def test_picture(tmp_path):
    ax = viz.optimiser_paths(bowl, MAKERS, (1.0, -1.0), 3, x_range=(-2, 2), y_range=(-1.5, 1.5), minimum=(0, 0), title="Bowl")
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("Bowl", "x", "y")
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[0] == f"SGD: {0.8**6 + 2 * 0.6**6:.1e}"
    assert [name.split(":")[0] for name in names] == [*MAKERS, "start", "minimum"]
    assert len(ax.lines[0].get_xydata()) == 4
    assert viz.optimiser_paths(bowl, MAKERS, (1.0, -1.0), 1, x_range=(-2, 2), y_range=(-1, 1), ax=ax) is ax
    viz.save_figure(ax, tmp_path / "paths.png")


def test_mistakes():
    with pytest.raises(DataError, match=r"SGD left the numbers at step \d+: it diverges\. Use a smaller learning rate"):
        descend(lambda x, y: x**4 + y**4, lambda p: optim.SGD(p, lr=9.0), (1.0, 1.0), 20)
    with pytest.raises(DataError, match="there is no optimiser"):
        viz.optimiser_paths(bowl, {}, (1.0, 1.0), 1, x_range=(-1, 1), y_range=(-1, 1))
