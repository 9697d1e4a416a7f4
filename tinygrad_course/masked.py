"""Reductions and normalisations of some of the elements, under the names of torch.masked.

`mask` is a bool tensor that broadcasts to the input; elements where it is False do not take part and have the gradient 0.
They are replaced by the value that leaves the result alone (0 for a sum, 1 for a product, -inf for a maximum).  Where
nothing takes part the result is that value, and nan where there is none (mean, var, std, median, softmax).

`dim` is an axis, several, or None for all of them.  Without a mask these are the functions of the package.
"""

import math
from typing import Any

from tinygrad_course import ops
from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.axes import normalise_axes
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.creation import full
from tinygrad_course.ops.dtypes import as_dtype, bool_, float32, get_default_dtype, iinfo, require_tensors

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]


def sum(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Sum over `dim`; 0 of nothing.  Integers add up to int64."""
    return ops.sum(_filled("sum", input, mask, 0), dim, keepdim, dtype=dtype)


def prod(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Product over `dim`; 1 of nothing.  Integers multiply to int64."""
    result = _filled("prod", input, mask, 1)
    for axis in reversed(normalise_axes("prod", dim, result.array.ndim)):
        result = ops.prod(result, axis, keepdim, dtype=dtype)
    return result if result.array.ndim or input.array.ndim else ops.prod(result, dtype=dtype)


def mean(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Sum over `dim` divided by the number of elements that take part."""
    require_tensors("mean", input)
    wanted = input.array.dtype if dtype is None else as_dtype(dtype)
    if wanted.kind != "f":
        raise DTypeError(f"mean: a mean needs floating point numbers, not {wanted}; pass dtype=tgc.float32")
    total = sum(input, dim, keepdim=keepdim, dtype=wanted, mask=mask)
    return ops.div(total, _count("mean", input, dim, keepdim, mask, wanted))


def amax(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Largest value over `dim`; -inf, or the least integer, of nothing."""
    return _as(ops.amax(_filled("amax", input, mask, _least("amax", input)), dim, keepdim), input, dtype)


def amin(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Smallest value over `dim`; inf, or the largest integer, of nothing."""
    return _as(ops.amin(_filled("amin", input, mask, _most("amin", input)), dim, keepdim), input, dtype)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Index of the largest value along `dim` or in the flattened input, as the type of the input, as in PyTorch."""
    return _as(ops.argmax(_filled("argmax", input, mask, _least("argmax", input)), dim, keepdim), input, dtype)


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Index of the smallest value along `dim` or in the flattened input, as the type of the input, as in PyTorch."""
    return _as(ops.argmin(_filled("argmin", input, mask, _most("argmin", input)), dim, keepdim), input, dtype)


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The middle one of the values along `dim`, the lower of two."""
    require_tensors("median", input)
    whole = input.array.dtype.kind != "f"
    result = ops.nanmedian(_filled("median", cast(input, float32) if whole else input, mask, math.nan), dim, keepdim)[0]
    if whole and bool((result.array != result.array).any()):
        raise ShapeError(f"median: along dim {dim} there is a row without any element, and {input.array.dtype} has no nan")
    return _as(result, input, dtype) if whole else result


def logsumexp(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """ln of the sum of e^x over `dim`; -inf of nothing."""
    filled = _filled("logsumexp", input, mask, _least("logsumexp", input))
    return _as(ops.logsumexp(filled, normalise_axes("logsumexp", dim, input.array.ndim), keepdim), input, dtype)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    """ln(e^input + e^other), elementwise, with a mask for each."""
    x = _filled("logaddexp", input, input_mask, -math.inf)
    return _as(ops.logaddexp(x, _filled("logaddexp", other, other_mask, -math.inf)), input, dtype)


def norm(input: Any, ord: float = 2.0, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """(sum |x|^ord)^(1/ord) over `dim`; 0 of nothing, and inf for ord=-inf."""
    filled = _filled("norm", input, mask, math.inf if ord == -math.inf else 0)
    return ops.norm(filled, ord, normalise_axes("norm", dim, input.array.ndim), keepdim, dtype=dtype)


def var(input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool = False,
        dtype: Any = None, mask: Any = None) -> Any:
    """sum (x - mean)^2 / max(0, n - correction) over `dim`, with the n elements that take part.

    `correction` is 1 unless given; unbiased=True and False are its old names for 1 and 0."""
    require_tensors("var", input)
    if unbiased is not None and correction is not None:
        raise TypeError("var: give either unbiased or correction, not both")
    less = (1.0 if unbiased in (None, True) else 0.0) if correction is None else float(correction)
    kind = input.array.dtype if dtype is None else as_dtype(dtype)
    work = kind if kind.kind == "f" else get_default_dtype()
    x = cast(_filled("var", input, mask, 0), work)
    center = ops.div(ops.sum(x, dim, True), _count("var", input, dim, True, mask, work))
    distance = ops.sub(x, center)
    total = sum(ops.mul(distance, distance), dim, keepdim=keepdim, mask=mask)
    n = _count("var", input, dim, keepdim, mask, work)
    result = ops.div(total, ops.maximum(ops.sub(n, less), full((), 0.0, dtype=work)))
    return result if dtype is None else cast(result, kind)


def std(input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool = False,
        dtype: Any = None, mask: Any = None) -> Any:
    """The square root of var()."""
    return ops.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """e^x / sum of e^x along `dim`; 0 where masked out."""
    return ops.softmax(_filled("softmax", input, mask, _least("softmax", input)), dim, dtype=dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """ln softmax(x) along `dim`; -inf where masked out."""
    return ops.log_softmax(_filled("log_softmax", input, mask, _least("log_softmax", input)), dim, dtype=dtype)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """softmax(-x) along `dim`; 0 where masked out."""
    return ops.softmin(_filled("softmin", input, mask, _most("softmin", input)), dim, dtype=dtype)


def normalize(input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Any:
    """x / max(norm of x along `dim`, eps); 0 where masked out."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return ops.div(_filled("normalize", input, mask, 0), ops.maximum(length, full((), eps, dtype=length.array.dtype)))


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running sums along `dim`, as the type of the input."""
    return _as(ops.cumsum(_filled("cumsum", input, mask, 0), dim, dtype=dtype), input, dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running products along `dim`, as the type of the input."""
    return _as(ops.cumprod(_filled("cumprod", input, mask, 1), dim, dtype=dtype), input, dtype)


def _filled(op: str, input: Any, mask: Any, value: Any) -> Any:
    """The input with `value` where the mask is False."""
    require_tensors(op, input)
    if mask is None:
        return input
    return ops.where(_mask(op, input, mask), input, full((), value, dtype=input.array.dtype))


def _mask(op: str, input: Any, mask: Any) -> Any:
    """The mask as bools in the shape of the input."""
    if not isinstance(mask, TensorBase):
        raise OperandError(f"{op}: the mask must be a Tensor of bools, got {type(mask).__name__}")
    if mask.array.ndim > input.array.ndim:
        raise ShapeError(f"{op}: the mask of shape {mask.array.shape} has more axes than the input of shape "
                         f"{input.array.shape}")
    return ops.broadcast_to(cast(mask, bool_), input.array.shape)


def _count(op: str, input: Any, dim: Any, keepdim: bool, mask: Any, dtype: Any) -> Any:
    """How many elements take part, over `dim`."""
    if mask is not None:
        return ops.sum(cast(_mask(op, input, mask), dtype), dim, keepdim)
    axes = normalise_axes(op, dim, input.array.ndim)
    return full((), math.prod(input.array.shape[axis] for axis in axes), dtype=dtype)


def _least(op: str, input: Any) -> Any:
    """What is below every value of the input's type."""
    _require_numbers(op, input)
    return -math.inf if input.array.dtype.kind == "f" else iinfo(input.array.dtype).min


def _most(op: str, input: Any) -> Any:
    """What is above every value of the input's type."""
    _require_numbers(op, input)
    return math.inf if input.array.dtype.kind == "f" else iinfo(input.array.dtype).max


def _require_numbers(op: str, input: Any) -> None:
    require_tensors(op, input)
    if input.array.dtype.kind == "b":
        raise DTypeError(f"{op}: truth values have no extremes to put in place of what is masked out; use x.long() or "
                         "x.float()")


def _as(result: Any, input: Any, dtype: Any) -> Any:
    return cast(result, input.array.dtype if dtype is None else as_dtype(dtype))
