"""Writing to indexed places in NumPy."""

from typing import Any

import numpy as np

from tinygrad_course.backend.reference.index import _coordinates

KERNELS: tuple[str, ...] = ("overwrite", "scatter_extreme")


def overwrite(x: Any, src: Any, key: Any) -> Any:
    """A copy of x with src, which broadcasts, at [key].  Of several values for one place the last one stays."""
    out = x.copy()
    out[key] = src
    return out


def scatter_extreme(x: Any, index: Any, src: Any, dim: int, largest: bool, include_self: bool) -> Any:
    """y[i, index[i, j, k], k] = max (or min) of the src[i, j, k] that go there, for dim = 1, and of x there if include_self.

    NaN wins."""
    out = x.copy()
    places = _coordinates(index, dim)
    if not include_self:
        out[places] = src  # any of them: the extreme of a set does not change when a member joins it again
    with np.errstate(invalid="ignore"):
        (np.maximum if largest else np.minimum).at(out, places, src)
    return out
