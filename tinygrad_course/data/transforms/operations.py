"""Operations that move pixels.

Places are (x, y) in pixels from the upper left corner of the image: pixel i reaches from i to i + 1, its centre is i + 1/2,
the whole image reaches from 0 to width and height.  So boxes (x1, y1, x2, y2) that hold whole pixels have as x2 and y2 the
first column and row outside.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_course.data.image import resize
from tinygrad_course.data.transforms.base import Operation, to_dtype, to_float
from tinygrad_course.data.transforms.sampling import Fill, InterpolationMode, warp
from tinygrad_course.errors import DataError


def corners(boxes: np.ndarray) -> np.ndarray:
    """The corners (x, y) of boxes: (K, 4) -> (K, 4, 2)."""
    return boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def around(points: np.ndarray) -> np.ndarray:
    """The boxes around points: (K, n, 2) -> (K, 4)."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def per_channel(fill: Fill, planes: np.ndarray) -> np.ndarray:
    """One value for each channel of planes (C, H, W), in their type: (C, 1, 1)."""
    values, channels = np.asarray(fill, dtype=np.float64).reshape(-1), len(planes)
    if len(values) not in (1, channels):
        raise DataError(f"{fill} are {len(values)} values, the image has {channels} channels. Give one, or one for each.")
    if planes.dtype.kind != "f":
        low, high = (0, 1) if planes.dtype == bool else (np.iinfo(planes.dtype).min, np.iinfo(planes.dtype).max)
        if (values != np.rint(values)).any() or values.min() < low or values.max() > high:
            raise DataError(f"{fill} cannot be written into {planes.dtype}, which holds whole numbers from {low} to {high}. "
                            "Give one of these, or convert image or mask first.")
    return np.broadcast_to(values.astype(planes.dtype), (channels,)).reshape(-1, 1, 1)


@dataclass
class Chain(Operation):
    """One operation after the other."""

    operations: list[Operation]

    def image(self, planes: np.ndarray) -> np.ndarray:
        for operation in self.operations:
            planes = operation.image(planes)
        return planes

    def mask(self, planes: np.ndarray) -> np.ndarray:
        for operation in self.operations:
            planes = operation.mask(planes)
        return planes

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        for operation in self.operations:
            boxes = operation.boxes(boxes)
        return boxes


@dataclass
class Flip(Operation):
    """The mirror image: axis -1 left to right, axis -2 upside down; `length` is that of the axis."""

    axis: int
    length: int

    def image(self, planes: np.ndarray) -> np.ndarray:
        return np.flip(planes, self.axis)

    mask = image

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        first, second = (0, 2) if self.axis == -1 else (1, 3)
        flipped = boxes.copy()
        flipped[:, first], flipped[:, second] = self.length - boxes[:, second], self.length - boxes[:, first]
        return flipped


@dataclass
class QuarterTurns(Operation):
    """`count` turns by 90 degrees to the left (counter-clockwise) of an image of `height` x `width`."""

    count: int
    height: int
    width: int

    def image(self, planes: np.ndarray) -> np.ndarray:
        return np.rot90(planes, self.count, axes=(1, 2))

    mask = image

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        points, width, height = corners(boxes), self.width, self.height
        for _ in range(self.count % 4):
            points = np.stack([points[..., 1], width - points[..., 0]], axis=-1)
            width, height = height, width
        return around(points)


@dataclass
class Crop(Operation):
    """The rectangle of `height` x `width` pixels at `top`, `left`; it lies inside the image."""

    top: int
    left: int
    height: int
    width: int

    def image(self, planes: np.ndarray) -> np.ndarray:
        return planes[:, self.top:self.top + self.height, self.left:self.left + self.width]

    mask = image

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        return boxes - [self.left, self.top, self.left, self.top]


