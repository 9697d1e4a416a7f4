"""Shapes, joining, indexing and padding as ONNX nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.builder import INT64_MAX
from tinygrad_course.io.onnx.join import Differs, Size, VaryingError
from tinygrad_course.io.onnx.registry import writes


@writes("reshape")
def reshape(g: Any, call: Any, x: str, shape: Any) -> Any:
    """One length that follows a dynamic axis is -1, further ones are 0 (as in the input) or computed when the graph runs."""
    dynamic = [place for place, size in enumerate(shape) if isinstance(size, Size)]
    if not dynamic:
        return g.node("Reshape", x, g.ints(shape))
    source, wanted = call.inputs[0].shape, list(shape)
    if all(size for size in shape):  # with a 0 among them, -1 would have no meaning
        wanted[dynamic[-1]] = -1
        for place in dynamic[:-1]:
            if place < len(source) and source[place] == shape[place]:
                wanted[place] = 0
    return g.node("Reshape", x, g.ints(wanted))


@writes("permute")
def permute(g: Any, call: Any, x: str, axes: Any) -> Any:
    """Transpose."""
    return g.node("Transpose", x, perm=axes)


@writes("expand")
def expand(g: Any, call: Any, x: str, shape: Any) -> Any:
    """Expand keeps an axis where the new length is 1."""
    source = call.inputs[0].shape
    source = (1,) * (len(shape) - len(source)) + tuple(source)
    return g.node("Expand", x, g.ints([1 if old == new else new for old, new in zip(source, shape, strict=True)]))


@writes("cat")
def cat(g: Any, call: Any, *inputs_and_axis: Any) -> Any:
    """Concat."""
    *inputs, axis = inputs_and_axis
    return g.node("Concat", *inputs, axis=axis)


@writes("constant_pad")
def constant_pad(g: Any, call: Any, x: str, before: Any, after: Any, value: float) -> Any:
    """Pad; negative numbers cut off in ONNX too."""
    dtype = call.inputs[0].dtype
    if dtype == np.bool_:
        y = g.node("Pad", g.cast(x, np.int32), g.ints([*before, *after]), g.constant(int(value), np.int32))
        return g.cast(y, np.bool_)
    return g.node("Pad", x, g.ints([*before, *after]), g.constant(value, dtype))


@writes("windows")
def windows(g: Any, call: Any, x: str, axis: int, size: int, step: int) -> Any:
    """Gather with a table of places, whose second axis goes last."""
    ndim, count = call.inputs[0].a.ndim, call.outputs[0].shape[axis]
    if isinstance(count, Size):
        raise VaryingError("the number of windows follows a dynamic axis")
    places = np.arange(count)[:, None] * step + np.arange(size)
    y = g.node("Gather", x, g.constant(places, np.int64), axis=axis)
    return g.node("Transpose", y, perm=[*(i for i in range(ndim + 1) if i != axis + 1), axis + 1])


@writes("diagonal")
def diagonal(g: Any, call: Any, x: str, offset: int, dim1: int, dim2: int) -> Any:
    """Gather from the two axes as one, i columns + i + offset."""
    shape = call.inputs[0].shape
    count, columns = call.outputs[0].shape[-1], shape[dim2]
    if isinstance(count, Size) or isinstance(columns, Size):
        raise VaryingError("the diagonal of a dynamic axis")
    rest = [axis for axis in range(len(shape)) if axis not in (dim1, dim2)]
    flat = g.node("Reshape", g.node("Transpose", x, perm=[*rest, dim1, dim2]), g.constant([*[0] * len(rest), -1], np.int64))
    places = np.arange(count) * (columns + 1) + max(offset, 0) + max(-offset, 0) * columns
    return g.node("Gather", flat, g.constant(places, np.int64), axis=len(rest))


# ---- indexing --------------------------------------------------------------------------------------------------------


@writes("slice")
def slice_(g: Any, call: Any, x: str, key: Any) -> Any:
    """Slice for ranges, Squeeze for numbers, Unsqueeze for new axes."""
    return _sliced(g, call.inputs[0].shape, x, key)


def _sliced(g: Any, shape: Any, x: str, key: Any) -> Any:
    starts: list[Any] = []
    ends: list[Any] = []
    axes: list[int] = []
    steps: list[int] = []
    gone, new, axis, place = [], [], 0, 0
    for part in _spread(key, len(shape)):
        if part is None:
            new.append(place)
            place += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                low, high, step = _range(part, shape[axis])
                if not (low == 0 and high == INT64_MAX and step == 1):
                    for numbers, number in ((starts, low), (ends, high), (axes, axis), (steps, step)):
                        numbers.append(number)
            place += 1
        else:
            if isinstance(part, Size | Differs):
                raise VaryingError("an index is computed from the values or the sizes of the model's inputs")
            starts.append(part)
            ends.append(part + 1 if part != -1 else INT64_MAX)
            axes.append(axis)
            steps.append(1)
            gone.append(axis)
        axis += 1
    if axes:
        x = g.node("Slice", x, g.ints(starts), g.ints(ends), g.constant(axes, np.int64), g.constant(steps, np.int64))
    if gone:
        x = g.node("Squeeze", x, g.constant(gone, np.int64))
    return g.node("Unsqueeze", x, g.constant(new, np.int64)) if new else x if axes else g.node("Identity", x)


def _spread(key: Any, ndim: int) -> list[Any]:
    """The key with full slices in place of `...` and at its end."""
    parts = list(key) if isinstance(key, tuple) else [key]
    used = sum(part is not None and part is not Ellipsis for part in parts)
    missing = [slice(None)] * (ndim - used)
    for place, part in enumerate(parts):
        if part is Ellipsis:
            return parts[:place] + missing + parts[place + 1:]
    return parts + missing


def _range(part: slice, size: Any) -> tuple[Any, Any, int]:
    """(start, end, step) as ONNX has them; the end of the axis is INT64_MAX, whatever its length."""
    start, stop, step = part.start, part.stop, 1 if part.step is None else part.step
    for number in (start, stop, step):
        if isinstance(number, Differs):
            raise VaryingError("an index is computed from the values of the model's inputs")
    if step < 0:
        return (INT64_MAX if start is None else start), (-INT64_MAX if stop is None else stop), step
    if stop is None or stop == size or (isinstance(stop, int) and isinstance(size, int) and stop >= size):
        stop = INT64_MAX
    return (0 if start is None else start), stop, step


@writes("index")
def index(g: Any, call: Any, x: str, key: Any) -> Any:
    """Gather for one array of places, GatherND for several beside each other; masks are places too."""
    shape = call.inputs[0].shape
    parts: list[Any] = []
    for part in _spread_arrays(key, len(shape)):
        if isinstance(part, Differs):
            raise VaryingError("an index is computed from the values of the model's inputs; use gather() or an embedding, "
                               "which take indices as tensors")
        if isinstance(part, np.ndarray) and part.dtype == np.bool_:
            parts.extend(np.nonzero(part))
        else:
            parts.append(part)
    if any(part is None for part in parts):
        raise ExportError("an index with arrays and None at once has no ONNX counterpart; use unsqueeze()")
    places = [place for place, part in enumerate(parts) if isinstance(part, np.ndarray)]
    if places != list(range(places[0], places[-1] + 1)):
        raise ExportError("index arrays with a slice between them have no ONNX counterpart; index one axis after the other")
    basic = tuple([slice(None) if isinstance(part, np.ndarray) else part for part in parts])
    x = _sliced(g, shape, x, basic)
    if len(places) == 1:
        return g.node("Gather", x, g.constant(parts[places[0]], np.int64), axis=places[0])
    first, count, ndim = places[0], len(places), len(shape)
    sizes = [shape[place] for place in places]
    arrays = list(np.broadcast_arrays(*[parts[place] for place in places]))
    if any(isinstance(size, Size) for size in sizes):
        if any((array < 0).any() for array in arrays):
            raise VaryingError("negative indices count from the end of a dynamic axis")
    else:
        arrays = [np.where(array < 0, array + size, array) for array, size in zip(arrays, sizes, strict=True)]
    front = [*places, *(axis for axis in range(ndim) if axis not in places)]
    if first:
        x = g.node("Transpose", x, perm=front)
    y = g.node("GatherND", x, g.constant(np.stack(arrays, -1), np.int64))
    depth = arrays[0].ndim
    if not first:
        return y
    rest = ndim - count
    order = [*range(depth, depth + first), *range(depth), *range(depth + first, depth + rest)]
    return g.node("Transpose", y, perm=order)


def _spread_arrays(key: Any, ndim: int) -> list[Any]:
    """`_spread` where a mask counts for as many axes as it has."""
    parts = list(key) if isinstance(key, tuple) else [key]
    masks = sum(part.ndim - 1 for part in parts if isinstance(part, np.ndarray) and part.dtype == np.bool_)
    return _spread(tuple(parts), ndim - masks)


@writes("slice_adjoint")
def slice_adjoint(g: Any, call: Any, x: str, shape: Any, key: Any) -> Any:
    """Zeros around x: Pad, for a key of plain ranges."""
    before, after = [], []
    for part, size in zip(_spread(key, len(shape)), shape, strict=True):
        if not isinstance(part, slice) or part.step not in (None, 1):
            raise ExportError("zeros with values added at places in between have no ONNX counterpart here")
        if part in (slice(None), slice(0, size)):
            before.append(0)
            after.append(0)
            continue
        low, high, _ = part.indices(size)
        before.append(low)
        after.append(size - high)
    return g.node("Pad", x, g.ints([*before, *after]), g.constant(0, call.inputs[0].dtype))


@writes("gather")
def gather(g: Any, call: Any, x: str, index: str, dim: int) -> Any:
    """GatherElements."""
    return g.node("GatherElements", x, index, axis=dim)


@writes("scatter_add")
def scatter_add(g: Any, call: Any, x: str, index: str, src: str, dim: int) -> Any:
    """ScatterElements that adds, of as much of src as the index reaches."""
    sizes = call.inputs[1].shape
    if tuple(call.inputs[2].shape) != tuple(sizes):
        src = _sliced(g, call.inputs[2].shape, src, tuple([slice(0, size) for size in sizes]))
    return g.node("ScatterElements", x, index, src, axis=dim, reduction="add")


@writes("embedding")
def embedding(g: Any, call: Any, weight: str, index: str, factor: Any) -> Any:
    """Gather of rows; `factor` matters to gradients only."""
    return g.node("Gather", weight, index, axis=0)


@writes("one_hot")
def one_hot(g: Any, call: Any, index: str, num_classes: int, dtype: Any) -> Any:
    """OneHot."""
    return g.node("OneHot", index, g.constant([num_classes], np.int64), g.constant(np.array([0, 1], dtype)), axis=-1)


@writes("setitem")
def setitem(g: Any, call: Any, x: str, value: str, key: Any) -> Any:
    """x[key] = value for numbers and ranges: Where a mask says so, the value, laid out by Pad."""
    shape, given, dtype = call.inputs[0].shape, call.inputs[1], call.inputs[0].dtype
    numbers = np.int32 if dtype == np.bool_ else dtype  # onnxruntime pads and chooses between numbers only
    region, before, after, inside = [], [], [], []
    squeezed = 0  # axes that a number takes from the region
    for part, size in zip(_spread(key, len(shape)), shape, strict=True):
        whole = part == slice(None) if isinstance(part, slice) else False
        if isinstance(part, np.ndarray | Size | Differs) or part is None:
            raise ExportError("a write in place to places that an array names has no ONNX counterpart here; use where()")
        if whole:
            region.append(size)
            before.append(0)
            after.append(0)
            inside.append(np.ones(1, bool))
            continue
        if isinstance(size, Size):
            raise VaryingError("a write in place to a part of a dynamic axis")
        places = np.arange(size)[part if isinstance(part, slice) else slice(part, part + 1 or None)]
        squeezed += not isinstance(part, slice)
        if places.size == 0 or (places.size > 1 and places[1] - places[0] != 1):
            raise ExportError("a write in place to every n-th place has no ONNX counterpart here; use where()")
        region.append(places.size)
        before.append(int(places[0]))
        after.append(size - 1 - int(places[-1]))
        inside.append(np.isin(np.arange(size), places))
    if squeezed and given.a.ndim:
        kept = [place for place, part in enumerate(_spread(key, len(shape))) if isinstance(part, slice)]
        missing = len(kept) - given.a.ndim
        axes = [place for place in range(len(shape)) if place not in kept[max(missing, 0):]]
        if missing < 0:
            raise ExportError("the value that is written in place has more axes than the places; use where()")
        value = g.node("Unsqueeze", value, g.constant(axes, np.int64))
    if given.dtype != dtype:
        value = g.cast(value, dtype)
    if dtype == np.bool_:
        x, value = g.cast(x, numbers), g.cast(value, numbers)
    mask = np.ones((1,) * len(shape), bool)
    for axis, part in enumerate(inside):
        mask = mask & part.reshape([-1 if place == axis else 1 for place in range(len(shape))])
    value = g.node("Expand", value, g.ints(region))
    value = g.node("Pad", value, g.constant([*before, *after], np.int64), g.constant(0, numbers))
    y = g.node("Where", g.constant(mask), value, x)
    return g.cast(y, np.bool_) if dtype == np.bool_ else y
