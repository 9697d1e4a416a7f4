"""Writing into a tensor, in a way that the graph knows of.

    h = w * x               h has a history
    h[0] = b                h has another: all but h[0] comes from w * x, h[0] comes from b

The memory is written as one expects, and every tensor that shows it (views, `detach()`) sees the new values.  What has to
be right as well is the history.  The tensor that owns the memory, the base, gets a new node: SetItem of its old history
and the value.  Views keep the history they had until they are used again; then `refresh` finds the count of recorded
writes of their memory changed, and makes their node anew, as elements of the base.

What an op saved before the write is another matter: the write counter (`Version`) makes its backward refuse.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply, set_refresh
from tinygrad_course.autograd.grad_mode import enable_grad, is_grad_enabled
from tinygrad_course.autograd.node import Node, new_node
from tinygrad_course.autograd.origin import line_number
from tinygrad_course.autograd.watch import watch
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.arithmetic import mul
from tinygrad_course.ops.broadcast import sum_to
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.dtypes import constant
from tinygrad_course.ops.index import Slice, getitem, plain_key, steps
from tinygrad_course.ops.shape import reshape

__all__: list[str] = []


class SetItem(Op):
    """y = x, but y[key] = value, which broadcasts.  gx = g, but 0 at [key]; gvalue = g[key].

    Where the key names a place several times, the last value stays, and it alone has a gradient."""

    name = "setitem"

    @staticmethod
    def shape(x: Shape, value: Shape, key: Any) -> Shape:
        region = np.broadcast_to(np.empty((), bool), x)[key].shape
        check_fits("x[...] = value", value, region)
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, value: Any, key: Any) -> Any:
        ctx.constants = winners(x, key)
        y = k.cast(x, x.dtype)
        y[key] = without_leading_ones(value, np.ndim(y[key]))
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        key = ctx.args[0]
        gx = gvalue = None
        if ctx.needs[0]:
            gx = apply(SetItem, (g, constant(0.0, g)), (key,))
        if ctx.needs[1]:
            gvalue = getitem(g, key)
            if ctx.constants is not None:
                gvalue = mul(gvalue, cast(new_tensor(ctx.constants), g.array.dtype))
            gvalue = reshape(sum_to(gvalue, trimmed(ctx.input_shape(1), gvalue.array.ndim)), ctx.input_shape(1))
        return gx, gvalue


def trimmed(shape: Shape, ndim: int) -> Shape:
    """`shape` without leading ones that a region of `ndim` axes has no place for."""
    return shape[len(shape) - ndim:] if len(shape) > ndim else shape


def without_leading_ones(value: Any, ndim: int) -> Any:
    """x[0] = value of shape (1, 3), for x[0] of shape (3,): as PyTorch and NumPy have it."""
    return value.reshape(trimmed(value.shape, ndim)) if value.ndim > ndim else value


def check_fits(writer: str, value: Shape, region: Shape) -> None:
    """Raise ShapeError unless `value` broadcasts to `region`."""
    short = trimmed(value, len(region))
    if any(n != 1 for n in value[: len(value) - len(short)]) or any(
            n not in (1, m) for n, m in zip(short[::-1], region[::-1], strict=False)):
        raise ShapeError(f"{writer}: a value of shape {tuple(value)} does not broadcast to the region of shape "
                         f"{tuple(region)} that is written to")


def winners(x: Any, key: Any) -> Any:
    """Per element of x[key] whether it is the last for its place; None if no place is named twice."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(hasattr(part, "dtype") and part.dtype.kind in "iu" for part in parts):
        return None  # slices and masks name no place twice
    xp = backend.array_module(x)
    owner = xp.full(x.shape, -1, np.int64)
    number = xp.arange(owner[key].size).reshape(owner[key].shape)
    owner[key] = number
    won = owner[key] == number
    return None if won.all() else won


