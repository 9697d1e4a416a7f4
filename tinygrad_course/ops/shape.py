# cython: annotation_typing=False
"""Ops that move no value: other shapes, other orders of axes, stretched axes, windows, strides.

Views where PyTorch has views: the result shares memory with the input where NumPy allows it.
"""

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.backend.reference.shape import geometry
from tinygrad_course.errors import OperandError, ShapeError
from tinygrad_course.kernels.arrays import has_shape
from tinygrad_course.ops import broadcast
from tinygrad_course.ops.arguments import described, integer, integers
from tinygrad_course.ops.arithmetic import div
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.cast import cast, clone
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dtypes import constant, require_tensors
from tinygrad_course.ops.index import SliceAdjoint, copying, getitem

__all__ = [
    "adjoint", "alias_copy", "as_strided", "as_strided_copy", "as_strided_scatter", "atleast_1d", "atleast_2d", "atleast_3d",
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "detach_copy", "expand", "expand_as", "expand_copy", "flatten",
    "flip", "fliplr", "flipud", "moveaxis", "movedim", "permute", "permute_copy", "ravel", "reshape", "reshape_as", "roll",
    "rot90", "squeeze", "squeeze_copy", "swapaxes", "swapdims", "t", "t_copy", "transpose", "transpose_copy", "unflatten",
    "unfold_copy", "unsqueeze", "unsqueeze_copy", "view", "view_as", "view_copy",
]


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
        shape = ctx.input_shape(0)
        return (g if has_shape(g.array, shape) else apply(Reshape, (g,), (shape,)),)


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


class Windows(Op):
    """y[..., w, ..., i] = x[..., w step + i, ...]: stretches of `size` along an axis, as a view.

    Where windows overlap, their gradients add up."""

    name = "windows"
    view = True

    @staticmethod
    def shape(x: Shape, axis: int, size: int, step: int) -> Shape:
        if not 0 <= size <= x[axis] or step < 1:
            raise ShapeError(f"unfold: windows of size {size}, one every {step}, do not fit dim {axis} of {x}: the size must "
                             f"be between 0 and {x[axis]}, the step at least 1")
        return (*x[:axis], (x[axis] - size) // step + 1, *x[axis + 1:], size)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, size: int, step: int) -> Any:
        return k.windows(x, axis, size, step)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        axis, size, step = ctx.args
        shape = ctx.input_shape(0)
        xp = backend.array_module(g.array)
        places = step * xp.arange(g.array.shape[axis])[:, None] + xp.arange(size)
        front = (shape[axis], *shape[:axis], *shape[axis + 1:])
        return (movedim(apply(SliceAdjoint, (movedim(g, (axis, -1), (0, 1)),), (front, (places,))), 0, axis),)


class AsStrided(Op):
    """y[i, j, ...] = memory[offset + i strides[0] + j strides[1] + ...]: the memory behind x under other strides, as a view.

    The gradient is added up in a picture of that memory and read from there as x reads its values.  Where several elements
    of x are one place in memory they share its gradient equally, as in PyTorch."""

    name = "as_strided"
    view = True

    @staticmethod
    def shape(x: Shape, shape: Shape, strides: tuple[int, ...], offset: int) -> Shape:
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape, strides: tuple[int, ...], offset: int) -> Any:
        ctx.constants = geometry(x)
        return k.as_strided(x, shape, strides, offset)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        size, start, own = ctx.constants
        shape, strides, offset = ctx.args
        xp = backend.array_module(g.array)
        read = places_of(xp, ctx.input_shape(0), own, start)
        memory = apply(SliceAdjoint, (g,), ((size,), (places_of(xp, shape, strides, offset),)))
        shared = xp.maximum(xp.bincount(read.reshape(-1), minlength=size), 1)
        if (shared > 1).any():
            memory = div(memory, cast(constant(shared, g), g.array.dtype))
        return (getitem(memory, read),)


def places_of(xp: Any, shape: Shape, strides: Sequence[int], offset: int) -> Any:
    """Where the elements of an array lie in its memory."""
    places = xp.full(shape, offset)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        places = places + (xp.arange(size) * stride).reshape((-1,) + (1,) * (len(shape) - axis - 1))
    return places


