"""Flips, crops, frames and changes of size."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_course.data.transforms.base import (
    Operation,
    Transform,
    between,
    check_pair,
    check_probability,
    check_range,
    uniforms,
)
from tinygrad_course.data.transforms.operations import Chain, Crop, Flip, Padding, Scale
from tinygrad_course.data.transforms.sampling import Fill, InterpolationMode
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.ops.random import Generator

_TRIES = 10  # rectangles that are drawn before the whole image is taken
_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class RandomHorizontalFlip(Transform):
    """Left becomes right with probability p."""

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        self.p = check_probability(type(self).__name__, p)
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation | None:
        return Flip(-1, width) if uniforms(1, self.generator)[0] < self.p else None


class RandomVerticalFlip(Transform):
    """Up becomes down with probability p."""

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        self.p = check_probability(type(self).__name__, p)
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation | None:
        return Flip(-2, height) if uniforms(1, self.generator)[0] < self.p else None


class Pad(Transform):
    """A frame around the image.

    padding       pixels on all sides, or (left and right, top and bottom), or (left, top, right, bottom)
    fill          value of the frame, or one per channel
    padding_mode  "constant", or "edge", "reflect", "symmetric" as in np.pad; the last two not with boxes
    mask_fill     value of the frame in masks
    """

    def __init__(self, padding: int | Sequence[int], fill: Fill = 0, padding_mode: str = "constant", *,
                 mask_fill: float = 0) -> None:
        self.padding = check_padding(type(self).__name__, padding)
        self.fill = fill
        self.padding_mode = check_padding_mode(type(self).__name__, padding_mode)
        self.mask_fill = mask_fill

    def draw(self, height: int, width: int) -> Operation:
        return Padding(*self.padding, self.fill, self.padding_mode, self.mask_fill)


def check_padding(caller: str, padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what Pad takes."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(sides) not in (1, 2, 4) or not all(isinstance(side, (int, np.integer)) and side >= 0 for side in sides):
        raise DataError(f"{caller}: padding={padding}. Give a whole number of pixels, (left and right, top and bottom) or "
                        "(left, top, right, bottom), none below 0.")
    left, top, right, bottom = (sides * 4)[:4] if len(sides) < 4 else sides
    return left, top, right, bottom


def check_padding_mode(caller: str, mode: str) -> str:
    """mode, if it is one of Pad's."""
    if mode not in _PADDING_MODES:
        raise DataError(f"{caller}: padding_mode={mode!r}. Give one of {', '.join(_PADDING_MODES)}.")
    return mode


