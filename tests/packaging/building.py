"""Build, install and run copies of the package in scratch folders, as a user would, but without the network.

Every build works on a copy of the sources: in the tree itself it would replace the modules that the tests are using.
The packages of the running environment do the building (pip's --no-build-isolation), the extra `test` brings them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICK = "-O0"  # for builds whose speed does not matter: compiled in a third of the time
_NOT_SOURCES = shutil.ignore_patterns(".git", ".venv", "venv", "build", "dist", "runs", "*.egg-info", "__pycache__",
                                      ".*_cache", ".hypothesis", "*.so", "*.pyd")


def copy_of_the_sources(folder: Path, translated: bool = False) -> Path:
    """The sources as in a fresh clone, without anything that a build leaves in the tree.

    `translated`: with Cython's C, where there is some.  A build translates again what is older than its source.
    """
    copy = Path(shutil.copytree(ROOT, folder / "sources", ignore=_NOT_SOURCES))
    target = copy / "tinygrad_course/kernels"
    for left_over in [*target.glob("*.h"), *target.glob("*.pxd")]:
        left_over.unlink()
    if translated and (ROOT / "build/cython").is_dir():
        shutil.copytree(ROOT / "build/cython", copy / "build/cython")
    return copy


def run(*command: object, cwd: Path, code: int = 0, **environment: str) -> str:
    """Run a command with further environment variables; returns what it printed, fails unless it exits with `code`.

    The variables that steer this project are removed first: a test must not depend on the caller's.
    """
    inherited = {key: value for key, value in os.environ.items()
                 if not key.startswith(("TINYGRAD_COURSE_", "PYTHON", "PIP_NO_", "PIP_QUIET"))}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env={**inherited, **environment}, text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200)
    assert done.returncode == code, f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def pip(*arguments: object, cwd: Path, python: Path | None = None, code: int = 0, **environment: str) -> str:
    """pip of this environment, which needs no network, working on the virtual environment of `python`."""
    where = ["--python", python] if python else []
    return run(sys.executable, "-m", "pip", *where, "--disable-pip-version-check", *arguments, cwd=cwd, code=code,
               **environment)


def wheel(sources: Path, folder: Path, **environment: str) -> Path:
    """The wheel of a source tree."""
    pip("wheel", sources, "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, cwd=folder, **environment)
    (path,) = folder.glob("*.whl")
    return path


def virtual_environment(folder: Path) -> Path:
    """The Python of a new virtual environment, in which the packages of this one can be imported as well.

    They come second, and by a path in a .pth file: further .pth files that lie there, like that of an editable
    installation of tinygrad_course, have no effect.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    ours = {str(Path(entry)) for entry in sys.path if entry.endswith("site-packages")}
    (own / "zz_packages_of_the_tests.pth").write_text("\n".join(sorted(ours)) + "\n")
    return python


def install(path: Path, folder: Path) -> Path:
    """The Python of a new virtual environment in which the wheel is installed."""
    python = virtual_environment(folder)
    pip("install", "--no-deps", "--no-index", path, cwd=folder, python=python)
    return python