def refresh(tensor: Any) -> None:
    """Give a view the history that its elements have in its base now."""
    view: TensorBase = tensor
    base = view.base
    if view.version is not None:
        view.seen = view.version.rewrites
    if base is None or (view.track and view.node is None):
        return  # a detached tensor has no history; a leaf is known by itself
    before = view.node
    view.node = None
    if base.track:
        with enable_grad():  # the history is that of the write, whatever the mode is now
            view.node = getitem(reshape(base, (-1,)), (flat_places(view.array, base.array),)).node
    view.track = view.node is not None
    _move_retained(before, view.node)


set_refresh(refresh)


def flat_places(view: Any, base: Any) -> Any:
    """Per element of `view` its place in `base` in row order: both are known by address and strides."""
    start = _address(view) - _address(base)
    places = start + _offsets(view)
    if base.flags.c_contiguous:
        found = places // base.itemsize
        outside = (found < 0) | (found >= base.size)
    else:
        addresses = _offsets(base).ravel()
        order = np.argsort(addresses)
        found = order[np.minimum(np.searchsorted(addresses, places, sorter=order), base.size - 1)]
        outside = addresses[found] != places
    if outside.any():
        raise GraphError(f"a view of shape {view.shape} shows memory that its base of shape {base.shape} does not have: the "
                         "base was given other memory by `.data =`, or as_strided() reached beyond it. Its history cannot be "
                         "told; take the view again.")
    return found


def _offsets(array: Any) -> Any:
    """Distance in bytes of every element from the first."""
    out = np.zeros(array.shape, np.int64)
    for axis, (size, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        out += (np.arange(size, dtype=np.int64) * stride).reshape((-1,) + (1,) * (array.ndim - axis - 1))
    return out


def _address(array: Any) -> int:
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)


def is_recorded(target: TensorBase, value: Any) -> bool:
    """Whether writing `value` into `target` belongs into a graph."""
    owner = target if target.base is None else target.base
    return is_grad_enabled() and (target.track or owner.track or (isinstance(value, TensorBase) and value.track))


def require_writable(target: TensorBase, writer: str) -> Any:
    """The array of `target`, if it may be written to."""
    owner = target if target.base is None else target.base
    if is_grad_enabled():
        for tensor, what in ((target, "a leaf"), (owner, "a view of a leaf")):
            if tensor.track and tensor.node is None:
                raise GraphError(f"{writer}: this tensor of shape {tuple(target.array.shape)} is {what} that requires a "
                                 "gradient: its gradient would be that of a value that no longer exists. Use the op that is "
                                 "not in place (x = x + y), or write inside `with tgc.no_grad():` if the change is not to be "
                                 "differentiated.")
    if not target.array.flags.writeable or overlaps_itself(target.array):
        raise GraphError(f"{writer}: this tensor of shape {tuple(target.array.shape)} is stretched by expand() or read-only, "
                         "or its windows overlap: several of its elements are one place in memory. Write to a copy: "
                         "x = x.clone()")
    return target.array


def overlaps_itself(array: Any) -> bool:
    """Whether two elements are one place in memory."""
    if array.flags.c_contiguous or array.size < 2:
        return False
    reach = array.itemsize  # bytes that the axes with smaller strides cover
    steps = [(abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True) if size > 1]
    for stride, size in sorted(steps):
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False


def with_history(tensor: TensorBase) -> None:
    """Bring a view up to date before it is written to, also one that was made under no_grad()."""
    base = tensor.base
    if base is not None and base.version is not None and base.version.rewrites != base.seen:
        refresh(base)
    stale = tensor.version is not None and tensor.version.rewrites != tensor.seen
    if stale or (base is not None and base.track and not tensor.track):
        refresh(tensor)