class CenterCrop(Transform):
    """The middle of the image, `size` = height and width in pixels, or one number for both.

    Raises ShapeError for an image that is smaller.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = check_pair(type(self).__name__, "size", size)

    def draw(self, height: int, width: int) -> Operation:
        rows, columns = self.size
        _check_fits(self, self.size, height, width)
        return Crop(round((height - rows) / 2), round((width - columns) / 2), rows, columns)


def _check_fits(transform: Transform, size: tuple[int, int], height: int, width: int) -> None:
    if size[0] > height or size[1] > width:
        raise ShapeError(f"{type(transform).__name__}: a crop of {size[0]} x {size[1]} is larger than the image of {height} "
                         f"x {width} pixels. Ask for less, or Resize or Pad first.")


class RandomCrop(Transform):
    """A rectangle of `size` = (height, width) pixels, or a square, at a random place.

    padding        as in Pad, added first
    pad_if_needed  images that are still too small are padded by what is missing, on both sides
    fill, padding_mode, mask_fill  as in Pad
    Raises ShapeError for an image that is smaller.
    """

    def __init__(self, size: int | Sequence[int], padding: int | Sequence[int] | None = None, pad_if_needed: bool = False,
                 fill: Fill = 0, padding_mode: str = "constant", *, mask_fill: float = 0,
                 generator: Generator | None = None) -> None:
        self.size = check_pair(type(self).__name__, "size", size)
        self.padding = None if padding is None else check_padding(type(self).__name__, padding)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = check_padding_mode(type(self).__name__, padding_mode)
        self.mask_fill = mask_fill
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        left, top, right, bottom = self.padding or (0, 0, 0, 0)
        if self.pad_if_needed:
            more_y = max(0, self.size[0] - height - top - bottom)
            more_x = max(0, self.size[1] - width - left - right)
            left, top, right, bottom = left + more_x, top + more_y, right + more_x, bottom + more_y
        height, width = height + top + bottom, width + left + right
        _check_fits(self, self.size, height, width)
        for_top, for_left = uniforms(2, self.generator)
        crop = Crop(int(for_top * (height - self.size[0] + 1)), int(for_left * (width - self.size[1] + 1)), *self.size)
        if not left + top + right + bottom:
            return crop
        return Chain([Padding(left, top, right, bottom, self.fill, self.padding_mode, self.mask_fill), crop])


class Resize(Transform):
    """Another size.

    size           (height, width); one number: the shorter side, and the proportions stay; None: see max_size
    interpolation  "bilinear" or "nearest", of images; masks always take the nearest pixel
    max_size       the longer side is at most this (size a number), or exactly this (size None)
    antialias      shrinking takes all pixels into account, not two per axis
    """

    def __init__(self, size: int | Sequence[int] | None, interpolation: str = InterpolationMode.BILINEAR,
                 max_size: int | None = None, antialias: bool = True) -> None:
        if not isinstance(size, int) and size is not None and len(size) == 1:
            size = size[0]
        whole = size is None or isinstance(size, int)
        if (size is None and max_size is None) or (max_size is not None and not whole):
            raise DataError(f"Resize: size={size} with max_size={max_size}. Give a size, or max_size and one number or None.")
        if size is not None:
            pair = check_pair("Resize", "size", size)
            size = pair[0] if whole else pair
        if max_size is not None and (max_size < 1 or (isinstance(size, int) and max_size < size)):
            raise DataError(f"Resize: max_size={max_size} with size={size}. The longer side cannot be the shorter one.")
        self.size = size
        self.interpolation = check_interpolation("Resize", interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def draw(self, height: int, width: int) -> Operation | None:
        new = self._new_size(height, width)
        return None if new == (height, width) else Scale((height, width), new, self.interpolation, self.antialias)

    def _new_size(self, height: int, width: int) -> tuple[int, int]:
        if isinstance(self.size, Sequence):
            return self.size[0], self.size[1]
        short, long = min(height, width), max(height, width)
        new_short, new_long = (short, long) if self.size is None else (self.size, int(self.size * long / short))
        if self.max_size is not None and (self.size is None or new_long > self.max_size):
            new_short, new_long = int(self.max_size * new_short / new_long), self.max_size
        new_short = max(new_short, 1)
        return (new_short, new_long) if height <= width else (new_long, new_short)


def check_interpolation(caller: str, interpolation: str) -> str:
    """The mode, if it is one of InterpolationMode."""
    if interpolation not in list(InterpolationMode):
        raise DataError(f"{caller}: interpolation={interpolation!r}. Give one of {', '.join(InterpolationMode)}.")
    return InterpolationMode(interpolation)


class RandomResizedCrop(Transform):
    """A random rectangle of the image, brought to `size`.

    scale  smallest and largest share of the image's area
    ratio  smallest and largest width / height of the rectangle; its logarithm is uniform
    After ten rectangles that do not fit, the largest one in the middle that `ratio` allows.
    C. Szegedy and others, "Going deeper with convolutions", CVPR 2015, section 6.
    """

    def __init__(self, size: int | Sequence[int], scale: Sequence[float] = (0.08, 1.0),
                 ratio: Sequence[float] = (3 / 4, 4 / 3), interpolation: str = InterpolationMode.BILINEAR,
                 antialias: bool = True, *, generator: Generator | None = None) -> None:
        self.size = check_pair("RandomResizedCrop", "size", size)
        self.scale = check_range("RandomResizedCrop", "scale", scale, 0)
        self.ratio = check_range("RandomResizedCrop", "ratio", ratio, 1e-6)
        self.interpolation = check_interpolation("RandomResizedCrop", interpolation)
        self.antialias = antialias
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        crop = random_rectangle(height, width, self.scale, (1 / self.ratio[1], 1 / self.ratio[0]), self.generator)
        if crop is None:
            rows = min(height, round(width / self.ratio[0]))
            columns = min(width, round(height * self.ratio[1]))
            crop = Crop((height - rows) // 2, (width - columns) // 2, max(rows, 1), max(columns, 1))
        return Chain([crop, Scale((crop.height, crop.width), self.size, self.interpolation, self.antialias)])


def random_rectangle(height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float],
                     generator: Generator | None) -> Crop | None:
    """A rectangle inside the image with a random share of its area, scale, and height / width, ratio (its logarithm is
    uniform), at a random place; None if ten draws do not fit."""
    chances = np.reshape(uniforms(4 * _TRIES, generator), (_TRIES, 4)).tolist()
    for for_area, for_ratio, for_top, for_left in chances:
        area = height * width * between(*scale, for_area)
        aspect = math.exp(between(math.log(ratio[0]), math.log(ratio[1]), for_ratio))
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return Crop(int(for_top * (height - rows + 1)), int(for_left * (width - columns + 1)), rows, columns)
    return None


class ScaleJitter(Transform):
    """A random size: the one that just fits into `target_size` = (height, width), times a factor from `scale_range`.

    G. Ghiasi and others, "Simple copy-paste is a strong data augmentation method for instance segmentation", CVPR 2021.
    """

    def __init__(self, target_size: tuple[int, int], scale_range: Sequence[float] = (0.1, 2.0),
                 interpolation: str = InterpolationMode.BILINEAR, antialias: bool = True, *,
                 generator: Generator | None = None) -> None:
        self.target_size = check_pair("ScaleJitter", "target_size", target_size)
        self.scale_range = check_range("ScaleJitter", "scale_range", scale_range, 1e-6)
        self.interpolation = check_interpolation("ScaleJitter", interpolation)
        self.antialias = antialias
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        factor = between(*self.scale_range, uniforms(1, self.generator)[0])
        factor *= min(self.target_size[0] / height, self.target_size[1] / width)
        new = max(int(height * factor), 1), max(int(width * factor), 1)
        return Scale((height, width), new, self.interpolation, self.antialias)
