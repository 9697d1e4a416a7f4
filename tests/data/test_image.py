"""Resizing, normalising and image files."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.data import load_image_file, mean_and_std, normalise, resize
from tinygrad_course.errors import DataError, DependencyError, ShapeError


def test_resize_by_hand():
    # Centres of the output pixels lie at -0.25, 0.25, 0.75, 1.25 of the input axis.
    np.testing.assert_allclose(resize(np.array([[0.0, 4.0]]), (1, 4)), [[0, 1, 3, 4]])
    # Shrinking to a half: a tent 4 pixels wide with weights 1/8, 3/8, 3/8, 1/8; at the border its inner part.
    row = np.array([[8.0, 0, 0, 0, 0, 8]])
    np.testing.assert_allclose(resize(row, (1, 3)), [[8 * 3 / 7, 0, 8 * 3 / 7]])


def test_resize_enlarges_by_interpolation():
    """Against a loop of the formula of bilinear interpolation."""
    images = np.random.default_rng(0).random((2, 8, 8))
    result = resize(images, 32)
    for i, j in [(0, 0), (31, 31), (5, 17), (30, 2)]:
        y, x = np.clip((np.array([i, j]) + 0.5) / 4 - 0.5, 0, 7)
        y0, x0 = min(int(y), 6), min(int(x), 6)
        v, u = y - y0, x - x0
        expected = ((1 - v) * ((1 - u) * images[:, y0, x0] + u * images[:, y0, x0 + 1])
                    + v * ((1 - u) * images[:, y0 + 1, x0] + u * images[:, y0 + 1, x0 + 1]))
        np.testing.assert_allclose(result[:, i, j], expected, rtol=1e-12)


@pytest.mark.parametrize("size", [(32, 32), (5, 3), (8, 9), (1, 1), (20, 7)])
def test_resize_is_that_of_torch(size):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).random((3, 8, 9))
    expected = torch.nn.functional.interpolate(torch.from_numpy(images)[None], size, mode="bilinear", antialias=True)[0]
    np.testing.assert_allclose(resize(images, size), expected.numpy(), atol=1e-14)


def test_resize_is_that_of_pillow():
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (28, 20), dtype=np.uint8)
    for height, width in [(32, 32), (9, 7)]:
        expected = np.asarray(image_module.fromarray(image).resize((width, height), image_module.Resampling.BILINEAR))
        assert np.abs(resize(image, (height, width)) - expected).max() <= 1.01  # Pillow rounds twice


def test_resize_types_and_sizes():
    assert resize(np.zeros((2, 8, 8), np.uint8), 32).dtype == np.float32
    assert resize(np.zeros((8, 8)), 4).dtype == np.float64
    assert resize(np.zeros((0, 8, 8), np.uint8), 32).shape == (0, 32, 32)
    np.testing.assert_array_equal(resize(np.full((1, 1), 7.0), 3), np.full((3, 3), 7))
    for shape, size in [((8,), 4), ((0, 8), 4), ((8, 8), 0)]:
        with pytest.raises(ShapeError, match="resize"):
            resize(np.zeros(shape), size)


def test_resize_of_photos_as_they_lie_in_memory():
    """Channels innermost: the same values, and they lie innermost again.  A pixel of infinity stays where it is."""
    photo = np.random.default_rng(0).random((30, 41, 3))
    photo[0, 0, 1] = np.inf
    planes = np.moveaxis(photo, -1, 0)
    for size in [(45, 61), (14, 13), (30, 20), (50, 41), (30, 41)]:
        result = resize(planes, size)
        np.testing.assert_allclose(result, resize(np.ascontiguousarray(planes), size), atol=1e-12)
        assert np.moveaxis(result, 0, -1).flags.c_contiguous
        assert np.isinf(result[1, 0, 0])
        assert np.isfinite(result[[0, 2]]).all()
        assert np.isfinite(result[1, 9:]).all()
        assert not np.shares_memory(result, photo)


def test_resize_does_not_depend_on_threads():
    images = np.random.default_rng(0).random((20, 64, 70)).astype(np.float32)
    before, results = tgc.get_num_threads(), []
    for threads in (1, 2, 3):
        tgc.set_num_threads(threads)
        results.append([resize(images, size).tobytes() for size in [(200, 210), (17, 90)]])
    tgc.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_normalise():
    images = np.random.default_rng(0).integers(0, 17, (50, 8, 8), dtype=np.uint8)
    result = normalise(images, *mean_and_std(images))
    assert result.dtype == np.float32
    assert abs(result.mean()) < 1e-6
    assert abs(result.std() - 1) < 1e-6
    with pytest.raises(DataError, match="standard deviation is 0"):
        normalise(images, 1.0, 0.0)
    with pytest.raises(ShapeError, match="no pixels"):
        mean_and_std(images[:0])


class TestImageFile:
    @pytest.fixture(autouse=True)
    def _pillow(self):
        self.pil = pytest.importorskip("PIL.Image")

    def save(self, array, path, **how):
        self.pil.fromarray(array).save(path, **how)
        return path

    @pytest.mark.parametrize("ending", ["png", "pgm", "bmp"])
    def test_grey(self, tmp_path, ending):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
        image = load_image_file(self.save(pixels, tmp_path / f"a.{ending}"))
        assert (image.shape, image.dtype) == ((5, 7), np.float32)
        np.testing.assert_array_equal(image, pixels / np.float32(255))

    def test_jpeg(self, tmp_path):
        image = load_image_file(self.save(np.full((16, 16), 128, np.uint8), tmp_path / "a.jpg"))
        np.testing.assert_allclose(image, 128 / 255, atol=0.01)

    def test_colour_is_luma(self, tmp_path):
        pixels = np.zeros((1, 3, 3), np.uint8)
        pixels[0, [0, 1, 2], [0, 1, 2]] = 255
        image = load_image_file(self.save(pixels, tmp_path / "a.png"))
        np.testing.assert_allclose(image, [[0.299, 0.587, 0.114]], atol=0.003)

    def test_transparent_is_white(self, tmp_path):
        pixels = np.zeros((1, 2, 4), np.uint8)
        pixels[0, 0, 3] = 255  # black, and nothing
        np.testing.assert_array_equal(load_image_file(self.save(pixels, tmp_path / "a.png")), [[0, 1]])

    def test_16_bit_is_scaled(self, tmp_path):
        pixels = np.array([[0, 256, 65535]], np.uint16)
        image = load_image_file(self.save(pixels, tmp_path / "a.png"))
        np.testing.assert_allclose(image, [[0, 256 / 65535, 1]], rtol=1e-6)

    def test_rotation_mark(self, tmp_path):
        exif = self.pil.Exif()
        exif[0x0112] = 6  # turn by 90 degrees
        path = self.save(np.array([[0, 255]], np.uint8), tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(load_image_file(path), [[0], [1]])

    def test_broken(self, tmp_path):
        whole = self.save(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), tmp_path / "a.png")
        for content, says in [(b"", "is empty"), (b"not an image", "is not an image"),
                              (whole.read_bytes()[:800], "cannot be read as an image")]:
            path = tmp_path / "b.png"
            path.write_bytes(content)
            with pytest.raises(DataError, match=says):
                load_image_file(path)
        with pytest.raises(DataError, match="does not exist"):
            load_image_file(tmp_path / "none.png")
        with pytest.raises(DataError, match="is a folder"):
            load_image_file(tmp_path)


def test_without_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DependencyError, match="pip install pillow"):
        load_image_file(tmp_path / "a.png")
