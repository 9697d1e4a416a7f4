"""Build the compiled half of tinygrad_course.  Everything declarative stands in pyproject.toml.

    kernels/*.pyx                  ->  tinygrad_course.kernels.*    (the kernels)
    tinygrad_course/**/*.py with a .pxd beside it, compiled in place (the engine: plain Python, typed by its .pxd twin)

Environment:
    TINYGRAD_COURSE_NO_EXT=1      compile nothing: NumPy reference backend, engine in plain Python
    TINYGRAD_COURSE_NO_OPENMP=1   compile the kernels without threads
    TINYGRAD_COURSE_WERROR=1      C warnings are errors (flags for gcc)
    TINYGRAD_COURSE_CFLAGS="..."  further C flags
"""

import os
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import editable_wheel

os.chdir(Path(__file__).resolve().parent)

KERNELS = Path("kernels")
TARGET = Path("tinygrad_course/kernels")
# The engine, Tensor, and the ops that small networks spend their time in: Python with a .pxd twin of the same name.
TYPED_PYTHON = sorted(twin for twin in Path("tinygrad_course").rglob("*.pxd")
                      if twin.with_suffix(".py").exists() and twin.parent != TARGET)
UTILITY = "tinygrad_course.kernels._cyutility"  # Cython's memoryview code once, not in every module: 4x faster build
WITH_EXTENSIONS = os.environ.get("TINYGRAD_COURSE_NO_EXT") != "1"

PYTHON_H = "#include <Python.h>\nint probe(void) { return 0; }\n"
OPENMP = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"

NO_COMPILER = (
    "tinygrad_course: {problem}. Install gcc or clang (Debian: apt-get install gcc python3-dev; macOS: xcode-select "
    "--install), or set TINYGRAD_COURSE_NO_EXT=1 to install without compiled kernels (NumPy: same results, slower)."
)


class Build(build):
    """What `pip install .` and `python -m build` run."""

    # The extensions first: without a compiler the reason shall not come after 200 lines about copied files.
    sub_commands = sorted(build.sub_commands, key=lambda command: command[0] != "build_ext")

    def run(self) -> None:
        # Left-overs would be packed: deleted Python files, and modules that were compiled with other flags.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """Probes the compiler and OpenMP, then for every module runs Cython and the compiler.

    In this order, so that a missing compiler is one message after a second.  Cython runs here and not at the top of the
    file, because setup.py is also run to make an sdist, which shall not contain generated C.
    """

    _translating = threading.Lock()

    def build_extensions(self) -> None:
        flags, link_flags = self._flags()
        for extension in self.extensions:
            extension.extra_compile_args += flags
            extension.extra_link_args += link_flags
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def build_extension(self, extension: Extension) -> None:
        with self._translating:  # Cython is for one thread; meanwhile the others run their compilers
            self._translate(extension)
        super().build_extension(extension)

    def _flags(self) -> tuple[list[str], list[str]]:
        """Flags of the compiler and of the linker; ends the build with a message if there is no usable compiler."""
        if self.compiler.compiler_type == "msvc":
            raise SystemExit(NO_COMPILER.format(problem="MSVC lacks the vector types of GNU C that the kernels use"))
        if not self._compiles(PYTHON_H, [], link=False):
            tried = self.compiler.compiler[0]
            raise SystemExit(NO_COMPILER.format(problem=f"there is no C compiler that finds Python.h (tried {tried})"))
        flags = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"]
        link_flags = ["-s"] if sys.platform == "linux" else []
        if os.environ.get("TINYGRAD_COURSE_NO_OPENMP") != "1":
            if self._compiles(OPENMP, ["-fopenmp"]):
                flags.append("-fopenmp")
                link_flags.append("-fopenmp")
            else:
                print("tinygrad_course: this compiler has no OpenMP; the kernels are built for one thread")
        if os.environ.get("TINYGRAD_COURSE_WERROR") == "1":
            # The last four are what Cython's generated code trips over, not ours.
            flags += ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers",
                      "-Wno-cast-function-type", "-Wno-unused-function"]
        return flags + os.environ.get("TINYGRAD_COURSE_CFLAGS", "").split(), link_flags

    def _compiles(self, code: str, flags: list[str], link: bool = True) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(code)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                if link:
                    self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=flags)
            except Exception:  # setuptools raises CompileError, LinkError, ExecError, OSError: no common base
                return False
            return True

    def _translate(self, extension: Extension) -> None:
        """Replace a Cython source by C, which Cython writes where it is missing or older than its sources."""
        import numpy
        from Cython.Build import cythonize

        extension.include_dirs += [numpy.get_include(), TARGET.as_posix()]
        extension.define_macros.append(("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"))
        if extension.name == UTILITY:
            extension.sources = ["_cyutility.c"]  # not there yet: Cython writes it
        python = extension.sources[0].endswith(".py")
        # Kernels check their bounds themselves; in .py files an index means what it means in Python, x[-1] the last item.
        directives = {} if python else {"boundscheck": False, "wraparound": False, "cdivision": True}
        (translated,) = cythonize(
            [extension],
            build_dir="build/cython",
            quiet=True,
            language_level=3,
            shared_utility_qualified_name=UTILITY,
            compiler_directives={"initializedcheck": False, "embedsignature": True, "binding": True, **directives},
        )
        extension.sources = translated.sources


class EditableWheel(editable_wheel):
    """`pip install -e .`"""

    def run(self) -> None:
        if not WITH_EXTENSIONS:
            # Modules compiled by an earlier editable installation lie in the tree and would still be used.
            for module in [path for pattern in ("*.so", "*.pyd") for path in Path("tinygrad_course").rglob(pattern)]:
                module.unlink()
        super().run()


def copy_headers() -> None:
    """Keep copies of the headers in the package: `cimport` and `#include` look there, also from other people's code."""
    for copy in [*TARGET.glob("*.pxd"), *TARGET.glob("*.h")]:
        if not (KERNELS / copy.name).exists():
            copy.unlink()
    for header in [*KERNELS.glob("*.pxd"), *KERNELS.glob("*.h")]:
        # copy2 keeps the modification time, so that dependency tracking rebuilds just what a changed header touches.
        shutil.copy2(header, TARGET / header.name)


def headers_of(source: Path) -> set[Path]:
    """The C headers of ours that a source or header names, and those that they name in turn."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        named = {KERNELS / name for name in re.findall(r'(?:include|TC_IMPL|from) "(\w+\.h)"', waiting.pop().read_text())}
        new = {header for header in named - found if header.exists()}
        found |= new
        waiting += new
    return found


def extensions() -> list[Extension]:
    modules = {f"tinygrad_course.kernels.{source.stem}": source for source in sorted(KERNELS.glob("*.pyx"))}
    modules |= {".".join(twin.with_suffix("").parts): twin.with_suffix(".py") for twin in TYPED_PYTHON}
    return [*(Extension(name, [source.as_posix()], depends=sorted(map(Path.as_posix, headers_of(source))))
              for name, source in modules.items()),
            Extension(UTILITY, [])]


if WITH_EXTENSIONS:
    copy_headers()
setup(
    # A plain .pth file for editable installs (not an import hook), so that other extensions can cimport our headers.
    package_dir={"": "."},
    ext_modules=extensions() if WITH_EXTENSIONS else [],
    cmdclass={"build": Build, "build_ext": BuildExt, "editable_wheel": EditableWheel},
)
