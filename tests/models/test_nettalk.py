"""NETtalk: its size, its input without one-hot vectors, its code, and what the letters are to say."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.data import CONSONANTS, SILENT, VOWELS, learn_alignment
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models import nettalk
from tinygrad_course.models.nettalk import CODES, FEATURES, PHONES, SYMBOLS, NETtalk, SoftmaxNETtalk

RNG = np.random.default_rng(0)


@pytest.fixture
def net():
    tgc.manual_seed(0)
    return NETtalk()


def test_size(net):
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert shapes == {"hidden.weight": (80, 203), "hidden.bias": (80,), "output.weight": (26, 80), "output.bias": (26,)}
    assert sum(p.numel() for p in net.parameters() if p.ndim == 2) == 18_320
    assert all(float(p.abs().max().item()) <= 0.3 for p in net.parameters())
    assert tuple(SoftmaxNETtalk().output.weight.shape) == (40, 80)


def test_sums_of_columns_are_the_one_hot_product(net):
    """Outputs and gradients are those of the dense network on 203 inputs, in NumPy and by finite differences."""
    net = net.double()
    windows = RNG.integers(0, 29, (5, 7))
    one_hot = np.zeros((5, 7, 29))
    one_hot[np.arange(5)[:, None], np.arange(7), windows] = 1
    one_hot = one_hot.reshape(5, 203)
    w, b, v, c = (p.detach().numpy() for p in net.parameters())

    def outputs(w):
        return 1 / (1 + np.exp(-(1 / (1 + np.exp(-(one_hot @ w.T + b))) @ v.T + c)))

    found = net(tgc.tensor(windows))
    np.testing.assert_allclose(found.detach().numpy(), outputs(w), rtol=1e-12)
    g, direction, step = RNG.standard_normal((5, 26)), RNG.standard_normal(w.shape), 1e-6
    found.backward(tgc.tensor(g))
    numeric = (g * (outputs(w + step * direction) - outputs(w - step * direction))).sum() / (2 * step)
    assert (net.hidden.weight.grad.numpy() * direction).sum() == pytest.approx(numeric, rel=1e-6)


def test_code():
    assert sorted(PHONES) == sorted([*VOWELS, *CONSONANTS, SILENT])
    assert CODES.shape == (40, 23)
    assert len(np.unique(CODES, axis=0)) == 40
    assert CODES.any(axis=0).all(), "each unit says something of some phone"
    assert all(set(sound.split()) <= set(FEATURES) for sound in nettalk.ARTICULATION.values()), "no feature is misspelt"
    features = dict(zip(PHONES, CODES.astype(bool), strict=True))
    voiced = features["B"] & ~features["P"]
    for soft, hard in (("B", "P"), ("D", "T"), ("G", "K"), ("V", "F"), ("DH", "TH"), ("Z", "S"), ("ZH", "SH"), ("JH", "CH")):
        assert (features[soft] == (features[hard] | voiced)).all(), f"{soft} is {hard} with voice"


def test_targets_are_decoded_to_themselves_and_near_outputs_too():
    phones, stresses = RNG.integers(0, 40, 200), RNG.integers(0, 3, 200)
    targets = nettalk.target_codes(phones, stresses)
    for outputs in (targets, 0.3 * targets, np.clip(targets + RNG.uniform(-0.1, 0.1, targets.shape), 0, 1)):
        found, stress = NETtalk.decode(outputs)
        np.testing.assert_array_equal(found, phones)
        np.testing.assert_array_equal(stress, stresses)
    assert not nettalk.target_codes(phones, np.full(200, -1))[:, 23:].any()


def test_losses_by_hand(net):
    outputs, phones, stresses = RNG.random((6, 26)).astype(np.float32), RNG.integers(0, 40, 6), np.array([0, 1, 2, -1, -1, 1])
    targets = nettalk.target_codes(phones, stresses)
    wanted = np.mean([0.5 * ((output - target) ** 2).sum() for output, target in zip(outputs, targets, strict=True)])
    assert net.loss(tgc.tensor(outputs), phones, stresses).item() == pytest.approx(wanted, rel=1e-5)
    scores = RNG.standard_normal((6, 40))
    likelihood = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wanted = -np.log(likelihood[np.arange(6), phones]).mean()
    assert SoftmaxNETtalk.loss(tgc.tensor(scores), phones, stresses).item() == pytest.approx(wanted, rel=1e-9)


def test_windows():
    windows = nettalk.letter_windows(["a", "letters"])
    texts = ["".join(SYMBOLS[number] for number in window) for window in windows]
    assert texts == ["   a   ", "   lett", "  lette", " letter", "letters", "etters ", "tters  ", "ters   "]


def test_targets():
    words, sounds = ["though", "abe", "ox"], [("DH", "OW1"), ("EY1", "B"), ("AA1", "K")]
    alignment = learn_alignment(words, [("DH", "OW"), ("EY", "B"), ("AA", "K")])
    phones, stresses = nettalk.letter_targets(words, sounds, alignment)
    spoken = alignment.align(words, [("DH", "OW"), ("EY", "B"), ("AA", "K")])
    assert [PHONES[phone] for phone in phones] == [phone for word in spoken for phone in word]
    assert [stress for phone, stress in zip(phones, stresses, strict=True) if PHONES[phone] in VOWELS] == [1, 1, 1]
    assert {stress for phone, stress in zip(phones, stresses, strict=True) if PHONES[phone] not in VOWELS} == {-1}


def test_shares_of_words_and_the_baseline():
    assert nettalk.words_right(np.array([1, 1, 1, 0, 1, 1], dtype=bool), ["ab", "cd", "ef"]) == pytest.approx(2 / 3)
    windows = np.zeros((5, 7), dtype=np.int64)
    windows[:, 3] = [4, 4, 4, 9, 9]
    table = nettalk.most_frequent_phone(windows, np.array([7, 8, 8, 30, 30]))
    assert (table[4], table[9]) == (8, 30)


@pytest.mark.parametrize("kind", [NETtalk, SoftmaxNETtalk])
def test_learns_a_few_words_by_heart_and_says_them(kind):
    tgc.manual_seed(0)
    words = ["though", "phone", "letter", "nut"]
    sounds = [("DH", "OW1"), ("F", "OW1", "N"), ("L", "EH1", "T", "ER0"), ("N", "AH1", "T")]
    alignment = learn_alignment(words, [tuple(sound.rstrip("01") for sound in word) for word in sounds])
    windows, (phones, stresses) = tgc.tensor(nettalk.letter_windows(words)), nettalk.letter_targets(words, sounds, alignment)
    net = kind()
    optimizer = tgc.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(500):
        loss = net.loss(net(windows), phones, stresses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if kind is SoftmaxNETtalk:
        sounds = [tuple(sound.replace("1", "0") for sound in word) for word in sounds]
    assert net.pronounce(words) == sounds


@pytest.mark.parametrize(("words", "message"), [
    (["don't", "Über"], r"the words contain \"'UÜ\".*letters a to z \(lower case\)|the words contain .*letters a to z"),
    (["a", ""], "there is an empty word"), ([], "there is an empty word, or none"),
])
def test_unreadable_words(words, message):
    with pytest.raises(DataError, match=message):
        nettalk.letter_windows(words)


def test_wrong_windows(net):
    with pytest.raises(ShapeError, match=r"windows have the shape \(2, 5\), needed is \(N, 7\): the letter to be read"):
        net(tgc.zeros(2, 5, dtype=tgc.int64))
