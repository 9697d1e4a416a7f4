"""Shape, joining and indexing nodes as ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course import ops
from tinygrad_course.io.onnx.read_elementwise import axes_of, ints, product
from tinygrad_course.io.onnx.registry import reads
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.comparison import lt, where
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.index import getitem

MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@reads("Reshape")
def reshape(node: Any, x: Any, shape: Any) -> Any:
    """0 is the length that the axis has, -1 what is left."""
    wanted = ints(shape)
    if not node.get("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return x.reshape(wanted)


@reads("Flatten")
def flatten(node: Any, x: Any) -> Any:
    """Two axes."""
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(product(x.shape[:axis]), product(x.shape[axis:]))


@reads("Transpose")
def transpose(node: Any, x: Any) -> Any:
    """By default all axes in reverse."""
    return x.permute(tuple(node.get("perm", range(x.ndim)[::-1])))


@reads("Squeeze")
def squeeze(node: Any, x: Any, axes: Any = None) -> Any:
    """Without axes of length 1."""
    gone = axes_of(node, axes)
    if gone is None:
        return x.squeeze()
    gone = [axis % x.ndim for axis in gone]
    for axis in gone:
        if x.shape[axis] != 1:
            raise node.refuse(f"axis {axis} of {tuple(x.shape)} is not of length 1")
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in gone])


@reads("Unsqueeze")
def unsqueeze(node: Any, x: Any, axes: Any = None) -> Any:
    """New axes of length 1."""
    given = axes_of(node, axes) or []
    ndim = x.ndim + len(given)
    new = {axis % ndim for axis in given}
    old = iter(x.shape)
    return x.reshape([1 if axis in new else next(old) for axis in range(ndim)])


@reads("Expand")
def expand(node: Any, x: Any, shape: Any) -> Any:
    """Both ways: an axis stays where the new length is 1."""
    return ops.expand(x, np.broadcast_shapes(tuple(x.shape), tuple(ints(shape))))


@reads("Tile")
def tile(node: Any, x: Any, repeats: Any) -> Any:
    """Copies side by side."""
    return ops.repeat(x, ints(repeats))


@reads("Concat")
def concat(node: Any, *inputs: Any) -> Any:
    """One after the other."""
    return ops.cat(inputs, node.get("axis"))


@reads("Split")
def split(node: Any, x: Any, sizes: Any = None) -> Any:
    """Parts of given sizes, or equal ones."""
    axis = node.get("axis", 0)
    given = ints(sizes) if sizes is not None else node.get("split")
    if given is None:
        count = node.get("num_outputs", len(node.outputs))
        each = -(-x.shape[axis] // count)
        given = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
    return ops.split_with_sizes(x, list(given), axis)


@reads("Slice")
def slice_(node: Any, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    """Ranges; steps may be negative."""
    low, high = [ints(given) if given is not None else list(node.get(name))
                 for given, name in ((starts, "starts"), (ends, "ends"))]
    over = axes_of(node, axes)
    over = list(range(len(low))) if over is None else over
    stride = ints(steps) or [1] * len(low)
    key = [slice(None)] * x.ndim
    for start, end, axis, step in zip(low, high, over, stride, strict=True):
        size = x.shape[axis]
        if step > 0:
            key[axis] = slice(start, end, step)
        else:
            key[axis] = slice(start, None if end < -size else end, step)
    return getitem(x, tuple(key))


@reads("Pad")
def pad(node: Any, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    """Places before and after axes; negative numbers cut off."""
    mode = node.get("mode", "constant")
    if mode not in MODES:
        raise node.refuse(f"the mode {mode!r} is not supported")
    numbers = ints(pads) if pads is not None else list(node.get("pads"))
    over = [axis % x.ndim for axis in ints(axes)] if axes is not None else list(range(x.ndim))
    low, high = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(over):
        low[axis], high[axis] = numbers[place], numbers[place + len(over)]
    sides = [number for pair in zip(reversed(low), reversed(high), strict=True) for number in pair]
    if mode != "constant":
        return F.pad(x, sides, MODES[mode])
    return F.pad(x, sides, value=node.get("value", 0.0) if value is None else value.item())


# ---- shapes as values ------------------------------------------------------------------------------------------------


@reads("Shape")
def shape(node: Any, x: Any) -> Any:
    """The lengths of the axes, or of some of them."""
    return from_numpy(np.array(x.shape[slice(node.get("start", 0), node.get("end"))], np.int64))


@reads("ConstantOfShape")
def constant_of_shape(node: Any, sizes: Any) -> Any:
    """One value everywhere, 0.0 by default."""
    value = node.get("value", np.zeros(1, np.float32))
    return from_numpy(np.full(ints(sizes), value[0], value.dtype))


@reads("Range")
def range_(node: Any, start: Any, limit: Any, delta: Any) -> Any:
    """start, start + delta, ... below the limit."""
    return from_numpy(np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype))


# ---- indexing --------------------------------------------------------------------------------------------------------


def _not_negative(index: Any, size: int) -> Any:
    """Places that count from the end, counted from the start."""
    return where(lt(index, 0), ops.add(index, size), index) if (index.numpy() < 0).any() else index


@reads("Gather")
def gather(node: Any, x: Any, index: Any) -> Any:
    """Places along an axis; the axes of the index stand in its place."""
    axis = node.get("axis", 0) % x.ndim
    return getitem(x, (slice(None),) * axis + (index,))


@reads("GatherElements")
def gather_elements(node: Any, x: Any, index: Any) -> Any:
    """torch's gather."""
    axis = node.get("axis", 0) % x.ndim
    return ops.gather(x, axis, _not_negative(index, x.shape[axis]))


