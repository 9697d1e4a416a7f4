"""Data types: names, the default, and PyTorch's rules of promotion."""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.errors import DTypeError, OperandError

__all__ = [
    "can_cast",
    "finfo",
    "float16",
    "float32",
    "float64",
    "get_default_dtype",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_floating_point",
    "is_tensor",
    "numel",
    "promote_types",
    "result_type",
    "set_default_dtype",
    "uint8",
]

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
    if dtype is None or wanted is None or wanted not in SUPPORTED:  # None == np.dtype("float64") to NumPy
        names = ", ".join(str(kind) for kind in SUPPORTED)
        raise DTypeError(f"dtype {dtype!r} is not supported; there are {names}")
    return wanted


def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The type that holds both: the higher category (bool, integer, float) wins, within one the wider."""
    if not isinstance(a, np.dtype) or not isinstance(b, np.dtype):
        a, b = as_dtype(a), as_dtype(b)
    if _CATEGORY[a.kind] != _CATEGORY[b.kind]:
        return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else b
    return np.promote_types(a, b)


def result_type(x: Any, y: Any) -> np.dtype[Any]:
    """The type of x op y, for tensors and Python numbers.

    Of one category, a number gives way to any tensor and a 0-d tensor to one with axes, as in PyTorch."""
    if not isinstance(x, TensorBase) or not isinstance(y, TensorBase):
        return _result_type_of_numbers(x, y)
    a, b = x.array.dtype, y.array.dtype
    if a == b:
        return a
    if (x.array.ndim == 0) != (y.array.ndim == 0):
        with_axes, single = (b, a) if x.array.ndim == 0 else (a, b)
        if _CATEGORY[with_axes.kind] >= _CATEGORY[single.kind]:
            return with_axes
    return promote_types(a, b)


def _result_type_of_numbers(x: Any, y: Any) -> np.dtype[Any]:
    """result_type() where at least one is no tensor."""
    if isinstance(x, TensorBase):
        return result_type(x, constant(y, x))
    if isinstance(y, TensorBase):
        return result_type(constant(x, y), y)
    kinds = [bool_ if isinstance(value, bool) else int64 if isinstance(value, int) else _default for value in (x, y)]
    return promote_types(*kinds)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of type `from_` may be written into a tensor of type `to`: not into a lower category."""
    return _CATEGORY[as_dtype(from_).kind] <= _CATEGORY[as_dtype(to).kind]


def finfo(type: Any = None) -> Any:
    """The limits of a floating point type: eps, max, min, tiny, resolution, bits."""
    wanted = _default if type is None else as_dtype(type)
    if wanted.kind != "f":
        raise DTypeError(f"finfo: {wanted} is no floating point type; see iinfo")
    return np.finfo(wanted)


def iinfo(type: Any) -> Any:
    """The limits of an integer type: max, min, bits."""
    wanted = as_dtype(type)
    if wanted.kind not in "iu":
        raise DTypeError(f"iinfo: {wanted} is no integer type; see finfo")
    return np.iinfo(wanted)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, TensorBase)


def is_floating_point(input: Any) -> bool:
    """Whether a tensor holds floating point numbers."""
    require_tensors("is_floating_point", input)
    return bool(input.array.dtype.kind == "f")


def numel(input: Any) -> int:
    """How many values a tensor holds."""
    require_tensors("numel", input)
    return int(input.array.size)


def require_tensors(op: str, *values: Any, **optional: Any) -> None:
    """Raise OperandError, which says what was passed instead of a Tensor; those given by name may also be None."""
    for position, value in enumerate(values):
        if not isinstance(value, TensorBase):
            raise OperandError(f"{op}: argument {position} must be a Tensor, got {type(value).__name__}; make one with "
                               "tgc.tensor(...) or tgc.from_numpy(...)")
    for name, value in optional.items():
        if value is not None and not isinstance(value, TensorBase):
            raise OperandError(f"{op}: {name} must be a Tensor or None, got {type(value).__name__}; make one with "
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
        try:
            if dtype.kind == "f" and not -65504 <= value <= 65504:  # inf in float16: no news, x * 1e6 is that as well
                with np.errstate(over="ignore"):
                    return new_tensor(xp.array(value, dtype))
            return new_tensor(xp.array(value, dtype))
        except OverflowError:
            raise DTypeError(f"the number {value} does not fit into {dtype}, the type of the tensor that it meets; convert "
                             "the tensor first: x.long()") from None
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
