"""Generated scenes: real digits in colour on real photographs, with exact boxes, classes, masks and captions.

For localisation, detection, segmentation and captions, where every answer must be known exactly.  A digit d (ink 0 to 1,
the alpha of the blend) in the colour c on the patch p gives

    image = (1 - d) p + d c,

and its colour is one that stands out: the mean difference of brightness between c and p under the digit is at least
`min_contrast`.  Boxes do not overlap.  The captions are made of templates: synthetic text, not written by people.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.compose import choose_digits, choose_patches
from tinygrad_course.data.fixed_split import check_split
from tinygrad_course.data.image import resize
from tinygrad_course.data.mnist import load_mnist
from tinygrad_course.data.photos import load_photos
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import rand, randint
from tinygrad_course.ops.dtypes import float64
from tinygrad_course.ops.random import Generator

SCENE_COLOURS = ("white", "black", "red", "green", "blue", "yellow", "pink", "cyan")
_RGB = np.array([[255, 255, 255], [0, 0, 0], [220, 30, 30], [20, 150, 40], [30, 60, 220], [250, 220, 30], [250, 130, 190],
                 [40, 210, 220]], np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
# Black and white differ by 255 from each other, so one of them differs by at least half of that from anything.
_MOST_CONTRAST = 127
_MOST_DIGITS = 255  # that have a number of their own in the masks, which are uint8
_INK = 0.4    # from this share of ink on a pixel belongs to the digit
_TRIES = 10   # places tried for a digit before it is left out


class Scenes(NamedTuple):
    """N scenes of S x S pixels with up to K digits each.

    images   uint8 (N, S, S, 3), red, green, blue
    boxes    int64 (N, K, 4): x1, y1, x2, y2 in pixels; x2 and y2 are the first column and row outside.  0 where no digit is
    labels   int64 (N, K): the digit, -1 where none is
    colours  int64 (N, K): index into SCENE_COLOURS, -1 where no digit is
    masks    uint8 (N, S, S): 0 background, 1 to K the digit with that number less one, for instance segmentation
    classes  uint8 (N, S, S): 0 background, 1 to 10 the digit plus one, for semantic segmentation
    """

    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    colours: np.ndarray
    masks: np.ndarray
    classes: np.ndarray


def make_scenes(size: int, split: str = "train", generator: Generator | None = None, *, image_size: int = 64,
                max_digits: int = 3, digit_size: tuple[int, int] = (18, 32), min_contrast: float = 60.0,
                digits: tuple[np.ndarray, np.ndarray] | None = None,
                photos: Sequence[np.ndarray] | None = None) -> Scenes:
    """`size` scenes, drawn at random.

    generator     of all draws; the same one gives the same scenes
    max_digits    1 to so many in a scene; one that finds no free place is left out, the first always has one
    digit_size    smallest and largest side of the square that a digit image is scaled to, in pixels
    min_contrast  0 to 127, of brightness 0 to 255
    digits        images uint8 (N, H, W) with values 0 to 255 and labels (N,); those of `load_mnist(split)` without it
    photos        uint8 (H, W, 3), at least image_size wide and high; those of `load_photos(split)` without it
    With the default sources no digit and no photograph of one split occurs in the other.
    Raises DataError for values that cannot be, or if the default sources are not on this machine.
    """
    check_split(split, "make_scenes")
    if not isinstance(digit_size, tuple | list) or len(digit_size) != 2:
        raise DataError(f"make_scenes: digit_size={digit_size!r}. Give the smallest and the largest side, such as (24, 24).")
    smallest, largest = digit_size
    if not 1 <= max_digits <= _MOST_DIGITS or not 1 <= smallest <= largest <= image_size:
        raise DataError(f"make_scenes: max_digits={max_digits}, digit_size={digit_size} in images of {image_size} pixels. "
                        f"Give 1 to {_MOST_DIGITS} digits, and sizes from small to large that fit the image.")
    if not 0 <= min_contrast <= _MOST_CONTRAST:
        raise DataError(f"make_scenes: min_contrast={min_contrast}. Give 0 to {_MOST_CONTRAST}: on middle grey no colour has "
                        "more.")
    glyphs, labels = choose_digits(size * max_digits, load_mnist(split) if digits is None else digits, generator,
                                   "make_scenes")
    if not 0 <= labels.min() <= labels.max() < _MOST_DIGITS:
        raise DataError(f"make_scenes: labels from {labels.min()} to {labels.max()}. Give 0 to {_MOST_DIGITS - 1}: -1 means "
                        "that no digit is there.")
    patches = choose_patches(size, image_size, load_photos(split) if photos is None else photos, generator, "make_scenes")
    counts = randint(1, max_digits + 1, (size,), generator=generator).numpy()
    chances = rand(size, max_digits, _TRIES, 4, dtype=float64, generator=generator).numpy()  # size, row, column, colour

    scenes = Scenes(patches, np.zeros((size, max_digits, 4), np.int64), np.full((size, max_digits), -1, np.int64),
                    np.full((size, max_digits), -1, np.int64), np.zeros(patches.shape[:3], np.uint8),
                    np.zeros(patches.shape[:3], np.uint8))
    for scene in range(size):
        placed = 0
        for glyph in range(scene * max_digits, scene * max_digits + counts[scene]):
            placed += _place(scenes, scene, placed, glyphs[glyph], int(labels[glyph]),
                             chances[scene, glyph % max_digits], digit_size, min_contrast)
    return scenes


def _place(scenes: Scenes, scene: int, number: int, glyph: np.ndarray, label: int, chances: np.ndarray,
           digit_size: tuple[int, int], min_contrast: float) -> bool:
    """Put a digit at the first free of the random places; whether there was one."""
    image, mask = scenes.images[scene], scenes.masks[scene]
    smallest, largest = digit_size
    for for_side, for_row, for_column, for_colour in chances:
        side = smallest + int(for_side * (largest - smallest + 1))
        alpha = resize(glyph, side) / np.float32(255)
        inked = alpha >= _INK
        rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
        if not len(rows):
            raise DataError("make_scenes: a digit has no ink. Give images with values 0 to 255, bright on dark.")
        y, x = int(for_row * (len(mask) - side + 1)), int(for_column * (len(mask) - side + 1))
        y1, y2, x1, x2 = y + rows[0], y + rows[-1] + 1, x + columns[0], x + columns[-1] + 1
        if mask[y1:y2, x1:x2].any() or _meets(scenes.boxes[scene, :number], x1, y1, x2, y2):
            continue
        place = image[y:y + side, x:x + side]                                     # (side, side, 3)
        contrast = np.abs(_RGB @ _LUMA - (place[inked] @ _LUMA)[:, None]).mean(axis=0)  # (colours,)
        fitting = np.flatnonzero(contrast >= min_contrast)
        colour = fitting[int(for_colour * len(fitting))]
        place[:] = np.rint((1 - alpha[..., None]) * place + alpha[..., None] * _RGB[colour])
        mask[y:y + side, x:x + side][inked] = number + 1
        scenes.classes[scene, y:y + side, x:x + side][inked] = label + 1
        scenes.boxes[scene, number] = x1, y1, x2, y2
        scenes.labels[scene, number], scenes.colours[scene, number] = label, colour
        return True
    return False


def _meets(boxes: np.ndarray, x1: int, y1: int, x2: int, y2: int) -> bool:
    return bool(((boxes[:, 0] < x2) & (x1 < boxes[:, 2]) & (boxes[:, 1] < y2) & (y1 < boxes[:, 3])).any())


def caption_scenes(scenes: Scenes, generator: Generator | None = None) -> list[str]:
    """One caption per scene: "a red 7", "a red 7 left of a white 3", "a red 7 left of a white 3 and above a blue 1".

    Every relation is one of the digit that is named first, to the centre of the other's box, along the longer way.
    generator  draws which digit is named first; without it, the first of `labels`
    """
    counts = (scenes.labels >= 0).sum(axis=1)
    first = (np.zeros(len(counts), np.int64) if generator is None
             else (rand(len(counts), dtype=float64, generator=generator).numpy() * counts).astype(np.int64))
    captions = []
    for scene, count in enumerate(counts):
        names = [f"a {SCENE_COLOURS[colour]} {label}" for colour, label
                 in zip(scenes.colours[scene, :count], scenes.labels[scene, :count], strict=True)]
        centres = scenes.boxes[scene, :count].reshape(-1, 2, 2).sum(axis=1) / 2  # (count, [x, y])
        subject = first[scene]
        others = [f"{_relation(*(centres[subject] - centres[other]))} {names[other]}"
                  for other in range(count) if other != subject]
        captions.append(" ".join([names[subject], " and ".join(others)]).strip())
    return captions


def _relation(dx: float, dy: float) -> str:
    """Where something is that lies dx to the right of, and dy below, something else."""
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"
