"""The shipped data sets: counts, ranges, splits, integrity."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from tinygrad_course.data import DIGIT_CLASSES, DIGIT_WHITE, FASHION_CLASSES, load_digits, load_fashion, shipped
from tinygrad_course.errors import DataError

FOLDER = files("tinygrad_course.data") / "files"


def test_digits():
    train, train_labels = load_digits("train")
    test, test_labels = load_digits("test")
    assert (train.shape, test.shape) == ((1438, 8, 8), (359, 8, 8))
    assert train.dtype == test.dtype == np.uint8
    assert train_labels.dtype == test_labels.dtype == np.int64
    assert train.max() == test.max() == DIGIT_WHITE == 16
    total = np.bincount(train_labels) + np.bincount(test_labels)
    np.testing.assert_array_equal(total, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])  # as UCI counts them
    np.testing.assert_array_equal(np.bincount(test_labels), np.rint(0.2 * total))
    assert len(DIGIT_CLASSES) == 10


def test_digits_are_those_of_scikit_learn():
    source = pytest.importorskip("sklearn.datasets").load_digits()
    def content(images, labels):
        return {(image.astype(np.uint8).tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    assert content(*load_digits("train")) | content(*load_digits("test")) == content(source.images, source.target)


def test_fashion():
    train, train_labels = load_fashion("train")
    test, test_labels = load_fashion("test")
    assert (train.shape, test.shape) == ((1500, 28, 28), (500, 28, 28))
    assert train.max() == 255
    np.testing.assert_array_equal(np.bincount(train_labels), np.full(10, 150))
    np.testing.assert_array_equal(np.bincount(test_labels), np.full(10, 50))
    # The official sets begin with these classes (arXiv:1708.07747 and the published label files).
    assert [FASHION_CLASSES[label] for label in train_labels[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
    assert [FASHION_CLASSES[label] for label in test_labels[:3]] == ["Ankle boot", "Pullover", "Trouser"]


@pytest.mark.parametrize("load", [load_digits, load_fashion])
def test_no_image_twice(load):
    images = np.concatenate([load("train")[0], load("test")[0]])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


@pytest.mark.parametrize("load", [load_digits, load_fashion])
def test_unknown_split(load):
    with pytest.raises(DataError, match=r'no split \'valid\'. Give "train" or "test"'):
        load("valid")


def test_fashion_from_missing_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_fashion("train", tmp_path / "none")


@pytest.mark.parametrize("name", sorted(shipped._SHA256))
def test_files_are_small_and_have_a_notice(name):
    assert len((FOLDER / name).read_bytes()) < 1_000_000
    assert name in (FOLDER / "NOTICE.md").read_text()


def test_damaged_file_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match=r"digits.npz is missing. Install tinygrad_course again"):
        load_digits()
    content = bytearray((FOLDER / "digits.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "files" / "digits.npz").write_bytes(content)
    with pytest.raises(DataError, match="damaged: its SHA-256 differs"):
        load_digits()


def test_pickled_content_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "files" / "digits.npz"
    path.parent.mkdir()
    np.savez(path, train_images=np.array([{}], dtype=object))
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    monkeypatch.setitem(shipped._SHA256, "digits.npz", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_digits()
