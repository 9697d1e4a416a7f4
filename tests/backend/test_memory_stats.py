"""The pool's figures, as `tgc.backend` shows them."""

import pytest

import tinygrad_course as tgc
from tinygrad_course import backend

KEYS = {"cached", "live", "peak", "hits", "misses", "cap"}


def test_without_a_pool_there_is_nothing_to_tell(monkeypatch):
    monkeypatch.setattr(backend, "COMPILED", False)
    assert backend.memory_stats() == dict.fromkeys(KEYS, 0)
    backend.reset_peak_memory_stats()
    backend.empty_cache()


@pytest.mark.skipif(not backend.COMPILED, reason="the pool is part of the compiled kernels")
def test_figures_follow_the_arrays():
    size = 1 << 20
    before = backend.memory_stats()
    assert set(before) == KEYS
    x = tgc.ones(size // 4) * 1.0
    backend.reset_peak_memory_stats()
    live = backend.memory_stats()["live"]
    assert live - before["live"] == size
    y = x * 2.0
    del y
    after = backend.memory_stats()
    assert after["live"] == live
    assert after["peak"] - live == size
    assert after["hits"] + after["misses"] == before["hits"] + before["misses"] + 2
    assert after["cached"] >= size
    backend.empty_cache()
    assert backend.memory_stats()["cached"] == 0
    backend.reset_peak_memory_stats()
    assert backend.memory_stats()["peak"] == live


@pytest.mark.skipif(not backend.COMPILED, reason="the pool is part of the compiled kernels")
def test_tiny_arrays_of_dead_tensors_are_taken_again_and_nobody_elses():
    x = tgc.ones(5)
    y = x * 2.0
    address = y.array.ctypes.data
    del y
    z = x * 3.0
    assert z.array.ctypes.data == address
    kept, view, held = (z * 1.0).array, (z * 2.0)[1:], memoryview((z * 3.0).array)
    values = [kept.tolist(), view.tolist(), held.tolist()]
    new = [z * 7.0 for _ in range(200)]
    assert [kept.tolist(), view.tolist(), held.tolist()] == values
    assert len({w.array.ctypes.data for w in new}) == 200
    backend.empty_cache()
    assert (z * 1.0).tolist() == [3.0] * 5
