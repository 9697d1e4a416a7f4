"""Colours, blur, noise, erasing and conversions: by hand and against torchvision."""

import colorsys

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import torchvision_or_skip
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.data import transforms as T
from tinygrad_course.data.transforms.colour import hsv_to_rgb, rgb_to_hsv
from tinygrad_course.errors import DTypeError

COLOURS = np.random.default_rng(0).random((3, 12, 15)).astype(np.float32)


def seeded(seed=0):
    return tgc.Generator().manual_seed(seed)


def test_hsv_against_the_standard_library():
    random = np.random.default_rng(0).random((3, 40))
    pixels = np.concatenate([random, np.eye(3), np.full((3, 1), 0.3), np.zeros((3, 1))], axis=1)
    expected = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.T]).T
    np.testing.assert_allclose(rgb_to_hsv(pixels), expected, atol=1e-12)
    np.testing.assert_allclose(hsv_to_rgb(expected), pixels, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_colours_and_blur_against_torchvision(dtype):
    torchvision_or_skip()
    from torchvision.transforms.v2 import functional
    image = COLOURS if dtype == np.float32 else (255 * COLOURS).astype(np.uint8)
    theirs = torch_or_skip().from_numpy(image)
    for transform, expected in [
            (T.ColorJitter(brightness=(1.3, 1.3)), functional.adjust_brightness(theirs, 1.3)),
            (T.ColorJitter(contrast=(0.4, 0.4)), functional.adjust_contrast(theirs, 0.4)),
            (T.ColorJitter(contrast=(1.7, 1.7)), functional.adjust_contrast(theirs, 1.7)),
            (T.ColorJitter(saturation=(0.3, 0.3)), functional.adjust_saturation(theirs, 0.3)),
            (T.ColorJitter(saturation=(2, 2)), functional.adjust_saturation(theirs, 2)),
            (T.ColorJitter(hue=(0.2, 0.2)), functional.adjust_hue(theirs, 0.2)),
            (T.ColorJitter(hue=(-0.4, -0.4)), functional.adjust_hue(theirs, -0.4)),
            (T.Grayscale(), functional.rgb_to_grayscale(theirs)),
            (T.Grayscale(3), functional.rgb_to_grayscale(theirs, 3)),
            (T.RandomGrayscale(1), functional.rgb_to_grayscale(theirs, 3)),
            (T.GaussianBlur((5, 3), 1.5), functional.gaussian_blur(theirs, [5, 3], [1.5, 1.5])),
            (T.ToDtype(np.uint8, scale=True), functional.to_dtype(theirs, torch_or_skip().uint8, scale=True)),
            (T.ToDtype(np.float32, scale=True), functional.to_dtype(theirs, torch_or_skip().float32, scale=True))]:
        result = transform(tgc.from_numpy(image)).numpy()
        assert result.dtype == expected.numpy().dtype
        # torchvision cuts fractions off where this rounds, of the luma that is mixed in and of the result.
        tolerance = 2 if dtype == np.uint8 and not isinstance(transform, T.ToDtype) else 1e-5
        np.testing.assert_allclose(result.astype(np.float64), expected.numpy(), atol=tolerance, err_msg=str(transform))


def test_jitter_draws_from_its_range_in_any_order():
    white = tgc.from_numpy(np.full((1, 1, 1), 0.5, np.float32))
    bright = T.ColorJitter(0.2, generator=seeded())
    factors = np.array([bright(white).item() for _ in range(400)]) / 0.5
    assert 0.8 <= factors.min() < 0.81
    assert 1.19 < factors.max() <= 1.2
    assert abs(factors.mean() - 1) < 0.02
    # Clipped brightness and contrast do not commute: both orders occur.
    pair = np.array([[0.2, 0.9]], np.float32)
    both = T.ColorJitter((2, 2), (0.5, 0.5), generator=seeded())
    results = {tuple(both(pair)[0].astype(float).round(4).tolist()) for _ in range(40)}
    assert results == {(0.55, 0.85), (0.75, 1.0)}
    np.testing.assert_array_equal(T.ColorJitter(saturation=0.9, hue=0.5)(pair), pair)


def test_noise():
    image = np.full((60, 70, 3), 0.5)
    noisy = T.GaussianNoise(0.1, 0.05, generator=seeded())(image)
    assert abs(noisy.mean() - 0.6) < 0.002
    assert abs(noisy.std() - 0.05) < 0.002
    assert noisy.dtype == np.float64
    assert T.GaussianNoise(0, 3.0, generator=seeded())(image).max() == 1
    assert T.GaussianNoise(0, 3.0, False, generator=seeded())(image).max() > 5
    grey = T.GaussianNoise(0, 0.1, generator=seeded())(np.full((60, 70), 100, np.uint8))
    assert grey.dtype == np.uint8
    assert abs(grey.std() - 25.5) < 1


def test_blur_keeps_constants_and_the_size_of_small_images():
    np.testing.assert_allclose(T.GaussianBlur(23, 4.0)(np.full((5, 3), 0.7)), 0.7, rtol=1e-12)
    dot = np.zeros((9, 9))
    dot[4, 4] = 1
    weights = np.exp(-0.5 * np.arange(-1, 2) ** 2 / 0.8**2)
    weights /= weights.sum()
    np.testing.assert_allclose(T.GaussianBlur(3, 0.8)(dot)[3:6, 3:6], np.outer(weights, weights), rtol=1e-12)


def test_erasing():
    erase = T.RandomErasing(0.7, (0.1, 0.3), (0.5, 2), (1, 2, 3), generator=seeded())
    image = np.full((30, 40, 3), 200, np.uint8)
    shares, ratios = [], []
    for _ in range(400):
        erased = (erase(image) != 200).all(axis=2)
        if erased.any():
            rows, columns = erased.any(axis=1).sum(), erased.any(axis=0).sum()
            assert erased.sum() == rows * columns  # one rectangle
            shares.append(erased.mean())
            ratios.append(rows / columns)
    assert abs(len(shares) / 400 - 0.7) < 0.07
    assert 0.09 < min(shares) < 0.12
    assert 0.27 < max(shares) < 0.32
    assert abs(np.log(ratios).mean()) < 0.1
    assert {tuple(pixel) for _ in range(9) for pixel in erase(image).reshape(-1, 3).tolist()} == {(1, 2, 3), (200, 200, 200)}
    random = T.RandomErasing(1, (0.5, 0.5), (1, 1), "random", generator=seeded())
    assert len(np.unique(random(image))) > 200
    values = random(np.full((60, 60), 9.0))
    assert abs(values[values != 9].std() - 1) < 0.1
    square = T.RandomErasing(1, (0.25, 0.25), (1, 1), generator=seeded())(np.ones((20, 20)))
    assert (square == 0).sum() == 100
    sample = {"image": image, "mask": np.ones((30, 40), int), "boxes": np.array([[0, 0, 0, 0], [1, 2, 3, 4]])}
    after = T.RandomErasing(1)(sample)
    assert after["mask"] is sample["mask"]
    assert after["boxes"] is sample["boxes"]


def test_conversions():
    sample = {"image": np.array([[[0, 51, 255]]], np.uint8), "mask": np.array([[3]], np.uint8),
              "boxes": np.array([[0, 0, 1, 1]]), "labels": np.array([2], np.int32), "name": "x"}
    tensors = T.ToTensor()(sample)
    np.testing.assert_allclose(tensors["image"].numpy(), [[[0]], [[0.2]], [[1]]])
    parts = [tensors[name] for name in ("image", "mask", "boxes", "labels")]
    assert [part.dtype for part in parts] == [np.float32, np.int64, np.int64, np.int64]
    assert all(isinstance(part, tgc.Tensor) for part in parts)
    assert T.ToImage()(sample["image"]).numpy().tolist() == [[[0]], [[51]], [[255]]]
    assert T.ToImage()(np.zeros((4, 5))).shape == (1, 4, 5)
    assert T.ToTensor()((sample["image"], 5))[1] == 5
    other = T.ToDtype({"mask": np.int16})(sample)
    assert other["image"] is sample["image"]
    assert other["mask"].dtype == np.int16
    assert T.ToDtype(np.float64)(sample)["image"].max() == 255
    assert T.ToDtype(tgc.float32, scale=True)(sample["image"]).max() == 1
    normalised = T.Normalize((0.1, 0.2, 0.5), (0.5, 1, 0.25))(tensors["image"])
    np.testing.assert_allclose(normalised.numpy().ravel(), [-0.2, 0, 2], atol=1e-7)
    assert T.Normalize(0.5, 0.5)(np.ones((2, 2), np.float32)).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(DTypeError, match="Convert it first"):
        T.Normalize(0.5, 0.5)(sample["image"])
    with pytest.raises(DTypeError, match="no scaling"):
        T.ToDtype(np.int32, scale=True)(sample["image"])


def test_lambda_changes_what_it_is_told():
    sample = (np.ones((2, 2)), {"mask": np.ones((2, 2)), "labels": 3})
    assert T.Lambda(lambda x: x + 1)(sample)[0].tolist() == [[2, 2], [2, 2]]
    result = T.Lambda(lambda x: x * 5, "mask", "labels")(sample)
    assert result[1]["labels"] == 15
    assert result[1]["mask"].max() == 5
    assert result[0] is sample[0]
