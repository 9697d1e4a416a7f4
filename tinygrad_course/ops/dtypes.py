"""Data types: names, the default, and PyTorch's rules of promotion."""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.errors import DTypeError, OperandError

float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")
uint8 = np.dtype("uint8")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
bool_ = np.dtype("bool")

SUPPORTED = (float16, float32, float64, uint8, int8, int16, int32, int64, bool_)
_default = float32
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}  # dtype.kind -> boolean, integer, floating point


def get_default_dtype() -> np.dtype[Any]:
    """The type of tensors made from Python floats: float32 unless changed."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Set the type of tensors made from Python floats."""
    global _default
    wanted = as_dtype(dtype)
    if wanted.kind != "f":
        raise DTypeError(f"set_default_dtype: the default must be a floating point type, got {wanted}")
    _default = wanted


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """A supported dtype from a dtype, a NumPy or Python type, or a name."""
    if dtype is float:
        return _default
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in SUPPORTED or wanted is None:
        names = ", ".join(str(kind) for kind in SUPPORTED)
        raise DTypeError(f"dtype {dtype!r} is not supported; there are {names}")
    return wanted


def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The type that holds both: the higher category (bool, integer, float) wins, within one the wider."""
    if _CATEGORY[a.kind] != _CATEGORY[b.kind]:
        return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else b
    return np.promote_types(a, b)


def result_type(x: TensorBase, y: TensorBase) -> np.dtype[Any]:
    """The type of x op y.  A 0-d tensor does not widen a tensor with axes of the same category, as in PyTorch."""
    a, b = x.array.dtype, y.array.dtype
    if a == b:
        return a
    if (x.array.ndim == 0) != (y.array.ndim == 0):
        with_axes, single = (b, a) if x.array.ndim == 0 else (a, b)
        if _CATEGORY[with_axes.kind] >= _CATEGORY[single.kind]:
            return with_axes
    return promote_types(a, b)


def require_tensors(op: str, *values: Any) -> None:
    """Raise OperandError, which says what was passed instead of a Tensor; None is fine but in the first place."""
    for position, value in enumerate(values):
        if (value is not None or position == 0) and not isinstance(value, TensorBase):
            raise OperandError(f"{op}: argument {position} must be a Tensor, got {type(value).__name__}; make one with "
                            "tgc.tensor(...) or tgc.from_numpy(...)")


def constant(value: Any, like: TensorBase) -> Any:
    """A Python number, NumPy scalar or array as an untracked tensor that meets `like` in an op.

    A number does not change the type of `like`, except to a higher category: integer tensor + 0.5 is float32."""
    dtype = like.array.dtype
    xp = backend.array_module(like.array)
    if isinstance(value, bool | int | float):
        if isinstance(value, float) and dtype.kind != "f":
            dtype = _default
        elif dtype.kind == "b" and not isinstance(value, bool):
            dtype = int64
        return new_tensor(xp.array(value, dtype))
    if isinstance(value, np.ndarray | np.generic):
        array = xp.array(value)  # a copy: the graph must not depend on what happens to the caller's array
        if array.dtype not in SUPPORTED:
            raise DTypeError(f"arrays of {array.dtype} cannot take part in tensor arithmetic; convert with .astype()")
        return new_tensor(array)
    raise OperandError(f"a Tensor cannot be combined with {type(value).__name__}; convert it with tgc.tensor(...)")


def zeros_like(like: TensorBase, shape: Shape) -> Any:
    """Zeros of `shape`, with the type and on the device of `like`."""
    return new_tensor(backend.array_module(like.array).zeros(shape, like.array.dtype))


def full_like(like: TensorBase, shape: Shape, value: float) -> Any:
    """A constant of `shape`, with the type and on the device of `like`."""
    return new_tensor(backend.array_module(like.array).full(shape, value, like.array.dtype))
