"""Kernels that move no arithmetic: other shapes, other axes, parts.  Views where the memory allows it.

NumPy's own machinery is as fast as any: these have no compiled twin.
"""

from typing import Any

import numpy as np

KERNELS = ("cat", "expand", "permute", "reshape", "slice_view")


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    """The values in the same order under another shape.  View where possible."""
    return x.reshape(shape)


def permute(x: Any, axes: tuple[int, ...]) -> Any:
    """Axis i of the result is axis axes[i] of x.  View."""
    return x.transpose(axes)


def expand(x: Any, shape: tuple[int, ...]) -> Any:
    """x stretched by broadcasting.  Read-only view."""
    return np.broadcast_to(x, shape)


def cat(arrays: list[Any], axis: int) -> Any:
    """Arrays one after the other along an axis."""
    return np.concatenate(arrays, axis)


def slice_view(x: Any, key: tuple[Any, ...]) -> Any:
    """x[key] for integers, slices, None and ...; 0-d arrays stay arrays.  View."""
    return x[key] if any(part is Ellipsis for part in key) else x[(*key, ...)]
