"""E2: transposed convolution, the adjoint of convolution.

A convolution is linear in its image: as a matrix C with one row per output pixel it computes C x.  The transposed
convolution computes C^T y, so it maps from the size of the outputs back to the size of the inputs:

    each y[i, j] adds the whole kernel, times its value, at rows s i ... s i + kh - 1 and columns s j ... s j + kw - 1

with stride s; padding p cuts p pixels off each border.  It is not the inverse (that would be deconvolution), but what
backpropagation sends through a convolution, because the derivative of C x with respect to x is C^T.

M. Zeiler, D. Krishnan, G. Taylor, R. Fergus, "Deconvolutional networks", CVPR 2010; V. Dumoulin, F. Visin,
arXiv:1603.07285 (2016), chapter 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.course.e1_convolution import KERNEL, correlate2d, output_size
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALUES = np.array([[2, 1], [4, 4]], dtype=np.float32)


def transposed_size(size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0) -> int:
    """Outputs along one axis: (size - 1) stride - 2 padding + kernel + output_padding."""
    return (size - 1) * stride - 2 * padding + kernel + output_padding


def transposed2d(y: np.ndarray, w: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """Each value of y (H, W) stamps the kernel (kh, kw), times itself, into the result; overlapping stamps add up."""
    (height, width), (kh, kw) = y.shape, w.shape
    x = np.zeros((transposed_size(height, kh, stride), transposed_size(width, kw, stride)), dtype=np.result_type(y, w))
    for i in range(height):
        for j in range(width):
            x[stride * i:stride * i + kh, stride * j:stride * j + kw] += y[i, j] * w
    return x[padding:x.shape[0] - padding, padding:x.shape[1] - padding]


def engine(y: np.ndarray, w: np.ndarray, **options: int) -> np.ndarray:
    """The same by F.conv_transpose2d, for one image and one kernel."""
    return F.conv_transpose2d(tgc.tensor(y)[None, None], tgc.tensor(w)[None, None], **options)[0, 0].numpy()


def convolution_matrix(w: np.ndarray, size: tuple[int, int], stride: int = 1, padding: int = 0) -> np.ndarray:
    """The matrix C (outputs, pixels) with C x.ravel() = correlate2d(x, w, stride, padding).ravel().

    Its columns are the responses to single bright pixels.  Nearly all of it is zero, and the rest repeats w: a
    convolution is a linear layer with few, shared weights.
    """
    pixels = size[0] * size[1]
    columns = [correlate2d(pixel.reshape(size), w, stride, padding).ravel() for pixel in np.eye(pixels, dtype=w.dtype)]
    return np.stack(columns, axis=1)


def run(settings: Settings) -> Outcome:
    """The worked example, the adjoint and the sizes."""
    rng = np.random.default_rng(settings.seed)
    x = rng.standard_normal((7, 6))
    w = rng.standard_normal((3, 3))
    forward = correlate2d(x, w, stride=2, padding=1)                 # (4, 3)
    y = rng.standard_normal(forward.shape)
    matrix = convolution_matrix(w, x.shape, stride=2, padding=1)     # (12, 42)
    leaf = tgc.tensor(x, requires_grad=True)
    F.conv2d(leaf[None, None], tgc.tensor(w)[None, None], stride=2, padding=1)[0, 0].backward(tgc.tensor(y))
    assert leaf.grad is not None
    gradient = leaf.grad.numpy()
    facts = [
        equal("the worked example, by hand", transposed2d(VALUES, KERNEL).tolist(),
              [[2, 9, 6, 1], [6, 29, 30, 7], [10, 29, 33, 13], [12, 24, 16, 4]]),
        equal("the worked example, by the engine", engine(VALUES, KERNEL).tolist(),
              [[2, 9, 6, 1], [6, 29, 30, 7], [10, 29, 33, 13], [12, 24, 16, 4]]),
        within("loops and engine, strides 1 to 3, paddings 0 and 1",
               max(float(np.abs(engine(y, w, stride=s, padding=p) - transposed2d(y, w, s, p)).max())
                   for s in (1, 2, 3) for p in (0, 1)), high=1e-12),
        within("C x is the convolution", float(np.abs(matrix @ x.ravel() - forward.ravel()).max()), high=1e-12),
        within("backpropagation through a convolution is C^T",
               float(np.abs(gradient.ravel() - matrix.T @ y.ravel()).max()), high=1e-12),
        within("adjoint: <conv(x), y> - <x, conv^T(y)>",
               abs(float((forward * y).sum() - (x * gradient).sum())), high=1e-12),
        equal("sizes 5 with kernel 3, strides 1 and 2: there and back",
              [transposed_size(output_size(5, 3, s), 3, s) for s in (1, 2)], [5, 5]),
        equal("stride 2 maps 7 and 8 to the same size; output_padding=1 leads back to 8",
              [output_size(7, 3, 2, 1), output_size(8, 3, 2, 1), transposed_size(4, 3, 2, 1), transposed_size(4, 3, 2, 1, 1)],
              [4, 4, 7, 8]),
    ]

    def worked_example() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(11, 4.2)
        first = np.array([[True, False], [False, False]])
        stamp = np.zeros((4, 4), dtype=bool)
        stamp[:3, :3] = True  # where the kernel of the first value lands
        for ax, title, values, mark in zip(
                fig.subplots(1, 3, width_ratios=[2, 3, 4]), ("values y", "kernel w", "transposed convolution"),
                (VALUES, KERNEL, transposed2d(VALUES, KERNEL)), (first, None, stamp), strict=True):
            plot_matrix(values, title=title, mark=mark, ax=ax)
        return fig

    def matrices() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        small = convolution_matrix(KERNEL, (4, 4))
        fig = new_figure(13, 6.5)
        left, right = fig.subplots(1, 2, width_ratios=[16, 7])
        plot_matrix(small, title="C: convolution of 4 x 4 pixels, C x", ax=left)
        plot_matrix(small.T, title="transposed: $C^T$ y", ax=right)
        return fig

    return Outcome(facts, {"worked_example": worked_example, "matrices": matrices})


ROW = Row("E2", "Transposed convolution", "numbers worked by hand",
          "it is the transpose of the matrix of a convolution, and what backpropagation sends through one", 1.0, run,
          ("nn.ConvTranspose2d", "nn.functional.conv_transpose2d"))
