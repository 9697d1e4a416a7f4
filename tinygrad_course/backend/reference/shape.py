"""Other shapes, other axes, parts: views where the memory allows it.

NumPy's own machinery is as fast as any: these have no compiled twin.
"""

from typing import Any

import numpy as np

KERNELS = ("as_strided", "diagonal", "expand", "permute", "reshape", "slice_view", "windows")


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    """The values in the same order under another shape.  View where possible."""
    return x.reshape(shape)


def permute(x: Any, axes: tuple[int, ...]) -> Any:
    """Axis i of the result is axis axes[i] of x.  View."""
    return x.transpose(axes)


def expand(x: Any, shape: tuple[int, ...]) -> Any:
    """x stretched by broadcasting.  Read-only view."""
    return np.broadcast_to(x, shape)


def slice_view(x: Any, key: tuple[Any, ...]) -> Any:
    """x[key] for integers, slices, None and ...; 0-d arrays stay arrays.  View."""
    return x[key] if Ellipsis in key else x[(*key, ...)]


def diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """The elements with index2 - index1 = offset of two axes, as a last axis in their place.  View."""
    y = x.diagonal(offset, axis1, axis2)
    if isinstance(x, np.ndarray):
        y.flags.writeable = x.flags.writeable  # NumPy hands out diagonals read-only
    return y


def windows(x: Any, axis: int, size: int, step: int) -> Any:
    """Stretches of `size` along an axis, one every `step`: y[..., w, ..., i] = x[..., w step + i, ...].  View."""
    shape, strides = list(x.shape), list(x.strides)
    shape[axis] = (shape[axis] - size) // step + 1
    stride, strides[axis] = strides[axis], strides[axis] * step
    return _seen_as(x, (*shape, size), (*strides, stride), 0)


def as_strided(x: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    """y[i, j, ...] = memory[offset + i strides[0] + j strides[1] + ...], in elements of the memory behind x.  View."""
    _, start, _ = geometry(x)
    return _seen_as(x, shape, tuple([stride * x.itemsize for stride in strides]), (offset - start) * x.itemsize)


def geometry(x: Any) -> tuple[int, int, tuple[int, ...]]:
    """(elements of the memory behind x, place of its first one there, strides), all counted in elements."""
    owner = _owner(x)
    start = _address(x) - _address(owner)
    return owner.nbytes // x.itemsize, start // x.itemsize, tuple([stride // x.itemsize for stride in x.strides])


def _owner(x: Any) -> Any:
    """The array whose memory x is a view of."""
    while isinstance(x.base, type(x)):
        x = x.base
    return x


def _address(x: Any) -> int:
    address: int = x.__array_interface__["data"][0] if isinstance(x, np.ndarray) else x.data.ptr
    return address


def _seen_as(x: Any, shape: tuple[int, ...], strides: tuple[int, ...], shift: int) -> Any:
    """The memory from `shift` bytes after the first element of x on, under other sizes and strides in bytes.

    Not np.lib.stride_tricks, whose result does not say whose memory it shows."""
    if not isinstance(x, np.ndarray):
        return type(x)(shape, x.dtype, x.data + shift, strides)
    owner = _owner(x)
    start = _address(x) - _address(owner) + shift
    memory = owner.transpose(np.argsort([-stride for stride in owner.strides], kind="stable"))  # in the order of addresses
    y: Any = np.ndarray(shape, x.dtype, memory, start, strides)
    y.flags.writeable = x.flags.writeable
    return y
