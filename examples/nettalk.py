"""NETtalk: learn to read from the pronouncing dictionary, then read the words given.

    python examples/nettalk.py
    python examples/nettalk.py blunderbuss quizzical metamorphosis
    python examples/nettalk.py --steps 500 --words 5000 knowledge

The words given are not learned from.  Phones are those of the ARPAbet, vowels with their stress (1 primary, 2 secondary, 0
none); row C4 of the course measures how many are right: `tinygrad-course run C4`.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import optim, viz
from tinygrad_course.data import learn_alignment, load_pronunciations
from tinygrad_course.models.nettalk import NETtalk, letter_targets, letter_windows, words_right
from tinygrad_course.viz.figure import label_axes, new_figure

TEST_WORDS, BATCH, RATE = 2000, 512, 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("read", nargs="*", default=["hello", "phonetics", "computer", "network", "banana", "elephant"],
                        help="words to read")
    parser.add_argument("--steps", type=int, default=3000, help="training steps (default: 3000)")
    parser.add_argument("--words", type=int, default=30_000, help="words to learn from (default: 30000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_nettalk"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    # ---- words and what their letters say -----------------------------------------------------------------------------
    dictionary = load_pronunciations(stress=True)
    usable = [word for word, sounds in dictionary.items()
              if word.isalpha() and len(sounds) <= len(word) and word not in options.read]
    words = [usable[place] for place in rng.permutation(len(usable))[:options.words + TEST_WORDS]]
    test, words = words[:TEST_WORDS], words[TEST_WORDS:]
    bare = [tuple(sound.rstrip("012") for sound in dictionary[word]) for word in words]
    alignment = learn_alignment(words, bare)
    for word, spoken in zip(words[:3], alignment.align(words[:3], bare[:3]), strict=True):
        print(f"{word} is aligned as {' '.join(spoken)}")
    windows = letter_windows(words)
    phones, stresses = letter_targets(words, [dictionary[word] for word in words], alignment)
    test_windows = letter_windows(test)
    test_phones, _ = letter_targets(test, [dictionary[word] for word in test], alignment)

    # ---- learn --------------------------------------------------------------------------------------------------------
    net = NETtalk()
    optimizer = optim.Adam(net.parameters(), lr=RATE)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    seen, accuracy = [], []
    for step in range(1, options.steps + 1):
        batch = rng.integers(0, len(phones), BATCH)
        loss = net.loss(net(tgc.tensor(windows[batch])), phones[batch], stresses[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, options.steps // 10) == 0:
            right = net.read(test_windows)[0] == test_phones
            seen.append(step * BATCH)
            accuracy.append(100 * right.mean())
            print(f"{seen[-1]:9,} letters read: of {TEST_WORDS:,} new words {accuracy[-1]:.1f} % of the phones and "
                  f"{100 * words_right(right, test):.1f} % of the words are right")

    fig = new_figure(8, 5.5)
    ax = fig.subplots()
    ax.plot([letters / 1000 for letters in seen], accuracy, "o-")
    label_axes(ax, "NETtalk, new words", "letters read (thousands)", "phones right (%)")
    viz.save_figure(fig, options.out / "learning.png")

    # ---- read ---------------------------------------------------------------------------------------------------------
    for word, sounds in zip(options.read, net.pronounce([word.lower() for word in options.read]), strict=True):
        known = dictionary.get(word.lower())
        print(f"{word:15} {' '.join(sounds):35} {'dictionary: ' + ' '.join(known) if known else 'not in the dictionary'}")


if __name__ == "__main__":
    main()
