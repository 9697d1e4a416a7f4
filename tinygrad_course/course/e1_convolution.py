"""E1: convolution and cross-correlation, by hand and by the engine.

A convolution layer computes a cross-correlation: the kernel w slides over the image x, and each output is the sum of
the products of what lies on top of each other,

    y[i, j] = sum_{a, b}  w[a, b]  x[s i + d a - p, s j + d b - p]

with stride s, padding p (x is zero outside) and dilation d.  The convolution of mathematics turns the kernel by 180
degrees first, which makes it commutative; a net that learns its kernels does not notice the difference.  For an image of
N, a kernel of F, there are floor((N - d (F - 1) - 1 + 2 p) / s) + 1 outputs along each axis.

V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285 (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import load_fashion
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGE = np.array([[4, 5, 8, 7], [1, 8, 8, 8], [3, 6, 6, 4], [6, 5, 7, 8]], dtype=np.float32)
KERNEL = np.array([[1, 4, 1], [1, 4, 3], [3, 3, 1]], dtype=np.float32)
# Derivative along x, smoothed along y; the transpose is the derivative along y.  I. Sobel and G. Feldman (1968).
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=np.float32)


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Outputs along one axis: floor((size - dilation (kernel - 1) - 1 + 2 padding) / stride) + 1."""
    return (size - dilation * (kernel - 1) - 1 + 2 * padding) // stride + 1


def correlate2d(x: np.ndarray, w: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1) -> np.ndarray:
    """Cross-correlation of an image (H, W) with a kernel (kh, kw), written as the sum that it is: (oh, ow).

    Raises ShapeError if the kernel is larger than the padded image.
    """
    x = np.pad(x, padding)
    height, width = [output_size(n, k, stride, 0, dilation) for n, k in zip(x.shape, w.shape, strict=True)]
    if height < 1 or width < 1:
        raise ShapeError(f"correlate2d: a kernel {w.shape} with dilation {dilation} does not fit into a padded image "
                         f"{x.shape}. Give a smaller kernel or more padding.")
    y = np.zeros((height, width), dtype=np.result_type(x, w))
    for i in range(height):
        for j in range(width):
            for a in range(w.shape[0]):
                for b in range(w.shape[1]):
                    y[i, j] += w[a, b] * x[stride * i + dilation * a, stride * j + dilation * b]
    return y


def convolve2d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The convolution of mathematics, "full" size: y[i, j] = sum_{a, b} w[a, b] x[i - a, j - b].

    The kernel is turned by 180 degrees, and meets the image wherever they overlap: (H + kh - 1, W + kw - 1).
    """
    (height, width), (kh, kw) = x.shape, w.shape
    y = np.zeros((height + kh - 1, width + kw - 1), dtype=np.result_type(x, w))
    for a in range(kh):
        for b in range(kw):
            y[a:a + height, b:b + width] += w[a, b] * x  # each kernel value adds a shifted copy of the image
    return y


def engine(x: np.ndarray, w: np.ndarray, **options: Any) -> np.ndarray:
    """The same by F.conv2d, for one image (H, W) and one kernel (kh, kw)."""
    return F.conv2d(tgc.tensor(x)[None, None], tgc.tensor(w)[None, None], **options)[0, 0].numpy()


def sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives of an image (H, W) along x and along y, and the length of the gradient: three (H - 2, W - 2)."""
    gx, gy = engine(image, SOBEL_X), engine(image, SOBEL_X.T.copy())
    return gx, gy, np.hypot(gx, gy)


def shift_error(image: np.ndarray, w: np.ndarray, dy: int, dx: int) -> float:
    """Largest difference between "shift, then correlate" and "correlate, then shift", with a periodic border.

    Correlation commutes with shifts (equivariance): what is seen at one place is seen the same way at every other.
    """
    def periodic(x: np.ndarray) -> np.ndarray:
        margin = [(0, k - 1) for k in w.shape]
        return engine(np.pad(x, margin, mode="wrap"), w)

    shifted_first = periodic(np.roll(image, (dy, dx), axis=(0, 1)))
    shifted_last = np.roll(periodic(image), (dy, dx), axis=(0, 1))
    return float(np.abs(shifted_first - shifted_last).max())


def with_holes(w: np.ndarray, dilation: int) -> np.ndarray:
    """The kernel with dilation - 1 zeros between its values: dilated correlation is correlation with this."""
    holes = np.zeros([dilation * (k - 1) + 1 for k in w.shape], dtype=w.dtype)
    holes[::dilation, ::dilation] = w
    return holes


