"""C4: NETtalk, a network that learns to read aloud.

Seven letters go in, the sound of the middle one comes out; the equations and the phoneme code stand in models/nettalk.py.
The words are those of the CMU pronouncing dictionary that have letters only, and no more phones than letters (without "box",
B AA K S).  Letters and phones are aligned by EM (data/alignment.py).  The words judged by are none of those learned from.

What the paper found, and this row finds again: the network reads words that it has never seen, far better than any rule that
looks at single letters; and it is robust, since no weight is important by itself: random changes to all weights harm slowly.
A softmax output with one unit per phone reads better still, but knows nothing of how phones resemble each other.

T. Sejnowski, C. Rosenberg, "Parallel networks that learn to pronounce English text", Complex Systems 1, 145-168 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import learn_alignment, load_pronunciations
from tinygrad_course.models import nettalk
from tinygrad_course.models.nettalk import NETtalk, SoftmaxNETtalk
from tinygrad_course.train import cosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN_WORDS, TEST_WORDS, EM_WORDS = 50_000, 5_000, 10_000
EPOCHS = {"sigmoid, 26 articulatory units": 8, "softmax, 40 phones": 4}
BATCH, RATE, LOOKS = 512, 0.03, 12
DAMAGE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)  # each weight and bias is changed by U(-d, d)
SHOWN = "phonetics"


@dataclass(frozen=True, eq=False)
class Letters:
    """All letters of some words: windows (letters, 7), phones and stresses (letters,)."""

    words: list[str]
    windows: np.ndarray
    phones: np.ndarray
    stresses: np.ndarray


def load_letters(seed: int) -> tuple[Letters, Letters]:
    """Training and test letters of words drawn from the dictionary; the alignment is learned from training words."""
    dictionary = load_pronunciations(stress=True)
    words = [word for word, sounds in dictionary.items() if word.isalpha() and len(sounds) <= len(word)]
    order = np.random.default_rng(seed).permutation(len(words))[:TRAIN_WORDS + TEST_WORDS]
    chosen = [words[place] for place in order]
    bare = [tuple(sound.rstrip("012") for sound in dictionary[word]) for word in chosen[:EM_WORDS]]
    alignment = learn_alignment(chosen[:EM_WORDS], bare, iterations=8)
    train, test = (Letters(part, nettalk.letter_windows(part),
                           *nettalk.letter_targets(part, [dictionary[word] for word in part], alignment))
                   for part in (chosen[:TRAIN_WORDS], chosen[TRAIN_WORDS:]))
    return train, test


@dataclass
class Learned:
    """A network, and the test accuracy of its phones after numbers of letters read."""

    net: NETtalk
    letters: list[int]
    accuracy: list[float]


def train(net: NETtalk, train: Letters, test: Letters, epochs: int, settings: Settings, name: str) -> Learned:
    """Adam with a falling rate; each letter is read once per epoch, in random order."""
    rng = np.random.default_rng(settings.seed)
    per_epoch = len(train.phones) // BATCH
    steps = settings.steps or epochs * per_epoch
    optimizer, schedule = optim.Adam(net.parameters(), lr=RATE), cosine(RATE, steps)
    looks = set(np.unique(np.geomspace(max(1, steps // 200), steps, LOOKS).round().astype(int)).tolist())
    learned = Learned(net, [], [])
    for step in range(steps):
        if step % per_epoch == 0:
            order = rng.permutation(len(train.phones))
        batch = order[step % per_epoch * BATCH:][:BATCH]
        optimizer.param_groups[0]["lr"] = schedule(step)
        loss = net.loss(net(tgc.tensor(train.windows[batch])), train.phones[batch], train.stresses[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step + 1 in looks:
            learned.letters.append((step + 1) * BATCH)
            learned.accuracy.append(float((net.read(test.windows)[0] == test.phones).mean()))
            settings.say(f"{name}: {learned.letters[-1]:9,} letters read, loss {loss.item():.3f}, "
                         f"test phones right {100 * learned.accuracy[-1]:.1f} %")
    return learned


def damaged_accuracy(net: NETtalk, test: Letters, damage: float, rng: np.random.Generator) -> float:
    """Accuracy of the phones with each weight and bias changed by U(-damage, damage); the net is restored."""
    intact = {key: value.clone() for key, value in net.state_dict().items()}
    with tgc.no_grad():
        for parameter in net.parameters():
            parameter.add_(tgc.tensor(rng.uniform(-damage, damage, tuple(parameter.shape)).astype(np.float32)))
    accuracy = float((net.read(test.windows)[0] == test.phones).mean())
    net.load_state_dict(intact)
    return accuracy


def smallest_angle() -> float:
    """Between the codes of two phones, in degrees."""
    directions = nettalk.CODES / np.linalg.norm(nettalk.CODES, axis=1, keepdims=True)
    cosines = directions @ directions.T
    return float(np.degrees(np.arccos(np.clip(cosines[~np.eye(len(cosines), dtype=bool)].max(), -1, 1))))


def run(settings: Settings) -> Outcome:
    """Align, train both networks, judge by new words."""
    tgc.manual_seed(settings.seed)
    learn, test = load_letters(settings.seed)
    settings.say(f"{len(learn.words):,} words with {len(learn.phones):,} letters are aligned")
    learned = {name: train(net, learn, test, EPOCHS[name], settings, name) for name, net in
               zip(EPOCHS, (NETtalk(), SoftmaxNETtalk()), strict=True)}
    sigmoid, softmax = (run.net for run in learned.values())
    middle = test.windows[:, nettalk.WINDOW // 2]
    baseline_right = nettalk.most_frequent_phone(learn.windows, learn.phones)[middle] == test.phones
    phones, stresses = sigmoid.read(test.windows)
    right, right_softmax = phones == test.phones, softmax.read(test.windows)[0] == test.phones
    vowels = test.stresses >= 0
    always = float(np.bincount(test.stresses[vowels]).max() / vowels.sum())
    rng = np.random.default_rng(settings.seed)
    damage = [damaged_accuracy(sigmoid, test, size, rng) for size in DAMAGE]
    facts = [
        equal("weights without biases", sigmoid.hidden.weight.numel() + sigmoid.output.weight.numel(), 18_320),
        equal("codes of 39 phones and silence, all different, in 23 + 3 units",
              [len(np.unique(nettalk.CODES, axis=0)), nettalk.CODES.shape[1], len(nettalk.STRESSES)], [40, 23, 3]),
        within("smallest angle between two codes, degrees", smallest_angle(), low=25),
        equal("words both learned from and judged by", len(set(learn.words) & set(test.words)), 0),
        within("baseline, the most frequent phone of each letter: phones right in new words", float(baseline_right.mean()),
               0.59, 0.64),
        within("NETtalk: phones right in new words", float(right.mean()), low=0.85),
        within("baseline: words all right", nettalk.words_right(baseline_right, test.words), high=0.08),
        within("NETtalk: words all right", nettalk.words_right(right, test.words), low=0.38),
        within("NETtalk: stress right, of vowels in new words", float((stresses == test.stresses)[vowels].mean()), low=0.75),
        within("baseline: always the most frequent stress", always, 0.46, 0.51),
        within("with a softmax output: phones right", float(right_softmax.mean()), low=0.87),
        within("words all right", nettalk.words_right(right_softmax, test.words), low=0.44),
        within("NETtalk, weights changed by up to 0.1: share of the accuracy that is left",
               damage[DAMAGE.index(0.1)] / damage[0], low=0.97),
        within("changed by up to 0.5", damage[DAMAGE.index(0.5)] / damage[0], low=0.85),
    ]

    def learning() -> Figure:
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, VALIDATION_COLOUR, label_axes, new_figure

        fig = new_figure(15, 6)
        left, ax = fig.subplots(1, 2)
        single = "most frequent phone per letter"
        for (name, run), colour, style in zip(learned.items(), (TRAIN_COLOUR, VALIDATION_COLOUR), ("o-", "s--"), strict=True):
            left.plot(run.letters, [100 * share for share in run.accuracy], style, color=colour, linewidth=2.4, label=name)
        left.axhline(100 * baseline_right.mean(), color=GREY, linestyle=":", linewidth=2, label=single)
        left.set_xscale("log")
        label_axes(left, f"{len(test.words):,} words that were not learned", "letters read", "phones right (%)")
        left.legend(fontsize=TICK_SIZE, loc="lower right")
        ax.plot(DAMAGE, [100 * share for share in damage], "o-", color=TRAIN_COLOUR, linewidth=2.4, label="NETtalk, damaged")
        ax.axhline(100 * baseline_right.mean(), color=GREY, linestyle=":", linewidth=2, label=single)
        label_axes(ax, "Damage: all weights changed at random", "largest change d of a weight, U(-d, d)", "phones right (%)")
        ax.legend(fontsize=TICK_SIZE)
        ax.set_ylim(bottom=0)
        return fig

    def letters() -> Figure:
        from tinygrad_course.viz.figure import GREY, TICK_SIZE, TRAIN_COLOUR, label_axes, new_figure

        fig = new_figure(14, 5.8)
        ax = fig.subplots()
        places = np.arange(26)
        for values, offset, colour, name in ((baseline_right, -0.2, "#B5B5B5", "most frequent phone of the letter"),
                                             (right, 0.2, TRAIN_COLOUR, "NETtalk")):
            shares = [100 * values[middle == place].mean() for place in places]
            ax.bar(places + offset, shares, width=0.4, color=colour, edgecolor=GREY, linewidth=0.5, label=name)
        label_axes(ax, "The same letter, without and with its neighbours", "letter", "phones right in new words (%)")
        ax.set_xticks(places, list(nettalk.SYMBOLS[:26]))
        ax.set_xlim(-0.7, 25.7)
        ax.set_ylim(0, 118)
        ax.legend(fontsize=TICK_SIZE, ncols=2, loc="upper left")
        return fig

    def outputs() -> Figure:
        from tinygrad_course.viz.figure import LABEL_SIZE, TICK_SIZE, label_axes, new_figure

        windows = nettalk.letter_windows([SHOWN])
        with tgc.no_grad():
            active = sigmoid(tgc.tensor(windows)).numpy()
        said = [nettalk.PHONES[phone] for phone in sigmoid.decode(active)[0]]
        fig = new_figure(10.5, 10)
        ax = fig.subplots()
        image = ax.imshow(active.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        label_axes(ax, f'Output units while the net reads "{SHOWN}"', "letter, and the phone with the nearest code",
                   "output unit")
        ax.set_xticks(range(len(SHOWN)), [f"{letter}\n{phone}" for letter, phone in zip(SHOWN, said, strict=True)])
        ax.set_yticks(range(active.shape[1]), [*nettalk.FEATURES, *(f"stress: {name}" for name in nettalk.STRESSES)])
        bar = fig.colorbar(image, ax=ax)
        bar.set_label("activity", fontsize=LABEL_SIZE)
        bar.ax.tick_params(labelsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"learning_and_damage": learning, "letters": letters, "output_units": outputs})


ROW = Row("C4", "NETtalk: letters to phonemes", "CMU pronouncing dictionary (shipped)",
          "reads 85 % of the phones of words that it has not seen; letter by letter 62 % are right", 15.0, run,
          ("models.NETtalk", "data.load_pronunciations", "data.learn_alignment"))
