"""Every row of the course: a whole run reproduces all its facts, and its figures can be drawn and read."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.course import ROWS, Settings


@pytest.fixture(scope="module")
def outcomes():
    return {}


def test_ids_and_descriptions():
    assert list(ROWS) == sorted(ROWS, key=lambda name: (name[0], int(name[1:])))
    for name, row in ROWS.items():
        assert name == row.id
        assert all((row.title, row.data, row.expected, row.parts, row.seconds > 0))


@pytest.mark.parametrize("name", ROWS)
def test_the_parts_of_a_row_exist(name):
    for part in ROWS[name].parts:
        place = tgc
        for attribute in part.split("."):
            place = getattr(place, attribute)
        assert callable(place), part


LONGEST = [name for name, row in ROWS.items() if row.seconds > 10]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LONGEST else name for name in ROWS])
def test_all_facts_hold(name, outcomes):
    lines = []
    outcome = outcomes[name] = ROWS[name].run(Settings(seed=0, say=lines.append))
    assert outcome.facts
    assert [str(fact) for fact in outcome.facts if not fact.holds] == []
    assert all(isinstance(line, str) for line in lines)


@pytest.mark.parametrize("name", ROWS)
def test_figures_are_titled_and_whole(name, outcomes, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    outcome = outcomes.get(name) or ROWS[name].run(Settings(steps=2))
    assert outcome.figures, "a row without a figure"
    for title, draw in outcome.figures.items():
        figure = draw()
        viz.save_figure(figure, tmp_path / f"{title}.png")
        with image_module.open(tmp_path / f"{title}.png") as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) >= 400
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (border == 255).all(), "something is cut off at the edge"
        assert all(ax.get_title() for ax in figure.axes if ax.get_label() != "<colorbar>"), "a panel without a title"


LONG = ("C4", "C5", "C10", "C11")  # also with few steps


@pytest.mark.parametrize("name", [*(name for name in ROWS if name[0] in "CE" and name not in LONG), "B4", "B5", "F1", "F9"])
def test_a_run_is_reproducible(name):
    """The same seed gives the same numbers; two short runs are enough to see it, and of chapter F, which shares one loop,
    two rows."""
    first, second = (ROWS[name].run(Settings(steps=2, seed=5)) for _ in range(2))
    assert [fact.measured for fact in first.facts] == [fact.measured for fact in second.facts]
