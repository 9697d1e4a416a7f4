"""Indexing: slices and advanced indices, parts along an axis, gather and its adjoint scatter_add, one-hot."""

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import broadcast_shape, expand
from tinygrad_course.ops.cast import clone
from tinygrad_course.ops.dtypes import int64, require_tensors, zeros_like

__all__ = [
    "gather", "index_select", "masked_select", "narrow", "narrow_copy", "one_hot", "scatter_add", "select", "select_copy",
    "slice", "slice_copy", "take", "take_along_dim",
]

_slice = builtins.slice  # this module defines PyTorch's function of that name


def indexed_shape(op: str, x: Shape, key: Any) -> Shape:
    """Shape of x[key]: NumPy's own rule, asked on an array without memory unless all is slices."""
    if type(key) is tuple and len(key) <= len(x) and all(type(part) is _slice for part in key):  # a tenth of the time
        try:
            return (*[len(range(*part.indices(size))) for part, size in zip(key, x, strict=False)], *x[len(key):])
        except (TypeError, ValueError) as error:
            raise IndexError(f"{op}: index {readable(key)} does not fit a tensor of shape {x}: {error}") from None
    known = _shape_by_arrays(x, key)
    if known is not None:
        return known
    try:
        shape: Shape = np.ndarray(x, bool, b"\0", strides=(0,) * len(x))[key].shape  # broadcast_to takes 2 us
    except (IndexError, ValueError, TypeError) as error:
        raise IndexError(f"{op}: index {readable(key)} does not fit a tensor of shape {x}: {error}") from None
    return shape


def _shape_by_arrays(x: Shape, key: Any) -> Shape | None:
    """Shape of x[key] for slices and integer arrays of one shape side by side, or a mask; None: NumPy is to be asked.

    NumPy picks the elements to know how many there are, which takes as long as the indexing itself."""
    places: Shape | None = None
    shape: list[int] = []
    axis = end = 0
    for part in key if type(key) is tuple else (key,):
        if axis == len(x):
            return None
        if type(part) is _slice:
            shape.append(len(range(*part.indices(x[axis]))))
            axis += 1
            continue
        if type(part) is not np.ndarray or not part.ndim:
            return None
        if part.dtype.kind == "b":
            if places is not None or part.shape != x[axis:axis + part.ndim]:
                return None
            axis += part.ndim
            places = (int(np.count_nonzero(part)),)
            shape.extend(places)
            end = -1  # no array may follow
            continue
        if not backend.get("cpu").within(part, -x[axis], x[axis]):
            return None
        if places is None:
            places = part.shape
            shape.extend(places)
        elif end != axis or part.shape != places:
            return None
        axis += 1
        end = axis
    return (*shape, *x[axis:])


def readable(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return "[" + ", ".join(
        ":".join("" if v is None else str(v) for v in ((p.start, p.stop) if p.step is None else (p.start, p.stop, p.step)))
        if isinstance(p, _slice) else f"array of shape {p.shape}" if isinstance(p, np.ndarray)
        else "..." if p is Ellipsis else str(p) for p in parts) + "]"


class Slice(Op):
    """y = x[key] with integers and slices: a view.  The gradient is put back into zeros."""

    name = "slice"
    view = True

    @staticmethod
    def shape(x: Shape, key: Any) -> Shape:
        if len(key) == 1 and type(key[0]) is int and x and -x[0] <= key[0] < x[0]:
            return x[1:]  # a row, as data sets take them: not worth asking
        return indexed_shape("slice", x, key)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, key: Any) -> Any:
        return k.slice_view(x, key)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (apply(SliceAdjoint, (g,), (ctx.input_shape(0), ctx.args[0])),)


class Index(Op):
    """y = x[key] with integer arrays or masks: a copy.  Where an element was taken several times, its gradients add up."""

    name = "index"

    @staticmethod
    def shape(x: Shape, key: Any) -> Shape:
        return indexed_shape("index", x, key)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, key: Any) -> Any:
        return k.take_slice(x, key)

    backward = Slice.backward


