"""Random distortions: against scipy, and their random numbers."""

import numpy as np
import pytest
from scipy import ndimage

import tinygrad_course as tgc
from tinygrad_course.errors import ShapeError
from tinygrad_course.train import RandomAffine
from tinygrad_course.train.augment import warp


def arrays(*values):
    return [np.asarray(value, np.float32) for value in values]


def random_images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_nothing_changes_without_amounts():
    images = random_images(3, 2, 8, 9)
    angle, factor, shift = arrays([0] * 3, [1] * 3, [[0] * 3] * 2)
    np.testing.assert_array_equal(warp(images, angle, factor, shift, 0.0), images)


def test_whole_pixels_are_moved_and_the_rest_filled():
    images = random_images(1, 1, 8, 8)
    moved = warp(images, *arrays([0], [1], [[2], [-3]]), 7.0)
    np.testing.assert_array_equal(moved[0, 0, 2:, :-3], images[0, 0, :-2, 3:])
    assert (moved[0, 0, :2] == 7).all()
    assert (moved[0, 0, :, -3:] == 7).all()


def test_a_quarter_turn():
    images = random_images(1, 1, 9, 9)
    turned = warp(images, *arrays([np.pi / 2], [1], [[0], [0]]), 0.0)
    np.testing.assert_allclose(turned[0, 0], np.rot90(images[0, 0], -1), atol=2e-5)


def test_far_outside_everything_is_fill():
    assert (warp(random_images(1, 1, 8, 8), *arrays([0], [1], [[100], [-100]]), 3.0) == 3).all()


@pytest.mark.parametrize(("angle", "factor", "shift"), [(0.3, 1.1, (1.5, -2.25)), (-2.0, 0.8, (0.0, 3.5))])
def test_against_scipy(angle, factor, shift):
    images = random_images(2, 3, 16, 12)
    ours = warp(images, *arrays([angle] * 2, [factor] * 2, [[shift[0]] * 2, [shift[1]] * 2]), 0.5)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / factor
    centre = np.array([7.5, 5.5])
    offset = centre - matrix @ (centre + shift)
    for n in range(2):
        for channel in range(3):
            # Padding first: scipy's "constant" mode cuts interpolation off at the border.
            padded = np.pad(images[n, channel].astype(np.float64), 8, constant_values=0.5)
            theirs = ndimage.affine_transform(padded, matrix, offset + 8 - matrix @ [8, 8], order=1, cval=0.5)
            np.testing.assert_allclose(ours[n, channel], theirs[8:-8, 8:-8], atol=1e-5)


def test_same_generator_state_same_images():
    x = tgc.from_numpy(random_images(5, 1, 8, 8))
    generator = tgc.Generator().manual_seed(3)
    distort = RandomAffine(generator=generator)
    state = generator.get_state()
    first, second = distort(x).numpy(), distort(x).numpy()
    assert not np.array_equal(first, second)
    generator.set_state(state)
    np.testing.assert_array_equal(distort(x).numpy(), first)


def test_every_image_is_distorted_in_its_own_way():
    x = tgc.from_numpy(np.repeat(random_images(1, 1, 8, 8), 4, axis=0))
    out = RandomAffine(generator=tgc.Generator().manual_seed(0))(x).numpy()
    assert len({image.tobytes() for image in out}) == 4


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\)"):
        RandomAffine()(tgc.zeros(8, 8))
