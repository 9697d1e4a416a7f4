"""Padding as modules: a constant, the reflection, the last value or the other end, around 1, 2 or 3 axes.

`padding` is one number for all sides, or two for each axis: before and after, beginning with the last axis, as in
(left, right, top, bottom).  A negative number cuts off.
"""

from __future__ import annotations

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor

Sides = int | tuple[int, ...]


class _PadNd(Module):
    """What all have in common: the number of axes, and two numbers for each."""

    AXES: int
    mode: str

    def __init__(self, padding: Sides) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.AXES) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """Each padded axis grows by the two numbers that belong to it."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    def __init__(self, padding: Sides, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Each padded axis grows by the two numbers that belong to it."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """`value` at both ends of the last axis.  (N, C, L), or any other number of axes in front."""

    AXES = 1


class ConstantPad2d(_ConstantPadNd):
    """`value` around the last two axes.  (N, C, H, W), or any other number of axes in front."""

    AXES = 2


class ConstantPad3d(_ConstantPadNd):
    """`value` around the last three axes.  (N, C, D, H, W), or any other number of axes in front."""

    AXES = 3


class ZeroPad1d(ConstantPad1d):
    """Zeros at both ends of the last axis."""

    def __init__(self, padding: Sides) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Zeros around the last two axes."""

    def __init__(self, padding: Sides) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Zeros around the last three axes."""

    def __init__(self, padding: Sides) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_PadNd):
    """The mirror image at both ends, without the edge itself: [a b c] by 2 -> [c b a b c b a].  (N, C, L) or (C, L)."""

    AXES, mode = 1, "reflect"


class ReflectionPad2d(_PadNd):
    """The mirror image around the last two axes, without the edge itself.  (N, C, H, W) or (C, H, W)."""

    AXES, mode = 2, "reflect"


class ReflectionPad3d(_PadNd):
    """The mirror image around the last three axes, without the edge itself.  (N, C, D, H, W) or (C, D, H, W)."""

    AXES, mode = 3, "reflect"


class ReplicationPad1d(_PadNd):
    """The last value again and again: [a b c] by 2 -> [a a a b c c c].  (N, C, L) or (C, L)."""

    AXES, mode = 1, "replicate"


class ReplicationPad2d(_PadNd):
    """The value at the edge again and again, around the last two axes.  (N, C, H, W) or (C, H, W)."""

    AXES, mode = 2, "replicate"


class ReplicationPad3d(_PadNd):
    """The value at the edge again and again, around the last three axes.  (N, C, D, H, W) or (C, D, H, W)."""

    AXES, mode = 3, "replicate"


class _CircularPadNd(_PadNd):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Each padded axis grows by the two numbers that belong to it."""
        if input.ndim not in (self.AXES + 1, self.AXES + 2):
            raise ShapeError(f"{self._get_name()}: expected {self.AXES + 1} axes (one sample) or {self.AXES + 2} (a batch), "
                             f"got an input of shape {tuple(input.shape)}")
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """What stands at the other end: [a b c] by 2 -> [b c a b c a b].  (N, C, L) or (C, L)."""

    AXES = 1


class CircularPad2d(_CircularPadNd):
    """What stands at the other end, around the last two axes.  (N, C, H, W) or (C, H, W)."""

    AXES = 2


class CircularPad3d(_CircularPadNd):
    """What stands at the other end, around the last three axes.  (N, C, D, H, W) or (C, D, H, W)."""

    AXES = 3
