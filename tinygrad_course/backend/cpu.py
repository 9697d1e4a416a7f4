"""The CPU's kernels: every reference body, overlaid with the compiled twin of the same name."""

import functools
import importlib
import warnings
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tinygrad_course import kernels
from tinygrad_course.errors import KernelError
from tinygrad_course.kernels.direct import gate

COMPILED = kernels.AVAILABLE
FAMILIES = ("elementwise", "activation", "functions", "special", "reduce", "statistics", "order", "shape", "copy", "index",
            "scatter", "linalg", "matrices", "conv", "pool", "recurrent", "resize", "unpool", "softmax", "norm", "loss",
            "random", "sampling", "optim", "clip", "warp")
# Families whose compiled module is called otherwise
_COMPILED_MODULE = {"linalg": "gemm", "recurrent": "rnn", "special": "functions", "statistics": "index", "order": "index"}
# NumPy does these as fast as anything could, or nobody has compiled them yet.
_REFERENCE_ONLY = ("shape", "scatter", "matrices", "unpool", "sampling")
_PARTLY_COMPILED = ("functions", "special", "statistics", "order")  # what is common; the rest stays NumPy
# Take every dtype themselves.
_ANY_DTYPE = ("elementwise", "functions", "reduce", "statistics", "order", "copy", "index", "random", "optim", "clip", "warp")

fallback_counts: Counter[str] = Counter()
strict_mode = False


def reference_module(family: str) -> ModuleType:
    """The NumPy bodies of a family."""
    return importlib.import_module(f"tinygrad_course.backend.reference.{family}")


def compiled_module(family: str) -> ModuleType:
    """The compiled twins of a family."""
    return importlib.import_module(f"tinygrad_course.kernels.{_COMPILED_MODULE.get(family, family)}")


def compiled_kernels(family: str) -> list[str]:
    """The kernels of a family that have a compiled twin."""
    twins = compiled_module(family).KERNELS  # two families may share a module
    return [kernel for kernel in reference_module(family).KERNELS if kernel in twins]


@functools.cache
def table(name: str = "") -> dict[str, Any]:
    """Kernels by name: 'compiled', 'reference', or '' for the best there is."""
    if name not in ("", "compiled", "reference"):
        raise KernelError(f"unknown backend {name!r}: TINYGRAD_COURSE_BACKEND can be 'compiled' or 'reference'")
    if name == "compiled" and not COMPILED:
        raise KernelError("the compiled kernels are not installed; install with a C compiler and without "
                          "TINYGRAD_COURSE_NO_EXT=1")
    if name == "" and not COMPILED:
        warnings.warn("tinygrad_course runs without compiled kernels: the NumPy reference backend gives the same results, "
                      "slower. Reinstall with a C compiler and without TINYGRAD_COURSE_NO_EXT=1 for the fast ones, or set "
                      "TINYGRAD_COURSE_BACKEND=reference to silence this.", stacklevel=2)
    compiled = COMPILED and name != "reference"
    kernels_by_name: dict[str, Any] = {"name": "compiled" if compiled else "reference"}
    for family in FAMILIES:
        bodies = reference_module(family)
        kernels_by_name.update({kernel: getattr(bodies, kernel) for kernel in bodies.KERNELS})
        if compiled and family not in _REFERENCE_ONLY:
            twins = compiled_module(family)
            for kernel in compiled_kernels(family):
                twin = getattr(twins, kernel)
                kernels_by_name[kernel] = (twin if family in _ANY_DTYPE
                                           else _with_fallback(kernel, twin, kernels_by_name[kernel]))
    return kernels_by_name


def _with_fallback(name: str, twin: Callable[..., Any], body: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled twin for float32 and float64, the reference body for everything else."""

    @functools.wraps(body)
    def kernel(x: Any, *args: Any) -> Any:
        if x.dtype.char in "fd":
            return twin(x, *args)
        reason = f"{name}: dtype {x.dtype}"
        if strict_mode:
            raise KernelError(f"{reason} has no compiled kernel, and strict mode forbids the slower reference body; use "
                              "float32 or float64")
        fallback_counts[reason] += 1
        return body(x, *args)

    return functools.update_wrapper(gate(twin, kernel), body)
