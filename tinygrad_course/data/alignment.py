"""Which letter of a word makes which sound: an alignment learned from whole words and their pronunciations.

A network that reads text letter by letter needs one target per letter, but "though" has six letters and two phones.
Here every letter speaks one phone of the pronunciation or is silent, and the order is kept:

    t  h  o  u  g  h
    DH -  OW -  -  -

The probability of an alignment is the product over the letters of p(phone | letter), with "silent" as a phone of its own.
The second of two equal letters counts as a letter of its own, "ll": it is silent more often than one that stands alone.
Nobody says which alignments are right, so p is learned by expectation and maximisation (EM): all alignments of a word count
as observed in proportion to their probability under the present p (E), and p becomes the counted shares (M).  Each round
makes the pronunciations more probable, or leaves them as they are.  The sum over all alignments of a word, of which there
are (letters choose phones), goes through a table of (letters + 1) x (phones + 1) partial sums from both ends, as in a
hidden Markov model.

A. Dempster, N. Laird, D. Rubin, "Maximum likelihood from incomplete data via the EM algorithm", Journal of the Royal
Statistical Society B 39(1), 1-38 (1977); L. Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 77(2),
257-286 (1989), equations 19 to 27 (forward and backward sums) and 32 to 35 (the best path).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_course.errors import DataError

SILENT = "-"  # what a letter speaks that speaks no phone
_TIE = 1e-9   # log probabilities that differ by less are equal up to rounding
_UNSEEN = 1e-3  # is added to each count in the end: what a letter never spoke stays possible in other words


@dataclass(frozen=True, eq=False)
class LetterPhones:
    """What the letters speak.

    letters       (A,) distinct letters, of which "ll" is an l that follows an l
    phones        (Q,) distinct phones; the silent one is not among them
    probability   (A, Q + 1): p(phone | letter), the last column is that of silence; rows add up to 1
    log_likelihoods   of all pronunciations, before each round of EM (nats); they never fall
    """

    letters: tuple[str, ...]
    phones: tuple[str, ...]
    probability: np.ndarray
    log_likelihoods: np.ndarray

    def align(self, words: Sequence[str], pronunciations: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """The most probable alignment of each word: one phone, or "-" for silence, per letter.

        Of equally probable ones the letter that stands first speaks: in "ll" the first l.
        Raises DataError if a word has more phones than letters, or letters or phones that were not learned.
        """
        names = np.array([*self.phones, SILENT], dtype=object)
        log_p = np.log(self.probability)
        out: list[tuple[str, ...]] = [()] * len(words)
        for places, letters, phones in _groups(words, pronunciations, self.letters, self.phones):
            for place, path in zip(places, _best_paths(log_p, letters, phones), strict=True):
                out[place] = tuple(names[path])
        return out


def learn_alignment(words: Sequence[str], pronunciations: Sequence[Sequence[str]], iterations: int = 10) -> LetterPhones:
    """p(phone | letter) of words and their phones by EM, from equal probabilities on.

    Raises DataError if there are no words, or one has more phones than letters or none, or iterations < 1.
    """
    if iterations < 1:
        raise DataError(f"learn_alignment: iterations={iterations}; it must be at least 1.")
    if len(words) != len(pronunciations) or not len(words):
        raise DataError(f"learn_alignment: {len(words)} words and {len(pronunciations)} pronunciations. Give one for each "
                        "word, and at least one word.")
    letters = tuple(sorted({spelled for word in words for letter in word for spelled in (letter, 2 * letter)}))
    phones = tuple(sorted({phone for pronunciation in pronunciations for phone in pronunciation}))
    groups = list(_groups(words, pronunciations, letters, phones))
    p = np.full((len(letters), len(phones) + 1), 1 / (len(phones) + 1))
    likelihoods = []
    for _ in range(iterations):
        counts, log_likelihood = np.zeros(p.size), 0.0
        for _, group_letters, group_phones in groups:
            log_likelihood += _count(p, group_letters, group_phones, counts)
        table = counts.reshape(p.shape)
        p = table / np.maximum(table.sum(axis=1, keepdims=True), _UNSEEN)  # "qq" may not have occurred
        likelihoods.append(log_likelihood)
    table = table + _UNSEEN
    return LetterPhones(letters, phones, table / table.sum(axis=1, keepdims=True), np.array(likelihoods))


def spell(word: str) -> list[str]:
    """The letters of a word, "ll" for an l that follows an l:  spell("hello") = ["h", "e", "l", "ll", "o"]."""
    return [letter * (1 + (word[i - 1:i] == letter)) for i, letter in enumerate(word)]


def _groups(words: Sequence[str], pronunciations: Sequence[Sequence[str]], letters: Sequence[str],
            phones: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Words of the same numbers of letters n and phones m together: their places (W,), letters (W, n), phones (W, m)."""
    letter_number = {letter: number for number, letter in enumerate(letters)}
    phone_number = {phone: number for number, phone in enumerate(phones)}
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (word, pronunciation) in enumerate(zip(words, pronunciations, strict=True)):
        if not 0 < len(pronunciation) <= len(word):
            raise DataError(f"alignment: {word!r} has {len(word)} letters and {len(pronunciation)} phones "
                            f"({' '.join(pronunciation)}). A letter speaks one phone at most, and a word one at least: leave "
                            "this word out.")
        by_size[len(word), len(pronunciation)].append(place)
    try:
        for places in by_size.values():
            letter_rows = [[letter_number[letter] for letter in spell(words[place])] for place in places]
            phone_rows = [[phone_number[phone] for phone in pronunciations[place]] for place in places]
            yield np.array(places), np.array(letter_rows), np.array(phone_rows)
    except KeyError as error:
        raise DataError(f"alignment: {error.args[0]!r} did not occur in the words that the alignment was learned from. Learn "
                        "it from words with all letters and phones.") from None


