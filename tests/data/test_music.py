"""The reader of MusicXML, the grid, and the chorales."""

import numpy as np
import pytest

from tests.data.packages import zipped
from tinygrad_course.data import load_chorales, read_musicxml, to_grid
from tinygrad_course.data.chorales import CHORALES, theme
from tinygrad_course.data.musicxml import REST, Note
from tinygrad_course.errors import DataError

VOICES = ("Soprano", "Alto", "Tenor", "Bass")


def note(pitch, duration, *inside):
    """"C4", "F#3", "Bb5" or None; duration in divisions."""
    if pitch is None:
        what = "<rest/>"
    else:
        alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1], "")
        what = f"<pitch><step>{pitch[0]}</step>{alter}<octave>{pitch[-1]}</octave></pitch>"
    return f"<note>{''.join(inside)}{what}<duration>{duration}</duration></note>"


def score(*parts, divisions=4, fifths=-3, names=VOICES):
    """Each part a list of measures, each measure the text of its elements."""
    attributes = f"<attributes><divisions>{divisions}</divisions><key><fifths>{fifths}</fifths></key></attributes>"
    head = "".join(f'<score-part id="P{number}"><part-name>{names[number]}</part-name></score-part>'
                   for number in range(len(parts)))
    body = "".join(f'<part id="P{number}">' + "".join(f"<measure>{attributes if first == 0 else ''}{measure}</measure>"
                                                    for first, measure in enumerate(measures)) + "</part>"
                   for number, measures in enumerate(parts))
    return f"<score-partwise><part-list>{head}</part-list>{body}</score-partwise>".encode()


def mxl(content):
    return zipped({"META-INF/container.xml": b'<container><rootfiles><rootfile full-path="a/b.xml"/></rootfiles></container>',
                   "a/b.xml": content})


def test_notes():
    tie = '<tie type="stop"/>'
    content = score([note("C4", 4) + note("F#3", 2) + note("Bb5", 1, tie), note(None, 4) + note("B3", 6)])
    read = read_musicxml(content)
    assert read.fifths == -3
    assert read.parts == [("Soprano", [Note(0.0, 1.0, 60, False), Note(1.0, 0.5, 54, False), Note(1.5, 0.25, 82, True),
                                       Note(1.75, 1.0, REST, False), Note(2.75, 1.5, 59, False)])]


def test_voices_chords_and_ornaments():
    """<backup> begins a second voice, <chord/> sounds with the note before, grace notes take no time."""
    grace = "<note><grace/><pitch><step>D</step><octave>4</octave></pitch></note>"
    content = score([note("C4", 4) + note("E4", 4, "<chord/>") + grace
                     + "<backup><duration>4</duration></backup>" + note("G3", 2) + "<forward><duration>2</duration></forward>"
                     + note("A3", 4)])
    found = [(one.start, one.length, one.pitch) for one in read_musicxml(content).parts[0][1]]
    assert found == [(0, 1, 60), (0, 1, 64), (0, 0.5, 55), (1, 1, 57)]


def test_divisions_may_change():
    change = "<attributes><divisions>8</divisions></attributes>"
    read = read_musicxml(score([note("C4", 2), change + note("D4", 2)], divisions=2))
    assert [(one.start, one.length) for one in read.parts[0][1]] == [(0, 1), (1, 0.25)]


def test_files(tmp_path):
    content = score([note("C4", 4)])
    (tmp_path / "a.xml").write_bytes(content)
    (tmp_path / "a.mxl").write_bytes(mxl(content))
    assert read_musicxml(tmp_path / "a.xml") == read_musicxml(tmp_path / "a.mxl") == read_musicxml(content)


