"""The teaching functions of chapters E and F against NumPy, SciPy and PyTorch, and their errors."""

import numpy as np
import pytest
from scipy import signal

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.course import e1_convolution as e1
from tinygrad_course.course import e2_transposed as e2
from tinygrad_course.course import e3_im2col as e3
from tinygrad_course.course import e4_fully_connected as e4
from tinygrad_course.course import e5_pooling as e5
from tinygrad_course.course import e6_normalisation as e6
from tinygrad_course.course import e7_upsampling as e7
from tinygrad_course.course import f3_zfnet as f3
from tinygrad_course.errors import ShapeError

RNG = np.random.default_rng(3)
IMAGE, KERNEL = RNG.standard_normal((7, 9)), RNG.standard_normal((3, 2))


def test_correlation_and_convolution_are_those_of_scipy():
    np.testing.assert_allclose(e1.correlate2d(IMAGE, KERNEL), signal.correlate2d(IMAGE, KERNEL, "valid"), atol=1e-12)
    np.testing.assert_allclose(e1.convolve2d(IMAGE, KERNEL), signal.convolve2d(IMAGE, KERNEL, "full"), atol=1e-12)


@pytest.mark.parametrize("options", [(2, 1, 1), (1, 2, 2), (3, 0, 2)], ids=str)
def test_strides_paddings_and_dilations_are_those_of_torch(options):
    torch = torch_or_skip()
    stride, padding, dilation = options
    wanted = torch.nn.functional.conv2d(torch.tensor(IMAGE)[None, None], torch.tensor(KERNEL)[None, None], None, *options)
    np.testing.assert_allclose(e1.correlate2d(IMAGE, KERNEL, *options), wanted[0, 0].numpy(), atol=1e-12)
    assert wanted.shape[2] == e1.output_size(7, 3, stride, padding, dilation)


def test_a_kernel_larger_than_the_image_is_named():
    with pytest.raises(ShapeError, match=r"a kernel \(3, 2\) with dilation 4 does not fit .* \(7, 9\)\. Give a smaller"):
        e1.correlate2d(IMAGE, KERNEL, dilation=4)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (3, 1)])
def test_transposed_convolution_is_that_of_torch(stride, padding):
    torch = torch_or_skip()
    wanted = torch.nn.functional.conv_transpose2d(torch.tensor(IMAGE)[None, None], torch.tensor(KERNEL)[None, None], None,
                                                  stride, padding)[0, 0]
    np.testing.assert_allclose(e2.transposed2d(IMAGE, KERNEL, stride, padding), wanted.numpy(), atol=1e-12)
    assert wanted.shape[0] == e2.transposed_size(7, 3, stride, padding)


def test_im2col_and_its_transpose_are_adjoint():
    x, columns = RNG.standard_normal((3, 11)), RNG.standard_normal((12, 4))
    left = (e3.im2col(x, 4, 2) * columns).sum()
    right = (x * e3.col2im(columns, 3, 11, 4, 2)).sum()
    assert left == pytest.approx(right, rel=1e-12)


def test_linear_layers_become_convolutions():
    linear = nn.Linear(2 * 3 * 4, 5)
    x = tgc.randn(6, 2, 3, 4)
    conv = e4.linear_to_conv(linear, 2, (3, 4))
    np.testing.assert_allclose(conv(x).detach().numpy()[:, :, 0, 0], linear(x.flatten(1)).detach().numpy(), atol=1e-5)
    with pytest.raises(ShapeError, match="takes 24 inputs, a map of 2 x 3 x 3 has 18"):
        e4.linear_to_conv(linear, 2, (3, 3))


def test_pooling_by_hand_is_that_of_torch():
    torch = torch_or_skip()
    x = RNG.standard_normal((6, 8))
    values, switches = torch.nn.functional.max_pool2d(torch.tensor(x)[None, None], 2, return_indices=True)
    ours = e5.max_pool(x)
    np.testing.assert_array_equal(ours[0], values[0, 0].numpy())
    np.testing.assert_array_equal(ours[1], switches[0, 0].numpy())
    np.testing.assert_array_equal(e5.max_unpool(*ours, (6, 8)),
                                  torch.nn.functional.max_unpool2d(values, switches, 2)[0, 0].numpy())


def test_local_contrast_norm_by_loops():
    x = RNG.random((1, 1, 8, 7)).astype(np.float32)
    window = e6.gaussian_window(5).numpy()[0, 0].astype(np.float64)

    def blur(image):
        out = np.empty_like(image)
        for i, j in np.ndindex(image.shape):
            rows, columns = slice(max(0, i - 2), i + 3), slice(max(0, j - 2), j + 3)
            part = image[rows, columns]
            top, left = max(0, 2 - i), max(0, 2 - j)
            weights = window[top:top + part.shape[0], left:left + part.shape[1]]
            out[i, j] = (weights * part).sum() / weights.sum()
        return out

    v = x[0, 0].astype(np.float64)
    v = v - blur(v)
    sigma = np.sqrt(blur(v * v))
    wanted = v / np.maximum(sigma, sigma.mean())
    np.testing.assert_allclose(e6.local_contrast_norm(tgc.tensor(x), 5).numpy()[0, 0], wanted, atol=2e-5)
    assert window.sum() == pytest.approx(1, rel=1e-6)


def test_local_contrast_norm_has_the_right_gradient():
    x = tgc.tensor(RNG.random((1, 1, 6, 6)), requires_grad=True)
    assert tgc.testing.gradcheck(lambda image: e6.local_contrast_norm(image, 3), (x,))


@pytest.mark.parametrize(("shape", "size", "message"), [
    ((2, 3, 8, 8), 5, r"\(2, 3, 8, 8\), needed are grey images \(N, 1, H, W\)"),
    ((2, 1, 8, 8), 4, "a window of 4 has no centre. Give an odd size"),
])
def test_local_contrast_norm_refuses(shape, size, message):
    with pytest.raises(ShapeError, match=message):
        e6.local_contrast_norm(tgc.zeros(shape), size)


@pytest.mark.parametrize("factor", [2, 4])
def test_bilinear_start_is_torchs_interpolation(factor):
    torch = torch_or_skip()
    x = RNG.standard_normal((1, 2, 5, 5)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode="bilinear").numpy()
    ours = e7.bilinear_transposed(2, factor)(tgc.tensor(x)).detach().numpy()
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    np.testing.assert_allclose(ours[inner], wanted[inner], atol=1e-5)


def test_a_coarse_first_layer_loses_little_of_a_smooth_image():
    """Next to nothing, if the samples are put back where they were taken."""
    bump = np.exp(-0.5 * ((np.arange(96) - 40) / 14) ** 2)
    for kernel, stride, most in ((7, 2, 6e-4), (11, 4, 5e-3)):
        assert f3.lost_power(np.outer(bump, bump).astype(np.float32), kernel, stride) < most


def test_a_first_layer_sees_no_edge_at_the_border():
    edge = tgc.tensor([-1.0, 0.0, 1.0]).expand(1, 1, 3, 3)
    assert (f3.seen(tgc.ones(1, 1, 9, 9), edge, 2) == 0).all()
    assert f3.seen(tgc.ones(1, 1, 9, 9), edge, 2).shape == (1, 1, 5, 5)
