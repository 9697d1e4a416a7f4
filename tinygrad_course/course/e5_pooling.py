"""E5: pooling, its switches, and unpooling.

Max pooling keeps the largest value of each window and forgets where it was.  The *switches* remember: with them the
gradient goes back to that pixel alone, and max unpooling puts a value back to where it came from, with zeros around it.
Average pooling is a convolution with a constant kernel: its gradient spreads evenly.

D. Scherer, A. Mueller, S. Behnke, "Evaluation of pooling operations in convolutional architectures", ICANN 2010;
M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1 (switches).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import load_fashion
from tinygrad_course.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGE = np.array([[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]], dtype=np.float32)
UNPOOLED = np.array([[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]], dtype=np.float32)


def max_pool(x: np.ndarray, size: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Largest value of each size x size window of an image (H, W), and its switch: the index into x.ravel()."""
    height, width = x.shape[0] // size, x.shape[1] // size
    values, switches = np.empty((height, width), x.dtype), np.empty((height, width), np.int64)
    for i in range(height):
        for j in range(width):
            window = x[size * i:size * (i + 1), size * j:size * (j + 1)]
            a, b = np.unravel_index(window.argmax(), window.shape)
            values[i, j] = window[a, b]
            switches[i, j] = (size * i + a) * x.shape[1] + size * j + b
    return values, switches


def max_unpool(values: np.ndarray, switches: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Zeros, and each value where its switch points."""
    x = np.zeros(shape[0] * shape[1], values.dtype)
    x[switches.ravel()] = values.ravel()
    return x.reshape(shape)


def run(settings: Settings) -> Outcome:
    """The worked example by hand and by the engine, gradients, and the shift that pooling forgives."""
    values, switches = max_pool(IMAGE)
    x = tgc.tensor(IMAGE, requires_grad=True)
    pooled, indices = F.max_pool2d(x[None, None], 2, return_indices=True)
    unpooled = F.max_unpool2d(tgc.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None], indices, 2)
    pooled.backward(tgc.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None])
    assert x.grad is not None
    average = F.avg_pool2d(tgc.tensor(IMAGE)[None, None], 2)[0, 0]
    box = F.conv2d(tgc.tensor(IMAGE)[None, None], tgc.full((1, 1, 2, 2), 0.25), stride=2)[0, 0]
    images = load_fashion("test")[0][:100].astype(np.float32)[:, None] / 255           # (100, 1, 28, 28)
    moved = np.roll(images, 1, axis=-1)

    def change(a: tgc.Tensor, b: tgc.Tensor) -> float:
        return float(((a - b).norm() / a.norm()).item())

    kept = change(tgc.tensor(images), tgc.tensor(moved))
    after = change(F.max_pool2d(tgc.tensor(images), 4), F.max_pool2d(tgc.tensor(moved), 4))
    whole = F.adaptive_max_pool2d(tgc.tensor(images), 1)
    facts = [
        equal("max pooling by hand", values.tolist(), [[5, 6], [7, 8]]),
        equal("max pooling by the engine", pooled[0, 0].tolist(), [[5, 6], [7, 8]]),
        equal("the engine's switches are those by hand", indices[0, 0].tolist(), switches.tolist()),
        equal("(1, 2, 3, 4) unpooled by hand", max_unpool(np.array([[1, 2], [3, 4]], np.float32), switches, (4, 4)).tolist(),
              UNPOOLED.tolist()),
        equal("(1, 2, 3, 4) unpooled by the engine", unpooled[0, 0].tolist(), UNPOOLED.tolist()),
        equal("the gradient of max pooling is unpooling", x.grad.tolist(), UNPOOLED.tolist()),
        equal("average pooling", average.tolist(), [[2.75, 3.0], [3.25, 3.75]]),
        equal("sum pooling is 4 times the average", F.avg_pool2d(tgc.tensor(IMAGE)[None, None], 2, divisor_override=1)[0, 0]
              .tolist(), [[11, 12], [13, 15]]),
        equal("average pooling is convolution with 1/4", box.tolist(), average.tolist()),
        equal("global average pooling: one number per channel",
              [list(F.adaptive_avg_pool2d(tgc.tensor(images), 1).shape), F.adaptive_avg_pool2d(
                  tgc.tensor(IMAGE)[None, None], 1).item()], [[100, 1, 1, 1], float(IMAGE.mean())]),
        within("relative change of 100 images by a shift of one pixel", kept, low=0.3),
        within("the same after 4 x 4 max pooling, as a share of it", after / kept, high=0.8),
        equal("global max pooling does not see a shift at all",
              float((whole - F.adaptive_max_pool2d(tgc.tensor(moved), 1)).abs().max().item()), 0.0),
    ]

    def worked_example() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        mark = np.zeros(16, dtype=bool)
        mark[switches.ravel()] = True
        fig = new_figure(15, 4.4)
        a, b, c, d = fig.subplots(1, 4, width_ratios=[4, 2, 2, 4])
        plot_matrix(IMAGE, title="image and switches", mark=mark.reshape(4, 4), ax=a)
        plot_matrix(values, title="max pooling", ax=b)
        plot_matrix(average, title="average", ax=c)
        plot_matrix(UNPOOLED, title="(1, 2, 3, 4) unpooled", mark=mark.reshape(4, 4), ax=d)
        return fig

    def real_image() -> Figure:
        from tinygrad_course.viz import plot_panels

        one = tgc.tensor(images[:1])
        top, where = F.max_pool2d(one, 4, return_indices=True)
        return plot_panels([("image 28 x 28", one[0, 0]), ("max pooling 4 x 4", top[0, 0]),
                            ("average pooling 4 x 4", F.avg_pool2d(one, 4)[0, 0]),
                            ("max unpooling by switches", F.max_unpool2d(top, where, 4)[0, 0])],
                           title="Pooling and unpooling of a real image")

    return Outcome(facts, {"worked_example": worked_example, "real_image": real_image})


ROW = Row("E5", "Pooling, switches and unpooling", "Fashion-MNIST (shipped), numbers worked by hand",
          "the gradient of max pooling is unpooling by its switches; pooling forgives small shifts", 1.0, run,
          ("nn.MaxPool2d", "nn.AvgPool2d", "nn.AdaptiveAvgPool2d", "nn.functional.max_unpool2d"))
