"""Warped images: against loops over pixels, types, layouts, places at infinity, threads."""

import itertools
import math

import numpy as np
import pytest

FAMILY = "warp"


def lines(rng, n, rows, columns, height, width, three=False):
    """A random map that turns, shifts and (three) tilts, some places outside."""
    across, down = np.zeros((n, 2 + three, columns)), np.zeros((n, 2 + three, rows))
    for image in range(n):
        a, b, c, d = rng.uniform(-1.3, 1.3, 4)
        column, row = np.arange(columns) + 0.5, np.arange(rows) + 0.5
        across[image, 0], across[image, 1] = a * column + width / 3, b * column
        down[image, 0], down[image, 1] = c * row, d * row + height / 3
        if three:
            across[image, 2], down[image, 2] = 0.01 * column, 1 + 0.02 * row
    return across, down


def by_hand(x, across, down, offsets, fill, nearest):
    n, channels, height, width = x.shape
    y = np.empty((n, channels, down.shape[2], across.shape[2]))
    for image, row, column in itertools.product(range(n), range(y.shape[2]), range(y.shape[3])):
        place = across[image, :, column] + down[image, :, row]
        if offsets is not None:
            place[:2] += offsets[image, :, row, column]
        u, v = place[:2] / (place[2] if len(place) == 3 else 1)

        def pixel(i, j, image=image):
            return x[image, :, i, j].astype(float) if 0 <= i < height and 0 <= j < width else fill.astype(float)

        if nearest:
            y[image, :, row, column] = pixel(math.floor(v), math.floor(u))
        else:
            i, j = math.floor(v - 0.5), math.floor(u - 0.5)
            p, q = v - 0.5 - i, u - 0.5 - j
            y[image, :, row, column] = ((1 - p) * ((1 - q) * pixel(i, j) + q * pixel(i, j + 1))
                                        + p * ((1 - q) * pixel(i + 1, j) + q * pixel(i + 1, j + 1)))
    return y


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


CASES = [(1, 1, 1, 1, 1, 1), (2, 3, 7, 5, 4, 6), (1, 4, 5, 9, 3, 130), (1, 6, 3, 2, 9, 17), (1, 2, 1, 8, 2, 33),
         (0, 3, 2, 2, 2, 2), (1, 3, 4, 4, 0, 3), (1, 0, 3, 3, 2, 2), (1, 3, 33, 21, 8, 129)]
LAYOUTS = [np.ascontiguousarray, channels_last, lambda x: x[:, :, ::-1], lambda x: np.repeat(x, 2, 3)[..., ::2]]


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("place", LAYOUTS)
def test_bilinear(k, kind, place):
    rng = np.random.default_rng(0)
    for number, (n, c, height, width, rows, columns) in enumerate(CASES):
        x = place(rng.integers(0, 256, (n, c, height, width)).astype(kind))
        across, down = lines(rng, n, rows, columns, height, width, number % 2 == 1)
        offsets = rng.uniform(-2, 2, (n, 2, rows, columns)) if number % 3 == 1 else None
        fill = rng.integers(0, 256, c).astype(kind)
        y = k.warp(x, across, down, offsets, fill, False)
        assert y.dtype == kind
        expected = by_hand(x, across, down, offsets, fill, False)
        np.testing.assert_allclose(y, expected, rtol=0, atol={"uint8": 0.501, "float32": 1e-4, "float64": 1e-11}[kind])


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "int32", "float32", "int64", "float64"])
def test_nearest(k, kind):
    rng = np.random.default_rng(1)
    for number, (n, c, height, width, rows, columns) in enumerate(CASES):
        x = rng.integers(0, 2 if kind == "bool" else 100, (n, c, height, width)).astype(kind)
        across, down = lines(rng, n, rows, columns, height, width, number % 2 == 0)
        offsets = rng.uniform(-2, 2, (n, 2, rows, columns)) if number % 3 == 1 else None
        fill = rng.integers(0, 2, c).astype(kind)
        for laid_out in (x, channels_last(x)):
            y = k.warp(laid_out, across, down, offsets, fill, True)
            assert y.dtype == kind
            np.testing.assert_array_equal(y, by_hand(x, across, down, offsets, fill, True))


