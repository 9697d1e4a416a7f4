"""The World English Bible as running text, and pairs of English and Spanish verses: small texts that nobody owns.

English: the World English Bible (2020 stable text edition), public domain.  Spanish: Reina-Valera 1909, public domain.
Both from the modules of the SWORD project that Debian ships (sword-text-web 426.0, sword-text-sparv 2.60), made by
eBible.org.  "World English Bible" is a trademark: do not call a text by that name after changing its words.
"""

import lzma
import os

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package, find_package
from tinygrad_course.data.fixed_split import check_split, fixed_order
from tinygrad_course.data.shipped import shipped_bytes
from tinygrad_course.data.sword import Verse, read_sword

ENGLISH_PACKAGE = Package("apt", "sword-text-web", "426.0-1", "sword-text-web_426.0-1_all.deb", 3_956_428,
                          "930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1",
                          "usr/share/sword/modules/texts/ztext/engWEB2015eb/ot.bzs")
SPANISH_PACKAGE = Package("apt", "sword-text-sparv", "2.60-1", "sword-text-sparv_2.60-1_all.deb", 2_722_332,
                          "5c87f9b2bc97457e8a872f5bae7ea7ce59cb3de1dcee73e4d4740451863694cf",
                          "usr/share/sword/modules/texts/ztext/spaRV1909eb/ot.bzs")
TEXT_FILE, PAIRS_FILE = "genesis.txt.xz", "english_spanish.tsv.xz"

# The books of the Hebrew Bible and of the New Testament: the 66 that both modules have.  OSIS names.
BOOKS = (
    "Gen", "Exod", "Lev", "Num", "Deut", "Josh", "Judg", "Ruth", "1Sam", "2Sam", "1Kgs", "2Kgs", "1Chr", "2Chr", "Ezra",
    "Neh", "Esth", "Job", "Ps", "Prov", "Eccl", "Song", "Isa", "Jer", "Lam", "Ezek", "Dan", "Hos", "Joel", "Amos", "Obad",
    "Jonah", "Mic", "Nah", "Hab", "Zeph", "Hag", "Zech", "Mal", "Matt", "Mark", "Luke", "John", "Acts", "Rom", "1Cor",
    "2Cor", "Gal", "Eph", "Phil", "Col", "1Thess", "2Thess", "1Tim", "2Tim", "Titus", "Phlm", "Heb", "Jas", "1Pet", "2Pet",
    "1John", "2John", "3John", "Jude", "Rev",
)
_TEST_SHARE = 0.1
_MOST_RATIO = 3.0  # of the lengths: beyond it one side holds more verses than the other


def load_bible(full: bool = False, path: str | os.PathLike[str] | None = None) -> str:
    """The text of the World English Bible, a verse a line, an empty line between chapters; footnotes and headings left out.

    Without more: the book of Genesis, 186,852 characters, which is shipped.
    full  the 66 books of the Hebrew Bible and of the New Testament, 3.99 million characters, from the Debian package
          sword-text-web in the cache folder, or installed
    path  read these 66 books from this .deb, or from the folder that it was unpacked in
    There is no split: take the last tenth for validation, as character models do.
    Raises DataError if the package is needed and missing or broken.
    """
    if path is None and not full:
        return lzma.decompress(shipped_bytes(TEXT_FILE)).decode("utf-8")
    verses = read_module(find_package(ENGLISH_PACKAGE, "bible", path), ENGLISH_PACKAGE)
    return as_text({key: text for key, text in verses.items() if key[0] in BOOKS})


def load_verse_pairs(split: str = "train", full: bool = False) -> list[tuple[str, str]]:
    """Pairs (English, Spanish) of the same verse, for translation; both sides of at most 60 characters.

    full   pairs of any length, from the Debian packages sword-text-web and sword-text-sparv in the cache folder, or installed
    split  "train", nine tenths, or "test", one tenth; fixed, in a fixed mixed order
    Neither side occurs twice.  Pairs of which one side is over three times as long as the other were left out: there the
    two Bibles divide the verses differently.  The Spanish is that of 1909 and has accents that today's has not ("á", "fué").
    Raises DataError for another split, or if the packages are needed and missing or broken.
    """
    check_split(split, "load_verse_pairs")
    if full:
        pairs = verse_pairs(read_module(find_package(ENGLISH_PACKAGE, "verse-pairs"), ENGLISH_PACKAGE),
                            read_module(find_package(SPANISH_PACKAGE, "verse-pairs"), SPANISH_PACKAGE))
    else:
        lines = lzma.decompress(shipped_bytes(PAIRS_FILE)).decode("utf-8").splitlines()
        pairs = [(english, spanish) for english, _, spanish in (line.partition("\t") for line in lines)]
    order = fixed_order(len(pairs))
    tests = round(_TEST_SHARE * len(pairs))
    return [pairs[number] for number in (order[:tests] if split == "test" else order[tests:])]


def read_module(path: str | os.PathLike[str], package: Package) -> dict[Verse, str]:
    """The verses of the module in one of the two packages, in the order of the module."""
    folder = str(package.installed).rpartition("/")[0]
    members = read_members(path, *(f"{folder}/{testament}.{ending}" for testament in ("ot", "nt")
                                   for ending in ("bzs", "bzv", "bzz")))
    return read_sword({name.rpartition("/")[2]: content for name, content in members.items()}, str(path))


def as_text(verses: dict[Verse, str]) -> str:
    """Verses a line each, with an empty line between chapters."""
    lines: list[str] = []
    last: tuple[str, int] | None = None
    for (book, chapter, _), text in verses.items():
        if last not in (None, (book, chapter)):
            lines.append("")
        last = book, chapter
        lines.append(text)
    return "\n".join(lines) + "\n"


def verse_pairs(english: dict[Verse, str], spanish: dict[Verse, str], most: int | None = None) -> list[tuple[str, str]]:
    """Verses that both have, both sides of at most `most` characters, see `load_verse_pairs`."""
    seen: set[str] = set()
    pairs = []
    for key, one in english.items():
        other = spanish.get(key)
        if other is None or key[0] not in BOOKS or (most is not None and max(len(one), len(other)) > most):
            continue
        if max(len(one), len(other)) > _MOST_RATIO * min(len(one), len(other)) or one in seen or other in seen:
            continue
        seen.update((one, other))
        pairs.append((one, other))
    return pairs
