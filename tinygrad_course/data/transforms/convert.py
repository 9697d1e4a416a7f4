"""Arrays to tensors, data types, and normalising."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_course.data.transforms.base import OnValues, Operation, Transform, to_float
from tinygrad_course.data.transforms.operations import per_channel
from tinygrad_course.data.transforms.sample import MASKS, NAMES, Parts, as_kind, to_array, to_planes
from tinygrad_course.errors import DataError, DTypeError
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.dtypes import float32
from tinygrad_course.tensor import Tensor


class ToImage(Transform):
    """Arrays become tensors of the same type: images (H, W) and (H, W, C) become (C, H, W); masks, boxes and arrays of labels
    keep their shape."""

    def change(self, parts: Parts) -> Parts:
        changed: Parts = {}
        for name, value in parts.items():
            if isinstance(value, np.ndarray):
                values = to_planes(value) if name == "image" else value
                changed[name] = from_numpy(np.array(values, order="C"))  # memory of its own
        return changed


class ToDtype(Transform):
    """Another data type for images, or for each of the parts that a dict names: {"image": tgc.float32, "mask": tgc.int64}.

    scale  the range of images is scaled, too: 0 to 255 of uint8 is 0 to 1 of floating point numbers
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        wanted = dtype if isinstance(dtype, Mapping) else {"image": dtype}
        unknown = [name for name in wanted if name not in NAMES]
        if unknown:
            raise DataError(f"ToDtype: there is no part {unknown[0]!r}. Parts are {', '.join(NAMES)}.")
        self.dtype = {name: np.dtype(kind) for name, kind in wanted.items()}
        self.scale = scale

    def change(self, parts: Parts) -> Parts:
        changed: Parts = {}
        for name, dtype in self.dtype.items():
            if name in parts and parts[name].dtype != dtype:
                values = to_array(parts[name])
                scaled = _scaled(values, dtype) if self.scale and name == "image" else values.astype(dtype)
                changed[name] = as_kind(scaled, parts[name])
        return changed


def _scaled(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if values.dtype == np.uint8 and dtype.kind == "f":
        return (to_float(values) / np.float32(255)).astype(dtype) if dtype != np.float64 else values / np.float64(255)
    if values.dtype.kind == "f" and dtype == np.uint8:
        # 256 intervals of equal width; a trifle less, so that 1 falls into the last.
        return np.clip(np.floor(values * (256 - 1e-3)), 0, 255).astype(np.uint8)
    if values.dtype.kind == "f" and dtype.kind == "f":
        return values.astype(dtype)
    raise DTypeError(f"ToDtype: no scaling from {values.dtype} to {dtype}. With scale=True give a floating type or uint8.")


class ToTensor(Transform):
    """ToImage, and images as float32 from 0 to 1; whole-numbered masks and labels become int64, the classes of losses."""

    def change(self, parts: Parts) -> Parts:
        parts = parts | ToImage().change(parts)
        parts = parts | ToDtype(float32, scale=True).change(parts)
        whole = {name: np.int64 for name in (*MASKS, "labels")
                 if isinstance(parts.get(name), Tensor) and parts[name].dtype.kind in "iu"}
        return parts | ToDtype(whole).change(parts)


class Normalize(Transform):
    """(x - mean) / std for each channel of floating point images; one value serves all channels."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        if not np.all(np.asarray(std) > 0):
            raise DataError(f"Normalize: std={std}. A standard deviation to divide by is above 0.")
        self.mean = mean
        self.std = std

    def draw(self, height: int, width: int) -> Operation:
        def change(planes: np.ndarray) -> np.ndarray:
            if planes.dtype.kind != "f":
                raise DTypeError(f"Normalize: the image is {planes.dtype}. Convert it first: ToDtype(float32, scale=True) "
                                 "or ToTensor().")
            return (planes - per_channel(self.mean, planes)) / per_channel(self.std, planes)

        return OnValues(change)


class Lambda(Transform):
    """A function of one's own for the parts named: Lambda(np.sqrt), Lambda(f, "image", "mask"); the image without names.

    It must keep the size of the image, and draws its random numbers itself.
    """

    def __init__(self, lambd: Callable[[Any], Any], *parts: str) -> None:
        unknown = [name for name in parts if name not in NAMES]
        if unknown:
            raise DataError(f"Lambda: there is no part {unknown[0]!r}. Parts are {', '.join(NAMES)}.")
        self.lambd = lambd
        self.parts = parts or ("image",)

    def change(self, parts: Parts) -> Parts:
        return {name: self.lambd(parts[name]) for name in self.parts if name in parts}
