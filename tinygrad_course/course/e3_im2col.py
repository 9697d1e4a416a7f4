"""E3: a convolution as a matrix product (im2col), and its backpropagation by hand in one dimension.

Lay the patch under each position of the kernel into a column.  Then the convolution is a product, and with it both
gradients are products too:

    z = w . im2col(x)          w (O, C F),  im2col(x) (C F, P),  z (O, P)
    dL/dw = dL/dz . im2col(x)^T
    dL/dx = col2im(w^T . dL/dz)         columns go back to where they came from; where patches overlap they add up

The price is memory: each pixel is copied up to F times (F^2 in 2-D).

K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.course.e1_convolution import output_size
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNAL = np.array([1.0, 2.0, 0.0, -1.0, 3.0])
TAPS = np.array([1.0, 0.0, -1.0])
UPSTREAM = np.array([1.0, 2.0, -1.0])


def im2col(x: np.ndarray, kernel: int, stride: int = 1) -> np.ndarray:
    """The patches of a signal with channels (C, N) as columns: (C kernel, P)."""
    channels, size = x.shape
    places = output_size(size, kernel, stride)
    columns = np.empty((channels * kernel, places), dtype=x.dtype)
    for p in range(places):
        columns[:, p] = x[:, stride * p:stride * p + kernel].ravel()
    return columns


def col2im(columns: np.ndarray, channels: int, size: int, kernel: int, stride: int = 1) -> np.ndarray:
    """The transpose of im2col: every column (C kernel) is added where it was taken from, giving (C, N)."""
    x = np.zeros((channels, size), dtype=columns.dtype)
    for p in range(columns.shape[1]):
        x[:, stride * p:stride * p + kernel] += columns[:, p].reshape(channels, kernel)
    return x


def convolution_by_product(x: np.ndarray, w: np.ndarray, g: np.ndarray,
                           stride: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forward and backward of a 1-D convolution: x (C, N), w (O, C, F), g = dL/dz (O, P)  ->  z, dL/dw, dL/dx."""
    outputs, channels, kernel = w.shape
    columns = im2col(x, kernel, stride)                     # (C F, P)
    flat = w.reshape(outputs, channels * kernel)            # (O, C F)
    z = flat @ columns                                      # (O, P)
    gw = (g @ columns.T).reshape(w.shape)                   # dL/dw = dL/dz . im2col(x)^T
    gx = col2im(flat.T @ g, channels, x.shape[1], kernel, stride)
    return z, gw, gx


def by_engine(x: np.ndarray, w: np.ndarray, g: np.ndarray, stride: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same three by F.conv1d and backward()."""
    tx, tw = tgc.tensor(x, requires_grad=True), tgc.tensor(w, requires_grad=True)
    z = F.conv1d(tx[None], tw, stride=stride)[0]
    z.backward(tgc.tensor(g))
    assert tx.grad is not None
    assert tw.grad is not None
    return z.detach().numpy(), tw.grad.numpy(), tx.grad.numpy()


def run(settings: Settings) -> Outcome:
    """The example by hand, and random ones against the engine."""
    rng = np.random.default_rng(settings.seed)
    z, gw, gx = convolution_by_product(SIGNAL[None], TAPS[None, None], UPSTREAM[None])
    worst = [0.0, 0.0, 0.0]
    for channels, outputs, size, kernel, stride in ((1, 1, 7, 3, 1), (3, 4, 12, 5, 1), (2, 3, 11, 4, 2), (2, 2, 9, 2, 3)):
        x, w = rng.standard_normal((channels, size)), rng.standard_normal((outputs, channels, kernel))
        g = rng.standard_normal((outputs, output_size(size, kernel, stride)))
        pairs = zip(convolution_by_product(x, w, g, stride), by_engine(x, w, g, stride), strict=True)
        worst = [max(old, float(np.abs(a - b).max())) for old, (a, b) in zip(worst, pairs, strict=True)]
    image = tgc.tensor(rng.standard_normal((1, 3, 6, 6)))
    weight = tgc.tensor(rng.standard_normal((4, 3, 3, 3)))
    columns = F.unfold(image, 3)                                                # (1, 27, 16)
    product = (weight.reshape(4, 27) @ columns[0]).reshape(1, 4, 4, 4)          # (4, 27) @ (27, 16)
    facts = [
        equal("im2col of (1, 2, 0, -1, 3) with kernel 3", im2col(SIGNAL[None], 3).tolist(),
              [[1, 2, 0], [2, 0, -1], [0, -1, 3]]),
        equal("z = w . im2col(x)", z.tolist(), [[1, 3, -3]]),
        equal("dL/dw = dL/dz . im2col(x)^T", gw.ravel().tolist(), [5, 3, -5]),
        equal("dL/dx = col2im(w^T . dL/dz)", gx.ravel().tolist(), [1, 2, -2, -2, 1]),
        within("z: product against engine", worst[0], high=1e-12),
        within("dL/dw: product against engine", worst[1], high=1e-12),
        within("dL/dx: product against engine", worst[2], high=1e-12),
        within("2-D: unfold and one product against F.conv2d",
               float((product - F.conv2d(image, weight)).abs().max().item()), high=1e-12),
        equal("memory: 36 pixels of 3 channels become columns of", columns.numel(), 27 * 16),
    ]

    def figure() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(13, 8)
        (a, b, c), (d, e, f) = fig.subplots(2, 3)
        plot_matrix(SIGNAL[None], title="x", ax=a)
        plot_matrix(im2col(SIGNAL[None], 3), title="im2col(x)", ax=b)
        plot_matrix(z, title="z = w · im2col(x),  w = (1, 0, −1)", ax=c)
        plot_matrix(UPSTREAM[None], title="dL/dz", ax=d)
        plot_matrix(gw[0], title="dL/dw = dL/dz · im2col(x)$^T$", ax=e)
        plot_matrix(gx, title="dL/dx = col2im(w$^T$ · dL/dz)", ax=f)
        return fig

    return Outcome(facts, {"backpropagation": figure})


ROW = Row("E3", "im2col, and backpropagation through a convolution", "numbers worked by hand",
          "a convolution and both its gradients are matrix products", 1.0, run, ("nn.functional.unfold", "nn.Conv1d"))
