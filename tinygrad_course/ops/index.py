"""Indexing: slices and advanced indices, gather, scatter_add, one-hot."""

from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.dtypes import int64, zeros_like


def _indexed_shape(op: str, x: Shape, key: Any) -> Shape:
    """Shape of x[key]: NumPy's own rule, asked on an array without memory."""
    try:
        shape: Shape = np.broadcast_to(np.empty((), bool), x)[key].shape
    except (IndexError, ValueError, TypeError) as error:
        raise IndexError(f"{op}: index {_readable(key)} does not fit a tensor of shape {x}: {error}") from None
    return shape


def _readable(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return "[" + ", ".join(
        ":".join("" if v is None else str(v) for v in ((p.start, p.stop) if p.step is None else (p.start, p.stop, p.step)))
        if isinstance(p, slice) else f"array of shape {p.shape}" if isinstance(p, np.ndarray)
        else "..." if p is Ellipsis else str(p) for p in parts) + "]"


class Slice(Op):
    """y = x[key] with integers and slices: a view.  The gradient is put back into zeros."""

    name = "slice"
    view = True

    @staticmethod
    def shape(x: Shape, key: Any) -> Shape:
        return _indexed_shape("slice", x, key)

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
        return _indexed_shape("index", x, key)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, key: Any) -> Any:
        return k.take_slice(x, key)

    backward = Slice.backward


class SliceAdjoint(Op):
    """Zeros of `shape` with g added at [key]: the adjoint of indexing, whose adjoint is indexing."""

    name = "slice_adjoint"

    @staticmethod
    def shape(g: Shape, shape: Shape, key: Any) -> Shape:
        if _indexed_shape("slice_adjoint", shape, key) != tuple(g):
            raise ShapeError(f"slice_adjoint: a gradient of shape {g} does not belong to index {_readable(key)} of {shape}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, shape: Shape, key: Any) -> Any:
        return k.slice_adjoint(g, shape, key)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        return (select(v, ctx.args[1]),)


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
        part = tuple([slice(0, size) for size in index.shape])
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
                gsrc = apply(SliceAdjoint, (gsrc,), (shape, tuple([slice(0, size) for size in gsrc.array.shape])))
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
        elif not (part is None or part is Ellipsis or isinstance(part, slice)):
            if not hasattr(part, "__index__"):
                raise IndexError(f"a tensor is indexed by integers, slices, None, ..., and integer or bool tensors, not by "
                                 f"{type(part).__name__}")
            part = part.__index__()
        plain.append(part)
    return tuple(plain), advanced


def select(x: Any, key: Any) -> Any:
    """x[key]."""
    key, advanced = plain_key(key)
    return apply(Index if advanced else Slice, (x,), (key,))


def gather(x: Any, dim: int, index: Any) -> Any:
    """Values of x along `dim` at the positions `index`."""
    axis = normalise_axis("gather", dim, x.array.ndim)
    _check_index("gather", x.array.shape, axis, index)
    return apply(Gather, (x, index), (axis,))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of x with `src` added at the positions `index` along `dim`."""
    axis = normalise_axis("scatter_add", dim, x.array.ndim)
    _check_index("scatter_add", x.array.shape, axis, index)
    if src.array.dtype != x.array.dtype:
        raise DTypeError(f"scatter_add: src has dtype {src.array.dtype}, the input {x.array.dtype}; use src.to(x.dtype)")
    return apply(ScatterAdd, (x, index, src), (axis,))


def one_hot(index: Any, num_classes: int = -1) -> Any:
    """int64 vectors with a single 1; num_classes = -1 takes the largest index + 1."""
    if index.array.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: the classes must be integers, got {index.array.dtype}; use .long()")
    largest = int(index.array.max()) if index.array.size else -1
    if num_classes == -1:
        if largest < 0:
            raise ShapeError("one_hot: num_classes cannot be inferred from an empty tensor; give it")
        num_classes = largest + 1
    if index.array.size and (largest >= num_classes or int(index.array.min()) < 0):
        wrong = largest if largest >= num_classes else int(index.array.min())
        raise IndexError(f"one_hot: class {wrong} is not in 0..{num_classes - 1}")
    return apply(OneHot, (index,), (num_classes, int64))


def _check_index(op: str, shape: Shape, axis: int, index: Any) -> None:
    if index.array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the index must be integer, got {index.array.dtype}; use .long()")
    if index.array.size:
        low, high = int(index.array.min()), int(index.array.max())
        size = shape[axis] if shape else 1
        if low < 0 or high >= size:
            raise IndexError(f"{op}: index {low if low < 0 else high} is out of range along dim {axis} with size {size} "
                             f"(valid: 0..{size - 1})")
