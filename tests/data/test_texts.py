"""The shipped texts, the reader of SWORD modules, and the sentences of reviews."""

import shutil
import struct
import zlib

import numpy as np
import pytest

from tests.data.packages import deb, tar, zipped
from tinygrad_course.data import bible, load_bible, load_reviews, load_verse_pairs
from tinygrad_course.data.reviews import REVIEWS_PACKAGE
from tinygrad_course.data.sword import plain_text, read_sword
from tinygrad_course.errors import DataError


def test_the_shipped_text():
    text = load_bible()
    chapters = text.rstrip("\n").split("\n\n")
    assert len(text) == 186_852
    assert len(chapters) == 50
    assert [len(chapters[number].splitlines()) for number in (0, 1, 49)] == [31, 25, 26]  # verses, as every Bible has them
    assert text.startswith("In the beginning, God created the heavens and the earth.\nThe earth was formless and empty.")
    assert set(text) <= set("\n !(),-.:;?‘’“”—" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz")


def test_the_shipped_pairs():
    train, test = load_verse_pairs("train"), load_verse_pairs("test")
    pairs = train + test
    assert (len(train), len(test)) == (1360, 151)
    assert ("In the beginning, God created the heavens and the earth.",
            "EN el principio crió Dios los cielos y la tierra.") in pairs
    assert all(0 < len(text) <= 60 for pair in pairs for text in pair)
    assert all(max(map(len, pair)) <= 3 * min(map(len, pair)) for pair in pairs)
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == len(pairs)  # none in both parts
    with pytest.raises(DataError, match=r'no split \'all\'. Give "train" or "test"'):
        load_verse_pairs("all")


def test_the_sides_of_a_pair_belong_together():
    """Names of people and places are nearly the same in both: far more often in the own pair than in another."""
    pairs = load_verse_pairs("train")

    def shared(shift):
        hits = total = 0
        for number, (english, _) in enumerate(pairs):
            spanish = pairs[(number + shift) % len(pairs)][1].lower()
            names = [word.strip(".,;:!?’”").lower()[:4] for word in english.split()[1:]
                     if word[0].isupper() and len(word) > 5 and "Yahweh" not in word]  # whom the Spanish calls Jehová
            hits, total = hits + sum(name in spanish for name in names), total + len(names)
        return hits / total

    assert shared(0) > 0.4 > 0.05 > shared(1)


# ---- SWORD -----------------------------------------------------------------------------------------------------------

def module(*entries):
    """The three files of a testament, with one compressed block."""
    packed, places = "".join(entries).encode(), []
    start = 0
    for entry in entries:
        size = len(entry.encode())
        places.append(struct.pack("<IIH", 0, start, size))
        start += size
    block = zlib.compress(packed)
    return {"bzs": struct.pack("<III", 0, len(block), len(packed)), "bzv": b"".join(places), "bzz": block}


OLD = module("", "<milestone/>", '<div osisID="Gen" sID="gen2" type="book"/><title>Genesis</title>',
             '<chapter n="1" osisID="Gen.1" sID="Gen.1"/>',
             '<w lemma="H1">In</w> the beginning, God<note placement="foot">a <i>note</i></note><w>created</w> light .',
             "", "Third &amp; last.", '<div sID="g"/><chapter n="2" osisID="Gen.2" sID="Gen.2"/>',
             '<title type="psalm">A song.</title> “Ñandú ” said he. <div eID="gen2" type="book"/>',
             '<div osisID="Exod" sID="gen9" type="book"/><title>Exodus</title>', "An introduction.",
             '<chapter osisID="Exod.1" sID="Exod.1"/>', "These are the names.")
NEW = module('<chapter osisID="Rev.22" sID="Rev.22"/>', "<speaker>John</speaker> Amen.")
FILES = {**{f"ot.{ending}": content for ending, content in OLD.items()},
         **{f"nt.{ending}": content for ending, content in NEW.items()}}
VERSES = {("Gen", 1, 1): "In the beginning, God created light.", ("Gen", 1, 3): "Third & last.",
          ("Gen", 2, 1): "“Ñandú” said he.", ("Exod", 1, 1): "These are the names.", ("Rev", 22, 1): "Amen."}


def package(files, folder="engWEB2015eb"):
    return deb({f"usr/share/sword/modules/texts/ztext/{folder}/{name}": content for name, content in files.items()})


def test_sword():
    assert read_sword(FILES, "x") == VERSES
    assert list(read_sword(FILES, "x")) == list(VERSES)
    assert plain_text("<l>one</l> <l>two ,</l>\n three") == "one two, three"


@pytest.mark.parametrize(("name", "content", "says"), [
    ("ot.bzs", OLD["bzs"][:-1], "ot.bz. are damaged"),
    ("ot.bzv", OLD["bzv"] + struct.pack("<IIH", 7, 0, 1), "ot.bz. are damaged"),
    ("nt.bzz", NEW["bzz"][:-3], "nt.bz. are damaged"),
    ("nt.bzv", NEW["bzv"][:-1], "nt.bz. are damaged"),
])
def test_damaged_modules(name, content, says):
    with pytest.raises(DataError, match=says):
        read_sword({**FILES, name: content}, "x")


def test_a_module_of_another_kind():
    other = {f"{testament}.{ending}": content for testament in ("ot", "nt") for ending, content in module("plain").items()}
    with pytest.raises(DataError, match="holds no verse"):
        read_sword(other, "x")


def test_the_whole_bible_from_its_package(tmp_path, monkeypatch):
    path = tmp_path / "web.deb"
    path.write_bytes(package(FILES))
    assert load_bible(path=path) == ("In the beginning, God created light.\nThird & last.\n\n“Ñandú” said he.\n\n"
                                     "These are the names.\n\nAmen.\n")
    path.write_bytes(package(FILES, "another"))
    with pytest.raises(DataError, match=r"has no file usr/share/sword/modules/texts/ztext/engWEB2015eb/ot.bzs"):
        load_bible(path=path)
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr("tinygrad_course.data.fetch.installed_folder", lambda package: None)
    with pytest.raises(DataError, match=r"apt-get download sword-text-web\): tinygrad-course data get bible"):
        load_bible(full=True)
    with pytest.raises(DataError, match=r"tinygrad-course data get verse-pairs"):
        load_verse_pairs(full=True)


def test_pairs_of_two_modules():
    spanish = {("Gen", 1, 1): "En el principio crió Dios la luz.",
               ("Gen", 1, 3): "Un versículo que es más de tres veces más largo.",
               ("Gen", 2, 1): "Amén.", ("Exod", 1, 1): "Amén.", ("Tob", 1, 1): "Tobías."}
    english = {**VERSES, ("Gen", 2, 1): "Amen!", ("Exod", 1, 1): "Amen.", ("Tob", 1, 1): "Tobit."}
    expected = [("In the beginning, God created light.", "En el principio crió Dios la luz."), ("Amen!", "Amén.")]
    assert bible.verse_pairs(english, spanish) == expected
    assert bible.verse_pairs(english, spanish, most=30) == expected[1:]


# ---- reviews ---------------------------------------------------------------------------------------------------------

PACKED = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
ROWS = [(number, rating, f"Sentence {number}: {'good' if rating > 0 else 'bad'}.")
        for number, rating in enumerate(np.tile([2.5, -1.25, 0.0, 1.0, -3.0], 8), 1)]


def reviews(rows):
    text = "".join(f"{number}\t{rating}\t{sentence}\r\n" for number, rating, sentence in rows).encode()
    inner = tar({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": text}, "w:gz", "")
    return zipped({PACKED: inner})


def test_reviews(tmp_path, monkeypatch):
    path = tmp_path / "reviews.zip"
    path.write_bytes(reviews([*ROWS, (99, -4.0, ROWS[0][2]), (100, 3.0, "“Née” — très bien")]))
    train, test = load_reviews("train", path), load_reviews("test", path)
    assert (len(train.sentences), len(test.sentences)) == (33, 8)
    found = {sentence: rating for part in (train, test) for sentence, rating in zip(*part, strict=True)}
    assert found == {**{sentence: rating for _, rating, sentence in ROWS}, "“Née” — très bien": 3.0}
    assert ((train.ratings > 0).sum(), (test.ratings > 0).sum()) == (14, 3)
    assert [sentence.endswith("good.") for sentence in test.sentences] == [rating > 0 for rating in test.ratings]
    shutil.unpack_archive(path, tmp_path / "unpacked")
    assert load_reviews("test", tmp_path / "unpacked").sentences == test.sentences
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"pip download --no-deps .*vaderSentiment==0.5\): tinygrad-course data get reviews"):
        load_reviews()
    assert REVIEWS_PACKAGE.file == "vaderSentiment-0.5.zip"


@pytest.mark.parametrize(("content", "says"), [
    (zipped({"vaderSentiment-3.3.2/README": b""}), "has no file"),
    (zipped({PACKED: b"x"}), "is not what it is in vaderSentiment 0.5"),
    (zipped({PACKED: tar({"a": b""}, "w:gz")}), "is not what it is"),
    (reviews([(1, "good", "A sentence.")]), "could not convert string to float"),
])
def test_reviews_that_cannot_be_read(tmp_path, content, says):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=says):
        load_reviews("train", tmp_path / "x.zip")
