"""Types and copies: cast, clone, and bringing two operands to one type."""

from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.kernels.arrays import is_float
from tinygrad_course.kernels.direct import number
from tinygrad_course.ops.dtypes import _CATEGORY, as_dtype, constant, get_default_dtype, require_tensors, result_type

__all__ = ["clone"]


class Cast(Op):
    """The values as another type.  The gradient is cast back; integers have none."""

    name = "cast"

    @staticmethod
    def shape(x: Shape, dtype: Any, before: Any) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, dtype: Any, before: Any) -> Any:
        return k.cast(x, dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (cast(g, ctx.args[1]),)


class Clone(Op):
    """A copy that stays in the graph."""

    name = "clone"

    @staticmethod
    def shape(x: Shape) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.cast(x, x.dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (g,)


def cast(x: Any, dtype: Any) -> Any:
    """x as `dtype`; x itself if it has it."""
    operand: TensorBase
    if not isinstance(x, TensorBase):
        require_tensors("this function", x)
    operand = x
    if operand.array.dtype is dtype:
        return x
    dtype = as_dtype(dtype)
    return x if operand.array.dtype == dtype else apply(Cast, (x,), (dtype, operand.array.dtype))


def clone(input: Any) -> Any:
    """A copy of the tensor that is still connected to it in the graph."""
    return unary(Clone, input)


def operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as tensors of one type."""
    left: TensorBase
    right: TensorBase
    if isinstance(x, TensorBase):
        left = x
        if not isinstance(y, TensorBase):
            if type(y) is float:
                array = number(y, left.array)
                if array is not None:
                    return x, new_tensor(array)
            y = constant(y, x)
        else:
            right = y
            if left.array.dtype is right.array.dtype:
                return x, y
    elif isinstance(y, TensorBase):
        if type(x) is float:
            right = y
            array = number(x, right.array)
            if array is not None:
                return new_tensor(array), y
        x = constant(x, y)
    else:
        raise TypeError(f"expected at least one Tensor, got {type(x).__name__} and {type(y).__name__}; make one with "
                        "tgc.tensor(...)")
    dtype = result_type(x, y)
    return cast(x, dtype), cast(y, dtype)


def floating(x: Any) -> Any:
    """x itself, or x as floating point numbers: what exp(integer tensor) and the like work on."""
    operand: TensorBase
    if not isinstance(x, TensorBase):
        require_tensors("this function", x)
    operand = x
    return x if is_float(operand.array) else cast(x, get_default_dtype())


def is_floating(x: TensorBase) -> bool:
    """Whether x holds floating point numbers."""
    return _CATEGORY[x.array.dtype.kind] == 2
