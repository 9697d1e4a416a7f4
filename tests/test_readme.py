"""README.md: the Python blocks run and print what stands below them, the commands and the links are right."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_course as tgc

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n```text\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [
    'python3 -m venv .venv && .venv/bin/pip install -e ".[all]" && .venv/bin/tinygrad-course train lenet',
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest',
]


def without_digits(text: str) -> list[str]:
    """The words of a text with every number replaced: numbers differ in the last digits from machine to machine."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", text).split()


def test_every_python_block_shows_what_it_prints():
    assert len(BLOCKS) == TEXT.count("```python") >= 3


@pytest.mark.parametrize(("code", "shown"), BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_prints_what_is_shown(code, shown, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert without_digits(done.stdout) == without_digits(shown)


def test_the_two_commands():
    commands = [line.strip() for line in TEXT.splitlines() if line.startswith("    ")]
    outside_of_blocks = [line for line in commands if line.startswith("python3")]
    assert outside_of_blocks == COMMANDS


def test_the_example_is_short():
    assert len(BLOCKS[0][0].splitlines()) <= 16


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`(examples/[^`]*)`", TEXT):
        assert (ROOT / path).exists(), path


def test_every_environment_variable_is_named():
    sources = [ROOT / "setup.py", *(ROOT / "kernels").glob("*.h"), *(ROOT / "kernels").glob("*.pyx"),
               *(ROOT / "tinygrad_course").rglob("*.py")]
    read = {name for path in sources
            for name in re.findall(r"(?:environ|getenv)\W{1,3}(?:get\()?\"(TINYGRAD_COURSE_\w+)\"",
                                   path.read_text(encoding="utf-8"))}
    assert {"TINYGRAD_COURSE_NO_EXT", "TINYGRAD_COURSE_ISA", "TINYGRAD_COURSE_BACKEND"} <= read
    assert not {name for name in read if name not in TEXT}


def test_every_extra_is_named():
    import tomllib
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not {extra for extra in extras if f"`{extra}`" not in TEXT}
