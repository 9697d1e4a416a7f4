"""Reader of the Bibles of the SWORD project: the texts of the verses, without notes, headings and markup.

A module of the kind zText has three files per testament.  NAME.bzs lists the compressed blocks (start, size, size when
unpacked: three uint32), NAME.bzv one entry per place (block, start: uint32, size: uint16), NAME.bzz is the blocks, one
zlib stream each.  All numbers are little-endian.  The places follow a table of chapters and verses.  It is not needed here:
a chapter begins with a place that holds an OSIS tag <chapter osisID="Gen.1" sID=.../>, and verse n is the n-th after it.
Source: the reader of the SWORD project, http://www.crosswire.org/sword, format of OSIS 2.1.1.
"""

import html
import re
import struct
import zlib
from collections.abc import Iterator, Mapping

from tinygrad_course.errors import DataError

Verse = tuple[str, int, int]  # book (name in OSIS), chapter, verse

_CHAPTER = re.compile(r'<chapter\b[^>]*\bsID="(\w+)\.(\d+)"')
_BOOK = re.compile(r'<div\b(?=[^>]*\bsID=)[^>]*\btype="book"')  # the tag with eID ends a book, in its last verse
_HIDDEN = re.compile(r"<(note|title|speaker)\b.*?</\1>", re.DOTALL)  # footnotes and headings are not the text
_TAG = re.compile(r"<[^>]+>")


def read_sword(files: Mapping[str, bytes], name: str) -> dict[Verse, str]:
    """The verses of a module in their order.

    files  the content of ot.bzs, ot.bzv, ot.bzz, nt.bzs, nt.bzv and nt.bzz by these names
    Raises DataError, with `name`, if they are broken or hold no verse.
    """
    verses: dict[Verse, str] = {}
    for testament in ("ot", "nt"):
        try:
            for key, text in _testament(files, testament):
                verses[key] = text
        except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as error:
            raise DataError(f"{name}: {testament}.bz* are damaged, or no zText module ({error}). Fetch it again.") from error
    if not verses:
        raise DataError(f"{name} holds no verse with OSIS markup. Is it another kind of module?")
    return verses


def _testament(files: Mapping[str, bytes], testament: str) -> Iterator[tuple[Verse, str]]:
    index, places, packed = (files[f"{testament}.{ending}"] for ending in ("bzs", "bzv", "bzz"))
    blocks = [zlib.decompress(packed[start:start + size]) for start, size, _ in struct.iter_unpack("<III", index)]
    book, chapter, verse = "", 0, 0
    for block, start, size in struct.iter_unpack("<IIH", places):
        entry = blocks[block][start:start + size].decode("utf-8") if size else ""
        heading = _CHAPTER.findall(entry)
        if heading:
            book, chapter, verse = heading[-1][0], int(heading[-1][1]), 0
        elif _BOOK.search(entry):
            book = ""
        elif book:
            verse += 1
            text = plain_text(entry)
            if text:
                yield (book, chapter, verse), text


def plain_text(markup: str) -> str:
    """The text of an OSIS fragment in one line."""
    text = html.unescape(_TAG.sub("", _HIDDEN.sub(" ", markup)))
    return re.sub(r"\s+([,.;:!?)”’])", r"\1", " ".join(text.split()))
