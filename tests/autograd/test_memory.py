"""Graphs die by reference count alone: no garbage collector runs in these tests."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function, Node, grad


@pytest.fixture(autouse=True, scope="module")
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.freeze()  # what exists already need not be looked through when nodes are counted
    yield
    gc.enable()


def nodes() -> int:
    """Live nodes.  Compiled nodes are seen by the collector too."""
    return sum(isinstance(thing, Node) for thing in gc.get_objects())


class TwoOutputs(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y, z = x.exp(), x * x
        ctx.save_for_backward(x, y, z)
        return y, z

    @staticmethod
    def backward(ctx: Any, g1: Any, g2: Any) -> Any:
        x, y, _ = ctx.saved_tensors
        return g1 * y + g2 * x * 2


class Constant(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y * 1, y)
        ctx.note = x.detach()
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "mul": lambda x: x * x * 2,
    "saved outputs": lambda x: x.exp().tanh().sigmoid().relu().sqrt(),
    "views": lambda x: x.reshape(2, 2).T[0].expand(3, 2) * x[:2],
    "advanced index": lambda x: x[[0, 0, 1]] * 2,
    "max": lambda x: x.max(0)[0] * x.amax(),
    "softmax": lambda x: x.softmax(0) + x.log_softmax(0),
    "cross entropy": lambda x: tgc.ops.cross_entropy(x.reshape(2, 2), tgc.tensor([0, 1])),
    "conv and pool": lambda x: tgc.ops.max_pool2d(
        tgc.ops.conv2d(x.reshape(1, 1, 2, 2), x.reshape(1, 1, 2, 2), padding=1), 2
    ),
    "switches": lambda x: tgc.ops.max_pool2d(x.reshape(1, 1, 2, 2), 1, return_indices=True)[0],
    "matmul": lambda x: x.reshape(2, 2) @ x.reshape(2, 2),
    "dropout": lambda x: tgc.ops.dropout(x, 0.5),
    "function": lambda x: TwoOutputs.apply(x)[0] * TwoOutputs.apply(x)[1],
    "function constant": lambda x: Constant.apply(x),
    "cat": lambda x: tgc.stack([x, x * 2]),
}


def used(y: Any, x: Any, how: str) -> None:
    """What may happen to a graph before it is dropped."""
    if how == "backward":
        y.sum().backward()
    elif how == "retained":
        y.sum().backward(retain_graph=True)
    elif how == "second derivative":
        (g,) = grad((y * y).sum(), x, create_graph=True)
        with contextlib.suppress(tgc.errors.GraphError):  # a Function that saved an intermediate refuses
            grad(g.sum(), x, allow_unused=True)
    elif how == "hooks":
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        y.sum().backward()
    elif how == "failed":
        y.register_hook(lambda g: "wrong")
        with pytest.raises(tgc.errors.GraphError):
            y.sum().backward()


@pytest.mark.parametrize("how", ["dropped", "backward", "retained", "second derivative", "hooks", "failed"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_graphs_die_at_once(backend: str, name: str, how: str) -> None:
    x = tgc.tensor(np.array([0.5, 1.0, 1.5, 2.0]), requires_grad=True)
    before = nodes()
    y = PROGRAMS[name](x)
    assert nodes() > before
    watch = [weakref.ref(y), weakref.ref(y.array)]
    used(y, x, how)
    del y
    x.grad = None
    assert nodes() == before
    assert [reference() for reference in watch] == [None, None]


def test_backward_with_create_graph_dies_with_the_gradient() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    before = nodes()
    (x**3).sum().backward(create_graph=True)
    assert nodes() > before
    x.grad = None
    assert nodes() == before


def test_leaves_are_not_kept_by_their_graph_when_that_is_gone() -> None:
    x = tgc.tensor([1.0], requires_grad=True)
    x.register_hook(lambda g: None)
    watch = weakref.ref(x)
    y = x * 2
    del x
    assert watch() is not None
    y.backward()
    assert watch() is not None
    del y
    assert watch() is None


def test_backward_frees_what_forward_saved() -> None:
    x = tgc.tensor(np.ones(1000), requires_grad=True)
    middle = x * 2
    watch = weakref.ref(middle.array)
    y = (middle * middle).sum()
    del middle
    assert watch() is not None
    y.backward()
    assert watch() is None  # y lives still


def test_gradients_are_dropped_on_the_way() -> None:
    """While backward runs, at most a few gradients are alive, however long the chain."""
    alive: list[Any] = []
    most = 0

    class Probe(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            nonlocal most
            alive.append(weakref.ref(g.array))
            most = max(most, sum(reference() is not None for reference in alive))
            return g * 1.0

    x = tgc.tensor(np.ones(10), requires_grad=True)
    y = x
    for _ in range(30):
        y = Probe.apply(y) * 2.0
    y.sum().backward()
    assert most <= 3


def test_training_steps_leave_nothing_behind(backend: str) -> None:
    from tinygrad_course import optim

    w = tgc.tensor(np.ones((4, 4)), requires_grad=True)
    optimiser = optim.SGD([w], lr=0.01, momentum=0.9)
    gc.collect()
    counts = []
    for _ in range(5):
        loss = ((tgc.ones(2, 4, dtype="float64") @ w).tanh() ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        del loss
        counts.append(nodes())
    assert counts == counts[:1] * 5
    assert gc.collect() == 0


class Chain(Function):
    """The identity; its backward asks which gradients are alive."""

    @staticmethod
    def forward(ctx: Any, x: Any, ask: Any) -> Any:
        ctx.ask = ask
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        ctx.ask(g)
        return g * 1.0, None


def test_a_gradient_that_joined_a_sum_is_dropped_before_the_next_node_runs() -> None:
    seen: list[Any] = []

    def remember(g: Any) -> None:
        seen.append(weakref.ref(g.array))

    def ask(g: Any) -> None:
        seen.append([reference() is None for reference in seen[:2]])

    x = tgc.tensor(np.ones(2000), requires_grad=True)
    base = Chain.apply(x * 1.0, ask)
    left, right = Chain.apply(base, remember), Chain.apply(base, remember)
    (left + right).sum().backward()
    assert seen[-1] == [True, True]


def test_of_a_weight_that_is_used_often_two_gradients_exist() -> None:
    if not tgc.backend.COMPILED:
        pytest.skip("there is no pool whose bytes could be counted")
    w = tgc.ones(64, 1024).requires_grad_()
    size = w.nbytes
    y = w * 1.0
    for _ in range(30):
        y = y + w
    loss = y.sum()
    del y
    tgc.backend.reset_peak_memory_stats()
    before = tgc.backend.memory_stats()["live"]
    loss.backward()
    assert tgc.backend.memory_stats()["peak"] - before <= 4 * size


def test_ten_thousand_steps_take_no_memory() -> None:
    """Neither the pool nor the process grows."""
    from pathlib import Path

    from tinygrad_course import nn, optim

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of the process is read from /proc")
    model = nn.Sequential(nn.Linear(8, 160), nn.ReLU(), nn.Linear(160, 3))  # some arrays from the pool, some too small
    optimiser = optim.Adam(model.parameters())
    x, y = tgc.randn(16, 8), tgc.tensor([0, 1, 2, 1] * 4)
    marks = []
    for step in range(10_000 if tgc.backend.COMPILED else 1_000):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
        if step % 100 == 99:
            marks.append((tgc.backend.memory_stats()["live"], resident()))
    later = marks[1:]
    assert len({live for live, _ in later}) == 1
    assert later[-1][1] - later[0][1] <= 64  # pages of 4 KB: one a step would be 9,900
