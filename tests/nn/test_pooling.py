"""nn/pooling.py against PyTorch: signatures, repr, values and gradients."""

import inspect
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, torch_or_skip
from tinygrad_course import nn

MODULES = [
    ("MaxPool1d", (2,), {}, (2, 3, 9)),
    ("MaxPool1d", (3, 2, 1), {"ceil_mode": True}, (3, 10)),
    ("MaxPool2d", (2,), {}, (2, 3, 7, 9)),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": 1}, (2, 3, 8, 8)),
    ("MaxPool3d", (2,), {"stride": 1}, (1, 2, 4, 5, 4)),
    ("AvgPool1d", (2,), {}, (2, 3, 9)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 8, 9)),
    ("AvgPool2d", (2,), {"divisor_override": 3}, (2, 3, 8, 8)),
    ("AvgPool3d", (2,), {}, (1, 2, 4, 5, 4)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 10)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool3d", (2,), {}, (1, 2, 5, 4, 3)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 10)),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool3d", (2,), {}, (1, 2, 5, 4, 3)),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), MODULES, ids=lambda value: str(value))
def test_values_and_gradients_are_pytorchs(name: str, args: Any, kwargs: Any, shape: Any) -> None:
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch_or_skip().nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    compare_module(ours, theirs, np.random.default_rng(1).standard_normal(shape))


@pytest.mark.parametrize(("name", "args", "shape"), [
    ("MaxPool1d", (2,), (2, 3, 8)), ("MaxPool2d", (3,), (2, 3, 8, 7)), ("MaxPool3d", (2,), (1, 2, 4, 4, 4)),
    ("AdaptiveMaxPool2d", (3,), (2, 3, 7, 8)),
])
def test_positions_are_pytorchs(name: str, args: Any, shape: Any) -> None:
    torch, x = torch_or_skip(), np.random.default_rng(2).standard_normal(shape)
    ours = getattr(nn, name)(*args, return_indices=True)(tgc.tensor(x))
    theirs = getattr(torch.nn, name)(*args, return_indices=True)(torch.tensor(x))
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("name", sorted({name for name, *_ in MODULES}))
def test_signature_is_pytorchs(name: str) -> None:
    def parameters(kind: Any) -> list[Any]:
        return [(p.name, p.default) for p in inspect.signature(kind).parameters.values()]

    assert parameters(getattr(nn, name)) == parameters(getattr(torch_or_skip().nn, name))
