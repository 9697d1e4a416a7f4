"""ops/unfold.py: images as columns of patches, and back."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course.errors import OperandError, ShapeError
from tinygrad_course.ops.unfold import unfold


def two(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def meetings(size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """(patch, tap, place in the image): what is where."""
    (h, w), (kh, kw), (dh, dw), (ph, pw), (sh, sw) = map(two, (size, kernel_size, dilation, padding, stride))
    oh, ow = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    found = [
        (p * ow + q, i * kw + j, (p * sh - ph + i * dh, q * sw - pw + j * dw))
        for p, q, i, j in np.ndindex(oh, ow, kh, kw)
    ]
    return oh * ow, kh * kw, [(a, t, at) for a, t, at in found if 0 <= at[0] < h and 0 <= at[1] < w]


def unfolded(x: np.ndarray, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> np.ndarray:
    patches, taps, found = meetings(x.shape[2:], kernel_size, dilation, padding, stride)
    y = np.zeros((*x.shape[:2], taps, patches))
    for patch, tap, (i, j) in found:
        y[:, :, tap, patch] = x[:, :, i, j]
    return y.reshape(x.shape[0], -1, patches)


def folded(
    y: np.ndarray, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> np.ndarray:
    patches, taps, found = meetings(output_size, kernel_size, dilation, padding, stride)
    columns = y.reshape(-1, y.shape[-2] // taps, taps, patches)
    x = np.zeros((*columns.shape[:2], *two(output_size)))
    for patch, tap, (i, j) in found:
        x[:, :, i, j] += columns[:, :, tap, patch]
    return x.reshape(y.shape[:-2] + x.shape[1:])


def torch_fold(x: Any, *args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.nn.functional.fold(x, *args, **kwargs)


CASES = (
    Case(
        "fold",
        tgc.ops.fold,
        folded,
        (
            S((2, 8, 2), args=((2, 3), 2), note="overlapping"),
            S((1, 4, 4), args=((5, 4), 2), stride=(3, 2), dilation=(1, 2), padding=(0, 1), note="gaps"),
            S((6, 4), args=(3, (2, 1)), padding=(1, 0), stride=(2, 2), note="single"),
            S((0, 4, 4), args=(3, 2), note="empty"),
        ),
        torch=torch_fold,
        half=True,
        integers=("int64",),
        errors=(
            Error(lambda: tgc.ops.fold(tgc.ones(1, 4, 3), 3, 2), ShapeError, r"fold.*\(N, C \* 4, 2 \* 2 = 4\).*\(1, 4, 3\)"),
            Error(lambda: tgc.ops.fold(tgc.ones(1, 3, 4), 3, 2), ShapeError, r"fold.*\(1, 3, 4\)"),
            Error(lambda: tgc.ops.fold(tgc.ones(1, 4, 4), 2, 3), ShapeError, r"fold.*no patch of 3 x 3.*2 x 2"),
            Error(lambda: tgc.ops.fold(tgc.ones(1, 4, 4), 3, 0), ShapeError, "fold.*kernel_size.*at least 1"),
            Error(lambda: tgc.ops.fold(np.ones((1, 4, 4)), 3, 2), OperandError, "fold.*ndarray"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


GEOMETRIES = [
    ((2, 2, 3, 4), {"kernel_size": 2}),
    ((1, 1, 5, 4), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1)}),
    ((1, 2, 5, 5), {"kernel_size": (2, 2), "dilation": (2, 3), "padding": 1}),
]


@pytest.mark.parametrize(("shape", "geometry"), GEOMETRIES)
def test_unfold_and_its_gradient(backend: str, torch: Any, shape: Any, geometry: Any) -> None:
    (x,) = S(shape).arrays("unfold")
    image, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, wanted = unfold(image, **geometry), torch.nn.functional.unfold(theirs, **geometry)
    np.testing.assert_array_equal(y.detach().numpy(), unfolded(x, **geometry))
    np.testing.assert_array_equal(y.detach().numpy(), wanted.detach().numpy())
    (g,) = S(y.shape).arrays("columns")
    y.backward(tgc.tensor(g))
    wanted.backward(torch.tensor(g))
    np.testing.assert_allclose(image.grad.numpy(), theirs.grad.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(image.grad.numpy(), tgc.ops.fold(tgc.tensor(g), shape[2:], **geometry).numpy(), rtol=1e-12)


def test_unfold_of_one_image_and_of_none(backend: str) -> None:
    x = np.arange(12.0).reshape(1, 3, 4)
    np.testing.assert_array_equal(unfold(tgc.tensor(x), 2).numpy(), unfolded(x[None], 2)[0])
    assert unfold(tgc.zeros(0, 2, 3, 4), 2).shape == (0, 8, 6)


def test_a_convolution_is_a_product_with_columns(backend: str) -> None:
    x, w = S((2, 3, 5, 4), (4, 3, 2, 3)).arrays("product")
    y = w.reshape(4, -1) @ unfold(tgc.tensor(x), (2, 3), padding=1).numpy()
    wanted = tgc.ops.conv2d(tgc.tensor(x), tgc.tensor(w), padding=1).numpy()
    np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=1e-12, atol=1e-12)


def test_unfold_says_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"unfold.*\(2, 2\)"):
        unfold(tgc.ones(2, 2), 1)
    with pytest.raises(ShapeError, match=r"unfold.*no patch of 3 x 1.*2 x 2"):
        unfold(tgc.ones(1, 1, 2, 2), (3, 1))
    with pytest.raises(ShapeError, match=r"unfold.*stride.*pair"):
        unfold(tgc.ones(1, 1, 2, 2), 1, stride=(1, 2, 3))
