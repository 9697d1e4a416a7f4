"""graph_memory counts every byte once and names who keeps it."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.autograd import Function
from tinygrad_course.debug import graph_memory
from tinygrad_course.errors import GraphError


def f64(*shape: int, requires_grad: bool = False) -> Any:
    return tgc.tensor(np.ones(shape), requires_grad=requires_grad)


def test_what_each_op_keeps() -> None:
    w = f64(10, requires_grad=True)  # 80 bytes
    x = f64(10)
    loss = (w * x).exp().sum()  # mul keeps w and x, exp its result
    memory = graph_memory(loss)
    assert [(row.kind, row.name, row.bytes, row.keepers) for row in memory.rows] == [
        ("parameter", "w", 80, ["mul"]), ("input", "x", 80, ["mul"]), ("output", "of exp", 80, ["exp"])]
    assert memory.total == 240
    assert memory.of("parameter") == 80
    assert memory.by_op() == {"mul": 80, "exp": 80}


def test_views_count_as_their_base_and_shared_memory_once() -> None:
    w = f64(100, requires_grad=True)
    part = w[:10]
    loss = (part * part).sum() + (w * w).sum()
    memory = graph_memory(loss)
    assert memory.total == 800
    (row,) = memory.rows
    assert (row.kind, row.name) == ("parameter", "w")
    assert row.keepers == ["slice", "mul"]


def test_modules_are_named() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    memory = graph_memory(model(tgc.ones(5, 4)).sum())
    assert {row.name: row.keepers for row in memory.rows if row.kind == "parameter"} == {
        "0.weight": ["linear in Sequential.0"], "0.bias": ["linear in Sequential.0"]}
    assert memory.by_path() == {"Sequential.0": 80, "Sequential.1": 60}


def test_after_backward_only_leaves_are_left() -> None:
    w = f64(10, requires_grad=True)
    loss = w.exp().sum()
    assert graph_memory(loss).of("output") == 80
    loss.backward()
    assert graph_memory(loss).of("output") == 0
    assert graph_memory(loss).total == 80


def test_what_a_function_keeps() -> None:
    class Keeper(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mask = x > 0
            y = x * 2
            ctx.save_for_backward(y, y * 3)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    memory = graph_memory(Keeper.apply(f64(10, requires_grad=True)).sum())
    assert sorted((row.kind, row.bytes) for row in memory.rows) == [
        ("constant", 10), ("input", 80), ("output", 80), ("parameter", 80)]


def test_the_printed_table() -> None:
    w = f64(50, 40, requires_grad=True)
    text = str(graph_memory((w * w).exp().sum()))
    assert text.splitlines()[0] == "3 nodes hold 32 kB in 2 arrays: outputs 16 kB, parameters 16 kB"
    assert "16 kB  parameter w    50 x 40  float64  mul" in text
    assert "16 kB  output of exp  50 x 40  float64  exp" in text


def test_many_nodes() -> None:
    x = f64(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + x
    memory = graph_memory(y.sum())
    assert memory.total == 8
    assert memory.n_nodes == 100_001


def test_errors() -> None:
    with pytest.raises(GraphError, match="graph_memory: expected a Tensor"):
        graph_memory(3.0)  # type: ignore[arg-type]
