"""Extensions outside of this repository compile against the installed headers."""

import sys
from pathlib import Path

import pytest

import tinygrad_course as tgc
from tests.packaging.building import ROOT, pip, run
from tests.packaging.third_party import check_cimport


def test_get_include_is_where_the_headers_are(compiler):
    names = {path.name for path in Path(tgc.get_include()).iterdir()}
    assert {"threads.pxd", "tc_omp.h", "isa.h", "simd.h"} <= names


def test_the_copied_headers_are_those_of_the_sources(compiler):
    """A header that was changed after the last build would be compiled into other people's extensions."""
    for header in [*(ROOT / "kernels").glob("*.h"), *(ROOT / "kernels").glob("*.pxd")]:
        assert Path(tgc.get_include(), header.name).read_bytes() == header.read_bytes(), \
            f"{header.name} was changed after the build; build again"


@pytest.mark.slow
def test_cimport_from_this_environment(compiler, tmp_path):
    check_cimport(Path(sys.executable), tmp_path / "other", PYTHONPATH=str(Path(tgc.__file__).parents[1]))


@pytest.mark.slow
def test_cimport_from_the_installed_wheel(installed, tmp_path):
    check_cimport(installed, tmp_path / "other")


@pytest.mark.slow
def test_the_example_package_of_a_compiled_op(installed, tmp_path):
    """examples/custom_cython_op as its README says, on the installed wheel."""
    example = ROOT / "examples/custom_cython_op"
    copy = tmp_path / "custom_cython_op"
    for source in [path for path in example.rglob("*") if path.suffix in (".py", ".pyx", ".toml", ".md")]:
        if "build" not in source.parts:
            target = copy / source.relative_to(example)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    pip("install", "--no-deps", "--no-index", "--no-build-isolation", copy, cwd=tmp_path, python=installed)
    assert "same bits" in run(installed, "-W", "error", copy / "check.py", cwd=tmp_path)
