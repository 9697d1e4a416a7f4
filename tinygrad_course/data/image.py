"""Grey images as arrays: reading image files, resizing, normalising."""

import math
import os
from functools import lru_cache

import numpy as np

from tinygrad_course import backend
from tinygrad_course.errors import DataError, DependencyError, ShapeError
from tinygrad_course.ops.axis_product import Layer


def resize(images: np.ndarray, size: int | tuple[int, int], *, antialias: bool = True) -> np.ndarray:
    """Resize images (..., H, W) to (..., height, width) with a linear (tent) filter; float32, or float64 if given so.

    Pixels are areas: the centre of output pixel i lies at (i + 1/2) H / height - 1/2.  Enlarging is ordinary bilinear
    interpolation.  For shrinking the tent is as wide as two output pixels, so that nothing is skipped.  Equal to
    PyTorch's `interpolate(mode="bilinear", antialias=True)`, and to Pillow's BILINEAR up to its rounding.
    antialias  False: two pixels wide for shrinking, too, which skips pixels
    """
    if images.ndim < 2 or 0 in images.shape[-2:]:
        raise ShapeError(f"resize: images of shape {images.shape} have no pixels. Give (H, W) or (N, H, W).")
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ShapeError(f"resize: the size {height} x {width} has no pixels. Give at least 1 x 1.")
    if images.shape[-2:] == (height, width):
        return images.astype(np.float64 if images.dtype == np.float64 else np.float32)  # a copy, also if it is of the type
    if images.ndim == 3 and len(images) <= 4 and images.strides[0] < images.strides[2]:
        # The channels lie innermost in memory, as in photos: rows of width * channels numbers, and so they come back.
        channels = len(images)
        rows = _floats(images.transpose(1, 2, 0)).reshape(images.shape[1], -1)
        return _resize(rows, height, width, antialias, channels).reshape(height, width, channels).transpose(2, 0, 1)
    return _resize(_floats(images), height, width, antialias, 1)


def _resize(values: np.ndarray, height: int, width: int, antialias: bool, channels: int) -> np.ndarray:
    old_height, old_width = values.shape[-2:]
    new_width = width * channels
    axes = [(values.ndim - 1, new_width), (values.ndim - 2, height)]
    # A number costs about twice as much along the last axis.
    if height * (old_width + 2 * new_width) < new_width * (2 * old_height + height):
        axes.reverse()
    for axis, new in axes:
        old, together = values.shape[axis], channels if axis == values.ndim - 1 else 1
        if new != old:
            layers = _tents(old // together, new // together, antialias, together)
            values = backend.cpu_kernels.axis_product(values, axis, new, layers)
    return values


@lru_cache(maxsize=64)
def _tents(n_in: int, n_out: int, antialias: bool, together: int) -> tuple[Layer, ...]:
    """Linear resampling along one axis as a sparse matrix (n_out, n_in), in the layers of `axis_product`; each row sums to
    1.  together: so many neighbours are a pixel, and keep their places in it."""
    step = n_in / n_out
    reach = max(step, 1.0) if antialias else 1.0
    centres = (np.arange(n_out) + 0.5) * step - 0.5
    pixels = np.floor(centres - reach).astype(np.int64) + np.arange(1, math.ceil(2 * reach) + 1)[:, None]  # (taps, n_out)
    weights = np.maximum(1.0 - np.abs(pixels - centres) / reach, 0.0)
    weights[(pixels < 0) | (pixels >= n_in)] = 0
    # At the border part of the tent hangs over the edge; the rest is scaled up, which repeats the edge pixel.
    weights /= weights.sum(axis=0)
    pixels = (pixels[..., None] * together + np.arange(together)).reshape(len(pixels), -1)
    weights = np.repeat(weights, together, axis=1)
    layers: list[Layer] = []
    for taps, weight in zip(pixels, weights, strict=True):
        # Most taps are used by all rows, which NumPy writes faster; entries of weight 0 would turn infinity into NaN.
        rows = slice(None) if weight.all() else np.flatnonzero(weight)
        if weight.any():
            layers.append((rows, taps[rows].astype(np.int32), weight[rows]))
    return tuple(layers)


def _floats(images: np.ndarray) -> np.ndarray:
    return images if images.dtype == np.float64 else images.astype(np.float32)


def mean_and_std(images: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over all pixels of all images, for `normalise`.  Take them from training images."""
    if not images.size:
        raise ShapeError(f"mean_and_std: images of shape {images.shape} have no pixels. Give at least one image.")
    return float(images.mean(dtype=np.float64)), float(images.std(dtype=np.float64))


def normalise(images: np.ndarray, mean: float, std: float) -> np.ndarray:
    """(images - mean) / std, as float32 (or float64 if given so)."""
    if not std > 0:
        raise DataError(f"normalise: the standard deviation is {std}; it must be above 0. Are all pixels equal?")
    return (_floats(images) - mean) / std


def load_image_file(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a PNG, JPEG, PGM or other image file as grey values in [0, 1]: float32 (H, W), 0 black, 1 white.

    Colours become luma (ITU-R 601-2), transparent parts count as white, and the camera's rotation mark is obeyed.
    Dark ink on light paper stays dark: the shipped data has bright strokes, use `1 - image` to match it.
    Needs Pillow (extra "io").  Raises DataError if the file is missing, empty or no image.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise DependencyError("reading image files needs the package Pillow: pip install pillow") from error
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder. Give the path of one image file.")
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16") or image.mode == "I":
                # Pillow would cut 16-bit greys off at 255 instead of scaling them.
                return np.asarray(image, dtype=np.float32) / np.float32(65535)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Give the path of an image file.") from error
    except Image.UnidentifiedImageError as error:
        found = "is empty" if not os.path.getsize(path) else "is not an image that Pillow can read"
        raise DataError(f"{path} {found}. Give a PNG, JPEG or PGM file.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}). "
                        "Give a complete PNG, JPEG or PGM file.") from error
