"""Advice for images that do not fit a network.

The layer that cannot go on raises the error and is named in it.  What it cannot know is said here: the smallest image
that the whole network takes, how many channels the first layer wants, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn.trail import advise
from tinygrad_course.tensor import Tensor

Forward = TypeVar("Forward", bound=Callable[..., Any])


def takes_images(forward: Forward) -> Forward:
    """Decorator of `forward(self, x)` of a network for images x (N, C, H, W); `self.smallest_image` is the least H and W."""

    @wraps(forward)
    def checked(self: nn.Module, x: Tensor) -> Any:
        if isinstance(x, Tensor) and x.ndim != 4:
            one = ". A single image becomes a batch by x[None]" if x.ndim == 3 else ""
            raise ShapeError(f"{self._get_name()}: input {tuple(x.shape)}, needed are images (N, C, H, W){one}.")
        try:
            return forward(self, x)
        except ShapeError as error:
            advise(error, _advice(self, x))
            raise
    return checked  # type: ignore[return-value]


def check_size(model: nn.Module, x: Tensor, channels: int, size: int, otherwise: str = "") -> None:
    """Raise ShapeError unless x is (N, channels, size, size).  `otherwise` ends the advice: another network, an argument."""
    if x.ndim != 4 or x.shape[1:] != (channels, size, size):
        raise ShapeError(f"{model._get_name()}: input {tuple(x.shape)}, needed is (N, {channels}, {size}, {size}), for which "
                         f"its linear layers are made. Resize images of another size{otherwise}.")


def _advice(model: nn.Module, x: Tensor) -> str:
    """What is wrong with the images as a whole, "" if nothing is."""
    channels, height, width = x.shape[1:]
    path, first = next((path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    wanted, smallest = first.in_channels, model.smallest_image
    if channels != wanted:
        text = f"{model._get_name()}: the images {tuple(x.shape)} have {channels} channels, {path} takes {wanted}."
        if width == wanted:
            return f"{text} (N, H, W, C) becomes (N, C, H, W) by x.permute(0, 3, 1, 2)."
        if channels == 1:
            return f"{text} Grey images: x.expand(-1, {wanted}, -1, -1), or replace {path} by a layer for one channel."
        return f"{text} Convert the images, or replace {path} by a layer for {channels} channels."
    if min(height, width) < smallest:
        return (f"{model._get_name()}: images of {height} x {width} pixels are too small, the smallest are {smallest} x "
                f"{smallest}.")
    return ""
