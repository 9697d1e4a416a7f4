"""no_grad, enable_grad, set_grad_enabled, detach."""

import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc


def recorded() -> bool:
    """Whether an op is recorded now."""
    y = tgc.ones(1, requires_grad=True) * 2
    assert y.requires_grad == (y.grad_fn is not None) == tgc.is_grad_enabled()
    return y.requires_grad


def test_blocks_nest() -> None:
    assert recorded()
    with tgc.no_grad():
        assert not recorded()
        with tgc.enable_grad():
            assert recorded()
            with tgc.no_grad():
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_one_object_inside_its_own_block() -> None:
    block = tgc.no_grad()
    with block:
        with tgc.enable_grad():
            with block:
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_exceptions_restore_the_mode() -> None:
    with pytest.raises(ZeroDivisionError), tgc.no_grad():
        _ = 1 / 0
    assert recorded()


@pytest.mark.parametrize("decorator", [tgc.no_grad(), tgc.no_grad])
def test_decorator(decorator: Any) -> None:
    @decorator
    def evaluate(x: Any, scale: float = 1.0) -> Any:
        """Doc."""
        if scale == 0:
            raise ZeroDivisionError
        return x * scale, recorded()

    y, inside = evaluate(tgc.ones(1, requires_grad=True), scale=2.0)
    assert not y.requires_grad
    assert not inside
    assert (evaluate.__name__, evaluate.__doc__) == ("evaluate", "Doc.")
    with pytest.raises(ZeroDivisionError):
        evaluate(tgc.ones(1), scale=0)
    assert recorded()


def test_enable_grad_decorator() -> None:
    with tgc.no_grad():
        assert tgc.enable_grad()(recorded)()
        assert not recorded()


def test_generators_are_refused() -> None:
    """Their body runs long after the decorator's block has ended."""
    with pytest.raises(TypeError, match=r"generator function batches.*with no_grad"):

        @tgc.no_grad()
        def batches() -> Any:
            yield recorded()


def test_set_grad_enabled() -> None:
    with tgc.set_grad_enabled(False):
        assert not recorded()
        with tgc.set_grad_enabled(True):
            assert recorded()
        assert not recorded()
    assert recorded()
    tgc.set_grad_enabled(False)
    try:
        assert not recorded()
    finally:
        tgc.set_grad_enabled(True)
    assert recorded()


def test_the_mode_belongs_to_the_thread() -> None:
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        seen.append(recorded())
        with tgc.no_grad():
            inside.set()
            leave.wait(10)
            seen.append(recorded())
        seen.append(recorded())

    thread = threading.Thread(target=other)
    with tgc.no_grad():
        thread.start()
        assert inside.wait(10)
    assert recorded()
    leave.set()
    thread.join()
    assert seen == [True, False, True]
    assert recorded()


def test_a_thread_that_ends_without_gradients_does_no_harm() -> None:
    thread = threading.Thread(target=lambda: tgc.set_grad_enabled(False))
    thread.start()
    thread.join()
    assert recorded()


def test_many_threads_switching() -> None:
    wrong = []

    def work(k: int) -> None:
        for _ in range(200):
            with tgc.no_grad() if k % 2 else tgc.enable_grad():
                if recorded() == bool(k % 2):
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert recorded()


def test_backward_in_many_threads_on_their_own_graphs() -> None:
    results: list[Any] = [None] * 4

    def work(k: int) -> None:
        x = tgc.tensor(np.full(5, float(k)), requires_grad=True)
        y = x
        for _ in range(50):
            y = y * 1.01 + x
        y.sum().backward()
        results[k] = x.grad.tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result == results[0] for result in results)


def test_backward_runs_with_the_callers_mode_restored() -> None:
    x = tgc.tensor([2.0], requires_grad=True)
    y = x * x
    with tgc.no_grad():
        y.backward()
        assert not recorded()
    assert x.grad.tolist() == [4]
    assert recorded()


def test_detach() -> None:
    x = tgc.tensor([2.0], requires_grad=True)
    y = x * 3
    for z in (y.detach(), y.data):
        assert not z.requires_grad
        assert z.is_leaf
        assert np.shares_memory(z.array, y.array)
    (y.detach() * y).backward()
    assert x.grad.tolist() == [18]


def test_leaves() -> None:
    x = tgc.ones(2, requires_grad=True)
    assert x.is_leaf
    assert (x * 2).detach().is_leaf
    assert not (x * 2).is_leaf
    with tgc.no_grad():
        assert (x * 2).is_leaf
    assert tgc.ones(2).requires_grad_().is_leaf


def test_a_thread_that_ends_without_recording_leaves_nothing_behind() -> None:
    seen = []

    def ends_in_no_grad() -> None:
        tgc.no_grad().__enter__()
        seen.append((recorded(), threading.get_ident()))

    def fresh() -> None:
        seen.append((recorded(), threading.get_ident()))

    for target in (ends_in_no_grad, fresh) * 20:  # the system gives the identifier of a dead thread to the next one
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert [mode for mode, _ in seen] == [False, True] * 20
    assert len({ident for _, ident in seen}) < len(seen)
    assert recorded()