class SliceAdjoint(Op):
    """Zeros of `shape` with g added at [key]: the adjoint of indexing, whose adjoint is indexing."""

    name = "slice_adjoint"

    @staticmethod
    def shape(g: Shape, shape: Shape, key: Any) -> Shape:
        if indexed_shape("slice_adjoint", shape, key) != tuple(g):
            raise ShapeError(f"slice_adjoint: a gradient of shape {g} does not belong to index {readable(key)} of {shape}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, shape: Shape, key: Any) -> Any:
        return k.slice_adjoint(g, shape, key)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        return (getitem(v, ctx.args[1]),)


class Gather(Op):
    """y[i, j] = x[index[i, j], j] for dim 0, and so on for other axes.  Adjoint: scatter_add."""

    name = "gather"

    @staticmethod
    def shape(x: Shape, index: Shape, dim: int) -> Shape:
        _check_index_shape("gather", x, index, dim)
        return index

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: Any, dim: int) -> Any:
        ctx.save(index)
        return k.gather(x, dim, index)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        index, = ctx.saved
        zeros = zeros_like(g, ctx.input_shape(0))
        return apply(ScatterAdd, (zeros, index, g), ctx.args), None


class ScatterAdd(Op):
    """y = x with src[i, j] added at [index[i, j], j] for dim 0, and so on.  dy/dx = 1; d/dsrc: gather."""

    name = "scatter_add"

    @staticmethod
    def shape(x: Shape, index: Shape, src: Shape, dim: int) -> Shape:
        _check_index_shape("scatter_add", x, index, dim)
        if len(src) != len(index) or any(n > m for n, m in zip(index, src, strict=True)):
            raise ShapeError(f"scatter_add: index {index} must not be larger than src {src} along any axis")
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, index: Any, src: Any, dim: int) -> Any:
        ctx.save(index)
        part = tuple([_slice(0, size) for size in index.shape])
        return k.scatter_add(x, dim, index, src if src.shape == index.shape else src[part])

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        index, = ctx.saved
        needs = ctx.needs
        gsrc = None
        if needs[2]:
            gsrc = apply(Gather, (g, index), ctx.args)
            shape = ctx.input_shape(2)
            if shape != gsrc.array.shape:  # only the corner of src that the index reaches was used
                gsrc = apply(SliceAdjoint, (gsrc,), (shape, tuple([_slice(0, size) for size in gsrc.array.shape])))
        return g if needs[0] else None, None, gsrc


class OneHot(Op):
    """y[..., c] = 1 where index = c, else 0."""

    name = "one_hot"
    differentiable = False

    @staticmethod
    def shape(index: Shape, num_classes: int, dtype: Any) -> Shape:
        return (*index, num_classes)

    @staticmethod
    def forward(ctx: Node, k: Any, index: Any, num_classes: int, dtype: Any) -> Any:
        return k.one_hot(index, num_classes, dtype)


def _check_index_shape(op: str, x: Shape, index: Shape, dim: int) -> None:
    if len(index) != len(x):
        raise ShapeError(f"{op}: input {x} and index {index} must have the same number of axes")
    if any(n > m for axis, (n, m) in enumerate(zip(index, x, strict=True)) if axis != dim):
        raise ShapeError(f"{op}: index {index} must not be larger than the input {x} along any axis but dim {dim}")


# -- functions ---------------------------------------------------------------------------------------------------------


