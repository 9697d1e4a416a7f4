"""Faces, nuclei (with the TIFF reader), emoji and CIFAR."""

import gzip
import io

import numpy as np
import pytest

from tests.data.packages import deb, tar, zipped
from tinygrad_course.data import (
    cifar_class_names,
    load_cifar10,
    load_cifar100,
    load_emoji,
    load_faces,
    load_nuclei,
)
from tinygrad_course.data.emoji import _names_text, list_emoji
from tinygrad_course.data.tiff import read_tiff
from tinygrad_course.errors import DataError, DependencyError

# ---- faces -----------------------------------------------------------------------------------------------------------

def test_faces():
    source = pytest.importorskip("skimage.data").lfw_subset()
    train, test = load_faces("train"), load_faces("test")
    assert (train[0].shape, test[0].shape) == ((160, 25, 25), (40, 25, 25))
    assert train[0].dtype == np.uint8
    assert np.bincount(train[1]).tolist() == [80, 80]
    rounded = {(np.rint(image * 255).astype(np.uint8).tobytes(), number < 100) for number, image in enumerate(source)}
    assert {(image.tobytes(), bool(label)) for part in (train, test) for image, label in zip(*part, strict=True)} == rounded


def test_faces_without_their_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.data", None)
    with pytest.raises(DependencyError, match="pip install scikit-image"):
        load_faces()


# ---- TIFF and nuclei -------------------------------------------------------------------------------------------------