def _count(p: np.ndarray, letters: np.ndarray, phones: np.ndarray, counts: np.ndarray) -> float:
    """Add how often each letter is expected to speak each phone to `counts`; the log likelihood of the group (E)."""
    (w, n), m = letters.shape, phones.shape[1]
    silent = p[letters, -1]                                        # (W, n)
    speaks = p[letters[:, :, None], phones[:, None, :]]            # (W, n, m)
    # forward[i, j]: sum over the alignments of the first i letters with the first j phones; backward[i, j]: of the rest.
    forward, backward = np.zeros((n + 1, m + 1, w)), np.zeros((n + 1, m + 1, w))
    forward[0, 0] = backward[n, m] = 1
    silent, speaks = silent.T, np.ascontiguousarray(speaks.transpose(1, 2, 0))  # (n, W), (n, m, W)
    for i in range(n):
        forward[i + 1] = forward[i] * silent[i]
        forward[i + 1, 1:] += forward[i, :-1] * speaks[i]
    for i in reversed(range(n)):
        backward[i] = backward[i + 1] * silent[i]
        backward[i, :-1] += backward[i + 1, 1:] * speaks[i]
    total = forward[n, m]                                          # (W,): all alignments
    if not total.all():
        raise DataError(f"alignment: the probability of words of {n} letters is smaller than float64 can hold. Leave such "
                        "words out, or cut them.")
    is_silent = (forward[:-1] * backward[1:]).sum(axis=1) * silent / total              # (n, W)
    does_speak = forward[:-1, :-1] * speaks * backward[1:, 1:] / total                  # (n, m, W)
    columns = p.shape[1]
    rows = letters.T * columns                                     # (n, W)
    counts += np.bincount((rows + columns - 1).ravel(), is_silent.ravel(), len(counts))
    counts += np.bincount((rows[:, None, :] + phones.T).ravel(), does_speak.ravel(), len(counts))
    return float(np.log(total).sum())


def _best_paths(log_p: np.ndarray, letters: np.ndarray, phones: np.ndarray) -> np.ndarray:
    """The number of the phone that each letter speaks, -1 for silence, on the most probable path:  (W, n)."""
    (w, n), m = letters.shape, phones.shape[1]
    best = np.full((w, m + 1), -np.inf)                            # of the letters so far, with the first j phones
    best[:, 0] = 0
    does_speak = np.zeros((n, w, m + 1), dtype=bool)
    for i in range(n):
        silent = best + log_p[letters[:, i], -1][:, None]
        speaks = np.full_like(best, -np.inf)
        speaks[:, 1:] = best[:, :-1] + log_p[letters[:, i, None], phones]
        does_speak[i] = speaks > silent + _TIE
        best = np.maximum(silent, speaks)
    path, rest, rows = np.full((w, n), -1), np.full(w, m), np.arange(w)
    for i in reversed(range(n)):
        speaking = does_speak[i, rows, rest]
        path[speaking, i] = phones[speaking, rest[speaking] - 1]
        rest = rest - speaking
    return path
