"""Making tensors: from data, filled, and in sequence."""

import math
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import described, integer, number, require_fit
from tinygrad_course.ops.dtypes import SUPPORTED, as_dtype, get_default_dtype, int64
from tinygrad_course.ops.random import Generator, draw, draw_integers

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_permuted", "empty_strided", "eye", "from_numpy", "full", "linspace",
    "logspace", "ones", "rand", "randint", "randn", "randperm", "scalar_tensor", "tensor", "zeros",
]


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
    return finish(_array("tensor", data, dtype), device, requires_grad)


def from_numpy(array: np.ndarray) -> Any:
    """A tensor that shares memory with a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype not in SUPPORTED:
        raise DTypeError(f"from_numpy: arrays of {array.dtype} are not supported; convert with .astype()")
    result: TensorBase = new_tensor(array)
    result._shared_version().outside = (None, 0)  # NumPy can write there, and no counter sees it
    return result


def as_array(values: Any) -> np.ndarray:
    """The values of a tensor, array or list as a NumPy array in main memory, without their graph; copied only if need be."""
    return values.detach().cpu().numpy() if isinstance(values, TensorBase) else np.asarray(values)  # type: ignore[attr-defined]


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where it is one already, or a fitting NumPy array."""
    if isinstance(data, TensorBase):
        result: Any = data
    elif isinstance(data, np.ndarray) and data.dtype in SUPPORTED:
        result = from_numpy(data)
    else:
        return tensor(data, dtype, device)
    return result.to(dtype=dtype, device=device)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False) -> Any:
    """`obj` as a tensor; copy=True always copies, None where it must, False raises where it must.

    A tensor that takes part in a graph is not one to begin a graph with: the result is detached."""
    result = as_tensor(obj, dtype, device)
    shared = isinstance(obj, TensorBase | np.ndarray) and result.array is getattr(obj, "array", obj)
    if copy is False and not shared:
        raise ValueError(f"asarray: {type(obj).__name__} cannot become a tensor of type {result.array.dtype} without a copy; "
                         "leave out copy=False")
    result = new_tensor(result.array.copy()) if copy and shared else result.detach()
    return result.requires_grad_() if requires_grad else result


