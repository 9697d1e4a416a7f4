"""The questions about two arrays: the compiled module and its plain Python twin give the same answers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tinygrad_course import kernels
from tinygrad_course.kernels import arrays

spec = importlib.util.spec_from_file_location("plain_arrays", Path(kernels.get_include(), "arrays.py"))
assert spec is not None
assert spec.loader is not None
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)

ARRAYS = [np.zeros(shape, dtype)[..., ::step] if shape else np.zeros(shape, dtype)
          for shape in [(), (0,), (1,), (4,), (2, 4), (4, 2), (2, 4, 1)]
          for dtype in ("float32", "float64", "int64", "bool") for step in (1, -1)]


@pytest.mark.parametrize("module", [arrays, plain], ids=["installed", "plain"])
def test_answers(module):
    for a in ARRAYS:
        for b in ARRAYS:
            assert module.alike(a, b) == (a.dtype == b.dtype)
            assert module.same_shape(a, b) == (a.shape == b.shape)
            assert module.has_shape(a, b.shape) == (a.shape == b.shape)


@pytest.mark.parametrize("module", [arrays, plain], ids=["installed", "plain"])
def test_a_subclass_of_ndarray_is_not_alike(module):
    masked = np.ma.zeros(3)
    assert not module.alike(masked, masked)
    assert module.same_shape(masked, np.zeros(3))
    assert module.has_shape(masked, (3,))


def test_the_compiled_module_comes_from_the_cython_source():
    if not kernels.AVAILABLE:
        pytest.skip("built without compiled kernels")
    assert not hasattr(arrays, "np")  # the plain file, compiled in its place, would import NumPy as np


@pytest.mark.parametrize("module", [arrays, plain], ids=["installed", "plain"])
def test_is_float(module):
    for dtype in ("float16", "float32", "float64", "int64", "bool"):
        assert module.is_float(np.zeros(2, dtype)) == (np.dtype(dtype).kind == "f")


@pytest.mark.parametrize("module", [arrays, plain], ids=["installed", "plain"])
def test_count_classes(module):
    for dtype in ("int64", "int32"):
        t = np.array([0, 2, -100, 1, -100], dtype)
        assert module.count_classes(t, 3, -100) == 3
        assert module.count_classes(t, 2, -100) == -1
        assert module.count_classes(t[:2], 3, 2) == 1
        assert module.count_classes(t[::2], 3, 1) == -1
        assert module.count_classes(t[:0], 3, -100) == 0


@pytest.mark.parametrize("module", [arrays, plain], ids=["installed", "plain"])
def test_all_between(module):
    for dtype in ("float16", "float32", "float64"):
        x = np.array([0.0, 0.5, 1.0], dtype)
        assert module.all_between(x, 0.0, 1.0)
        assert module.all_between(x[::-1], 0.0, 1.0)
        assert module.all_between(x[:0], 0.0, 1.0)
        for wrong in (-0.1, 1.5, np.nan, np.inf):
            assert not module.all_between(np.append(x, np.array(wrong, dtype)), 0.0, 1.0)
