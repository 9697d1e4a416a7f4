"""Compile src/tgc_squareplus/kernels.pyx against the headers of the installed tinygrad_course."""

import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

import tinygrad_course
from tinygrad_course.kernels import AVAILABLE

if not AVAILABLE:
    raise SystemExit("tgc_squareplus: the installed tinygrad_course has no compiled kernels "
                     "(TINYGRAD_COURSE_NO_EXT=1). Install it with a C compiler first.")

# Apple's clang has no OpenMP: tc_omp.h then gives one thread, and prange becomes an ordinary loop.
openmp = {"linux": ["-fopenmp"], "win32": ["/openmp"]}.get(sys.platform, [])

setup(ext_modules=cythonize(
    [Extension(
        "tgc_squareplus.kernels",
        ["src/tgc_squareplus/kernels.pyx"],
        include_dirs=[tinygrad_course.get_include(), numpy.get_include()],
        extra_compile_args=openmp + ([] if sys.platform == "win32" else ["-O3", "-g0"]),
        extra_link_args=[] if sys.platform == "win32" else openmp,
    )],
    build_dir="build",
    language_level=3,
    compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True},
))