def run(settings: Settings) -> Outcome:
    """Every fact of the row, each against plain loops."""
    rng = np.random.default_rng(settings.seed)
    image = load_fashion("test")[0][0].astype(np.float32) / 255  # (28, 28)
    kernel = rng.standard_normal((5, 5)).astype(np.float32)
    signal, tap = rng.standard_normal(12).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    line = F.conv1d(tgc.tensor(signal)[None, None], tgc.tensor(tap)[None, None])[0, 0].numpy()

    x = rng.standard_normal((1, 4, 9, 9)).astype(np.float32)
    w = rng.standard_normal((6, 2, 3, 3)).astype(np.float32)
    grouped = F.conv2d(tgc.tensor(x), tgc.tensor(w), groups=2).numpy()
    halves = [F.conv2d(tgc.tensor(x[:, 2 * g:2 * g + 2]), tgc.tensor(w[3 * g:3 * g + 3])).numpy() for g in (0, 1)]

    worst = max(float(np.abs(engine(image, kernel, stride=s, padding=p, dilation=d)
                             - correlate2d(image, kernel, s, p, d)).max())
                for s in (1, 2, 3) for p in (0, 2) for d in (1, 2))
    gx, gy, edges = sobel(image)
    ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))  # grows by 1 per pixel along x
    facts = [
        equal("the worked example, by hand", correlate2d(IMAGE, KERNEL).tolist(), [[122, 148], [126, 134]]),
        equal("the worked example, by the engine", engine(IMAGE, KERNEL).tolist(), [[122, 148], [126, 134]]),
        equal("sizes of 28 with kernel 5: valid, same, full, stride 2 (floors), dilation 2",
              [engine(image, kernel, **options).shape[0] for options in
               ({}, {"padding": "same"}, {"padding": 4}, {"stride": 2}, {"dilation": 2})], [24, 28, 32, 12, 20]),
        within("largest difference between loops and engine, 12 strides, paddings and dilations", worst, high=1e-4),
        within("a full convolution commutes: x * w - w * x",
               float(np.abs(convolve2d(image, kernel) - convolve2d(kernel, image)).max()), high=1e-5),
        within("correlation is convolution with the kernel turned by 180 degrees",
               float(np.abs(engine(image, kernel, padding=4) - convolve2d(image, kernel[::-1, ::-1])).max()), high=1e-4),
        within("1-D correlation against numpy.correlate", float(np.abs(line - np.correlate(signal, tap)).max()), high=1e-5),
        within("two groups are two convolutions beside each other",
               float(np.abs(grouped - np.concatenate(halves, axis=1)).max()), high=1e-5),
        within("dilation 3 is a kernel with holes of 2",
               float(np.abs(engine(image, kernel, dilation=3) - engine(image, with_holes(kernel, 3))).max()), high=1e-4),
        within("equivariance: shift and correlate in either order", shift_error(image, kernel, 5, -3), high=1e-5),
        equal("Sobel of a ramp of slope 1: 8 along x, 0 along y",
              [np.unique(part).tolist() for part in sobel(ramp)[:2]], [[8.0], [0.0]]),
        within("length of the gradient inside a flat area", float(sobel(np.full((7, 7), 0.7, dtype=np.float32))[2].max()),
               high=1e-6),
    ]

    def sobel_figure() -> Figure:
        from tinygrad_course.viz import plot_panels

        return plot_panels([("image", image), ("along x", gx), ("along y", gy), ("length of the gradient", edges)],
                           title="Sobel: two kernels find the edges of a real image")

    def worked_example() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(11, 4.2)
        axes = fig.subplots(1, 3, width_ratios=[4, 3, 2])
        under = np.zeros(IMAGE.shape, dtype=bool)
        under[:3, :3] = True  # where the kernel lies for the first output
        first = np.array([[True, False], [False, False]])
        for ax, title, values, mark in zip(axes, ("image x", "kernel w", "cross-correlation"),
                                           (IMAGE, KERNEL, correlate2d(IMAGE, KERNEL)), (under, None, first), strict=True):
            plot_matrix(values, title=title, mark=mark, ax=ax)
        return fig

    return Outcome(facts, {"sobel": sobel_figure, "worked_example": worked_example})


ROW = Row("E1", "Convolution and cross-correlation", "Fashion-MNIST (shipped), numbers worked by hand",
          "loops and engine agree; correlation commutes with shifts", 1.0, run,
          ("nn.Conv1d", "nn.Conv2d", "nn.functional.conv2d"))
