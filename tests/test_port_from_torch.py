"""examples/port_from_torch.py: one script, two imports, one loss curve."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip

SCRIPT = Path(__file__).parents[1] / "examples" / "port_from_torch.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=600,
                          check=True, env=ENVIRONMENT).stdout


def test_both_packages_have_the_same_curve(tmp_path):
    torch_or_skip()
    pytest.importorskip("matplotlib")
    out = run("--engine", "both", "--steps", "60", "--out", tmp_path)
    ours, theirs = (np.loadtxt(tmp_path / f"losses_{engine}.csv") for engine in ("tinygrad_course", "torch"))
    assert len(ours) == 60
    assert ours[-1] < 0.5 * ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert "largest difference of a loss" in out
    assert (tmp_path / "port_from_torch.png").stat().st_size > 10_000


def test_only_the_imports_differ():
    """Behind the two blocks of imports the script does not ask which package it runs on."""
    source = SCRIPT.read_text()
    training = source[source.index("class Block"):source.index("def compare")]
    assert "tinygrad_course" not in training
    assert "engine" not in training


def test_it_runs_without_pytorch(tmp_path):
    assert importlib.util.find_spec("tinygrad_course")
    out = run("--steps", "3", "--out", tmp_path)
    assert out.startswith("tinygrad_course: loss ")
