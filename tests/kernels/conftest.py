"""Fixtures of the kernel tests: reference and compiled module of a family, PyTorch as oracle, thread counts.

A test module names its family in FAMILY.  `k` runs a test once with the NumPy kernels and once with the compiled ones.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_course import kernels


def torch_or_skip() -> ModuleType:
    """PyTorch, or skip the test; with TGC_REQUIRE_TORCH=1 its absence is a failure."""
    if os.environ.get("TGC_REQUIRE_TORCH") == "1":
        return importlib.import_module("torch")
    return pytest.importorskip("torch")


def compiled_module(family: str) -> ModuleType:
    """The compiled kernels of a family, or skip if the package was built without extensions."""
    if not kernels.AVAILABLE:
        pytest.skip("built without compiled kernels")
    return importlib.import_module(f"tinygrad_course.kernels.{family}")


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    return torch_or_skip()


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"tinygrad_course.backend.reference.{request.module.FAMILY}")


@pytest.fixture
def compiled(request: pytest.FixtureRequest) -> ModuleType:
    return compiled_module(request.module.FAMILY)


@pytest.fixture(params=["reference", "compiled"])
def k(request: pytest.FixtureRequest) -> ModuleType:
    return request.getfixturevalue(request.param)


@pytest.fixture
def same_for_all_thread_counts() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """check(f): f() is bitwise the same with 1, 2 and 3 threads."""
    threads = compiled_module("threads")
    before = threads.get_num_threads()

    def check(function: Callable[[], Any]) -> None:
        results = []
        for n in (1, 2, 3):
            threads.set_num_threads(n)
            out = function()
            results.append([np.asarray(a).tobytes() for a in (out if isinstance(out, tuple | list) else [out])])
        assert results[0] == results[1] == results[2]

    yield check
    threads.set_num_threads(before)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
}


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> Callable[[np.ndarray], np.ndarray]:
    """Changes how an array lies in memory, not its values."""
    return LAYOUTS[request.param]


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)
