"""What all transforms share: a call draws an operation and lets it act on every part of the sample."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_course.data.transforms.sample import (
    MASKS,
    Parts,
    as_kind,
    find_parts,
    from_planes,
    image_size,
    replace_parts,
    select,
    to_array,
    to_planes,
)
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import rand
from tinygrad_course.ops.dtypes import float64
from tinygrad_course.ops.random import Generator

# Places that arithmetic put beside a whole number by rounding alone must not make whole-numbered boxes a pixel larger.
_ROUNDING = 1e-6


class Operation:
    """What is done to one sample, after all random numbers are drawn.

    One that moves pixels overrides all three methods; one that changes values only is an OnValues.
    """

    def image(self, planes: np.ndarray) -> np.ndarray:
        """planes (C, H, W) -> (C, h, w) of the same type.  The input is not written to."""
        raise NotImplementedError

    def mask(self, planes: np.ndarray) -> np.ndarray:
        """planes (K, H, W) of any type -> (K, h, w) of it, with no other values than those of the input and mask_fill."""
        raise NotImplementedError

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """boxes float64 (K, 4) -> (K, 4), the smallest ones around what was in them; they may reach over the image."""
        raise NotImplementedError


class OnValues(Operation):
    """An operation that changes the values of the image and leaves everything where it is."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.change = change

    def image(self, planes: np.ndarray) -> np.ndarray:
        return self.change(planes)


class Transform:
    """A change of samples: `transform(sample)`.  A new one overrides `draw`."""

    def __call__(self, sample: Any) -> Any:
        """The changed sample, of the same form; where nothing is to be done, the sample itself."""
        parts = find_parts(type(self).__name__, sample)
        changed = self.change(parts)
        return replace_parts(sample, changed) if changed else sample

    def change(self, parts: Parts) -> Parts:
        """The parts that change, by name."""
        image = parts["image"]
        height, width = image_size(type(self).__name__, image)
        operation = self.draw(height, width)
        return {} if operation is None else _act(operation, parts)

    def draw(self, height: int, width: int) -> Operation | None:
        """Draw random numbers and say what is to be done to an image of height x width pixels; None: nothing."""
        raise NotImplementedError

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items()
                             if isinstance(value, (bool, int, float, str, tuple, list)))
        return f"{type(self).__name__}({settings})"


def _act(operation: Operation, parts: Parts) -> Parts:
    image = parts["image"]
    planes = operation.image(to_planes(image))
    changed: Parts = {"image": from_planes(planes, image)}
    if isinstance(operation, OnValues):
        return changed
    for name in MASKS:
        if name in parts:
            mask = to_array(parts[name])
            stack = operation.mask(mask.reshape(-1, *mask.shape[-2:]))
            changed[name] = as_kind(stack.reshape(*mask.shape[:-2], *stack.shape[-2:]), parts[name])
    if "boxes" in parts:
        boxes, keep = _fit(operation, to_array(parts["boxes"]), planes.shape[1], planes.shape[2])
        changed["boxes"] = as_kind(boxes, parts["boxes"])
        for name in ("labels", "masks"):
            if name in parts and not keep.all():
                changed[name] = select(changed.get(name, parts[name]), keep)
    return changed


def _fit(operation: Operation, boxes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes afterwards, clipped to the image, without those that have no area left; and which these are."""
    moved = operation.boxes(boxes.astype(np.float64))
    if boxes.dtype.kind != "f":
        moved = np.concatenate([np.floor(moved[:, :2] + _ROUNDING), np.ceil(moved[:, 2:] - _ROUNDING)], axis=1)
    moved = np.clip(moved, 0, [width, height, width, height]).astype(boxes.dtype)
    # Rounding outwards would bring those back to life that were empty before, as rows without an object are.
    keep = ((moved[:, 2:] > moved[:, :2]) & (boxes[:, 2:] > boxes[:, :2])).all(axis=1)
    return moved[keep], keep


def uniforms(n: int, generator: Generator | None) -> list[float]:
    """n random numbers in [0, 1)."""
    numbers: list[float] = rand(n, dtype=float64, generator=generator).numpy().tolist()
    return numbers


def between(low: float, high: float, chance: float) -> float:
    """The number in [low, high) at `chance` of the way."""
    return low + (high - low) * chance


def check_probability(caller: str, p: float) -> float:
    """p, if it is a probability."""
    if not 0 <= p <= 1:
        raise DataError(f"{caller}: p={p} is no probability. Give 0 to 1.")
    return p


def check_range(caller: str, name: str, values: Sequence[float], least: float = -np.inf) -> tuple[float, float]:
    """(low, high) with least <= low <= high."""
    if len(values) != 2 or not least <= values[0] <= values[1]:
        rule = "the smaller one first" if least == -np.inf else f"the smaller one first, not below {least}"
        raise DataError(f"{caller}: {name}={values}. Give two numbers, {rule}.")
    return float(values[0]), float(values[1])


def check_pair(caller: str, name: str, value: int | Sequence[int], least: int = 1) -> tuple[int, int]:
    """(height, width) from a whole number or two of them, at least `least`."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or not all(isinstance(number, (int, np.integer)) and number >= least for number in pair):
        raise DataError(f"{caller}: {name}={value}. Give a whole number of at least {least}, or two: (height, width).")
    return int(pair[0]), int(pair[1])


def to_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Computed values as pixels of `dtype`: for uint8 rounded and cut off at 0 and 255."""
    if dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(dtype, copy=False)


def to_float(planes: np.ndarray) -> np.ndarray:
    """Pixels as float32, or float64 if they are so."""
    return planes if planes.dtype == np.float64 else planes.astype(np.float32)
