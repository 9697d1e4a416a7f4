"""Making tensors: from data, filled, and in sequence."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops import random as draws
from tinygrad_course.ops.dtypes import SUPPORTED, as_dtype, get_default_dtype, int64


def _finish(array: Any, device: Any, requires_grad: bool) -> Any:
    if device is not None:
        array = backend.to_device(array, Device(device).type)
    result = new_tensor(array)
    return result.requires_grad_() if requires_grad else result


def _sizes(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    given = size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size
    for n in given:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"{op}: sizes are integers, got {n!r}")
        if n.__index__() < 0:
            raise ShapeError(f"{op}: negative size {n} in {tuple(given)}")
    return tuple([n.__index__() for n in given])


def _array(op: str, data: Any, dtype: Any) -> Any:
    """A new NumPy (or CuPy) array of a supported type."""
    if isinstance(data, TensorBase):
        data = data.array
    if hasattr(data, "__cuda_array_interface__"):
        return data.astype(data.dtype if dtype is None else as_dtype(dtype))
    if isinstance(data, list | tuple) and any(isinstance(item, TensorBase) for item in data):
        data = [item.array.tolist() if isinstance(item, TensorBase) else item for item in data]
    try:
        array = np.array(data)
    except ValueError as error:
        raise ShapeError(f"{op}: the rows of the data have different lengths: {error}") from None
    if dtype is not None:
        wanted = as_dtype(dtype)
    elif isinstance(data, np.ndarray | np.generic) or array.dtype.kind == "b":
        wanted = array.dtype
    elif array.dtype.kind == "f" or array.size == 0:
        wanted = get_default_dtype()  # Python floats, and the empty list
    else:
        wanted = array.dtype
    if array.dtype.kind not in "biuf" or wanted not in SUPPORTED:
        raise DTypeError(f"{op}: data of type {array.dtype} cannot be held in a tensor; supported are "
                         f"{', '.join(str(kind) for kind in SUPPORTED)}")
    return array.astype(wanted, copy=False)


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor with a copy of `data`: a number, nested lists, an array.  Python floats become float32."""
    return _finish(_array("tensor", data, dtype), device, requires_grad)


def from_numpy(array: np.ndarray) -> Any:
    """A tensor that shares memory with a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype not in SUPPORTED:
        raise DTypeError(f"from_numpy: arrays of {array.dtype} are not supported; convert with .astype()")
    return new_tensor(array)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where it is one already, or a fitting NumPy array."""
    if isinstance(data, TensorBase):
        result: Any = data
    elif isinstance(data, np.ndarray) and data.dtype in SUPPORTED:
        result = new_tensor(data)
    else:
        return tensor(data, dtype, device)
    return result.to(dtype=dtype, device=device)


def full(size: Sequence[int], fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`fill_value` everywhere; the type follows from it."""
    kind = as_dtype(dtype) if dtype is not None else _array("full", fill_value, None).dtype
    return _finish(np.full(_sizes("full", (size,)), fill_value, kind), device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros."""
    return _finish(np.zeros(_sizes("zeros", size), _default(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones."""
    return _finish(np.ones(_sizes("ones", size), _default(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Memory as it is found: to be written before it is read."""
    return _finish(np.empty(_sizes("empty", size), _default(dtype)), device, requires_grad)


def full_like(input: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
    """`fill_value` in the shape and type of `input`."""
    array = backend.array_module(input.array).full(input.array.shape, fill_value,
                                                   input.array.dtype if dtype is None else as_dtype(dtype))
    return _finish(array, None, requires_grad)


def zeros_like(input: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Zeros in the shape and type of `input`."""
    return full_like(input, 0, dtype, requires_grad)


def ones_like(input: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Ones in the shape and type of `input`."""
    return full_like(input, 1, dtype, requires_grad)


def empty_like(input: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
    """Unset memory in the shape and type of `input`."""
    return _finish(np.empty_like(input.array, dtype=dtype), None, requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:
    """start, start + step, ... below end; arange(n) counts from 0.  int64 unless a float is among the arguments."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0")
    kind = as_dtype(dtype) if dtype is not None else (
        get_default_dtype() if any(isinstance(v, float) for v in (start, end, step)) else int64)
    return _finish(np.arange(start, end, step).astype(kind), device, requires_grad)


def linspace(start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`steps` values from start to end, both included."""
    return _finish(np.linspace(start, end, steps).astype(_default(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones on the diagonal."""
    return _finish(np.eye(n, m, dtype=_default(dtype)), device, requires_grad)


def rand(*size: Any, generator: draws.Generator | None = None, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Any:
    """Uniform in [0, 1)."""
    return _finish(draws.rand(_sizes("rand", size), dtype, generator).array, device, requires_grad)


def randn(*size: Any, generator: draws.Generator | None = None, dtype: Any = None, device: Any = None,
          requires_grad: bool = False) -> Any:
    """Normal with mean 0 and variance 1."""
    return _finish(draws.randn(_sizes("randn", size), dtype, generator).array, device, requires_grad)


def rand_like(input: Any, generator: draws.Generator | None = None) -> Any:
    """Uniform in [0, 1) in the shape and type of `input`."""
    return rand(input.array.shape, generator=generator, dtype=input.array.dtype)


def randn_like(input: Any, generator: draws.Generator | None = None) -> Any:
    """Normal numbers in the shape and type of `input`."""
    return randn(input.array.shape, generator=generator, dtype=input.array.dtype)


def randint(low: int, high: Any = None, size: Any = None, *, generator: draws.Generator | None = None, dtype: Any = None,
            device: Any = None) -> Any:
    """Integers in [low, high); randint(high, size) starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    return _finish(draws.randint(low, high, _sizes("randint", (size,)), dtype, generator).array, device, False)


def randperm(n: int, *, generator: draws.Generator | None = None, dtype: Any = None, device: Any = None) -> Any:
    """A random order of 0..n-1."""
    return _finish(draws.randperm(n, generator, dtype).array, device, False)


def _default(dtype: Any) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else as_dtype(dtype)
