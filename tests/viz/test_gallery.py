"""docs/gallery.md: it shows what there is, and its pictures are small."""

import inspect
import re
from pathlib import Path

import pytest

from tinygrad_course import viz

FOLDER = Path(__file__).resolve().parents[2] / "docs"
TEXT = (FOLDER / "gallery.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)


def test_pictures():
    pictures = {path.relative_to(FOLDER).as_posix(): path.stat().st_size for path in (FOLDER / "pictures/gallery").iterdir()}
    assert sorted(SHOWN) == sorted(pictures)
    assert max(pictures.values()) < 60_000
    assert sum(pictures.values()) < 500_000


def test_every_figure_is_named():
    named = set(re.findall(r"\b(?:plot_\w+|optimiser_paths|path_directions|graph)\b(?=[(`])", TEXT))
    assert named <= set(viz.__all__)
    assert {name for name in viz.__all__ if name.startswith("plot_")} <= named


def test_every_figure_goes_into_given_axes():
    for name in viz.__all__:
        if name.startswith("plot_"):
            given = [argument for argument in inspect.signature(getattr(viz, name)).parameters if argument in ("ax", "fig")]
            assert len(given) == 1, name


@pytest.mark.parametrize("name", [Path(path).stem for path in SHOWN])
def test_the_example_draws_it(name):
    assert f'"{name}' in (FOLDER.parent / "examples/gallery.py").read_text(encoding="utf-8")