def set_item(target: Any, key: Any, value: Any, writer: str = "x[...] = value") -> None:
    """target[key] = value."""
    tensor: TensorBase = target
    array = require_writable(tensor, writer)
    with_history(tensor)
    plain, advanced = plain_key(key)
    if advanced and any(isinstance(part, int) and not isinstance(part, bool) for part in plain):
        basic, plain = steps(plain)
        set_item(apply(Slice, (target,), (basic,)), plain, value, writer)
        return
    try:
        region = array[plain if advanced or any(part is Ellipsis for part in plain) else (*plain, ...)]  # 0-d: no number
    except IndexError as error:
        raise IndexError(f"{writer}: the index does not fit a tensor of shape {tuple(array.shape)}: {error}") from None
    if isinstance(value, TensorBase):
        check_fits(writer, value.array.shape, region.shape)
        owner = tensor if tensor.base is None else tensor.base
        if not advanced and value.base is owner and value.track == owner.track and _same_memory(value.array, region):
            return  # x[:3] *= 2 ends with x[:3] = what it wrote into
    if not is_recorded(tensor, value):
        values = value.array if isinstance(value, TensorBase) else value
        if watch.watcher is not None:
            watch.watcher.write(array, plain, values)
        array[plain] = without_leading_ones(values, region.ndim) if isinstance(values, np.ndarray) else values
        _note(tensor, writer)
        return
    new = _as_value(tensor, value, writer)
    if tensor.base is not None:
        whole = apply(SetItem, (_ghost(tensor), new), (plain,))
        _record(tensor, whole, writer)
        return
    node = new_node(SetItem, (_ghost(tensor), new), (plain,))
    node.constants = winners(array, plain) if advanced else None
    node.shape = array.shape
    node.seal(())
    array[plain] = without_leading_ones(new.array, region.ndim)
    _rebase(tensor, node, writer)


