"""Noto emoji as small colour images, with their Unicode names and groups.

Sources: the font Noto Color Emoji, Google (Debian fonts-noto-color-emoji; SIL Open Font License 1.1), and emoji-test.txt of
Unicode, Inc. (Debian unicode-data; Unicode License), "Unicode Emoji", technical standard 51.
"""

import gzip
import io
import os
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package
from tinygrad_course.data.prepared import PackagedArrays
from tinygrad_course.errors import DataError, DependencyError

FONT_PACKAGE = Package("apt", "fonts-noto-color-emoji", "2.042-0+deb12u1", "fonts-noto-color-emoji_2.042-0+deb12u1_all.deb",
                       9_893_872, "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
                       "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
NAMES_PACKAGE = Package("apt", "unicode-data", "15.0.0-1", "unicode-data_15.0.0-1_all.deb", 7_983_784,
                        "5efef23bbb1c6a133ecbdd63a2cfa07159ccacf5466a49e2426101c5ecd691fc",
                        "usr/share/unicode/emoji/emoji-test.txt")
SIDE = 32
_FONT_SIZE = 109       # the one size of the font's bitmaps, which are 136 x 128 pixels
_CANVAS = 136
_VARIATION = 0xFE0F    # "as a picture, not as text": not a character of its own
_LINE = re.compile(r"^([0-9A-F ]+?)\s*; fully-qualified\s+# \S+ E[\d.]+ (.+)$")


class Emoji(NamedTuple):
    """images uint8 (N, 32, 32, 3) on white; names, a list of N ("grinning face"); groups int64 (N,), into group_names."""

    images: np.ndarray
    names: list[str]
    groups: np.ndarray
    group_names: tuple[str, ...]


def load_emoji(font: str | os.PathLike[str] | None = None, names: str | os.PathLike[str] | None = None) -> Emoji:
    """The emoji that are one character, without those that are joined of several (flags, families, skin colours).

    font   .deb of fonts-noto-color-emoji, or the folder that it was unpacked in
    names  .deb of unicode-data, likewise.  Give both or none
    Without them: what `tinygrad-course data get emoji` has made of the two, else the installed packages.
    1,377 images with font 2.042 and Unicode 15.0; other versions have others.  There is no split.
    Drawing needs Pillow (extra "io"); reading what was made does not.
    Raises DataError if the packages are missing or broken.
    """
    if (font is None) != (names is None):
        raise DataError("load_emoji: give both packages, font and names, or none.")
    arrays = EMOJI.load(font, names)
    return Emoji(arrays["images"], arrays["names"].tolist(), arrays["groups"].astype(np.int64),
                 tuple(arrays["group_names"].tolist()))


def read_emoji(font: Path, names: Path) -> dict[str, np.ndarray]:
    """Draw the emoji: what `Emoji` holds, as arrays."""
    try:
        from PIL import ImageFont, features
    except ImportError as error:
        raise DependencyError("drawing the emoji needs the package Pillow: pip install pillow") from error
    if not features.check("freetype2"):
        raise DependencyError("drawing the emoji needs a Pillow with FreeType: pip install --force-reinstall pillow")
    content = next(iter(read_members(font, str(FONT_PACKAGE.installed)).values()))
    try:
        face = ImageFont.truetype(io.BytesIO(content), _FONT_SIZE)
    except OSError as error:
        raise DataError(f"{font}: the font cannot be read at {_FONT_SIZE} pixels ({error}). Give the package "
                        f"{FONT_PACKAGE.name} {FONT_PACKAGE.version}.") from error
    listed = [row for row in list_emoji(_names_text(names)) if len(row[0]) == 1]
    missing = _draw("\U0010FFFF", face)  # no character: what the font shows for those that it has not
    drawn = [(_draw(code, face), name, group) for code, name, group in listed]
    kept = [row for row in drawn if (row[0] != missing).any() and (row[0] < 250).any()]
    if not kept:
        raise DataError(f"{font}: the font has none of the emoji of {names}.")
    group_names = list(dict.fromkeys(group for _, _, group in kept))
    return {"images": np.stack([image for image, _, _ in kept]), "names": np.array([name for _, name, _ in kept]),
            "groups": np.array([group_names.index(group) for _, _, group in kept], np.uint8),
            "group_names": np.array(group_names)}


def _names_text(path: Path) -> str:
    name, content = next(iter(read_members(path, f"{NAMES_PACKAGE.installed}*").items()))  # some releases gzip it
    try:
        return (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {name} is damaged ({error}). Fetch it again.") from error


def list_emoji(text: str) -> list[tuple[str, str, str]]:
    """(characters without variation selectors, name, group) of the fully qualified emoji in a file emoji-test.txt."""
    group, found = "", []
    for line in text.splitlines():
        if line.startswith("# group:"):
            group = line.removeprefix("# group:").strip()
        elif match := _LINE.match(line):
            codes = [int(code, 16) for code in match[1].split()]
            found.append(("".join(chr(code) for code in codes if code != _VARIATION), match[2], group))
    return found


def _draw(character: str, face: object) -> np.ndarray:
    from PIL import Image, ImageDraw

    # White, square, and the bitmap of 136 x 128 in its middle; the mean of the area of each pixel.
    canvas = Image.new("RGB", (_CANVAS, _CANVAS), "white")
    ImageDraw.Draw(canvas).text((0, (_CANVAS - 128) // 2), character, "black", face,  # type: ignore[arg-type]
                                embedded_color=True)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))


EMOJI = PackagedArrays("emoji", (FONT_PACKAGE, NAMES_PACKAGE), read_emoji)