def test_the_result_lies_like_the_image(compiled):
    across, down, fill = np.ones((1, 2, 6)), np.ones((1, 2, 5)), np.zeros(3, np.uint8)
    for nearest in (False, True):
        y = compiled.warp(channels_last(np.ones((1, 3, 4, 4), np.uint8)), across, down, None, fill, nearest)
        assert np.moveaxis(y, 1, -1).flags.c_contiguous
        assert compiled.warp(np.ones((1, 3, 4, 4), np.uint8), across, down, None, fill, nearest).flags.c_contiguous


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("nearest", [False, True])
def test_places_that_are_nowhere_are_filled(k, kind, nearest):
    """NaN, infinite and huge places; a pixel of infinity spoils only what depends on it."""
    x = np.full((1, 2, 3, 3), 200).astype(kind)
    across = np.array([[[np.nan, np.inf, -np.inf, 1e300, -1e300, 3e9, 1.5, 1.5], [1.5] * 6 + [1.5, np.nan]]])
    y = k.warp(x, across, np.zeros((1, 2, 1)), None, np.array([7, 9]).astype(kind), nearest)
    np.testing.assert_array_equal(y[0, :, 0], [[7] * 6 + [200, 7], [9] * 6 + [200, 9]])
    tilted = np.concatenate([across, np.zeros((1, 1, 8))], axis=1)  # divided by zero
    y = k.warp(x, tilted, np.zeros((1, 3, 1)), None, np.array([7, 9]).astype(kind), nearest)
    np.testing.assert_array_equal(y[0, 0, 0], 7)
    if kind != "uint8":
        x[0, 0, 0, 0] = np.inf
        centres = np.array([[[0.5, 1.5, 2.5], [0.5, 0.5, 0.5]]])
        np.testing.assert_array_equal(k.warp(x, centres + 1, np.zeros((1, 2, 1)), None, np.zeros(2, kind), nearest)[0, 0, 0],
                                      [200, 200, 0])


def test_all_bytes_are_rounded_to_the_even_one(compiled, reference):
    """Half way between every two bytes, and every byte itself."""
    low, high = np.meshgrid(np.arange(256), np.arange(256))
    x = np.stack([low.reshape(-1), high.reshape(-1)], -1).reshape(1, 1, -1, 2).astype(np.uint8)
    across, down = np.array([[[0.5, 1.0, 1.5], [0.0, 0.0, 0.0]]]), np.zeros((1, 2, x.shape[2]))
    down[0, 1] = np.arange(x.shape[2]) + 0.5
    expected = np.stack([x[0, 0, :, 0], np.rint(x[0, 0].mean(axis=1)), x[0, 0, :, 1]], -1)
    for module in (compiled, reference):
        np.testing.assert_array_equal(module.warp(x, across, down, None, np.zeros(1, np.uint8), False)[0, 0], expected)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("nearest", [False, True])
def test_threads(compiled, same_for_all_thread_counts, kind, nearest):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (2, 5, 150, 160)).astype(kind)
    across, down = lines(rng, 2, 170, 180, 150, 160, True)
    same_for_all_thread_counts(lambda: compiled.warp(x, across, down, None, np.arange(5).astype(kind), nearest))


def test_refusals(compiled):
    x, across, down, fill = np.ones((1, 3, 4, 4), np.float32), np.ones((1, 2, 5)), np.ones((1, 2, 6)), np.ones(3, np.float32)
    for wrong in [(x[0], across, down, None, fill), (x, across[:, :1], down, None, fill), (x, across, down[0], None, fill),
                  (x, across, down, np.ones((1, 2, 5, 6)), fill), (x, across, down, None, fill[:2]),
                  (x[:, :, :0], across, down, None, fill)]:
        with pytest.raises(ValueError, match=r"warp: the shapes of images.*needed are \(N, C, H, W\)"):
            compiled.warp(*wrong, False)
    with pytest.raises(TypeError, match=r"warp: the compiled kernel takes uint8.*not int16 with nearest=False"):
        compiled.warp(x.astype(np.int16), across, down, None, fill, False)
    with pytest.raises(TypeError, match="complex128"):
        compiled.warp(x.astype(complex), across, down, None, fill, True)