@pytest.mark.parametrize(("content", "says"), [
    (b"", "is damaged or no MusicXML"),
    (score([note("C4", 4)])[:-30], "is damaged or no MusicXML"),
    (mxl(b"x")[:-20], "is damaged or no MusicXML"),
    (zipped({"a.xml": b"<score-partwise/>"}), "META-INF/container.xml"),
    (zipped({"META-INF/container.xml": b"<container/>"}), "names no rootfile"),
    (mxl(b"x").replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"), "is damaged or no MusicXML"),
    (score([note("C4", "9" * 400)]), "a note that cannot be understood"),
    (b"<score-timewise/>", "is <score-timewise>, not <score-partwise>"),
    (score([note("H4", 4)]), "a note that cannot be understood"),
    (score([note("C4", "long")]), "a note that cannot be understood"),
    (score([note("C4", 4)], divisions=-0), "a note that cannot be understood"),
])
def test_broken(content, says):
    with pytest.raises(DataError, match=says):
        read_musicxml(content)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.xml does not exist. Give the path of a MusicXML file"):
        read_musicxml(tmp_path / "none.xml")


def test_grid():
    tie = '<tie type="stop"/>'
    read = read_musicxml(score([note("C4", 4) + note("C4", 2, tie) + note(None, 1) + note("D4", 1)], [note("E3", 6)],
                               divisions=2))
    pitches, onsets = to_grid(read, 2)
    assert (pitches.dtype, onsets.dtype) == (np.int8, bool)
    np.testing.assert_array_equal(pitches, [[60, 60, 60, 60, 60, 60, -1, 62], [52, 52, 52, 52, 52, 52, -1, -1]])
    np.testing.assert_array_equal(onsets, [[1, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0]])
    assert to_grid(read)[0].shape == (2, 16)
    with pytest.raises(DataError, match="steps_per_quarter=0"):
        to_grid(read, 0)
    with pytest.raises(DataError, match="has no notes"):
        to_grid(read_musicxml(score([""])))
    with pytest.raises(DataError, match=r"a note of pitch 129 at 0.0. MIDI has pitches 0 to 127"):
        to_grid(read_musicxml(score([note("A9", 4)])))


# ---- chorales --------------------------------------------------------------------------------------------------------

STEPS = [("C4", "D4", "E4"), ("C4", "E4", "G4"), ("D4", "C4", "D4"), ("G4", "G4", "C4"), ("E4", "D4", "C4")]
HIGHER = {"C4": "D4", "D4": "E4", "E4": "F#4", "F4": "G4", "G4": "A4"}


def wheel():
    """Five tunes, each in two keys, and a piece for other voices."""
    files = {}
    for number, tune in enumerate(STEPS):
        for version, pitches in enumerate((tune, [HIGHER[pitch] for pitch in tune])):
            melody = ["".join(note(pitch, 4) for pitch in pitches)]
            content = score(melody, [note("C4", 12)], [note(None, 4) + note("G3", 8)], [note("C3", 12)], fifths=2 * version)
            files[f"music21/corpus/bach/bwv{number}.{version}.mxl"] = mxl(content)
    other = score([note("C4", 4)], [note("C4", 4)], [note("C4", 4)], [note("C4", 4)], names=("Violin", *VOICES[1:]))
    return zipped({**files, "music21/corpus/bach/bwv9.mxl": mxl(other), "music21/corpus/haydn/x.mxl": b""})


def test_chorales(tmp_path, monkeypatch):
    path = tmp_path / "music21.whl"
    path.write_bytes(wheel())
    train, test = load_chorales("train", path), load_chorales("test", path)
    assert (len(train), len(test)) == (8, 2)
    assert {theme(piece) for piece in train}.isdisjoint({theme(piece) for piece in test})  # whole tunes are held out
    pieces = {piece.name: piece for piece in train + test}
    assert sorted(pieces) == [f"bwv{number}.{version}" for number in range(5) for version in range(2)]
    piece = pieces["bwv1.1"]
    assert piece.fifths == 2
    np.testing.assert_array_equal(piece.pitches, [[62] * 4 + [66] * 4 + [69] * 4, [60] * 12, [-1] * 4 + [55] * 8, [48] * 12])
    assert [np.flatnonzero(row).tolist() for row in piece.onsets] == [[0, 4, 8], [0], [4], [0]]
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr("tinygrad_course.data.fetch.installed_folder", lambda package: None)
    with pytest.raises(DataError, match=r"pip download --no-deps music21==10.5.1\): tinygrad-course data get chorales"):
        load_chorales()
    CHORALES.file.parent.mkdir()
    np.savez_compressed(CHORALES.file, **CHORALES.read(path))  # as `data get` would
    again = load_chorales("train")
    assert [piece.name for piece in again] == [piece.name for piece in train]
    assert all((one.pitches == other.pitches).all() and (one.onsets == other.onsets).all()
               for one, other in zip(again, train, strict=True))


def test_chorales_of_another_package(tmp_path):
    (tmp_path / "x.whl").write_bytes(zipped({"music21/corpus/bach/bwv1.mxl": mxl(score([note("C4", 4)]))}))
    with pytest.raises(DataError, match=r"has no score in four parts. Give the wheel of music21 10.5.1"):
        load_chorales("train", tmp_path / "x.whl")
    (tmp_path / "x.whl").write_bytes(zipped({"music21/version.py": b""}))
    with pytest.raises(DataError, match="has no file music21/corpus/bach"):
        load_chorales("train", tmp_path / "x.whl")
