"""Cases for functions that only move values: the same call in both packages, exact in every type."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tgc
from tests.ops.battery import Case, Sample

INTEGERS = ("int64", "uint8", "bool")


def in_torch(name: str) -> Callable[..., Any]:
    """PyTorch's function or method of that name, looked up when it is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        home = next(home for home in (torch, torch.Tensor, torch.nn.functional) if hasattr(home, name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of PyTorch's functions say that they are new
            return getattr(home, name)(*args, **kwargs)

    return call


def plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Tensors first, then the other arguments."""
    return function(*args, **kwargs)


def listed(function: Callable[..., Any], *tensors: Any, **kwargs: Any) -> Any:
    """The tensors as one list."""
    return function(list(tensors), **kwargs)


def dim_first(function: Callable[..., Any], x: Any, *others: Any, dim: int, **kwargs: Any) -> Any:
    """f(x, dim, index, source)."""
    return function(x, dim, *others, **kwargs)


def same(
    name: str,
    oracle: Callable[..., Any],
    samples: tuple[Sample, ...],
    arrange: Callable[..., Any] = plainly,
    ours: Callable[..., Any] | None = None,
    **more: Any,
) -> Case:
    """A case whose call is the same here and in PyTorch; `arrange` puts its tensors in their places."""
    function = ours or getattr(tgc, name)
    theirs = in_torch(name)
    more = {"torch": lambda *args, **kwargs: arrange(theirs, *args, **kwargs), "integers": INTEGERS, **more}
    return Case(name, lambda *args, **kwargs: arrange(function, *args, **kwargs), oracle, samples, **more)


def each_place(shape: tuple[int, ...], source: Callable[..., Any], dtype: Any) -> np.ndarray:
    """The array whose element at a place is source(*place)."""
    out = np.empty(shape, dtype)
    for place in np.ndindex(shape):
        out[place] = source(*place)
    return out
