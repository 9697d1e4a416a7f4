"""Fixtures of all tests: the backend, the number of threads, a seeded generator, PyTorch.

TGC_REQUIRE_EXT=1     a missing compiled backend is a failure, not a skip
TGC_REQUIRE_TORCH=1   likewise PyTorch and torchvision
"""

import gc
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test first: as the last ones they would keep one of several processes busy alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Tests stay to the end: over a million objects, through which the garbage collector need not look each time."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: archives hold the time they were made, and every process must find the same names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture(params=["compiled", "reference"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once with the compiled kernels and once with the NumPy bodies."""
    if request.param == "compiled" and not tgc.backend.COMPILED:
        if os.environ.get("TGC_REQUIRE_EXT") == "1":
            pytest.fail("TGC_REQUIRE_EXT=1, but the package was built without extensions")
        pytest.skip("built without compiled kernels")
    with tgc.backend.using(request.param):
        yield request.param


@pytest.fixture
def torch() -> Any:
    """PyTorch, or a skip."""
    return torch_or_skip()


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture
def threads() -> Iterator[Any]:
    """`set_num_threads`, set back afterwards."""
    before = tgc.get_num_threads()
    yield tgc.set_num_threads
    tgc.set_num_threads(before)