def update(target: Any, writer: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """target = function(target, ...), written into the memory of `target`; returns `target`."""
    tensor: TensorBase = target
    array = require_writable(tensor, writer)
    with_history(tensor)
    values = [value for value in (*args, *kwargs.values()) if isinstance(value, TensorBase)]
    recorded = any(is_recorded(tensor, value) for value in (None, *values))
    old = new_tensor(array)
    if recorded:
        old = new_tensor(array.copy(), tensor.node)  # what backward will want to know is what was there before
        old.track = tensor.track
    new = function(old, *[old if value is target else value for value in args], **kwargs)
    _check_result(tensor, new, writer)
    if recorded and new.track:
        _record(tensor, cast(new, array.dtype), writer)
    else:
        if watch.watcher is not None:
            watch.watcher.write(array, (Ellipsis,), new.array)
        array[...] = new.array
        if recorded and tensor.track:  # the result is a constant: fill_, comparison
            _record(tensor, new_tensor(new.array), writer)
        else:
            _note(tensor, writer)
    return target


def overwrite(target: Any, writer: str, function: Callable[..., Any], *args: Any) -> Any:
    """`update` for layers, target = function(target, ...), that costs no more than the function alone.

    Where nobody else knows the memory of `target`, which is so for what another layer has just made, the result is not
    copied into it: the target takes the result's memory.  Whoever shares it (a view, `detach()`, NumPy) or has asked for its
    address has made the write counter, and sees the old memory written."""
    if not isinstance(target, TensorBase):
        return function(target, *args)  # which says what it needs
    tensor: TensorBase = target
    if tensor.version is not None or tensor.base is not None:
        return update(target, writer, function, *args)
    array = tensor.array
    recorded = tensor.track and is_grad_enabled()
    if recorded and tensor.node is None:
        require_writable(tensor, writer)  # raises: a leaf
    old: TensorBase = new_tensor(array, tensor.node)
    old.track = tensor.track
    new: TensorBase = function(old, *args)
    if new.array.dtype is not array.dtype or new.array.shape != array.shape:
        _check_result(tensor, new, writer)
    tensor.array = new.array
    tensor.version = new.version  # what the function saved of its result notices writes to it
    if not recorded:
        _note(tensor, writer)
        return target
    node = new.node
    _rebase(tensor, node, writer)
    if node is not None and node._outputs_saved:
        node._versions = node._current_versions()  # it saved what counts as written from now on
    return target


def _check_result(tensor: TensorBase, new: Any, writer: str) -> None:
    shape, dtype = tensor.array.shape, tensor.array.dtype
    if new.array.shape != shape:
        raise ShapeError(f"{writer}: the result has shape {new.array.shape} and does not fit in place into {shape}")
    if new.array.dtype.kind == "f" and dtype.kind != "f":
        raise DTypeError(f"{writer}: the result is {new.array.dtype} and cannot be written into {dtype}; use x = x.float()")


def _as_value(tensor: TensorBase, value: Any, writer: str) -> Any:
    """The value as a tensor of the target's type."""
    if tensor.array.dtype.kind != "f":
        raise DTypeError(f"{writer}: the value requires a gradient, which a tensor of type {tensor.array.dtype} cannot hold; "
                         "use x = x.float(), or value.detach()")
    if not isinstance(value, TensorBase):
        value = new_tensor(backend.array_module(tensor.array).asarray(value, tensor.array.dtype))
    return cast(value, tensor.array.dtype)


def _ghost(tensor: TensorBase) -> Any:
    """The tensor with the history it has now: for the node that will take its place."""
    ghost: TensorBase = new_tensor(tensor.array, tensor.node)
    ghost.track = tensor.track
    return ghost


def _record(tensor: TensorBase, new: Any, writer: str) -> None:
    """Write all of `tensor`, whose history becomes that of `new`."""
    tensor.array[...] = new.array
    base = tensor.base
    if base is None:
        _rebase(tensor, new.node, writer)
        return
    if base.version is not None and base.version.rewrites != base.seen:
        refresh(base)
    places = flat_places(tensor.array, base.array)
    old = reshape(_ghost(base), (-1,))
    node = new_node(SetItem, (old, new), ((places,),))
    node.shape = old.array.shape
    node.seal(())
    _rebase(base, reshape(new_tensor(base.array.reshape(-1), node), base.array.shape).node if base.array.ndim != 1 else node,
            writer)
    _move_retained(tensor.node, new.node)
    tensor.node = new.node
    tensor.track = new.track
    tensor.seen = base.seen


def _rebase(tensor: TensorBase, node: Any, writer: str) -> None:
    """The tensor has been written to, and `node` is its history now."""
    _move_retained(tensor.node, node)
    tensor.node = node
    tensor.track = node is not None
    _note(tensor, writer)
    version = tensor._shared_version()
    version.rewrites += 1
    tensor.seen = version.rewrites


def _move_retained(before: Any, after: Any) -> None:
    """`.grad` of a tensor is that of its new value."""
    if before is not None and before.retained is not None and after is not None:
        after.retained, before.retained = before.retained, None


def _note(tensor: TensorBase, writer: str) -> None:
    """Count the write, and keep the line that wrote for the error that may follow."""
    tensor._bump_version(writer)
    tensor._shared_version().line = line_number()


def _same_memory(a: Any, b: Any) -> bool:
    return bool(_address(a) == _address(b) and a.shape == b.shape and a.strides == b.strides)


def become(target: Any, writer: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Give `target` the shape of function(target, ...), a view of it, on the same memory; returns `target`."""
    tensor: TensorBase = target
    if is_grad_enabled() and tensor.track and tensor.node is None:
        raise GraphError(f"{writer}: this tensor of shape {tuple(tensor.array.shape)} is a leaf that requires a gradient, "
                         "and a graph may know it by its shape. Use the op that is not in place.")
    with_history(tensor)
    with enable_grad():  # its history goes on, whatever the mode is now
        new: TensorBase = function(_ghost(tensor), *args, **kwargs)
    _move_retained(tensor.node, new.node)
    tensor.array = new.array
    tensor.node = new.node
    _note(tensor, writer)
    return target
