"""docs/transforms.md: its blocks run, one after the other, and say what they do."""

import re
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.data import transforms as T

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "transforms.md").read_text(encoding="utf-8")


def test_the_blocks_run_one_after_the_other():
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", TEXT, re.MULTILINE)
    code = "\n".join(re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks)
    names: dict = {"__name__": "page"}
    tgc.manual_seed(0)
    exec(compile(code, "docs/transforms.md", "exec"), names)
    assert names["x"].shape == names["distorted"]["image"].shape == (3, 48, 64)
    assert set(np.unique(names["mask"])) == {0, 255}
    assert (names["inverted"]["image"] == 255).all()


def test_all_transforms_are_on_the_page():
    for name in set(T.__all__) - {"InterpolationMode"}:
        assert f"`{name}`" in TEXT or f"T.{name}" in TEXT, name
