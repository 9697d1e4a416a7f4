"""Ops that move values without computing: reshape, permute, cat, stack and what follows from them."""

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.dtypes import promote_types, require_tensors
from tinygrad_course.ops.elementwise import cast, expand
from tinygrad_course.ops.index import select


class Reshape(Op):
    """The same values in the same order under another shape; a view where the memory allows it."""

    name = "reshape"
    view = True

    @staticmethod
    def shape(x: Shape, shape: Shape) -> Shape:
        if math.prod(x) != math.prod(shape):
            raise ShapeError(f"reshape: {x} has {math.prod(x)} values, {shape} would have {math.prod(shape)}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape) -> Any:
        return k.reshape(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (reshape(g, ctx.input_shape(0)),)


class Permute(Op):
    """Axes in another order, as a view.  The gradient is permuted back."""

    name = "permute"
    view = True

    @staticmethod
    def shape(x: Shape, axes: tuple[int, ...]) -> Shape:
        return tuple([x[axis] for axis in axes])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...]) -> Any:
        return k.permute(x, axes)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        axes = ctx.args[0]
        back = [0] * len(axes)
        for position, axis in enumerate(axes):
            back[axis] = position
        return (apply(Permute, (g,), (tuple(back),)),)


class Cat(Op):
    """Tensors one after the other along an axis.  Each input's gradient is its part of the gradient."""

    name = "cat"

    @staticmethod
    def shape(*shapes_and_axis: Any) -> Shape:
        *shapes, axis = shapes_and_axis
        first = shapes[0]
        for position, shape in enumerate(shapes):
            if len(shape) != len(first) or any(a != b for i, (a, b) in enumerate(zip(shape, first, strict=True))
                                               if i != axis):
                raise ShapeError(f"cat: tensor {position} has shape {shape}, tensor 0 has {first}; along dim {axis} the "
                                 "sizes may differ, all others must be equal")
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1:])

    @staticmethod
    def forward(ctx: Node, k: Any, *arrays_and_axis: Any) -> Any:
        *arrays, axis = arrays_and_axis
        ctx.constants = [array.shape[axis] for array in arrays]
        return k.cat(arrays, axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        axis = ctx.args[0]
        gradients, start = [], 0
        for needed, size in zip(ctx.needs, ctx.constants, strict=True):
            part = (slice(None),) * axis + (slice(start, start + size),)
            gradients.append(select(g, part) if needed else None)
            start += size
        return tuple(gradients)


# -- functions ---------------------------------------------------------------------------------------------------------


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """x with another shape; one size may be -1 and follows from the others."""
    require_tensors("reshape", x)
    wanted = tuple([size.__index__() for size in shape])
    if -1 in wanted:
        known = math.prod(size for size in wanted if size != -1)
        if wanted.count(-1) > 1 or known == 0 or x.array.size % known:
            raise ShapeError(f"reshape: {x.array.shape} has {x.array.size} values, which {wanted} cannot hold for any size "
                             "in place of -1")
        wanted = tuple([x.array.size // known if size == -1 else size for size in wanted])
    if any(size < 0 for size in wanted):
        raise ShapeError(f"reshape: negative size in {wanted}")
    return x if wanted == x.array.shape else apply(Reshape, (x,), (wanted,))


def view(x: Any, shape: Sequence[int]) -> Any:
    """Like reshape, but never copies: raises where the memory does not allow the shape."""
    y = reshape(x, shape)
    if x.array.size and y.array.base is not x.array and y is not x:
        own = x.array.base if x.array.base is not None else x.array
        if y.array.base is not own:
            raise ShapeError(f"view: a tensor of shape {x.array.shape} whose memory is not in order cannot be seen as "
                             f"{tuple(shape)}; use reshape(), which copies where it must")
    return y


def permute(x: Any, dims: Sequence[int]) -> Any:
    """x with its axes in the order `dims`."""
    require_tensors("permute", x)
    ndim = x.array.ndim
    axes = tuple([normalise_axis("permute", dim, ndim) for dim in dims])
    if sorted(axes) != list(range(ndim)):
        raise ShapeError(f"permute: dims {tuple(dims)} must name each of the {ndim} axes of {x.array.shape} once")
    return apply(Permute, (x,), (axes,))


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """x with two axes exchanged."""
    require_tensors("transpose", x)
    ndim = x.array.ndim
    a, b = normalise_axis("transpose", dim0, ndim), normalise_axis("transpose", dim1, ndim)
    if ndim == 0 or a == b:
        return x
    axes = list(range(ndim))
    axes[a], axes[b] = b, a
    return apply(Permute, (x,), (tuple(axes),))


def t(x: Any) -> Any:
    """Transpose of a matrix; vectors and numbers stay as they are."""
    if x.array.ndim > 2:
        raise ShapeError(f"t: expects at most 2 axes, got shape {x.array.shape}; use transpose(dim0, dim1) or .mT")
    return transpose(x, 0, 1) if x.array.ndim == 2 else x


def unsqueeze(x: Any, dim: int) -> Any:
    """x with a new axis of size 1 at `dim`."""
    require_tensors("unsqueeze", x)
    axis = normalise_axis("unsqueeze", dim, x.array.ndim + 1)
    shape = x.array.shape
    return reshape(x, (*shape[:axis], 1, *shape[axis:]))


def squeeze(x: Any, dim: Any = None) -> Any:
    """x without its axes of size 1, or without those of `dim` that have size 1."""
    require_tensors("squeeze", x)
    shape = x.array.shape
    if dim is None:
        return reshape(x, [size for size in shape if size != 1])
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    axes = {normalise_axis("squeeze", d, len(shape)) for d in dims}
    return reshape(x, [size for axis, size in enumerate(shape) if not (axis in axes and size == 1)])


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from start_dim to end_dim (inclusive) as one."""
    require_tensors("flatten", x)
    shape = x.array.shape
    if not shape:
        return reshape(x, (1,))
    start, end = normalise_axis("flatten", start_dim, len(shape)), normalise_axis("flatten", end_dim, len(shape))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """x stretched to `shape`; -1 keeps an axis as it is."""
    wanted = tuple([size.__index__() for size in shape])
    own = (None,) * (len(wanted) - x.array.ndim) + tuple(x.array.shape)
    for axis, (size, have) in enumerate(zip(wanted, own, strict=False)):
        if size < -1 or (size == -1 and have is None):
            raise ShapeError(f"expand: size {size} for axis {axis} of {wanted}: -1 keeps an axis that exists, other sizes "
                             "must not be negative")
    wanted = tuple([have if size == -1 and have is not None else size for size, have in zip(wanted, own, strict=False)])
    return expand(x, wanted)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along `dim`."""
    tensors = _same_type("cat", tensors)
    axis = normalise_axis("cat", dim, tensors[0].array.ndim)
    if tensors[0].array.ndim == 0:
        raise ShapeError("cat: a tensor without axes cannot be put after another; use stack")
    return apply(Cat, tuple(tensors), (axis,))


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of equal shape along a new axis `dim`."""
    tensors = _same_type("stack", tensors)
    first = tensors[0].array.shape
    for position, tensor in enumerate(tensors):
        if tensor.array.shape != first:
            raise ShapeError(f"stack: tensor {position} has shape {tensor.array.shape}, tensor 0 has {first}; all must be "
                             "equal")
    axis = normalise_axis("stack", dim, len(first) + 1)
    return apply(Cat, tuple([unsqueeze(tensor, axis) for tensor in tensors]), (axis,))


def _same_type(op: str, tensors: Sequence[Any]) -> list[Any]:
    tensors = list(tensors)
    if not tensors:
        raise ShapeError(f"{op}: expected at least one tensor, got an empty list")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, TensorBase):
            raise TypeError(f"{op}: expected tensors, number {position} is {type(tensor).__name__}")
    dtype = tensors[0].array.dtype
    for tensor in tensors[1:]:
        dtype = promote_types(dtype, tensor.array.dtype)
    return [cast(tensor, dtype) for tensor in tensors]
