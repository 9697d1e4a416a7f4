"""A small extension of somebody else, which cimports our header of threads."""

from pathlib import Path

from tests.packaging.building import run

SOURCE = """
from tinygrad_course.kernels.threads cimport n_threads

def threads_for(Py_ssize_t work, Py_ssize_t grain):
    return n_threads(work, grain)
"""
SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
import tinygrad_course
setup(name="other", ext_modules=cythonize(
    [Extension("other", ["other.pyx"], include_dirs=[tinygrad_course.get_include()])], language_level=3))
"""
CHECK = """
import other
import tinygrad_course as tgc
tgc.set_num_threads(2)
assert other.threads_for(10, 100) == 1
assert other.threads_for(1 << 40, 100) == tgc.get_num_threads()
"""


def check_cimport(python: Path, folder: Path, **environment: str) -> None:
    """Build the extension in `folder` with that Python, import it, call it."""
    folder.mkdir()
    (folder / "other.pyx").write_text(SOURCE)
    (folder / "setup.py").write_text(SETUP)
    run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=folder, **environment)
    run(python, "-W", "error", "-c", CHECK, cwd=folder, **environment)
