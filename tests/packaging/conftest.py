"""Fixtures of the packaging tests: one sdist, one wheel and one installation of it for the whole session.

    TGC_DIST=FOLDER   take the sdist and the wheel from there instead of building them
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.building import ROOT, copy_of_the_sources, install, run
from tinygrad_course import kernels


@pytest.fixture(scope="session", autouse=True)
def sources_are_here() -> None:
    if not (ROOT / "setup.py").exists():
        pytest.skip("there are no sources beside the tests")


@pytest.fixture(scope="session")
def compiler() -> None:
    """Skips where the package itself was built without a compiler."""
    if not kernels.AVAILABLE and os.environ.get("TGC_REQUIRE_EXT") != "1":
        pytest.skip("built without compiled kernels")


@pytest.fixture(scope="session")
def dist(compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the sdist and the wheel that is built from it."""
    if given := os.environ.get("TGC_DIST"):
        yield Path(given)
        return
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, copy_of_the_sources(folder), cwd=folder)
    yield folder
    shutil.rmtree(folder / "sources")


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    (path,) = dist.glob("*.tar.gz")
    return path


@pytest.fixture(scope="session")
def built_wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment with the wheel in it."""
    return install(built_wheel, tmp_path_factory.mktemp("installed") / "venv")