# -- arguments ---------------------------------------------------------------------------------------------------------


def spread(op: str, name: str, args: tuple[Any, ...], named: Any) -> tuple[Any, ...]:
    """The sizes or axes of op(x, 2, 3), op(x, (2, 3)) and op(x, name=(2, 3)) alike."""
    if named is not None:
        if args:
            raise OperandError(f"{op}: {name} was given twice, by position and by name")
        args = (named,)
    if len(args) == 1 and isinstance(args[0], tuple | list | range):
        return tuple(args[0])
    return args


def _whole(op: str, sizes: Sequence[Any]) -> Shape:
    """Sizes as Python integers."""
    try:
        return tuple([size.__index__() for size in sizes])
    except (AttributeError, TypeError):
        got = repr(tuple(sizes)) if isinstance(sizes, tuple | list) else described(sizes)
        raise OperandError(f"{op}: sizes are integers, got {got}") from None


# -- other shapes ------------------------------------------------------------------------------------------------------


def reshape(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """The values in the same order under another shape; one size may be -1 and follows from the others.

    A view where the memory allows it, else a copy."""
    require_tensors("reshape", input)
    wanted = _whole("reshape", spread("reshape", "shape", sizes, shape))
    if -1 in wanted:
        known = math.prod(size for size in wanted if size != -1)
        if wanted.count(-1) > 1 or known == 0 or input.array.size % known:
            raise ShapeError(f"reshape: {input.array.shape} has {input.array.size} values, which {wanted} cannot hold for "
                             "any size in place of -1")
        wanted = tuple([input.array.size // known if size == -1 else size for size in wanted])
    if any(size < 0 for size in wanted):
        raise ShapeError(f"reshape: negative size in {wanted}")
    return input if wanted == input.array.shape else apply(Reshape, (input,), (wanted,))


def view(input: Any, *sizes: Any, size: Any = None) -> Any:
    """Like reshape, but never copies: raises where the memory does not allow the shape."""
    wanted = spread("view", "size", sizes, size)
    y = reshape(input, wanted)
    if input.array.size and y.array.base is not input.array and y is not input:
        own = input.array.base if input.array.base is not None else input.array
        if y.array.base is not own:
            raise ShapeError(f"view: a tensor of shape {input.array.shape} whose memory is not in order cannot be seen as "
                             f"{wanted}; use reshape(), which copies where it must")
    return y


def reshape_as(input: Any, other: Any) -> Any:
    """input under the shape of `other`."""
    require_tensors("reshape_as", input, other)
    return reshape(input, other.array.shape)


def view_as(input: Any, other: Any) -> Any:
    """input under the shape of `other`, without copying."""
    require_tensors("view_as", input, other)
    return view(input, other.array.shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from start_dim to end_dim (inclusive) as one."""
    require_tensors("flatten", input)
    shape = input.array.shape
    start, end = normalise_axis("flatten", start_dim, len(shape)), normalise_axis("flatten", end_dim, len(shape))
    if not shape:
        return reshape(input, (1,))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


def ravel(input: Any) -> Any:
    """All values in one dimension."""
    return reshape(input, (-1,))


def unflatten(input: Any, dim: int, *sizes: Any) -> Any:
    """The axis `dim` as several axes of the given sizes, of which one may be -1."""
    require_tensors("unflatten", input)
    shape = input.array.shape
    axis = normalise_axis("unflatten", dim, len(shape))
    parts = _whole("unflatten", spread("unflatten", "sizes", sizes, None))
    size = shape[axis] if shape else 1
    known = math.prod(part for part in parts if part != -1)
    if not parts or parts.count(-1) > 1 or (size % known if -1 in parts and known else size != known):
        raise ShapeError(f"unflatten: sizes {parts} do not make up dim {dim} of {shape}, which has size {size}")
    parts = tuple([size // known if part == -1 else part for part in parts])
    return reshape(input, (*shape[:axis], *parts, *shape[axis + 1:]))


def unsqueeze(input: Any, dim: int) -> Any:
    """x with a new axis of size 1 at `dim`."""
    require_tensors("unsqueeze", input)
    axis = normalise_axis("unsqueeze", dim, input.array.ndim + 1)
    shape = input.array.shape
    return reshape(input, (*shape[:axis], 1, *shape[axis:]))


def squeeze(input: Any, dim: Any = None) -> Any:
    """x without its axes of size 1, or without those of `dim` (an axis or several) that have size 1."""
    require_tensors("squeeze", input)
    shape = input.array.shape
    if dim is None:
        return reshape(input, [size for size in shape if size != 1])
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    axes = {normalise_axis("squeeze", d, len(shape)) for d in dims}
    return reshape(input, [size for axis, size in enumerate(shape) if not (axis in axes and size == 1)])


def _each(op: str, function: Any, tensors: tuple[Any, ...]) -> Any:
    """function of one tensor, or of each of several."""
    if len(tensors) == 1 and isinstance(tensors[0], TensorBase):
        return function(tensors[0])
    several = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors
    require_tensors(op, *several)
    return tuple([function(tensor) for tensor in several])


def atleast_1d(*tensors: Any) -> Any:
    """A tensor, or each of several, with at least one axis."""
    return _each("atleast_1d", lambda x: x if x.array.ndim else reshape(x, (1,)), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """A tensor, or each of several, with at least two axes: a vector becomes a row."""
    return _each("atleast_2d",
                 lambda x: x if x.array.ndim > 1 else reshape(x, (1, -1)) if x.array.size else reshape(x, (1, 0)), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """A tensor, or each of several, with at least three axes: (n) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    def deep(x: Any) -> Any:
        shape = x.array.shape
        return x if len(shape) > 2 else reshape(x, (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1))

    return _each("atleast_3d", deep, tensors)


# -- other orders ------------------------------------------------------------------------------------------------------


def permute(input: Any, *axes: Any, dims: Any = None) -> Any:
    """x with its axes in the order `dims`."""
    require_tensors("permute", input)
    dims = spread("permute", "dims", axes, dims)
    ndim = input.array.ndim
    order = tuple([normalise_axis("permute", dim, ndim) for dim in dims])
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"permute: dims {tuple(dims)} must name each of the {ndim} axes of {input.array.shape} once")
    return apply(Permute, (input,), (order,))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """x with two axes exchanged."""
    require_tensors("transpose", input)
    ndim = input.array.ndim
    a, b = normalise_axis("transpose", dim0, ndim), normalise_axis("transpose", dim1, ndim)
    if ndim == 0 or a == b:
        return input
    axes = list(range(ndim))
    axes[a], axes[b] = b, a
    return apply(Permute, (input,), (tuple(axes),))


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """x with two axes exchanged: another name of transpose."""
    return transpose(input, dim0, dim1)


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """x with two axes exchanged: another name of transpose."""
    return transpose(input, axis0, axis1)


def t(input: Any) -> Any:
    """Transpose of a matrix; vectors and numbers stay as they are."""
    require_tensors("t", input)
    if input.array.ndim > 2:
        raise ShapeError(f"t: expects at most 2 axes, got shape {input.array.shape}; use transpose(dim0, dim1) or .mT")
    return transpose(input, 0, 1) if input.array.ndim == 2 else input


def adjoint(input: Any) -> Any:
    """Matrices transposed: the last two axes exchanged (numbers are real here, so there is nothing to conjugate)."""
    require_tensors("adjoint", input)
    if input.array.ndim < 2:
        raise ShapeError(f"adjoint: expects matrices, got shape {input.array.shape}")
    return transpose(input, -2, -1)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """x with the axes `source` (one or several) at the places `destination`; the others keep their order."""
    require_tensors("movedim", input)
    ndim = input.array.ndim
    given = [dims if isinstance(dims, tuple | list) else (dims,) for dims in (source, destination)]
    left, right = ([normalise_axis("movedim", dim, ndim) for dim in dims] for dims in given)
    if len(left) != len(right) or len(set(left)) != len(left) or len(set(right)) != len(right):
        raise ShapeError(f"movedim: source {source} and destination {destination} must name equally many axes, each once")
    if ndim == 0:
        return input
    order = [axis for axis in range(ndim) if axis not in left]
    for place, axis in sorted(zip(right, left, strict=True)):
        order.insert(place, axis)
    return apply(Permute, (input,), (tuple(order),))


def moveaxis(input: Any, source: Any, destination: Any) -> Any:
    """Another name of movedim."""
    return movedim(input, source, destination)


def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """A copy of x that is reversed along the axes `dims`."""
    require_tensors("flip", input)
    ndim = input.array.ndim
    if not axes and dims is None:
        raise TypeError("flip: the axes to turn round must be given: flip(x, (0, 1)); () turns none")
    turned = [normalise_axis("flip", dim, ndim) for dim in spread("flip", "dims", axes, dims)]
    if len(set(turned)) != len(turned):
        raise ShapeError(f"flip: an axis is named twice in {tuple(turned)}")
    return clone(getitem(input, tuple([slice(None, None, -1 if axis in turned else None) for axis in range(ndim)])))


def flipud(input: Any) -> Any:
    """A copy of x with its first axis reversed."""
    require_tensors("flipud", input)
    if input.array.ndim < 1:
        raise ShapeError("flipud: the input needs at least one axis")
    return flip(input, 0)


def fliplr(input: Any) -> Any:
    """A copy of x with its second axis reversed."""
    require_tensors("fliplr", input)
    if input.array.ndim < 2:
        raise ShapeError(f"fliplr: the input needs at least two axes, got shape {input.array.shape}")
    return flip(input, 1)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """A copy of x turned k times by 90 degrees in the plane of two axes, from the first towards the second."""
    require_tensors("rot90", input)
    ndim = input.array.ndim
    k, plane = integer("rot90", "k", k), [normalise_axis("rot90", dim, ndim) for dim in integers("rot90", "dims", dims)]
    if len(plane) != 2 or ndim < 2 or plane[0] == plane[1]:
        raise ShapeError(f"rot90: dims {tuple(dims)} must be two different axes of {input.array.shape}")
    a, b = plane
    if k % 2 == 0:
        return flip(input, a, b) if k % 4 == 2 else clone(input)
    return transpose(flip(input, b), a, b) if k % 4 == 1 else flip(transpose(input, a, b), b)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """x with its values moved by `shifts` along `dims`, round the end; without dims in the flattened tensor."""
    from tinygrad_course.ops.join import cat  # above this module

    require_tensors("roll", input)
    steps = integers("roll", "shifts", shifts if isinstance(shifts, tuple | list) else (shifts,))
    if dims is None or (isinstance(dims, tuple | list) and not dims):
        if len(steps) != 1:
            raise ShapeError(f"roll: {len(steps)} shifts need as many dims, got none")
        return reshape(roll(reshape(input, (-1,)), steps, (0,)), input.array.shape)
    axes = [normalise_axis("roll", dim, input.array.ndim) for dim in (dims if isinstance(dims, tuple | list) else (dims,))]
    if len(steps) != len(axes):
        raise ShapeError(f"roll: {len(steps)} shifts for {len(axes)} dims; they must be equally many")
    y = clone(input)
    for step, axis in zip(steps, axes, strict=True):
        size = input.array.shape[axis] if input.array.ndim else 1
        if size and step % size:
            front = (slice(None),) * axis
            y = cat((getitem(y, (*front, slice(-(step % size), None))), getitem(y, (*front, slice(0, -(step % size))))), axis)
    return y


# -- stretching --------------------------------------------------------------------------------------------------------


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """x stretched to `size`: axes of size 1 are repeated, new ones come in front; -1 keeps an axis as it is.  A view."""
    require_tensors("broadcast_to", input)
    wanted = _whole("expand", size)
    own = (None,) * (len(wanted) - input.array.ndim) + tuple(input.array.shape)
    for axis, (new, have) in enumerate(zip(wanted, own, strict=False)):
        if new < -1 or (new == -1 and have is None):
            raise ShapeError(f"expand: size {new} for axis {axis} of {wanted}: -1 keeps an axis that exists, other sizes "
                             "must not be negative")
    wanted = tuple([have if new == -1 and have is not None else new for new, have in zip(wanted, own, strict=False)])
    return broadcast.expand(input, wanted)


def expand(input: Any, *sizes: Any, size: Any = None, implicit: bool = False) -> Any:
    """broadcast_to, which also takes the sizes one by one.  `implicit` means nothing here."""
    return broadcast_to(input, spread("expand", "size", sizes, size))


def expand_as(input: Any, other: Any) -> Any:
    """x stretched to the shape of `other`."""
    require_tensors("expand_as", input, other)
    return broadcast_to(input, other.array.shape)


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape to which tensors of these shapes broadcast; an integer stands for one axis."""
    given = [_whole("broadcast_shapes", shape if isinstance(shape, tuple | list) else (shape,)) for shape in shapes]
    return broadcast.broadcast_shape("broadcast_shapes", *given) if given else ()


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors, all stretched to their common shape.  Views."""
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    require_tensors("broadcast_tensors", *tensors)
    shape = broadcast_shapes(*[tensor.array.shape for tensor in tensors])
    return tuple([broadcast.expand(tensor, shape) for tensor in tensors])


# -- windows and strides -----------------------------------------------------------------------------------------------


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` along `dimension`, one every `step`, in a new last axis: a view.

    y[..., w, ..., i] = x[..., w step + i, ...] with (n - size) // step + 1 windows."""
    require_tensors("unfold", input)
    size, step = integer("unfold", "size", size), integer("unfold", "step", step)
    if not input.array.ndim:
        normalise_axis("unfold", dimension, 0)
        return reshape(apply(Windows, (reshape(input, (1,)),), (0, size, step)), (size,))
    return apply(Windows, (input,), (normalise_axis("unfold", dimension, input.array.ndim), size, step))


def as_strided(input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Any:
    """The memory behind x under another shape and other strides, both counted in elements: a view.

    y[i, j, ...] = memory[storage_offset + i stride[0] + j stride[1] + ...]; the offset is that of x if none is given."""
    require_tensors("as_strided", input)
    shape, strides = _whole("as_strided", size), _whole("as_strided", stride)
    total, start, _ = geometry(input.array)
    offset = start if storage_offset is None else integer("as_strided", "storage_offset", storage_offset)
    if len(shape) != len(strides) or any(n < 0 for n in (*shape, *strides, offset)):
        raise ShapeError(f"as_strided: size {shape}, stride {strides} and offset {offset} must not be negative, and size and "
                         "stride equally long")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= total:
        raise ShapeError(f"as_strided: size {shape} with stride {strides} and offset {offset} reaches place {last} of a "
                         f"memory of {total} values")
    return apply(AsStrided, (input,), (shape, strides, offset))


def as_strided_scatter(input: Any, src: Any, size: Sequence[int], stride: Sequence[int],
                       storage_offset: int | None = None) -> Any:
    """A copy of x with `src` in place of as_strided(x, size, stride, storage_offset)."""
    require_tensors("as_strided_scatter", input, src)
    whole = as_strided(input, size, stride, storage_offset).array.shape
    if src.array.shape != whole:
        raise ShapeError(f"as_strided_scatter: src has shape {src.array.shape}, the places to write have {whole}")
    total, start, own = geometry(input.array)
    xp = backend.array_module(input.array)
    source = xp.full(total, -1)  # which value of src each place of the memory gets
    written = places_of(xp, whole, _whole("as_strided_scatter", stride), start if storage_offset is None else storage_offset)
    source[written.reshape(-1)] = xp.arange(src.array.size)
    chosen = source[places_of(xp, input.array.shape, own, start)]
    if not src.array.size:
        return clone(input)
    return where(constant(chosen >= 0, input), getitem(reshape(src, (-1,)), xp.maximum(chosen, 0)), input)


# -- copies ------------------------------------------------------------------------------------------------------------


def alias_copy(input: Any) -> Any:
    """A copy of x that stays in the graph."""
    require_tensors("alias_copy", input)
    return clone(input)


def detach_copy(input: Any) -> Any:
    """A copy of x outside the graph."""
    require_tensors("detach_copy", input)
    return constant(input.array, input)


as_strided_copy = copying(as_strided)
expand_copy = copying(expand)
permute_copy = copying(permute)
squeeze_copy = copying(squeeze)
t_copy = copying(t)
transpose_copy = copying(transpose)
unfold_copy = copying(unfold)
unsqueeze_copy = copying(unsqueeze)
view_copy = copying(view)