def plain_key(key: Any) -> tuple[Any, bool]:
    """(key with arrays instead of tensors and lists, whether it is an advanced index)."""
    if type(key) is int:
        return (key,), False
    parts = key if isinstance(key, tuple) else (key,)
    plain: list[Any] = []
    advanced = False
    for part in parts:
        if isinstance(part, TensorBase):
            part = part.array
        elif isinstance(part, list | range):
            part = np.asarray(part, dtype=None if len(part) else np.int64)
        if isinstance(part, np.ndarray | np.generic) or hasattr(part, "__cuda_array_interface__"):
            if part.dtype.kind not in "iub":
                raise DTypeError(f"an index must be integer or bool, got dtype {part.dtype}; use .long()")
            if part.ndim == 0 and part.dtype.kind in "iu":
                part = int(part)
            else:
                advanced = True
                part = part.copy()  # backward needs it as it is now
        elif isinstance(part, bool):
            advanced = True
        elif not (part is None or part is Ellipsis or isinstance(part, _slice)):
            if not hasattr(part, "__index__"):
                raise IndexError(f"a tensor is indexed by integers, slices, None, ..., and integer or bool tensors, not by "
                                 f"{type(part).__name__}")
            part = part.__index__()
        plain.append(part)
    return tuple(plain), advanced


