"""ops/embedding.py: rows of a table, alone and in bags."""

import itertools
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, exactly, index
from tinygrad_course import ops
from tinygrad_course.errors import DTypeError, ShapeError

Array = np.ndarray


def functional(name: str) -> Any:
    """torch.nn.functional.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def embedding(i: Array, w: Array) -> Array:
    out = np.empty((*i.shape, w.shape[1]))
    for place in np.ndindex(i.shape):
        out[place] = w[i[place]]
    return out


def bags(i: Array, w: Array, scale: Any, offsets: Any = None, mode: str = "mean", padding: int | None = None) -> Array:
    """By loops over bags."""
    if i.ndim == 1:
        ends = [*offsets[1:], len(i)]
        members = [range(a, b) for a, b in zip(offsets, ends, strict=True)]
    else:
        members = [range(b * i.shape[1], (b + 1) * i.shape[1]) for b in range(i.shape[0])]
    flat, out = i.reshape(-1), np.zeros((len(members), w.shape[1]))
    for b, group in enumerate(members):
        rows = [w[flat[k]] * (1.0 if scale is None else scale.reshape(-1)[k]) for k in group if flat[k] != padding]
        if rows:
            out[b] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)
    return out


def our_bags(i: Any, w: Any, scale: Any, offsets: Any = None, mode: str = "mean", padding: int | None = None) -> Any:
    offsets = None if offsets is None else tgc.tensor(offsets)
    return ops.embedding_bag(i, w, offsets, mode=mode, per_sample_weights=scale, padding_idx=padding)


IN_A_ROW = exactly([0, 3, 3, 1, 2, 0], "int64")
CASES = (
    Case(
        "embedding",
        ops.embedding,
        embedding,
        (S(index(4, 3), (4, 2)), S(index(3, 2, 2), (3, 2)), S(index(2), (2, 3)), S(index(2, 0), (2, 3))),
        torch=functional("embedding"),
        errors=(
            Error(lambda: ops.embedding(tgc.tensor([3]), tgc.ones(3, 2)), IndexError, r"embedding.*index 3.*0\.\.2"),
            Error(lambda: ops.embedding(tgc.tensor([-1]), tgc.ones(3, 2)), IndexError, "embedding.*index -1"),
            Error(lambda: ops.embedding(tgc.ones(2), tgc.ones(3, 2)), DTypeError, r"embedding.*float32.*long\(\)"),
            Error(lambda: ops.embedding(tgc.tensor([0]), tgc.ones(3)), ShapeError, r"embedding.*\(3,\)"),
            Error(lambda: ops.embedding(tgc.tensor([0]), tgc.ones(3, 2), 3), ValueError, "padding_idx 3"),
            Error(lambda: ops.embedding(tgc.tensor([0]), tgc.ones(3, 2), sparse=True), ValueError, "sparse"),
        ),
    ),
    Case(
        "embedding_bag",
        our_bags,
        bags,
        (
            *(S(index(4, 3, 2), apart(4, 2), None, mode=mode) for mode in ("sum", "mean", "max")),
            *(S(IN_A_ROW, apart(4, 2), None, offsets=[0, 2, 2, 5], mode=mode) for mode in ("sum", "mean", "max")),
            S(IN_A_ROW, (4, 2), (6,), offsets=[0, 4], mode="sum"),
            S(index(4, 3, 2), (4, 2), (3, 2), mode="sum"),
            S(index(4, 0, 2), (4, 2), None),
        ),
        errors=(
            Error(lambda: our_bags(tgc.tensor([0, 1]), tgc.ones(2, 2), None), ShapeError, "embedding_bag.*offsets"),
            Error(lambda: our_bags(tgc.tensor([[0]]), tgc.ones(2, 2), None, [0]), ValueError, "embedding_bag.*offsets"),
            Error(
                lambda: our_bags(tgc.tensor([0, 1]), tgc.ones(2, 2), None, [1]), ValueError, r"bag.*begin with 0.*\[1\]"
            ),
            Error(
                lambda: our_bags(tgc.tensor([0, 1]), tgc.ones(2, 2), None, [0, 3]), ValueError, "not exceed 2, the number"
            ),
            Error(lambda: our_bags(tgc.tensor([[0]]), tgc.ones(2, 2), tgc.ones(1, 1)), ValueError, "mode='sum'"),
            Error(lambda: our_bags(tgc.tensor([[0]]), tgc.ones(2, 2), None, mode="min"), ValueError, "'min'"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("kwargs", [{"padding_idx": 3}, {"padding_idx": -1}, {"max_norm": 1.0},
                                    {"max_norm": 0.5, "norm_type": 1.0}])
@pytest.mark.parametrize("mode", [None, "sum", "mean", "max"])
def test_options_are_those_of_torch(backend: str, torch: Any, kwargs: dict[str, Any], mode: str | None) -> None:
    """Value, gradient and, with max_norm, the table that was changed in place."""
    i, w = np.array([[0, 3, 3], [1, 3, 0]]), S((4, 2)).arrays("options")[0]
    found = []
    for lib, module in ((tgc, ops), (torch, torch.nn.functional)):
        weight = lib.tensor(w, requires_grad=True)
        if mode is None:
            y = module.embedding(lib.tensor(i), weight, **kwargs)
        else:
            y = module.embedding_bag(lib.tensor(i), weight, mode=mode, **kwargs)
        y.backward(lib.tensor(S(tuple(y.shape)).arrays("upstream")[0]))
        found.append([y.tolist(), weight.grad.tolist(), weight.tolist()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("padding", [None, 0])
def test_gradients_of_frequent_rows_are_divided_by_their_number(torch: Any, padding: int | None) -> None:
    i, w = np.array([[0, 3, 3], [1, 3, 0]]), S((4, 2)).arrays("frequent")[0]
    (g,) = S((2, 3, 2)).arrays("upstream")
    ours, theirs = tgc.tensor(w, requires_grad=True), torch.tensor(w, requires_grad=True)
    ops.embedding(tgc.tensor(i), ours, padding, scale_grad_by_freq=True).backward(tgc.tensor(g))
    functional("embedding")(torch.tensor(i), theirs, padding, scale_grad_by_freq=True).backward(torch.tensor(g))
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-12)


def test_bags_divide_by_the_number_too() -> None:
    """PyTorch 2.13 on the CPU divides a row's gradient in a bag by the number of another row: no oracle here."""
    weight = tgc.ones(4, 1, requires_grad=True)
    ops.embedding_bag(tgc.tensor([[0, 3, 3], [1, 3, 0]]), weight, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.array, [[1], [1], [0], [1]], rtol=1e-6)


def test_last_offset_may_be_included(torch: Any) -> None:
    w = S((4, 2)).arrays("offsets")[0]
    for offsets in ([0, 2, 5], [0, 2, 2, 6], [0]):
        y = ops.embedding_bag(
            tgc.tensor([0, 3, 3, 1, 2, 0]), tgc.tensor(w), tgc.tensor(offsets), include_last_offset=True, mode="sum"
        )
        wanted = [w[[0, 3, 3, 1, 2, 0][a:b]].sum(0) for a, b in itertools.pairwise(offsets)]
        np.testing.assert_allclose(y.array, np.reshape(wanted, (-1, 2)), rtol=1e-12)
