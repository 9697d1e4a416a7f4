"""PyTorch as an oracle: it judges only from the outside, values go in and out as NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc


def torch_or_skip() -> Any:
    """The torch module.  Where it is missing the test is skipped, or fails if TGC_REQUIRE_TORCH=1."""
    try:
        import torch
    except ImportError:
        if os.environ.get("TGC_REQUIRE_TORCH") == "1":
            pytest.fail("TGC_REQUIRE_TORCH=1, but PyTorch is not installed")
        pytest.skip("PyTorch is not installed")
    torch.set_num_threads(1)
    return torch


def to_torch(value: Any) -> Any:
    """The same values as torch tensor; tensors of dicts, lists and tuples likewise."""
    torch = torch_or_skip()
    if isinstance(value, tgc.Tensor):
        return torch.from_numpy(value.detach().numpy().copy())
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: to_torch(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_torch(entry) for entry in value)
    return value


def to_numpy(value: Any) -> np.ndarray:
    """The values of a Tensor of either library."""
    return value.detach().numpy()


def assert_close(ours: Any, theirs: Any, rtol: float = 1e-9, atol: float = 1e-10, what: str = "") -> None:
    """Equal shapes and (nearly) equal values; None only against None."""
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        ours, theirs = to_numpy(ours), to_numpy(theirs)
        assert ours.shape == theirs.shape, what
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)


def plain(value: Any) -> Any:
    """Tensors, and those in tuples and lists, as lists, so that they can be compared across the libraries."""
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def both(play: Callable[[Any, list[Any]], None]) -> None:
    """What `play(lib, log)` logs must be the same in both libraries."""
    torch = torch_or_skip()
    ours: list[Any] = []
    theirs: list[Any] = []
    play(tgc, ours)
    play(torch, theirs)
    assert ours
    assert ours == theirs


def raised_by(*calls: Callable[[], Any]) -> list[str]:
    """The name of the exception that each call raises, "" for one that raises none."""
    names = []
    for call in calls:
        try:
            call()
        except Exception as error:
            names.append(type(error).__name__)
        else:
            names.append("")
    return names


def compare_module(ours: Any, theirs: Any, *inputs: np.ndarray, targets: tuple[np.ndarray, ...] = ()) -> None:
    """Same weights and inputs in, same output, state-dict keys and gradients out, in float64.

    The upstream gradient is random: one of ones would hide errors in the scale.
    """
    torch = torch_or_skip()
    ours, theirs = ours.double(), theirs.double()
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(to_torch(dict(state)))
    x1 = [tgc.tensor(x, requires_grad=True) for x in inputs]
    x2 = [torch.tensor(x, requires_grad=True) for x in inputs]
    y1 = ours(*x1, *(tgc.tensor(t) for t in targets))
    y2 = theirs(*x2, *(torch.tensor(t) for t in targets))
    assert_close(y1, y2, what="output")
    g = np.random.default_rng(7).standard_normal(tuple(y1.shape))
    y1.backward(tgc.tensor(g))
    y2.backward(torch.tensor(g))
    for number, (a, b) in enumerate(zip(x1, x2, strict=True)):
        assert_close(a.grad, b.grad, what=f"gradient of input {number}")
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(a.grad, b.grad, what=f"gradient of {name}")
