"""The pronouncing dictionary and the alignment of its letters and phones."""

import itertools
import math

import numpy as np
import pytest

from tinygrad_course.data import CONSONANTS, SILENT, VOWELS, LetterPhones, learn_alignment, load_pronunciations
from tinygrad_course.data.alignment import spell
from tinygrad_course.errors import DataError


@pytest.fixture(scope="module")
def dictionary():
    return load_pronunciations()


def test_dictionary(dictionary):
    assert len(dictionary) == 126_052
    assert {phone for phones in dictionary.values() for phone in phones} == {*VOWELS, *CONSONANTS}
    assert (len(VOWELS), len(CONSONANTS)) == (15, 24)
    assert dictionary["alphabet"] == ("AE", "L", "F", "AH", "B", "EH", "T")
    assert list(dictionary) == sorted(dictionary)
    plain = [word for word in dictionary if word.isascii() and word.isalpha() and word.islower()]
    assert len(plain) == 117_493
    assert sum(len(dictionary[word]) <= len(word) for word in plain) == 115_338
    assert dictionary["a"] == ("AH",), "of several pronunciations the first"


def test_stress(dictionary):
    stressed = load_pronunciations(stress=True)
    assert stressed["alphabet"] == ("AE1", "L", "F", "AH0", "B", "EH2", "T")
    sounds = {phone for phones in stressed.values() for phone in phones}
    assert sounds == {*CONSONANTS, *(vowel + digit for vowel in VOWELS for digit in "012")}
    assert all(tuple(phone.rstrip("012") for phone in stressed[word]) == phones
               for word, phones in itertools.islice(dictionary.items(), 0, None, 97))


def test_spelling():
    assert spell("hello") == ["h", "e", "l", "ll", "o"]
    assert spell("") == []


def alignments(n, m):
    """All ways in which m of n letters speak, each as the places of the letters that do."""
    return itertools.combinations(range(n), m)


WORDS = ["ab", "abb", "bba", "aab", "b", "caba", "acab"]
PHONES = [("A", "B"), ("A", "B"), ("B", "A"), ("A",), ("B",), ("C", "A", "B"), ("A", "C", "B")]


def by_enumeration(p, letters, phones, word, pronunciation):
    """(probability, phone or silence of each letter) of each alignment of one word."""
    found = []
    for places in alignments(len(word), len(pronunciation)):
        spoken = [SILENT] * len(word)
        for place, phone in zip(places, pronunciation, strict=True):
            spoken[place] = phone
        columns = [len(phones) if phone == SILENT else phones.index(phone) for phone in spoken]
        rows = [letters.index(letter) for letter in spell(word)]
        found.append((math.prod(p[row, column] for row, column in zip(rows, columns, strict=True)), spoken))
    return found


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_em_by_enumeration(rounds):
    learned = learn_alignment(WORDS, PHONES, rounds)
    letters, phones = learned.letters, learned.phones
    p = np.full((len(letters), len(phones) + 1), 1 / (len(phones) + 1))
    for number in range(rounds):
        counts, log_likelihood = np.zeros_like(p), 0.0
        for word, pronunciation in zip(WORDS, PHONES, strict=True):
            ways = by_enumeration(p, letters, phones, word, pronunciation)
            total = sum(probability for probability, _ in ways)
            log_likelihood += math.log(total)
            for probability, spoken in ways:
                for letter, phone in zip(spell(word), spoken, strict=True):
                    counts[letters.index(letter), [*phones, SILENT].index(phone)] += probability / total
        assert learned.log_likelihoods[number] == pytest.approx(log_likelihood, rel=1e-12)
        seen = counts.sum(axis=1) > 0
        p[seen] = counts[seen] / counts[seen].sum(axis=1, keepdims=True)
    counts += 0.001  # in the end
    np.testing.assert_allclose(learned.probability, counts / counts.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_best_path_by_enumeration():
    rng = np.random.default_rng(0)
    letters, phones = ("a", "b", "c", "aa"), ("A", "B")
    table = LetterPhones(letters, phones, rng.dirichlet(np.ones(3), 4), np.zeros(1))
    words = ["".join(rng.choice(["a", "bc"], 5)) for _ in range(20)]
    words = [word for word in words if "bb" not in word and "cc" not in word and "aaa" not in word]
    pronunciations = [tuple(rng.choice(phones, rng.integers(1, len(word) + 1))) for word in words]
    for word, pronunciation, found in zip(words, pronunciations, table.align(words, pronunciations), strict=True):
        ways = by_enumeration(table.probability, letters, phones, word, pronunciation)
        assert list(found) == max(ways)[1]
        assert [phone for phone in found if phone != SILENT] == list(pronunciation)


def test_alignment_of_real_words(dictionary):
    words = [word for word in dictionary if word.isalpha() and len(dictionary[word]) <= len(word)][::40]
    learned = learn_alignment(words, [dictionary[word] for word in words])
    assert (np.diff(learned.log_likelihoods) >= -1e-6).all(), "EM never makes the data less probable"
    asked = ["though", "hello", "phone", "night", "jazz"]  # "zz" may be in none of the words learned from
    found = dict(zip(asked, learned.align(asked, [dictionary[word] for word in asked]), strict=True))
    assert found["though"] == ("DH", SILENT, "OW", SILENT, SILENT, SILENT)
    assert found["phone"] == ("F", SILENT, "OW", "N", SILENT)
    assert found["hello"] == ("HH", "AH", "L", SILENT, "OW")
    again = learned.align(words, [dictionary[word] for word in words])
    assert all(tuple(phone for phone in spoken if phone != SILENT) == dictionary[word]
               for word, spoken in zip(words, again, strict=True))


@pytest.mark.parametrize(("words", "phones", "iterations", "message"), [
    (["box"], [("B", "AA", "K", "S")], 3, r"'box' has 3 letters and 4 phones \(B AA K S\).*leave this word out"),
    (["box"], [()], 3, "'box' has 3 letters and 0 phones"),
    (["box"], [], 3, "1 words and 0 pronunciations"),
    ([], [], 3, "0 words and 0 pronunciations"),
    (["ab" * 500], [("A", "B")], 3, "probability of words of 1000 letters is smaller than float64 can hold"),
    (["a"], [("AH",)], 0, "iterations=0; it must be at least 1"),
])
def test_what_cannot_be_aligned(words, phones, iterations, message):
    with pytest.raises(DataError, match=message):
        learn_alignment(words, phones, iterations)


def test_unknown_letters_and_phones():
    learned = learn_alignment(["ab"], [("A", "B")])
    with pytest.raises(DataError, match="'c' did not occur in the words"):
        learned.align(["ac"], [("A",)])
    with pytest.raises(DataError, match="'X' did not occur in the words"):
        learned.align(["ab"], [("X",)])
