"""E7: four ways to a larger map.

    nearest               every pixel becomes a block
    bilinear              between pixels, the weighted mean of the four neighbours
    max unpooling         values go back to their switches, zeros elsewhere (row E5)
    transposed            learned: every value stamps a kernel (row E2)

Nearest and bilinear are transposed convolutions with a fixed kernel, a box and a tent; so a learned one can start as
bilinear interpolation (Long, Shelhamer and Darrell, CVPR 2015, section 4.1).  When the stride does not divide the kernel,
its stamps overlap unevenly: a checkerboard (Odena, Dumoulin and Olah, "Deconvolution and checkerboard artifacts",
Distill 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import load_fashion
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tent(factor: int) -> np.ndarray:
    """Kernel (2 factor, 2 factor) of bilinear enlargement by an even `factor`; Long et al. (2015)."""
    distance = np.abs(np.arange(2 * factor) - (factor - 0.5)) / factor
    return np.outer(1 - distance, 1 - distance)


def bilinear_transposed(channels: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution that starts as bilinear enlargement by `factor`, channel by channel."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels,
                               bias=False)
    with tgc.no_grad():
        layer.weight.copy_(tgc.tensor(np.broadcast_to(tent(factor), layer.weight.shape).copy()))
    return layer


def overlap(size: int, kernel: int, stride: int) -> np.ndarray:
    """How many stamps reach each output of a transposed convolution along one axis."""
    ones = tgc.ones(1, 1, kernel)
    return F.conv_transpose1d(tgc.ones(1, 1, size), ones, stride=stride)[0, 0].numpy().astype(np.int64)


def run(settings: Settings) -> Outcome:
    """The equalities, the checkerboard, and the error of each way back from a pooled real image."""
    rng = np.random.default_rng(settings.seed)
    small = tgc.tensor(rng.standard_normal((2, 3, 5, 6)))
    with tgc.no_grad():
        nearest = F.interpolate(small, scale_factor=2, mode="nearest")
        box = F.conv_transpose2d(small, tgc.ones(3, 1, 2, 2, dtype=tgc.float64), stride=2, groups=3)
        bilinear = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
        learned = bilinear_transposed(3, 4).double()(small)
        inside = (bilinear - learned)[..., 2:-2, 2:-2].abs().max().item()  # at the border it repeats the edge instead
        images = tgc.tensor(load_fashion("test")[0][:200].astype(np.float32)[:, None] / 255)
        pooled, switches = F.max_pool2d(images, 2, return_indices=True)
        mean = F.avg_pool2d(images, 2)
        back = {"nearest": F.interpolate(mean, scale_factor=2, mode="nearest"),
                "bilinear": F.interpolate(mean, scale_factor=2, mode="bilinear", align_corners=False),
                "max unpooling": F.max_unpool2d(pooled, switches, 2)}
    back["transposed, fitted"] = _fit(bilinear_transposed(1, 2), mean, images, settings)
    error = {name: float(((image - images) ** 2).mean().sqrt().item()) for name, image in back.items()}
    settings.say(", ".join(f"{name}: {value:.3f}" for name, value in error.items()))
    facts = [
        equal("nearest of [[1, 2], [3, 4]]", F.interpolate(tgc.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None], scale_factor=2)
              [0, 0].tolist(), [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
        within("nearest is a transposed convolution with a box", float((nearest - box).abs().max().item()), high=1e-12),
        within("bilinear is one with a tent (inside)", inside, high=1e-6),
        equal("bilinear keeps a constant image", float((F.interpolate(tgc.full((1, 1, 3, 3), 0.5), scale_factor=3,
              mode="bilinear") - 0.5).abs().max().item()), 0.0),
        equal("kernel 3, stride 2: stamps per output alternate (checkerboard)", overlap(4, 3, 2).tolist(),
              [1, 1, 2, 1, 2, 1, 2, 1, 1]),
        equal("kernel 4, stride 2: even", overlap(4, 4, 2).tolist(), [1, 1, 2, 2, 2, 2, 2, 2, 1, 1]),
        within("200 images pooled and enlarged: error of bilinear as a share of nearest",
               error["bilinear"] / error["nearest"], high=1.0),
        within("error of the fitted kernel as a share of bilinear", error["transposed, fitted"] / error["bilinear"],
               high=0.98),
        within("unpooling by switches keeps the largest pixels and loses three of four: error as a share of nearest",
               error["max unpooling"] / error["nearest"], low=1.0),
    ]

    def figure() -> Figure:
        from tinygrad_course.viz import plot_panels

        panels = [("image", images[2, 0]), ("averaged to 14 x 14", mean[2, 0])]
        panels += [(f"{name}, error {error[name]:.3f}", image[2, 0]) for name, image in back.items()]
        return plot_panels(panels, title="Back to 28 x 28 pixels", columns=3, same_scale=True)

    def checkerboard() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import new_figure

        fig = new_figure(11, 5.6)
        for ax, kernel in zip(fig.subplots(1, 2), (3, 4), strict=True):
            counts = overlap(5, kernel, 2)
            plot_matrix(np.outer(counts, counts), title=f"kernel {kernel}, stride 2: stamps per pixel", ax=ax)
        return fig

    return Outcome(facts, {"ways_back": figure, "checkerboard": checkerboard})


def _fit(layer: nn.ConvTranspose2d, small: Tensor, large: Tensor, settings: Settings) -> Tensor:
    """Fit the kernel to enlarge well: from the tent, by Adam on the squared error.  Returns the enlarged images."""
    from tinygrad_course.optim import Adam

    optimizer = Adam(layer.parameters(), lr=0.02)
    for _ in range(60 if settings.steps is None else settings.steps):
        optimizer.zero_grad()
        F.mse_loss(layer(small), large).backward()
        optimizer.step()
    with tgc.no_grad():
        return layer(small)


ROW = Row("E7", "Up-sampling", "Fashion-MNIST (shipped)",
          "nearest and bilinear are transposed convolutions; a fitted one does better", 2.0, run,
          ("nn.Upsample", "nn.functional.interpolate", "nn.ConvTranspose2d", "nn.functional.max_unpool2d"))
