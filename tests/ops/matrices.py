"""What the tests of linear algebra share: matrices for which all results exist, and functions of PyTorch by name."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tgc


def of_torch(path: str) -> Callable[..., Any]:
    """A function of PyTorch ("linalg.inv"), looked up when it is called; its warnings are not ours."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        function: Any = torch
        for part in path.split("."):
            function = getattr(function, part)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return call


def constant(like: Any, values: np.ndarray) -> Any:
    """The values as what `like` is, of its dtype."""
    if isinstance(like, np.ndarray):
        return values
    if isinstance(like, tgc.Tensor):
        return tgc.tensor(values, dtype=like.dtype)
    import torch

    return torch.tensor(values, dtype=like.dtype)


def T(x: Any) -> Any:
    """The matrices transposed: NumPy's, PyTorch's or ours."""
    return np.swapaxes(x, -1, -2) if isinstance(x, np.ndarray) else x.mT


def regular(x: Any) -> Any:
    """0.2 x + diag(2, 3, ...): of full rank, with different singular values, whatever the battery makes of x."""
    m, n = x.shape[-2:]
    return x * 0.2 + constant(x, np.eye(m, n) * np.arange(2.0, n + 2))


def symmetric(x: Any) -> Any:
    """regular(x), made symmetric: positive definite, with different eigenvalues."""
    y = regular(x)
    return (y + T(y)) * 0.5


def lower(x: Any) -> Any:
    """The lower triangle of regular(x)."""
    y = regular(x)
    return y * constant(x, np.tri(*x.shape[-2:]))


def mixed(x: Any) -> Any:
    """regular(x) with its rows in reverse order, so that elimination must exchange rows."""
    return constant(x, np.eye(x.shape[-2])[::-1].copy()) @ regular(x)


def on(function: Callable[..., Any], make: Callable[[Any], Any], count: int = 1) -> Callable[..., Any]:
    """`function` of make(x) for the first `count` arguments."""
    return lambda *args, **kwargs: function(*map(make, args[:count]), *args[count:], **kwargs)