def written(array, **how):
    """A TIFF by an independent writer."""
    buffer = io.BytesIO()
    pytest.importorskip("tifffile").imwrite(buffer, array, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("how", [{}, {"byteorder": ">"}, {"rowsperstrip": 3}], ids=["plain", "big-endian", "strips"])
def test_tiff(dtype, how):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 7), dtype)
    read = read_tiff(written(array, **how), "x.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, array)


def test_tiff_of_pillow():
    image_module = pytest.importorskip("PIL.Image")
    array = np.random.default_rng(0).integers(0, 256, (300, 70), dtype=np.uint8)
    buffer = io.BytesIO()
    image_module.fromarray(array).save(buffer, "TIFF")
    np.testing.assert_array_equal(read_tiff(buffer.getvalue(), "x.tif"), array)


def test_tiff_that_cannot_be_read():
    grey = np.arange(70, dtype=np.uint8).reshape(10, 7)
    for content, says in [(b"", "is no TIFF file: it starts with the bytes none"), (b"\x89PNG", "89 50 4e 47"),
                          (written(grey)[:4], "is truncated: 4 bytes"), (written(grey)[:30], "is truncated"),
                          (written(grey)[:-5], "10 x 7 pixels of 8 bits are 70 bytes, 65 are there"),
                          (b"II*\0\x08\0\0\0\1\0\2\1\3\0" + bytes(12), "0 bits. Only grey"),
                          (written(grey, compression="zlib"), "compression 8, samples 1, sample format 1, 8 bits"),
                          (written(np.zeros((4, 4, 3), np.uint8), photometric="rgb"), "samples 3"),
                          (written(grey.astype(np.float32)), "sample format 3, 32 bits"),
                          (written(np.zeros((32, 32), np.uint8), tile=(16, 16)), "in strips")]:
        with pytest.raises(DataError, match=says):
            read_tiff(content, "x.tif")


FOLDER = "stardist/data/images/"


def wheel(path, image, mask):
    path.write_bytes(zipped({f"{FOLDER}img2d.tif": written(image), f"{FOLDER}mask2d.tif": written(mask)}))
    return path


def test_nuclei(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (16, 20), dtype=np.uint16), rng.integers(0, 5, (16, 20), dtype=np.uint16)
    path = wheel(tmp_path / "stardist.whl", image, mask)
    train, test = load_nuclei("train", 5, path), load_nuclei("test", 5, path)
    assert train.images.shape == train.masks.shape == test.images.shape == (6, 5, 5)
    assert (train.images.dtype, train.masks.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(train.images[3], image[5:10, 5:10])
    np.testing.assert_array_equal(test.images[2], image[5:10, 10:15])
    np.testing.assert_array_equal(test.masks[5], mask[10:15, 15:20])
    for tile in (0, 11):
        with pytest.raises(DataError, match=f"load_nuclei: tile={tile}. Give 1 to 10 pixels"):
            load_nuclei("train", tile, path)
    with pytest.raises(DataError, match=r"the image is \(16, 20\) with values up to 300"):
        load_nuclei("train", 5, wheel(path, image + np.uint16(300) - image.max(), mask))
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError, match="tinygrad-course data get nuclei"):
        load_nuclei()


# ---- emoji -----------------------------------------------------------------------------------------------------------

NAMES = """\
# group: Smileys & Emotion
# subgroup: face
263A FE0F                                              ; fully-qualified     # ☺️ E0.6 smiling face
263A                                                   ; unqualified         # ☺ E0.6 smiling face
# group: Travel & Places
2600 FE0F                                              ; fully-qualified     # ☀️ E0.6 sun
1F1E9 1F1EA                                            ; fully-qualified     # 🇩🇪 E0.6 flag: Germany
1FAE8                                                  ; fully-qualified     # 🫨 E15.0 shaking face
2601 FE0F                                              ; fully-qualified     # ☁️ E0.6 cloud
"""


def test_list_emoji():
    assert list_emoji(NAMES) == [("☺", "smiling face", "Smileys & Emotion"), ("☀", "sun", "Travel & Places"),
                                 ("🇩🇪", "flag: Germany", "Travel & Places"),
                                 ("\U0001fae8", "shaking face", "Travel & Places"),
                                 ("☁", "cloud", "Travel & Places")]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_emoji(tmp_path, packed):
    """With a font that every machine of the tests has; it knows three of the emoji, in black."""
    font = pytest.importorskip("matplotlib.font_manager").findfont("DejaVu Sans")
    with open(font, "rb") as file:
        (tmp_path / "font.deb").write_bytes(deb({"usr/share/fonts/truetype/noto/NotoColorEmoji.ttf": file.read()}))
    name = "usr/share/unicode/emoji/emoji-test.txt"
    content = {f"{name}.gz": gzip.compress(NAMES.encode())} if packed else {name: NAMES.encode()}
    (tmp_path / "names.deb").write_bytes(deb(content))
    emoji = load_emoji(tmp_path / "font.deb", tmp_path / "names.deb")
    assert emoji.names == ["smiling face", "sun", "cloud"]  # no flag, which is two characters; none that the font lacks
    assert emoji.groups.tolist() == [0, 1, 1]
    assert emoji.group_names == ("Smileys & Emotion", "Travel & Places")
    assert (emoji.images.shape, emoji.images.dtype) == ((3, 32, 32, 3), np.uint8)
    assert (emoji.images.min(axis=(1, 2, 3)) < 100).all()
    assert (emoji.images[:, 0, 0] == 255).all()


def test_emoji_that_cannot_be_read(tmp_path, monkeypatch):
    pytest.importorskip("PIL.ImageFont")
    (tmp_path / "font.deb").write_bytes(deb({"usr/share/fonts/truetype/noto/NotoColorEmoji.ttf": b"no font"}))
    (tmp_path / "names.deb").write_bytes(deb({"usr/share/unicode/emoji/emoji-test.txt": NAMES.encode()}))
    with pytest.raises(DataError, match="the font cannot be read at 109 pixels"):
        load_emoji(tmp_path / "font.deb", tmp_path / "names.deb")
    with pytest.raises(DataError, match="has no file usr/share/fonts"):
        load_emoji(tmp_path / "names.deb", tmp_path / "names.deb")
    damaged = gzip.compress(b"a" * 99)[:12] + b"xyz" * 9
    (tmp_path / "damaged.deb").write_bytes(deb({"usr/share/unicode/emoji/emoji-test.txt.gz": damaged}))
    with pytest.raises(DataError, match=r"emoji-test.txt.gz is damaged"):
        _names_text(tmp_path / "damaged.deb")
    with pytest.raises(DataError, match="give both packages"):
        load_emoji(tmp_path / "font.deb")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DependencyError, match="pip install pillow"):
        load_emoji(tmp_path / "font.deb", tmp_path / "names.deb")


