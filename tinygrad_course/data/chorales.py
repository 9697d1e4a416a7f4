"""Four-part chorales by J. S. Bach as grids of sixteenth notes: melody and harmony.

Source: the corpus of music21 (PyPI music21 10.5.1), M. S. Cuthbert, C. Ariza, "music21: A Toolkit for Computer-Aided
Musicology", ISMIR (2010).  The music is in the public domain.  Of the encodings the corpus says that they may be shared with
it, and that some may not be used commercially; so they are fetched, not shipped.
"""

import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package
from tinygrad_course.data.fixed_split import check_split, fixed_order, fixed_test_part
from tinygrad_course.data.musicxml import read_musicxml, to_grid
from tinygrad_course.data.prepared import PackagedArrays
from tinygrad_course.errors import DataError

CHORALES_PACKAGE = Package("pip", "music21", "10.5.1", "music21-10.5.1-py3-none-any.whl", 20_118_992,
                           "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
                           "music21/corpus/bach/bwv269.mxl")
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
STEPS_PER_QUARTER = 4
_THEME = 8  # notes of the melody that tell one tune from another


class Chorale(NamedTuple):
    """name as in the catalogue of Bach's works; fifths: sharps (below 0: flats) of its key; T sixteenth steps.

    pitches  int8 (4, T), soprano, alto, tenor, bass; as in MIDI (60 is the middle C), -1 for a rest
    onsets   bool (4, T), where a note begins: the rest of the time it is held
    """

    name: str
    fifths: int
    pitches: np.ndarray
    onsets: np.ndarray


def load_chorales(split: str = "train", path: str | os.PathLike[str] | None = None) -> list[Chorale]:
    """The chorales with exactly four parts, 364 in all.

    path  of the music21 wheel, or the folder that it was unpacked in; without it, what `tinygrad-course data get chorales`
          has made of it, else the installed package music21

    Bach set several tunes more than once.  The split is fixed and holds out whole tunes (told by the first eight notes of
    the melody, in any key): about 80 % "train" and 20 % "test".  Repeats are not written out.
    Raises DataError for another split, or if the package is missing or broken.
    """
    check_split(split, "load_chorales")
    arrays = CHORALES.load(path)
    ends = np.cumsum(arrays["lengths"])[:-1]
    onsets = np.unpackbits(arrays["onsets"], axis=1, count=int(arrays["lengths"].sum())).astype(bool)
    chorales = [Chorale(str(name), int(fifths), pitches, starts) for name, fifths, pitches, starts
                in zip(arrays["names"], arrays["fifths"], np.split(arrays["pitches"], ends, axis=1),
                       np.split(onsets, ends, axis=1), strict=True)]
    tunes = [theme(chorale) for chorale in chorales]
    held_out = _held_out(tunes)
    return [chorale for chorale, tune in zip(chorales, tunes, strict=True) if (tune in held_out) == (split == "test")]


def theme(chorale: Chorale) -> tuple[int, ...]:
    """The steps of the melody, in semitones, between its first eight notes."""
    notes = chorale.pitches[0][chorale.onsets[0]].astype(int)[:_THEME]
    return tuple(np.diff(notes).tolist())


def _held_out(tunes: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    different = sorted(set(tunes))
    is_test = fixed_test_part(np.zeros(len(different), int))
    return {different[number] for number in fixed_order(len(different)) if is_test[number]}


def read_chorales(path: Path) -> dict[str, np.ndarray]:
    """The chorales of the package, one behind the other: names (N,), fifths and lengths int64 (N,), pitches (4, sum of
    lengths), and onsets, eight steps a byte."""
    names, fifths, grids = [], [], []
    for name, content in read_members(path, "music21/corpus/bach/bwv*.mxl").items():
        score = read_musicxml(content)
        if [part for part, _ in score.parts] != list(VOICES):
            continue  # with instruments
        names.append(PurePosixPath(name).stem)
        fifths.append(score.fifths)
        grids.append(to_grid(score, STEPS_PER_QUARTER))
    if not names:
        raise DataError(f"{path} has no score in four parts. Give the wheel of music21 {CHORALES_PACKAGE.version}.")
    pitches, onsets = (np.concatenate(parts, axis=1) for parts in zip(*grids, strict=True))
    return {"names": np.array(names), "fifths": np.array(fifths), "pitches": pitches, "onsets": np.packbits(onsets, axis=1),
            "lengths": np.array([grid[0].shape[1] for grid in grids])}


CHORALES = PackagedArrays("chorales", (CHORALES_PACKAGE,), read_chorales)
