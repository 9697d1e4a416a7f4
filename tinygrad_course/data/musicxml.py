"""Reader of MusicXML: the notes of a score, and the score as a grid of equal time steps.

Source: W3C Music Notation Community Group, "MusicXML 4.0" (2021), score-partwise.  Repeats are not played twice, and grace
notes, dynamics and texts are left out.
"""

import io
import os
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.archive import DAMAGED, read_zipped
from tinygrad_course.errors import DataError

REST = -1
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Note(NamedTuple):
    """start and length in quarter notes; pitch as in MIDI (60 is the middle C), REST for a rest; tied to the one before."""

    start: float
    length: float
    pitch: int
    tied: bool


class Score(NamedTuple):
    """fifths: sharps (or, below 0, flats) of the first key; parts: name and notes of each, from top to bottom."""

    fifths: int
    parts: list[tuple[str, list[Note]]]


def read_musicxml(source: str | os.PathLike[str] | bytes) -> Score:
    """Read a score-partwise file (.xml, .musicxml) or its compressed form (.mxl), given as a path or as its content.

    Raises DataError if it is missing, broken or of another kind.
    """
    name = "this MusicXML" if isinstance(source, bytes) else str(source)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        root = ElementTree.fromstring(_unpacked(content) if content.startswith(b"PK") else content)
    except FileNotFoundError as error:
        raise DataError(f"{name} does not exist. Give the path of a MusicXML file.") from error
    except (OSError, ElementTree.ParseError, KeyError, *DAMAGED) as error:
        raise DataError(f"{name} is damaged or no MusicXML ({error}). Give an .xml, .musicxml or .mxl file.") from error
    if root.tag != "score-partwise":
        raise DataError(f"{name} is <{root.tag}>, not <score-partwise>. Export it by parts, as programs of notation do.")
    try:
        names = {entry.get("id"): entry.findtext("part-name") or "" for entry in root.iter("score-part")}
        parts = [(names.get(part.get("id"), ""), _notes(part)) for part in root.findall("part")]
        return Score(int(root.findtext(".//key/fifths") or 0), parts)
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise DataError(f"{name} has a note that cannot be understood ({type(error).__name__}: {error}).") from error


def _unpacked(content: bytes) -> bytes:
    """The score inside an .mxl file, which META-INF/container.xml names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        container = ElementTree.fromstring(read_zipped(archive, "META-INF/container.xml"))
        first = next((element for element in container.iter() if element.tag.rpartition("}")[2] == "rootfile"), None)
        if first is None:
            raise KeyError("META-INF/container.xml names no rootfile")
        return read_zipped(archive, first.get("full-path", ""))


def _notes(part: ElementTree.Element) -> list[Note]:
    notes: list[Note] = []
    divisions, now = 1, 0.0
    for element in (element for measure in part.findall("measure") for element in measure):
        if element.tag == "attributes":
            divisions = int(element.findtext("divisions") or divisions)
        length = int(element.findtext("duration") or 0) / divisions
        if element.tag == "backup":
            now -= length
        elif element.tag == "forward":
            now += length
        elif element.tag == "note" and element.find("grace") is None:
            in_chord = element.find("chord") is not None and bool(notes)  # sounds with the note before it
            tied = any(tie.get("type") == "stop" for tie in element.findall("tie"))
            notes.append(Note(notes[-1].start if in_chord else now, length, _pitch(element.find("pitch")), tied))
            if not in_chord:
                now += length
    return notes


def _pitch(pitch: ElementTree.Element | None) -> int:
    if pitch is None:
        return REST
    return (12 * (int(pitch.findtext("octave") or "") + 1) + _SEMITONES[pitch.findtext("step") or ""]
            + int(pitch.findtext("alter") or 0))


def to_grid(score: Score, steps_per_quarter: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """What sounds at each step: pitches int8 (parts, T), REST where nothing does, and onsets bool (parts, T).

    An onset is the first step of a note that is not tied to the one before.  Starts and ends are rounded to steps; of notes
    that sound together in one part the last stays, and one that is shorter than half a step may vanish.
    Raises DataError for a score without notes, or pitches that MIDI has not.
    """
    if steps_per_quarter < 1:
        raise DataError(f"to_grid: steps_per_quarter={steps_per_quarter}. Give a whole number of at least 1.")
    ends = [note.start + note.length for _, notes in score.parts for note in notes]
    steps = round(max(ends) * steps_per_quarter) if ends else 0
    if steps < 1:
        raise DataError("to_grid: the score has no notes.")
    pitches = np.full((len(score.parts), steps), REST, np.int8)
    onsets = np.zeros(pitches.shape, bool)
    for row, (_, notes) in enumerate(score.parts):
        for note in notes:
            start, end = (round(time * steps_per_quarter) for time in (note.start, note.start + note.length))
            if not REST <= note.pitch <= 127 or start < 0:
                raise DataError(f"to_grid: a note of pitch {note.pitch} at {note.start}. MIDI has pitches 0 to 127.")
            pitches[row, start:end] = note.pitch
            if start < end:
                onsets[row, start] = note.pitch != REST and not note.tied
    return pitches, onsets