@reads("GatherND")
def gather_nd(node: Any, x: Any, index: Any) -> Any:
    """The last axis of the index holds a place on the first axes of x."""
    if node.get("batch_dims", 0):
        raise node.refuse("batch_dims is not supported")
    places = index.numpy()
    return getitem(x, tuple([places[..., axis] for axis in range(places.shape[-1])]))


@reads("ScatterElements", "Scatter")
def scatter_elements(node: Any, x: Any, index: Any, updates: Any) -> Any:
    """torch's scatter and scatter_reduce."""
    axis = node.get("axis", 0) % x.ndim
    index = _not_negative(index, x.shape[axis])
    kind = node.get("reduction", "none")
    if kind == "none":
        return ops.scatter(x, axis, index, updates)
    if kind == "add":
        return ops.scatter_add(x, axis, index, updates)
    return ops.scatter_reduce(x, axis, index, updates, {"mul": "prod", "max": "amax", "min": "amin"}[kind])


@reads("ScatterND")
def scatter_nd(node: Any, x: Any, index: Any, updates: Any) -> Any:
    """Values put at places, or added there."""
    kind = node.get("reduction", "none")
    if kind not in ("none", "add"):
        raise node.refuse(f"the reduction {kind!r} is not supported")
    places = index.numpy()
    key = tuple([from_numpy(places[..., axis].copy()) for axis in range(places.shape[-1])])
    return ops.index_put(x, key, updates, kind == "add")


@reads("OneHot")
def one_hot(node: Any, index: Any, depth: Any, values: Any) -> Any:
    """values[1] at the index, values[0] elsewhere."""
    size, axis = ints(depth)[0], node.get("axis", -1)
    index = index.to(np.int64)
    axis = axis % (index.ndim + 1)
    places = from_numpy(np.arange(size).reshape([-1 if at == axis else 1 for at in range(index.ndim + 1)]))
    return where(ops.eq(ops.unsqueeze(_not_negative(index, size), axis), places), values[1], values[0])


@reads("Trilu")
def trilu(node: Any, x: Any, k: Any = None) -> Any:
    """The upper or the lower triangle."""
    offset = 0 if k is None else ints(k)[0]
    return (ops.triu if node.get("upper", 1) else ops.tril)(x, offset)


@reads("DepthToSpace")
def depth_to_space(node: Any, x: Any) -> Any:
    """Channels to pixels; mode CRD is torch's pixel_shuffle."""
    n, c, h, w = x.shape
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        y = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    else:
        y = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // b**2, h * b, w * b)


@reads("SpaceToDepth")
def space_to_depth(node: Any, x: Any) -> Any:
    """Pixels to channels."""
    n, c, h, w = x.shape
    b = node.get("blocksize")
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)
