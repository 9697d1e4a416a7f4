"""The engine is plain Python: without its compiled modules the same tests pass on the NumPy backend."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_course as tgc

ROOT = Path(tgc.__file__).resolve().parent.parent
TESTS = Path(__file__).resolve().parent.parent
FILES = (
    "autograd/test_engine.py",
    "autograd/test_function.py",
    "autograd/test_grad_mode.py",
    "autograd/test_versions.py",
    "autograd/test_memory.py",
    "autograd/test_deep.py",
    "test_tensor.py",
)


@pytest.mark.slow
@pytest.mark.skipif(not tgc.backend.COMPILED, reason="nothing is compiled, so the other tests say it already")
def test_engine_tests_pass_without_extensions(tmp_path: Path) -> None:
    leave_out = shutil.ignore_patterns("*.so", "*.pyd", "*.npz", "__pycache__", "*.h")
    shutil.copytree(ROOT / "tinygrad_course", tmp_path / "tinygrad_course", ignore=leave_out)
    shutil.copytree(TESTS, tmp_path / "tests", ignore=leave_out)
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    env = {**os.environ, "TINYGRAD_COURSE_BACKEND": "reference", "PYTHONPATH": str(tmp_path)}
    for name in ("TGC_REQUIRE_EXT", "PYTEST_ADDOPTS"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *(f"tests/{f}" for f in FILES)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    where = subprocess.run(
        [sys.executable, "-c", "import tinygrad_course as t; print(t.autograd.engine.__file__, t.backend.COMPILED)"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.split() == [str(tmp_path / "tinygrad_course/autograd/engine.py"), "False"]
