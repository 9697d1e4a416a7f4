"""Tensors and nodes that have died wait for the next ones: nothing of their first life may be seen in the second."""

import gc
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function, Node, engine
from tinygrad_course.autograd.base import TensorBase, Version
from tinygrad_course.autograd.node import Output, SavedOutput
from tinygrad_course.kernels import memory

COMPUTED = {"name", "saved", "edges", "next_functions", "_saved"}  # properties of a node
COMPILED = engine.__file__.endswith((".so", ".pyd"))


def many_lives(n: int = 3) -> list[Any]:
    """Tensors that have had everything a tensor can have, as weak references: they are dead."""
    dead = []
    for _ in range(n):
        x = tgc.tensor([1.0, 2.0], requires_grad=True)
        x.register_hook(lambda g: None)
        x.register_post_accumulate_grad_hook(lambda leaf: None)
        y = (x * x).exp()
        y.retain_grad()
        y.grad_fn.register_hook(lambda gi, go: None)
        view = y[:1]
        z = y.sum() + view.sum()
        with tgc.no_grad():
            x.mul_(1.0)
            view.detach().add_(0.0)
        dead += [weakref.ref(t) for t in (x, y, view, z)]
    return dead


def test_nothing_of_the_first_life_is_left() -> None:
    tensors = [*many_lives(50)]
    assert all(reference() is None for reference in tensors)
    for kind, zero in ((tgc.Tensor, {"track": False, "seen": 0, "_hash": 0}),
                       (Node, {"order": 0, "freed": False, "closed": False, "_outputs_saved": False, "count": 0}),
                       (SavedOutput, {"index": 0, "shared": False}),
                       (Version, {"count": 0, "rewrites": 0})):
        base = TensorBase if kind is tgc.Tensor else kind
        names = [name for name, value in base.__dict__.items() if not name.startswith("__")
                 and type(value).__name__ in ("getset_descriptor", "member_descriptor") and name not in COMPUTED]
        assert set(zero) <= set(names), kind
        lives = [memory.blank(kind) for _ in range(400)]  # more than have died, too
        for thing in lives:
            for name in names:
                value = getattr(thing, name)
                assert value == zero[name] if name in zero else value is None, (kind, name)


def test_a_weak_reference_does_not_come_back_to_life() -> None:
    told: list[int] = []
    for _ in range(5):
        x = tgc.tensor([1.0])
        reference = weakref.ref(x, lambda _: told.append(1))
        del x
        again = [tgc.tensor([2.0]) * 1.0 for _ in range(10)]
        assert reference() is None
        del again
    assert len(told) == 5


def test_arrays_that_somebody_holds_are_not_given_away() -> None:
    x = tgc.tensor([1.0, 2.0])
    y = x * 3.0
    held, shared = y.numpy(), (x * 5.0).numpy()
    window = (x * 7.0).numpy()[:1]
    del y
    others = [x * float(k) for k in range(20)]
    assert held.tolist() == [3.0, 6.0]
    assert shared.tolist() == [5.0, 10.0]
    assert window.tolist() == [7.0]
    assert [t.tolist() for t in others] == [[k * 1.0, k * 2.0] for k in range(20)]


def test_subclasses_die_as_ever() -> None:
    finished: list[str] = []

    class Named(tgc.Tensor):
        def __del__(self) -> None:
            finished.append(self.label)

    def live(kind: type[Named], label: str) -> None:
        x = kind([1.0, 2.0])
        x.label = label
        x.requires_grad_()
        (x * 2).sum().backward()

    kind = Named
    before = sys.getrefcount(kind)
    for k in range(300):
        live(kind, str(k))
    gc.collect()
    assert finished == [str(k) for k in range(300)]
    assert sys.getrefcount(kind) == before
    reference = weakref.ref(kind)
    del kind, Named, live
    gc.collect()
    assert reference() is None


def test_none_is_counted_right() -> None:
    many_lives(10)
    memory.trim()
    before = sys.getrefcount(None)
    for _ in range(20):
        many_lives(100)
        chain = tgc.ones(1, requires_grad=True)
        for _ in range(3000):  # more than wait
            chain = chain * 1.0
        del chain
        memory.trim()
    assert abs(sys.getrefcount(None) - before) < 500


def test_what_dies_may_run_programs() -> None:
    results: list[float] = []

    class Last:
        """Computes when its owner dies, and lets tensors and graphs die meanwhile."""

        def __del__(self) -> None:
            w = tgc.tensor([2.0], requires_grad=True)
            y = w
            for _ in range(5):
                y = y * w
            y.backward()
            results.append(float(w.grad))

    class Keep(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.last = Last()
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    for _ in range(20):
        x = tgc.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(10):
            y = Keep.apply(y * 2.0) * 3.0
        del y, x
    gc.collect()
    assert results == [6 * 2.0 ** 5] * 200


def test_threads_let_objects_die_at_once_and_in_each_other() -> None:
    failures: list[Any] = []
    handed: list[Any] = []

    class Slow:
        def __del__(self) -> None:
            threading.Event().wait(0.001)  # others run meanwhile

        def hook(self, of_inputs: Any, of_outputs: Any) -> None:
            """Holds its owner as long as the node lives."""

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for step in range(60):
            value = float(rng.integers(1, 5))
            x = tgc.tensor([value], dtype=tgc.float64, requires_grad=True)
            y = x
            for _ in range(20):
                y = y * x
            y.retain_grad()
            handed.append(y)  # it dies in whichever thread takes it
            if step % 7 == 0:
                y.grad_fn.register_hook(Slow().hook)
            y.backward()
            if float(x.grad) != 21 * value ** 20:
                failures.append((value, float(x.grad)))
            if len(handed) > 5:
                handed.pop(int(rng.integers(0, 3)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.skipif(not COMPILED, reason="objects wait only where the engine is compiled")
def test_the_next_tensor_is_the_one_that_died() -> None:
    memory.trim()
    x, three = tgc.tensor([1.0]), tgc.tensor([3.0])
    y = x * three
    places = id(y), id(y.array)
    del y
    y = x * three
    assert (id(y), id(y.array)) == places
    assert y.tolist() == [3.0]


def test_outputs_of_an_op_with_several_die_too() -> None:
    for _ in range(5):
        x = tgc.tensor([3.0, 1.0, 2.0], requires_grad=True)
        values, _places = x.sort()
        assert isinstance(values.grad_fn, Output)
        (values * tgc.tensor([1.0, 10.0, 100.0])).sum().backward()
        assert x.grad.tolist() == [100.0, 1.0, 10.0]
