"""Reader of plain TIFF files: one grey image of unsigned integers, not compressed, in strips.

Source: Adobe, "TIFF Revision 6.0" (1992), part 1, sections 2 to 4.
"""

import struct

import numpy as np

from tinygrad_course.errors import DataError

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIP_OFFSETS, _SAMPLES, _STRIP_BYTES, _FORMAT = 256, 257, 258, 259, 273, 277, 279, 339
_TYPES = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG


def read_tiff(content: bytes, name: str) -> np.ndarray:
    """The first image of the file `content`: uint8, uint16 or uint32 (H, W).

    Raises DataError, with `name`, if it is no TIFF, truncated, or compressed, coloured, tiled or of real numbers.
    """
    try:
        return _read(content, name)
    except struct.error as error:
        raise DataError(f"{name} is truncated: {len(content):,} bytes are there ({error}). Fetch it again.") from error


def _read(content: bytes, name: str) -> np.ndarray:
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or struct.unpack(order + "H", content[2:4])[0] != 42:
        raise DataError(f"{name} is no TIFF file: it starts with the bytes {content[:4].hex(' ') or 'none'}.")
    tags = _tags(content, order)
    width, height, bits = (tags.get(tag, (0,)) for tag in (_WIDTH, _HEIGHT, _BITS))
    kind = {"compression": tags.get(_COMPRESSION, (1,)), "samples": tags.get(_SAMPLES, (1,)),
            "sample format": tags.get(_FORMAT, (1,))}
    if any(value != (1,) for value in kind.values()) or bits[0] not in (8, 16, 32) or _STRIP_OFFSETS not in tags:
        raise DataError(f"{name}: {', '.join(f'{what} {value[0]}' for what, value in kind.items())}, {bits[0]} bits. Only "
                        "grey images of unsigned integers in strips without compression are read; convert it.")
    starts, sizes = tags[_STRIP_OFFSETS], tags.get(_STRIP_BYTES, ())
    pixels = b"".join(content[start:start + size] for start, size in zip(starts, sizes, strict=False))
    dtype = np.dtype(f"{order}u{bits[0] // 8}")
    expected = width[0] * height[0] * dtype.itemsize
    if not expected or len(pixels) != expected:
        raise DataError(f"{name} is truncated: {height[0]} x {width[0]} pixels of {bits[0]} bits are {expected:,} bytes, "
                        f"{len(pixels):,} are there. Fetch it again.")
    return np.frombuffer(pixels, dtype).reshape(height[0], width[0]).astype(dtype.newbyteorder("="))


def _tags(content: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """The entries of the first directory that are unsigned integers."""
    start = struct.unpack(order + "I", content[4:8])[0]
    count = struct.unpack(order + "H", content[start:start + 2])[0]
    tags = {}
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack(order + "HHI", content[place:place + 8])
        if kind in _TYPES and number:
            form = f"{order}{number}{_TYPES[kind]}"
            size = struct.calcsize(form)
            # Values of at most four bytes stand in the entry itself.
            at = place + 8 if size <= 4 else struct.unpack(order + "I", content[place + 8:place + 12])[0]
            tags[tag] = struct.unpack(form, content[at:at + size])
    return tags