def steps(key: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A plain key with arrays as two: integers, slices and new axes first, then the arrays at the axes that are left.

    So PyTorch reads a key.  NumPy takes an integer for an array, which puts the indexed axis of x[0, :, [1]] in front."""
    basic: list[Any] = []
    arrays: list[Any] = []
    for part in key:
        if isinstance(part, bool) or (isinstance(part, np.ndarray) and part.ndim == 0):
            basic.append(None)
            arrays.append(np.array([bool(part)]))
        elif isinstance(part, int):
            basic.append(part)
        elif part is Ellipsis or part is None or isinstance(part, _slice):
            basic.append(part)
            arrays.append(Ellipsis if part is Ellipsis else _slice(None))
        else:
            basic.extend([_slice(None)] * (part.ndim if part.dtype.kind == "b" else 1))
            arrays.append(part)
    return tuple(basic), tuple(arrays)


def getitem(x: Any, key: Any) -> Any:
    """x[key]."""
    key, advanced = plain_key(key)
    if not advanced:
        return apply(Slice, (x,), (key,))
    if any(isinstance(part, int) and not isinstance(part, bool) for part in key):
        basic, key = steps(key)
        x = apply(Slice, (x,), (basic,))
    return apply(Index, (x,), (key,))


def copying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose result has memory of its own: PyTorch's `..._copy` of a function that returns views."""

    @functools.wraps(function)
    def copy(*args: Any, **kwargs: Any) -> Any:
        views = function(*args, **kwargs)
        return tuple([clone(view) for view in views]) if isinstance(views, tuple) else clone(views)

    copy.__name__ = copy.__qualname__ = f"{function.__name__}_copy"
    copy.__doc__ = f"`{function.__name__}` whose result shares no memory with the input. {function.__doc__}"
    return copy


def select(input: Any, dim: int, index: Any) -> Any:
    """The part of input at `index` along `dim`, without that axis: a view.  Negative indices count from the end."""
    require_tensors("select", input)
    shape = input.array.shape
    axis = _real_axis("select", dim, shape)
    at = integer("select", "index", index)
    if not -shape[axis] <= at < shape[axis]:
        raise IndexError(f"select: index {at} is out of range along dim {dim} of shape {shape}, which has size {shape[axis]}")
    return apply(Slice, (input,), ((_slice(None),) * axis + (at,),))


def narrow(input: Any, dim: int, start: Any, length: Any) -> Any:
    """`length` places of input along `dim`, from `start` on: a view.  A negative start counts from the end."""
    require_tensors("narrow", input)
    shape = input.array.shape
    axis = _real_axis("narrow", dim, shape)
    size, first, count = shape[axis], integer("narrow", "start", start), integer("narrow", "length", length)
    if not -size <= first <= size:
        raise IndexError(f"narrow: start {first} is out of range along dim {dim} of shape {shape}: it must be between "
                         f"{-size} and {size}")
    first = first + size if first < 0 else first
    if count < 0 or first + count > size:
        raise ShapeError(f"narrow: start {first} and length {count} do not fit dim {dim} of shape {shape}, which has size "
                         f"{size}")
    return apply(Slice, (input,), ((_slice(None),) * axis + (_slice(first, first + count),),))


def slice(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """input[start:end:step] along `dim`: a view.  Bounds beyond the ends are cut off, as in Python."""
    require_tensors("slice", input)
    return apply(Slice, (input,), (slice_key("slice", input.array.shape, dim, start, end, step),))


def slice_key(op: str, shape: Shape, dim: int, start: Any, end: Any, step: int) -> tuple[Any, ...]:
    """The key of start:end:step along `dim`."""
    axis, step = _real_axis(op, dim, shape), integer(op, "step", step)
    start, end = [None if bound is None else integer(op, name, bound) for name, bound in (("start", start), ("end", end))]
    if step < 1:
        raise ShapeError(f"{op}: step must be at least 1, got {step}; use flip() to turn an axis round")
    return (_slice(None),) * axis + (_slice(start, end, step),)


narrow_copy = copying(narrow)
select_copy = copying(select)
slice_copy = copying(slice)


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The places `index` (1-D) of input along `dim`, as a copy; a place may be taken several times."""
    require_tensors("index_select", input, index)
    shape = input.array.shape
    axis = normalise_axis("index_select", dim, len(shape))
    _check_vector("index_select", shape, axis, index)
    places = index.array.reshape(-1)
    if not shape:
        from tinygrad_course.ops.shape import reshape  # above this module

        return reshape(getitem(reshape(input, (1,)), places), ())
    return getitem(input, (_slice(None),) * axis + (places,))


def masked_select(input: Any, mask: Any) -> Any:
    """The values where the mask is true, in order, in one dimension; both broadcast."""
    require_tensors("masked_select", input, mask)
    if mask.array.dtype.kind != "b":
        raise DTypeError(f"masked_select: the mask must be bool, got {mask.array.dtype}; use mask.bool()")
    shape = broadcast_shape("masked_select", input.array.shape, mask.array.shape) or (1,)
    return getitem(expand(input, shape), expand(mask, shape))


def take(input: Any, index: Any) -> Any:
    """The values at the places `index` of the flattened input, in the shape of `index`; negative ones count from the end."""
    from tinygrad_course.ops.shape import reshape  # above this module

    require_tensors("take", input, index)
    size = input.array.size
    check_places("take", index, -size, size, f"an input of {size} values")
    return reshape(getitem(reshape(input, (-1,)), index.array.reshape(-1)), index.array.shape)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """gather() whose two tensors broadcast along all axes but `dim`; without a dim from the flattened input.

    Negative indices count from the end."""
    from tinygrad_course.ops.shape import reshape  # above this module

    require_tensors("take_along_dim", input, indices)
    if dim is None:
        input, indices, dim = reshape(input, (-1,)), reshape(indices, (-1,)), 0
    x, at = input.array.shape, indices.array.shape
    if len(x) != len(at):
        raise ShapeError(f"take_along_dim: input {x} and indices {at} must have the same number of axes")
    axis = normalise_axis("take_along_dim", dim, len(x))
    size = x[axis] if x else 1
    check_places("take_along_dim", indices, -size, size, f"dim {dim} with size {size}")
    indices = new_tensor(indices.array % size if size else indices.array)
    both = broadcast_shape("take_along_dim", x[:axis] + x[axis + 1:], at[:axis] + at[axis + 1:])
    return gather(expand(input, both[:axis] + x[axis:axis + 1] + both[axis:]), axis,
                  expand(indices, both[:axis] + at[axis:axis + 1] + both[axis:]))


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Values of input along `dim` at the positions `index`: y[i, j] = input[index[i, j], j] for dim 0.

    The result has the shape of `index`, which may be smaller than the input along the other axes.  `sparse_grad` is ignored:
    gradients are dense here."""
    require_tensors("gather", input, index)
    shape, places = input.array.shape, index.array.shape
    axis = normalise_axis("gather", dim, len(shape))
    check_index("gather", shape, axis, index)
    if len(shape) > 0 < len(places) and index.array.size:
        return apply(Gather, (input, index), (axis,))
    from tinygrad_course.ops.shape import reshape  # above this module

    if not index.array.size:  # may have any number of axes
        return getitem(reshape(input, (-1,)), index.array)
    return reshape(apply(Gather, (reshape(input, shape or (1,)), reshape(index, places or (1,))), (axis,)), places)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of input with `src` added at the positions `index` along `dim`: y[index[i, j], j] += src[i, j] for dim 0.

    `src` may be larger than `index`: what lies beyond is not used."""
    require_tensors("scatter_add", input, index, src)
    axis = normalise_axis("scatter_add", dim, input.array.ndim)
    check_index("scatter_add", input.array.shape, axis, index)
    if src.array.dtype != input.array.dtype:
        raise DTypeError(f"scatter_add: src has dtype {src.array.dtype}, the input {input.array.dtype}; use src.to(x.dtype)")
    if not index.array.size:
        return clone(input)
    if input.array.ndim > 0 < index.array.ndim and src.array.ndim:
        return apply(ScatterAdd, (input, index, src), (axis,))
    from tinygrad_course.ops.shape import reshape  # above this module

    x, index, src = (reshape(value, value.array.shape or (1,)) for value in (input, index, src))
    return reshape(apply(ScatterAdd, (x, index, src), (axis,)), input.array.shape)


def one_hot(index: Any, num_classes: int = -1) -> Any:
    """int64 vectors with a single 1; num_classes = -1 takes the largest index + 1."""
    require_tensors("one_hot", index)
    num_classes = integer("one_hot", "num_classes", num_classes)
    if index.array.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: the classes must be integers, got {index.array.dtype}; use .long()")
    largest = int(index.array.max()) if index.array.size else -1
    if num_classes == -1:
        if not index.array.size:
            raise ShapeError("one_hot: num_classes cannot be inferred from an empty tensor; give it")
        num_classes = largest + 1
    if index.array.size and (largest >= num_classes or int(index.array.min()) < 0):
        wrong = largest if largest >= num_classes else int(index.array.min())
        raise IndexError(f"one_hot: class {wrong} is not in 0..{max(num_classes, 1) - 1}")
    return apply(OneHot, (index,), (num_classes, int64))


def check_index(op: str, shape: Shape, axis: int, index: Any) -> None:
    """Raise unless `index` holds integers in 0..size-1 along the axis of `shape`."""
    size = shape[axis] if shape else 1
    check_places(op, index, 0, size, f"dim {axis} with size {size}")


def check_places(op: str, index: Any, low: int, stop: int, what: str) -> None:
    """Raise unless `index` holds integers in low..stop-1, the places along `what`."""
    if index.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the index must be integer, got {index.array.dtype}; use .long()")
    if not backend.get(backend.device_of(index.array)).within(index.array, low, stop):
        least, most = int(index.array.min()), int(index.array.max())
        raise IndexError(f"{op}: index {least if least < low else most} is out of range along {what} (valid: {low}.."
                         f"{stop - 1})")


def _check_vector(op: str, shape: Shape, axis: int, index: Any) -> None:
    if index.array.ndim > 1:
        raise ShapeError(f"{op}: the index must be a vector, got shape {index.array.shape}")
    check_index(op, shape, axis, index)


def _real_axis(op: str, dim: int, shape: Shape) -> int:
    """The axis `dim`, which must exist: a tensor without axes has no parts."""
    if not shape:
        raise ShapeError(f"{op}: a tensor without axes has no parts along a dim; use unsqueeze(0) first")
    return normalise_axis(op, dim, len(shape))