# ---- CIFAR -----------------------------------------------------------------------------------------------------------

def records(rng, count, *classes):
    """Images (N, 3, 32, 32), labels (N, number of labels), and the bytes of their file."""
    images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = np.stack([rng.integers(0, number, count, dtype=np.uint8) for number in classes], axis=1)
    return images, labels, b"".join(label.tobytes() + image.tobytes() for label, image in zip(labels, images, strict=True))


def unpack(files, folder):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def archive(files, path, folder):
    path.write_bytes(tar({f"{folder}/{name}": content for name, content in files.items()}, "w:gz", ""))
    return path


@pytest.fixture
def cifar10():
    rng = np.random.default_rng(0)
    batches = [records(rng, 3, 10) for _ in range(6)]
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    files = {name: batch[2] for name, batch in zip(names, batches, strict=True)}
    return batches, {**files, "batches.meta.txt": b"airplane\nautomobile\n\n"}


def test_cifar10(tmp_path, cifar10):
    batches, files = cifar10
    for path in (unpack(files, tmp_path / "folder"), archive(files, tmp_path / "x.tar.gz", "cifar-10-batches-bin")):
        images, labels = load_cifar10(path)
        np.testing.assert_array_equal(images.transpose(0, 3, 1, 2), np.concatenate([batch[0] for batch in batches[:5]]))
        np.testing.assert_array_equal(labels, np.concatenate([batch[1][:, 0] for batch in batches[:5]]))
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        images, labels = load_cifar10(path, "test")
        np.testing.assert_array_equal(images[2, 5, 7], batches[5][0][2, :, 5, 7])
        assert cifar_class_names(path) == ("airplane", "automobile")


def test_cifar100(tmp_path):
    images, labels, content = records(np.random.default_rng(0), 5, 20, 100)
    files = {"train.bin": content, "test.bin": content, "fine_label_names.txt": b"apple\n",
             "coarse_label_names.txt": b"fish\n"}
    path = archive(files, tmp_path / "x.tar.gz", "cifar-100-binary")
    for coarse in (False, True):
        found, numbers = load_cifar100(path, "test", coarse)
        np.testing.assert_array_equal(found.transpose(0, 3, 1, 2), images)
        np.testing.assert_array_equal(numbers, labels[:, 0 if coarse else 1])
        assert cifar_class_names(path, coarse) == (("fish",) if coarse else ("apple",))


def test_cifar_that_cannot_be_read(tmp_path, cifar10):
    _, files = cifar10
    path = unpack(files, tmp_path / "folder")
    (path / "test_batch.bin").write_bytes(files["test_batch.bin"][:-1])
    with pytest.raises(DataError, match=r"test_batch.bin has 9,218 bytes, which is no multiple of the 3,073 of a record"):
        load_cifar10(path, "test")
    (path / "test_batch.bin").write_bytes(b"\x0a" + files["test_batch.bin"][1:])
    with pytest.raises(DataError, match="a label is 10, there are only 10 classes"):
        load_cifar10(path, "test")
    (path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"has no file \*/data_batch_"):
        load_cifar10(path)
    with pytest.raises(DataError, match="does not exist"):
        load_cifar100(tmp_path / "none")
    with pytest.raises(DataError, match="no split 'valid'"):
        load_cifar100(path, "valid")
    with pytest.raises(DataError, match="has no file"):
        cifar_class_names(path, coarse=True)
