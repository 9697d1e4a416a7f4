"""Tensors made after the pattern of another: its shape (`zeros_like`), or its type and device (`new_zeros`)."""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.ops import creation
from tinygrad_course.ops.arguments import number, require_fit
from tinygrad_course.ops.dtypes import as_dtype, require_tensors
from tinygrad_course.ops.random import Generator

__all__ = [
    "empty_like", "full_like", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_tensor", "new_zeros",
    "ones_like", "rand_like", "randint_like", "randn_like", "zeros_like",
]


def full_like(input: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`fill_value` in the shape, type and place of `input`, unless `dtype` or `device` say otherwise."""
    like = _like("full_like", input)
    value, kind = number("full_like", fill_value), like.dtype if dtype is None else as_dtype(dtype)
    require_fit("full_like", value, kind)
    array = backend.array_module(like).full(like.shape, value, kind)
    return creation.finish(array, device, requires_grad)


def zeros_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros in the shape, type and place of `input`."""
    require_tensors("zeros_like", input)
    return full_like(input, 0, dtype, device, requires_grad)


def ones_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones in the shape, type and place of `input`."""
    require_tensors("ones_like", input)
    return full_like(input, 1, dtype, device, requires_grad)


def empty_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Memory as it is found, in the shape, type, place and order of axes of `input`."""
    like = _like("empty_like", input)
    array = backend.array_module(like).empty_like(like, dtype=like.dtype if dtype is None else as_dtype(dtype))
    return creation.finish(array, device, requires_grad)


def rand_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
              generator: Generator | None = None) -> Any:
    """Uniform in [0, 1), in the shape, type and place of `input`."""
    like = _like("rand_like", input)
    return creation.rand(like.shape, generator=generator, requires_grad=requires_grad, **_pattern(like, dtype, device))


def randn_like(input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
               generator: Generator | None = None) -> Any:
    """Normal with mean 0 and variance 1, in the shape, type and place of `input`."""
    like = _like("randn_like", input)
    return creation.randn(like.shape, generator=generator, requires_grad=requires_grad, **_pattern(like, dtype, device))


def randint_like(input: Any, low: Any = 0, high: Any = None, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False, generator: Generator | None = None) -> Any:
    """Integers in [low, high), in the shape, type and place of `input`; randint_like(x, high) starts at 0."""
    like = _like("randint_like", input)
    if high is None:
        low, high = 0, low
    pattern = _pattern(like, dtype, device)
    array = creation.integers("randint_like", low, high, like.shape, pattern["dtype"], generator)
    return creation.finish(array, pattern["device"], requires_grad)


def new_tensor(input: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A copy of `data` in the type and place of `input`."""
    like = _like("new_tensor", input)
    copy = True if isinstance(data, TensorBase | np.ndarray) else None
    return creation.asarray(data, copy=copy, requires_grad=requires_grad, **_pattern(like, dtype, device))


def new_full(input: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:
    """`fill_value` in a shape of its own, in the type and place of `input`."""
    return creation.full(size, fill_value, requires_grad=requires_grad, **_pattern(_like("new_full", input), dtype, device))


def new_zeros(input: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros in a shape of their own, in the type and place of `input`: new_zeros(x, 2, 3) or new_zeros(x, (2, 3))."""
    return creation.zeros(*size, requires_grad=requires_grad, **_pattern(_like("new_zeros", input), dtype, device))


def new_ones(input: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones in a shape of their own, in the type and place of `input`."""
    return creation.ones(*size, requires_grad=requires_grad, **_pattern(_like("new_ones", input), dtype, device))


def new_empty(input: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Memory as it is found, in a shape of its own, in the type and place of `input`."""
    return creation.empty(*size, requires_grad=requires_grad, **_pattern(_like("new_empty", input), dtype, device))


def new_empty_strided(input: Any, size: Any, stride: Any, dtype: Any = None, device: Any = None,
                      requires_grad: bool = False) -> Any:
    """empty_strided() in the type and place of `input`."""
    pattern = _pattern(_like("new_empty_strided", input), dtype, device)
    return creation.empty_strided(size, stride, requires_grad=requires_grad, **pattern)


def _like(op: str, input: Any) -> Any:
    require_tensors(op, input)
    return input.array


def _pattern(like: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """The keywords dtype and device, taken from an array where they are not given."""
    return {"dtype": like.dtype if dtype is None else dtype,
            "device": backend.device_of(like) if device is None else device}
