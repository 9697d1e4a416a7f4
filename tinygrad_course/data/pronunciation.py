"""The CMU Pronouncing Dictionary: 126,052 English words, names and abbreviations, and how North Americans say them.

The phones are those of the ARPAbet, 15 vowels and 24 consonants.  In the dictionary the vowels bear a digit, their stress:
1 primary, 2 secondary, 0 none, as in "alphabet" AE1 L F AH0 B EH2 T.
"""

import lzma

from tinygrad_course.data.shipped import shipped_bytes

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = ("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W",
              "Y", "Z", "ZH")


def load_pronunciations(stress: bool = False) -> dict[str, tuple[str, ...]]:
    """The phones of each word, in alphabetic order of the words:  {"alphabet": ("AE", "L", "F", "AH", "B", "EH", "T"), ...}.

    stress   with it the vowels bear their digits, "AE1"

    Words are in lower case; 117,493 have letters only, the others an apostrophe, hyphen or full stop as well.  Of words with
    several pronunciations the first is here.  Raises DataError for a damaged file.
    """
    text = lzma.decompress(shipped_bytes("cmudict.txt.xz")).decode("ascii")
    if not stress:
        text = text.translate({ord(digit): None for digit in "012"})
    entries = (line.split() for line in text.splitlines())
    return {word: tuple(phones) for word, *phones in entries}