def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`fill_value` everywhere; the type follows from it: bool, int64 or the default floating point type."""
    value = number("full", fill_value)
    kind = as_dtype(dtype) if dtype is not None else _array("full", value, None).dtype
    require_fit("full", value, kind)
    return finish(np.full(sizes("full", (size,)), value, kind), device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros: zeros(2, 3) or zeros((2, 3))."""
    return finish(np.zeros(sizes("zeros", size), _default(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones: ones(2, 3) or ones((2, 3))."""
    return finish(np.ones(sizes("ones", size), _default(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Memory as it is found: to be written before it is read."""
    return finish(np.empty(sizes("empty", size), _default(dtype)), device, requires_grad)


def empty_strided(size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Memory as it is found, where a step along axis i goes `stride[i]` elements further."""
    shape, steps = sizes("empty_strided", (size,)), sizes("empty_strided", (stride,))
    if len(shape) != len(steps):
        raise ShapeError(f"empty_strided: {len(shape)} sizes {shape}, but {len(steps)} strides {steps}")
    kind = _default(dtype)
    extent = 0 if 0 in shape else 1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    memory = np.empty(extent, kind)
    array = np.ndarray(shape, kind, memory.data, strides=[step * kind.itemsize for step in steps])
    return finish(array, device, requires_grad)


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None, device: Any = None,
                   requires_grad: bool = False) -> Any:
    """Memory as it is found, without gaps; `physical_layout` names the axes from the slowest to the quickest."""
    shape, order = sizes("empty_permuted", (size,)), sizes("empty_permuted", (physical_layout,))
    if sorted(order) != list(range(len(shape))):
        raise ShapeError(f"empty_permuted: physical_layout {order} must name each of the {len(shape)} axes once")
    array = np.empty([shape[axis] for axis in order], _default(dtype))
    return finish(array.transpose(np.argsort(np.array(order, int))), device, requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """The number `s` as a 0-d tensor of the default floating point type, or of `dtype`."""
    return finish(np.array(number("scalar_tensor", s)).astype(_default(dtype)), device, requires_grad)


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:
    """start, start + step, ... as long as it is before end; arange(n) counts from 0.

    int64, or the default floating point type if a float is among the arguments."""
    if end is None:
        start, end = 0, start
    start, end, step = number("arange", start), number("arange", end), number("arange", step)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise ValueError(f"arange: steps of {step} lead away from {end}, starting at {start}")
    if not all(math.isfinite(value) for value in (start, end, step)):
        raise ValueError(f"arange: start, end and step must be finite, got {start}, {end} and {step}")
    whole = all(isinstance(value, int) for value in (start, end, step))
    kind = as_dtype(dtype) if dtype is not None else int64 if whole else get_default_dtype()
    if kind == int64 and not whole:  # cut off before anything is counted, as in PyTorch
        start, end, step, whole = int(start), int(end), int(step), True
        if step == 0:
            raise ValueError("arange: the step is 0 as a number of type int64, which has no fractions")
    n = -(-(end - start) // step) if whole else math.ceil((end - start) / step)
    if kind.kind != "f":
        start, step = int(start), int(step)
    return finish((start + step * np.arange(n)).astype(kind), device, requires_grad)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """`steps` values from start to end, both included, at equal distances; start and end may be 0-d tensors."""
    kind = _default(dtype)
    return finish(_spread("linspace", start, end, steps, kind).astype(kind), device, requires_grad)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:
    """base^x for the x of linspace(start, end, steps): `steps` values at equal ratios."""
    kind = _default(dtype)
    exponents = _spread("logspace", start, end, steps, kind)
    return finish((float(number("logspace", base, "base")) ** exponents).astype(kind), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """An n x m matrix with ones on the diagonal; m is n by default."""
    rows, columns = sizes("eye", (n, n if m is None else m))
    return finish(np.eye(rows, columns, dtype=_default(dtype)), device, requires_grad)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Any:
    """Uniform in [0, 1)."""
    array = draw("uniform", sizes("rand", size), floating_dtype("rand", dtype), generator)
    return finish(array, device, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
          requires_grad: bool = False) -> Any:
    """Normal with mean 0 and variance 1."""
    array = draw("normal", sizes("randn", size), floating_dtype("randn", dtype), generator)
    return finish(array, device, requires_grad)


def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
            device: Any = None, requires_grad: bool = False) -> Any:
    """Integers in [low, high), all equally likely; randint(high, size) starts at 0.  int64 unless `dtype` says otherwise."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint: a size is needed: randint(10, (2, 3)) for a 2 x 3 matrix of numbers below 10")
    return finish(integers("randint", low, high, sizes("randint", (size,)), dtype, generator), device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:
    """0..n-1 in random order."""
    n = integer("randperm", "n", n)
    if n < 0:
        raise ValueError(f"randperm: n must not be negative, got {n}")
    kind = int64 if dtype is None else as_dtype(dtype)
    if n > 0:
        _check_range("randperm", 0, n - 1, kind)
    keys = draw("uniform", (n,), np.dtype("float64"), generator)
    return finish(backend.get("cpu").permutation(keys).astype(kind, copy=False), device, requires_grad)


# -- for the other modules that make tensors ---------------------------------------------------------------------------


def finish(array: Any, device: Any, requires_grad: bool) -> Any:
    """A tensor around a fresh array, on `device` if it is given."""
    if device is not None:
        array = backend.to_device(array, Device(device).type)
    result = new_tensor(array)
    return result.requires_grad_() if requires_grad else result


def sizes(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) from the arguments 2, 3 or (2, 3)."""
    given = size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size
    for n in given:
        if isinstance(n, bool) or not hasattr(n, "__index__") or (hasattr(n, "shape") and n.shape):
            raise TypeError(f"{op}: sizes are integers, got {described(n)}")
        if n.__index__() < 0:
            raise ShapeError(f"{op}: negative size {n} in {tuple(given)}")
    return tuple([n.__index__() for n in given])


def integers(op: str, low: Any, high: Any, shape: Shape, dtype: Any, generator: Generator | None) -> Any:
    """An array of integers in [low, high), as any type that holds them."""
    low, high = number(op, low), number(op, high)
    if low >= high:
        raise ValueError(f"{op}: there is no integer in [{low}, {high})")
    kind = int64 if dtype is None else as_dtype(dtype)
    _check_range(op, low, high - 1, kind)
    return draw_integers(low, high, shape, generator).astype(kind, copy=False)


def floating_dtype(op: str, dtype: Any) -> np.dtype[Any]:
    """`dtype`, or the default; raises if it is not for floating point numbers."""
    wanted = _default(dtype)
    if wanted.kind != "f":
        raise DTypeError(f"{op}: random numbers are floating point, got dtype {wanted}; use randint for integers")
    return wanted


def _check_range(op: str, low: int, high: int, kind: np.dtype[Any]) -> None:
    limits = (0, 1) if kind.kind == "b" else np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    least, most = limits if isinstance(limits, tuple) else (limits.min, limits.max)
    if low < least or high > most:
        raise ValueError(f"{op}: {kind} holds values from {least} to {most}, not {low} to {high}")


def _spread(op: str, start: Any, end: Any, steps: int, kind: np.dtype[Any]) -> Any:
    """start + i (end - start)/(steps - 1), from both ends so that rounding is symmetrical."""
    start, end, n = number(op, start, "start"), number(op, end, "end"), integer(op, "steps", steps)
    if n < 0:
        raise ValueError(f"{op}: the number of steps must not be negative, got {n}")
    if kind.kind != "f":
        start, end = int(start), int(end)
    step = (end - start) / (n - 1) if n > 1 else 0.0
    i = np.arange(n)
    return np.where(i < n // 2, start + step * i, end - step * (n - 1 - i)) if n > 1 else np.full(n, float(start))


def _default(dtype: Any) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else as_dtype(dtype)
