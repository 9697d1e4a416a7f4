"""Brightness, contrast, saturation and hue."""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_course.data.transforms.base import (
    OnValues,
    Operation,
    Transform,
    between,
    check_probability,
    check_range,
    to_dtype,
    to_float,
    uniforms,
)
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.ops.creation import randperm
from tinygrad_course.ops.random import Generator

_LUMA = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R BT.601, with torchvision's digits
Range = float | Sequence[float] | None


def to_grey(planes: np.ndarray) -> np.ndarray:
    """The luma of red, green and blue floats: (3, H, W) -> (1, H, W); grey (1, H, W) stays."""
    return planes if len(planes) == 1 else np.tensordot(_LUMA.astype(planes.dtype), planes, axes=1)[None]


def rgb_to_hsv(planes: np.ndarray) -> np.ndarray:
    """Hue, saturation, value, each 0 to 1, of red, green, blue from 0 to 1: (3, H, W) -> (3, H, W).

        V = max,  S = (max - min) / max,  H = 1/6 of (G-B)/D, 2 + (B-R)/D, 4 + (R-G)/D where R, G, B is the maximum;
        D = max - min
    A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    red, green, blue = planes
    value, lowest = planes.max(axis=0), planes.min(axis=0)
    range_ = value - lowest
    divisor = np.where(range_ > 0, range_, 1)
    sixths = np.where(value == red, (green - blue) / divisor,
                      np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor))
    return np.stack([sixths / 6 % 1, range_ / np.where(value > 0, value, 1), value])


def hsv_to_rgb(planes: np.ndarray) -> np.ndarray:
    """The inverse of rgb_to_hsv: with k = (n + 6 H) mod 6 and n = 5, 3, 1 for red, green, blue

        colour = V - V S max(0, min(k, 4 - k, 1)).
    """
    hue, saturation, value = planes
    result = np.empty_like(planes)
    for channel, n in enumerate((5, 3, 1)):
        k = (n + 6 * hue) % 6
        result[channel] = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    return result


def _blend(planes: np.ndarray, other: np.ndarray | float, factor: float, white: float) -> np.ndarray:
    """factor planes + (1 - factor) other, cut off at black and white."""
    return np.clip(factor * planes + (1 - factor) * other, 0, white)


def adjust_brightness(planes: np.ndarray, factor: float, white: float) -> np.ndarray:
    """0 is black, 1 the image."""
    return _blend(planes, 0.0, factor, white)


def adjust_contrast(planes: np.ndarray, factor: float, white: float) -> np.ndarray:
    """0 is grey with the mean luma, 1 the image."""
    return _blend(planes, to_grey(planes).mean(), factor, white)


def adjust_saturation(planes: np.ndarray, factor: float, white: float) -> np.ndarray:
    """0 is grey, 1 the image."""
    return planes if len(planes) == 1 else _blend(planes, to_grey(planes), factor, white)


def adjust_hue(planes: np.ndarray, shift: float, white: float) -> np.ndarray:
    """The hue moves by `shift` of the circle; grey has none."""
    if len(planes) == 1:
        return planes
    hsv = rgb_to_hsv(planes / white)
    hsv[0] = (hsv[0] + shift) % 1
    return hsv_to_rgb(hsv) * white


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue change by random amounts, in a random order.

    brightness, contrast, saturation  range of factors, (low, high); a number b stands for (max(0, 1 - b), 1 + b)
    hue  range of shifts as shares of the colour circle, from -0.5 to 0.5; a number h stands for (-h, h)
    Floating point images have values from 0 (black) to 1 (white).  Grey images have neither saturation nor hue.
    A. G. Howard, "Some improvements on deep convolutional neural network based image classification", 2013.
    """

    def __init__(self, brightness: Range = None, contrast: Range = None, saturation: Range = None, hue: Range = None, *,
                 generator: Generator | None = None) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = _shifts(hue)
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        order = randperm(4, generator=self.generator).numpy()
        chances = uniforms(4, self.generator)
        steps: list[tuple[Callable[[np.ndarray, float, float], np.ndarray], tuple[float, float] | None]] = [
            (adjust_brightness, self.brightness), (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation), (adjust_hue, self.hue)]

        def change(planes: np.ndarray) -> np.ndarray:
            check_colours("ColorJitter", planes)
            white = 255.0 if planes.dtype == np.uint8 else 1.0
            values = to_float(planes)
            for number in order:
                adjust, amounts = steps[number]
                if amounts is not None:
                    values = adjust(values, between(amounts[0], amounts[1], chances[number]), white)
            return to_dtype(values, planes.dtype)

        return OnValues(change)


def check_colours(caller: str, planes: np.ndarray) -> None:
    """Raises ShapeError unless planes (C, H, W) are grey or red, green and blue."""
    if len(planes) not in (1, 3):
        raise ShapeError(f"{caller}: the image has {len(planes)} channels. Give 1 (grey) or 3 (red, green, blue).")


def _factors(name: str, value: Range) -> tuple[float, float] | None:
    if isinstance(value, (int, float)):
        if value < 0:
            raise DataError(f"ColorJitter: {name}={value}. Give 0 or more, or (low, high).")
        value = (max(0.0, 1.0 - value), 1.0 + value)
    if value is None or tuple(value) == (1, 1):
        return None
    return check_range("ColorJitter", name, value, 0)


def _shifts(value: Range) -> tuple[float, float] | None:
    if isinstance(value, (int, float)):
        value = (-value, value)
    if value is None or tuple(value) == (0, 0):
        return None
    low, high = check_range("ColorJitter", "hue", value, -0.5)
    if high > 0.5:
        raise DataError(f"ColorJitter: hue={value}. Half the colour circle, 0.5, is the largest shift.")
    return low, high


def _grey(caller: str, planes: np.ndarray, channels: int) -> np.ndarray:
    check_colours(caller, planes)
    grey = to_dtype(to_grey(to_float(planes)), planes.dtype)
    return np.repeat(grey, channels, axis=0)


class Grayscale(Transform):
    """Red, green and blue become luma, in `num_output_channels` equal channels: 1 or 3."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise DataError(f"Grayscale: num_output_channels={num_output_channels}. Give 1 or 3.")
        self.num_output_channels = num_output_channels

    def draw(self, height: int, width: int) -> Operation:
        return OnValues(lambda planes: _grey("Grayscale", planes, self.num_output_channels))


class RandomGrayscale(Transform):
    """Colours become luma with probability p; the number of channels stays."""

    def __init__(self, p: float = 0.1, *, generator: Generator | None = None) -> None:
        self.p = check_probability("RandomGrayscale", p)
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation | None:
        if uniforms(1, self.generator)[0] >= self.p:
            return None
        return OnValues(lambda planes: _grey("RandomGrayscale", planes, len(planes)))
