"""NETtalk: a network that learns to read English aloud, letter by letter.

It sees seven letters at a time and says how the one in the middle sounds.  203 inputs (7 places x 29 symbols, of which one is
on at each place) lead to 80 hidden and 26 output units, all sigmoid:

    y = s(V s(W x + b) + c),  s(h) = 1 / (1 + exp(-h));  7 x 29 x 80 + 80 x 26 = 18,320 weights, and 106 biases

The outputs are no classes but properties of the sound: where in the mouth, how, with voice or without, how high the tongue.
The phone said is the one whose code has the smallest angle to the outputs: what the net does not know it says approximately.
23 units stand for the articulation and 3 for the stress of a vowel (none, primary, secondary).

T. Sejnowski, C. Rosenberg, "Parallel networks that learn to pronounce English text", Complex Systems 1, 145-168 (1987).

Different from the paper: the phones are the 39 of the CMU dictionary and silence, with a code made for them (the paper has 54
sounds); letters and phones are aligned by EM, not by hand; consonants have no stress marks; the words are read one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from tinygrad_course import nn
from tinygrad_course.autograd import no_grad
from tinygrad_course.data import SILENT, VOWELS, LetterPhones
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.ops.creation import tensor
from tinygrad_course.tensor import Tensor

SYMBOLS = "abcdefghijklmnopqrstuvwxyz ,."  # the space is the boundary of a word
WINDOW, HIDDEN = 7, 80

ARTICULATION = {
    "P": "labial stop", "B": "labial stop voiced", "T": "alveolar stop", "D": "alveolar stop voiced",
    "K": "velar stop", "G": "velar stop voiced",
    "CH": "palatal affricate", "JH": "palatal affricate voiced",
    "F": "labial dental fricative", "V": "labial dental fricative voiced",
    "TH": "dental fricative", "DH": "dental fricative voiced",
    "S": "alveolar fricative", "Z": "alveolar fricative voiced",
    "SH": "palatal fricative", "ZH": "palatal fricative voiced", "HH": "glottal fricative",
    "M": "labial nasal voiced", "N": "alveolar nasal voiced", "NG": "velar nasal voiced",
    "L": "alveolar liquid voiced", "R": "palatal liquid voiced",
    "W": "labial velar glide voiced", "Y": "palatal glide voiced",
    "IY": "front high tense voiced", "IH": "front high voiced", "EY": "front mid tense voiced", "EH": "front mid voiced",
    "AE": "front low voiced", "AA": "back low voiced", "AO": "back low round tense voiced",
    "OW": "back mid round tense voiced", "UH": "back high round voiced", "UW": "back high round tense voiced",
    "AH": "central mid voiced", "ER": "central mid liquid voiced",
    "AY": "central low front diphthong voiced", "AW": "central low round diphthong voiced",
    "OY": "back mid round front diphthong voiced",
    SILENT: "silent",
}
FEATURES = ("labial", "dental", "alveolar", "palatal", "velar", "glottal", "stop", "nasal", "fricative", "affricate", "glide",
            "liquid", "voiced", "front", "central", "back", "high", "mid", "low", "tense", "round", "diphthong", "silent")
STRESSES = ("none", "primary", "secondary")  # the digits 0, 1, 2 of the dictionary
PHONES = tuple(ARTICULATION)
CODES = np.array([[feature in ARTICULATION[phone].split() for feature in FEATURES] for phone in PHONES], dtype=np.float32)
_DIRECTIONS = CODES / np.linalg.norm(CODES, axis=1, keepdims=True)  # (40, 23)


class NETtalk(nn.Module):
    """203 -> 80 -> 26, all sigmoid.  Windows int64 (N, 7), numbers of SYMBOLS  ->  outputs (N, 26), from 0 to 1.

    The one-hot input is never built: W x is the sum of the seven columns of W that the letters choose.
    Weights are drawn from U(-0.3, 0.3), as in the paper.
    """

    outputs = len(FEATURES) + len(STRESSES)

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(WINDOW * len(SYMBOLS), HIDDEN)
        self.output = nn.Linear(HIDDEN, self.outputs)
        for layer in (self.hidden, self.output):
            init.uniform_(layer.weight, -0.3, 0.3)
            init.zeros_(cast(Tensor, layer.bias))
        self.register_buffer("places", tensor(len(SYMBOLS) * np.arange(WINDOW)), persistent=False)

    def hidden_activity(self, windows: Tensor) -> Tensor:
        """s(W x + b):  (N, 7) -> (N, 80)."""
        if windows.ndim != 2 or windows.shape[1] != WINDOW:
            raise ShapeError(f"NETtalk: windows have the shape {tuple(windows.shape)}, needed is (N, {WINDOW}): "
                             "the letter to be read and three on either side.")
        return (F.embedding_bag(windows + self.places, self.hidden.weight.t(), mode="sum") + self.hidden.bias).sigmoid()

    def forward(self, windows: Tensor) -> Tensor:
        return self.output(self.hidden_activity(windows)).sigmoid()

    @staticmethod
    def loss(outputs: Tensor, phones: np.ndarray, stresses: np.ndarray) -> Tensor:
        """1/2 sum (y - t)^2 over the outputs, mean over the letters; t is the code of the phone and its stress."""
        error = outputs - tensor(target_codes(phones, stresses))
        return (error * error).sum() / (2 * len(phones))

    @staticmethod
    def decode(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the phones with the smallest angle, (N,), and of the stress unit that is most active, (N,)."""
        return (outputs[:, :len(FEATURES)] @ _DIRECTIONS.T).argmax(axis=1), outputs[:, len(FEATURES):].argmax(axis=1)

    def read(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Phones and stresses, as `decode`, of windows (N, 7)."""
        with no_grad():
            return self.decode(self(tensor(windows)).numpy())

    def pronounce(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """Phones of each word, vowels with their stress: pronounce(["though"]) = [("DH", "OW1")] if it has learned that."""
        phones, stresses = self.read(letter_windows(words))
        spoken = [PHONES[phone] + (str(stress) if PHONES[phone] in VOWELS else "")
                  for phone, stress in zip(phones, stresses, strict=True)]
        ends = np.cumsum([len(word) for word in words])
        return [tuple(sound for sound in spoken[end - len(word):end] if sound != SILENT)
                for word, end in zip(words, ends, strict=True)]


class SoftmaxNETtalk(NETtalk):
    """The same hidden layer, but an output for each of the 40 phones, and softmax; it says nothing about stress."""

    outputs = len(PHONES)

    def forward(self, windows: Tensor) -> Tensor:
        """Scores (N, 40)."""
        return self.output(self.hidden_activity(windows))

    @staticmethod
    def loss(outputs: Tensor, phones: np.ndarray, stresses: np.ndarray) -> Tensor:
        """Mean negative log-likelihood of the phones."""
        return F.cross_entropy(outputs, tensor(phones))

    @staticmethod
    def decode(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the phones with the largest scores, (N,), and "none" for each stress."""
        return outputs.argmax(axis=1), np.zeros(len(outputs), dtype=np.int64)


def letter_windows(words: Sequence[str]) -> np.ndarray:
    """One window per letter of all words, int64 (letters, 7): numbers of SYMBOLS, spaces around each word.

    Raises DataError if there are no words, or one is empty or has other symbols.
    """
    margin = WINDOW // 2
    other = sorted(set("".join(words)) - set(SYMBOLS))
    if other or not len(words) or not all(words):
        wrong = f"the words contain {''.join(other)!r}" if other else "there is an empty word, or none"
        raise DataError(f"letter_windows: {wrong}. NETtalk reads words of the letters a to z (lower case), spaces, commas "
                        "and full stops.")
    text = np.frombuffer((" " * margin).join(["", *words, ""]).encode("ascii"), dtype=np.uint8)
    number = np.zeros(128, dtype=np.int64)
    number[np.frombuffer(SYMBOLS.encode("ascii"), dtype=np.uint8)] = np.arange(len(SYMBOLS))
    lengths = np.array([len(word) for word in words])
    starts = margin + np.cumsum(lengths + margin) - lengths - margin       # of each word in the text
    first = np.cumsum(lengths) - lengths                                   # of each word among all letters
    centres = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    return number[text[centres[:, None] + np.arange(-margin, margin + 1)]]


def letter_targets(words: Sequence[str], pronunciations: Sequence[Sequence[str]],
                   alignment: LetterPhones) -> tuple[np.ndarray, np.ndarray]:
    """What each letter of the words should say: numbers of PHONES int64 (letters,), and stresses 0, 1, 2, or -1 for other
    sounds than vowels.

    pronunciations   with stress digits;  alignment: of letters with the bare phones
    """
    bare = [tuple(sound.rstrip("012") for sound in sounds) for sounds in pronunciations]
    number = {phone: place for place, phone in enumerate(PHONES)}
    phones, stresses = [], []
    for spoken, sounds in zip(alignment.align(words, bare), pronunciations, strict=True):
        in_order = iter(sounds)
        for phone in spoken:
            sound = next(in_order) if phone != SILENT else phone
            phones.append(number[phone])
            stresses.append(int(sound[-1]) if sound[-1].isdigit() else -1)
    return np.array(phones), np.array(stresses)


def target_codes(phones: np.ndarray, stresses: np.ndarray) -> np.ndarray:
    """Desired outputs 0 and 1 of the 26 units, float32 (N, 26).  Where the stress is -1, no stress unit is on."""
    stress_codes = np.concatenate([np.eye(len(STRESSES)), np.zeros((1, len(STRESSES)))]).astype(np.float32)
    return np.concatenate([CODES[phones], stress_codes[stresses]], axis=1)  # row -1 is the last, zeros


def words_right(right: np.ndarray, words: Sequence[str]) -> float:
    """Share of the words all of whose letters are right (bool, one per letter)."""
    lengths = np.array([len(word) for word in words])
    return float(np.logical_and.reduceat(right, np.cumsum(lengths) - lengths).mean())


def most_frequent_phone(windows: np.ndarray, phones: np.ndarray) -> np.ndarray:
    """The baseline without context: for each of the 29 symbols the phone it speaks most often, (29,)."""
    counts = np.zeros((len(SYMBOLS), len(PHONES)), dtype=np.int64)
    np.add.at(counts, (windows[:, WINDOW // 2], phones), 1)
    return counts.argmax(axis=1)