@dataclass
class Padding(Operation):
    """A frame; mode "constant" (the fill), or "edge", "reflect" or "symmetric" as in np.pad."""

    left: int
    top: int
    right: int
    bottom: int
    fill: Fill = 0
    mode: str = "constant"
    mask_fill: float = 0

    def image(self, planes: np.ndarray) -> np.ndarray:
        return self._pad(planes, self.fill)

    def mask(self, planes: np.ndarray) -> np.ndarray:
        return self._pad(planes, self.mask_fill)

    def _pad(self, planes: np.ndarray, fill: Fill) -> np.ndarray:
        if self.mode != "constant":
            return np.pad(planes, ((0, 0), (self.top, self.bottom), (self.left, self.right)),
                          mode=self.mode)  # type: ignore[call-overload]
        channels, height, width = planes.shape
        result = np.empty((channels, self.top + height + self.bottom, self.left + width + self.right), planes.dtype)
        result[:] = per_channel(fill, planes)
        result[:, self.top:self.top + height, self.left:self.left + width] = planes
        return result

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        if self.mode in ("reflect", "symmetric"):
            raise DataError(f'padding_mode="{self.mode}" shows parts of the image twice, so boxes would not be all. Give '
                            '"constant" or "edge" where there are boxes.')
        return boxes + np.array([self.left, self.top, self.left, self.top])


@dataclass
class Scale(Operation):
    """From height x width (`old`) to height x width (`new`) pixels."""

    old: tuple[int, int]
    new: tuple[int, int]
    interpolation: str = InterpolationMode.BILINEAR
    antialias: bool = True

    def image(self, planes: np.ndarray) -> np.ndarray:
        if self.interpolation == InterpolationMode.NEAREST:
            return self.mask(planes)
        values = resize(planes, self.new, antialias=self.antialias)
        if planes.dtype == np.uint8:  # means of bytes: nothing to cut off
            return np.rint(values, out=values).astype(np.uint8)
        return to_dtype(values, planes.dtype)

    def mask(self, planes: np.ndarray) -> np.ndarray:
        rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.intp)
                         for old, new in zip(self.old, self.new, strict=True))
        return planes[:, rows[:, None], columns]

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        vertical, horizontal = self.new[0] / self.old[0], self.new[1] / self.old[1]
        return boxes * [horizontal, vertical, horizontal, vertical]


@dataclass(kw_only=True)
class Resampling(Operation):
    """Base of operations that say for each pixel of the result where in the image it comes from."""

    height: int
    width: int
    interpolation: str = InterpolationMode.BILINEAR
    fill: Fill = 0
    mask_fill: float = 0

    def sources(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Where the centres of the pixels of the result come from, as `warp` takes it: lines across (2 or 3, width) and down
        (2 or 3, height), offsets (2, height, width) or None."""
        raise NotImplementedError

    def image(self, planes: np.ndarray) -> np.ndarray:
        nearest = self.interpolation == InterpolationMode.NEAREST
        if nearest or planes.dtype == np.uint8:
            return self._warp(planes, self.fill, nearest)
        return to_dtype(self._warp(to_float(planes), self.fill, nearest), planes.dtype)

    def mask(self, planes: np.ndarray) -> np.ndarray:
        return self._warp(planes, self.mask_fill, True)

    def _warp(self, planes: np.ndarray, fill: Fill, nearest: bool) -> np.ndarray:
        across, down, offsets = self.sources()
        return warp(planes[None], across[None], down[None], None if offsets is None else offsets[None],
                    per_channel(fill, planes).reshape(-1), nearest)[0]


@dataclass(kw_only=True)
class Projection(Resampling):
    """A map of the plane that keeps lines straight: (x, y, 1) of the image goes to `matrix` @ (x, y, 1), up to a factor."""

    matrix: np.ndarray

    def sources(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        back = np.linalg.inv(self.matrix)
        lines = back if back[2].tolist() != [0, 0, 1] else back[:2]
        return (lines[:, :1] * (np.arange(self.width) + 0.5),
                lines[:, 1:2] * (np.arange(self.height) + 0.5) + lines[:, 2:], None)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        points = corners(boxes) @ self.matrix[:, :2].T + self.matrix[:, 2]  # (K, 4, 3)
        return around(points[..., :2] / points[..., 2:])


@dataclass(kw_only=True)
class Displacement(Resampling):
    """Pixel (x, y) of the result comes from (x + offsets[0], y + offsets[1]); offsets (2, height, width) in pixels."""

    offsets: np.ndarray

    def sources(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        across, down = np.zeros((2, self.width)), np.zeros((2, self.height))
        across[0], down[1] = np.arange(self.width) + 0.5, np.arange(self.height) + 0.5
        return across, down, self.offsets

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """The corners alone would not do where lines become curves: the boxes around all pixels that come from inside."""
        across, down, offsets = self.sources()
        x, y = across[:, None] + down[:, :, None] + offsets
        result = np.zeros_like(boxes)
        for box, (x1, y1, x2, y2) in zip(result, boxes, strict=True):
            inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            if len(rows):
                box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return result
