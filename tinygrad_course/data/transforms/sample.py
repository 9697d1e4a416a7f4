"""Samples: which of their entries are images, masks, boxes and labels, and how their shapes must agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import DataError, DTypeError, OperandError, ShapeError
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

MASKS = ("mask", "masks")
NAMES = ("image", *MASKS, "boxes", "labels")

Parts = dict[str, Any]  # of a sample, by name


def find_parts(caller: str, sample: Any) -> Parts:
    """The entries of a sample that transforms know, by name; their shapes fit each other.

    Raises ShapeError, DTypeError, DataError or OperandError with the name of the transform that asks.
    """
    parts: Parts = {}
    _collect(caller, sample, parts)
    if "image" not in parts:
        raise OperandError(f"{caller}: the sample, a {type(sample).__name__}, has no image. Give an array or a Tensor, a "
                           'tuple that begins with one, or a dict or named tuple with an entry "image".')
    _check(caller, parts)
    return parts


def replace_parts(sample: Any, parts: Parts) -> Any:
    """A sample of the same form with the entries `parts` in place of its own."""
    if _is_array(sample):
        return parts.get("image", sample)
    if isinstance(sample, Mapping):
        return {key: parts.get(key, value) for key, value in sample.items()}
    if hasattr(sample, "_fields"):
        return type(sample)(*(parts.get(name, value) for name, value in zip(sample._fields, sample, strict=True)))
    return type(sample)([replace_parts(entry, parts) if isinstance(entry, Mapping) or (not place and _is_array(entry))
                         else entry for place, entry in enumerate(sample)])


def _collect(caller: str, sample: Any, parts: Parts) -> None:
    if _is_array(sample):
        named = {"image": sample}
    elif isinstance(sample, Mapping):
        named = {name: sample[name] for name in NAMES if name in sample}
    elif hasattr(sample, "_fields"):
        named = {name: getattr(sample, name) for name in NAMES if name in sample._fields}
    elif isinstance(sample, (tuple, list)):
        named = {"image": sample[0]} if sample and _is_array(sample[0]) else {}
        for place, entry in enumerate(sample):
            if isinstance(entry, Mapping):
                _collect(caller, entry, parts)
            elif place and named and _is_array(entry) and entry.ndim > 1:
                raise OperandError(f"{caller}: the tuple has a second array, of shape {tuple(entry.shape)}, and nothing says "
                                   'whether it is a mask or boxes. Give a dict or a named tuple with the names "image", '
                                   '"mask", "boxes", "labels".')
    else:
        named = {}
    for name, value in named.items():
        if name in parts:
            raise DataError(f'{caller}: the sample has two entries "{name}". Give one.')
        parts[name] = value


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, Tensor))


def _check(caller: str, parts: Parts) -> None:
    for name in ("image", *MASKS, "boxes"):
        if name in parts and not _is_array(parts[name]):
            raise OperandError(f'{caller}: "{name}" is a {type(parts[name]).__name__}. Give a NumPy array or a Tensor; '
                               "np.asarray makes one of an image of Pillow.")
    height, width = image_size(caller, parts["image"])
    for name in MASKS:
        if name in parts and (parts[name].ndim not in (2, 3) or tuple(parts[name].shape[-2:]) != (height, width)):
            raise ShapeError(f'{caller}: "{name}" has the shape {tuple(parts[name].shape)}, the image {height} x {width} '
                             f"pixels. Give ({height}, {width}), or a stack (K, {height}, {width}).")
    if "boxes" in parts:
        _check_boxes(caller, parts)


def _check_boxes(caller: str, parts: Parts) -> None:
    boxes = to_array(parts["boxes"])
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"{caller}: boxes of shape {boxes.shape}. Give (K, 4) with the columns x1, y1, x2, y2.")
    if boxes.dtype.kind not in "iuf":
        raise DTypeError(f"{caller}: boxes are {boxes.dtype}. Give whole or floating point numbers.")
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if wrong.size:
        raise DataError(f"{caller}: box {wrong[0]} is {boxes[wrong[0]].tolist()}, but it must be x1, y1, x2, y2 with x1 <= "
                        "x2 and y1 <= y2. If it is x, y, width, height: x2 = x + width, y2 = y + height.")
    for name in ("labels", "masks"):
        if name in parts and (not hasattr(parts[name], "__len__") or len(parts[name]) != len(boxes)):
            found = len(parts[name]) if hasattr(parts[name], "__len__") else "a single value"
            raise ShapeError(f'{caller}: {len(boxes)} boxes, but "{name}" has {found}. Give one for each box.')


def image_size(caller: str, image: Any) -> tuple[int, int]:
    """(height, width) of an image: an array (H, W) or (H, W, C), a tensor (C, H, W); uint8 or floating point."""
    shape = tuple(image.shape)
    tensor = isinstance(image, Tensor)
    if len(shape) != 3 if tensor else len(shape) not in (2, 3):
        raise ShapeError(f"{caller}: an image of shape {shape}. Give an array (H, W) or (H, W, C), or a Tensor (C, H, W); "
                         "batches one image after the other.")
    if not tensor and len(shape) == 3 and shape[0] in (1, 3) and shape[2] > 4:
        raise ShapeError(f"{caller}: an array of shape {shape} looks like (C, H, W). Arrays have the channels last: "
                         "np.moveaxis(image, 0, -1); or give a Tensor.")
    if 0 in shape:
        raise ShapeError(f"{caller}: an image of shape {shape} has no pixels.")
    dtype = np.dtype(image.dtype)
    if dtype != np.uint8 and dtype.kind != "f":
        raise DTypeError(f"{caller}: an image of {dtype}. Give uint8 (0 to 255) or floating point numbers (0 to 1).")
    return (shape[1], shape[2]) if tensor else (shape[0], shape[1])


def to_array(value: Any) -> np.ndarray:
    """The values of an array or a Tensor, without its history."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def to_planes(image: Any) -> np.ndarray:
    """An image as (C, H, W), a view."""
    values = to_array(image)
    if isinstance(image, Tensor):
        return values
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def from_planes(planes: np.ndarray, like: Any) -> Any:
    """Planes (C, H, W) as an image of the kind of `like`, in memory of its own."""
    if isinstance(like, Tensor):
        return as_kind(planes, like)
    return as_kind(planes[0] if like.ndim == 2 and len(planes) == 1 else np.moveaxis(planes, 0, -1), like)


def as_kind(values: np.ndarray, like: Any) -> Any:
    """A contiguous array, as a Tensor if `like` is one, that shares no memory with `like`."""
    values = np.ascontiguousarray(values)
    if np.may_share_memory(values, to_array(like)):
        values = values.copy()
    return from_numpy(values) if isinstance(like, Tensor) else values


def select(values: Any, keep: np.ndarray) -> Any:
    """The rows of an array or Tensor, or the entries of a list or tuple, where `keep` is true."""
    if _is_array(values):
        return as_kind(to_array(values)[keep], values)
    kept: Sequence[Any] = [value for value, wanted in zip(values, keep, strict=True) if wanted]
    return type(values)(kept)
