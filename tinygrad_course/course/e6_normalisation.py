"""E6: normalisations, all as "subtract a mean, divide by a spread", over different sets of values.

For a map x (N, C, H, W):

    batch norm      per channel, over N, H, W          what a channel says on average over the batch
    layer norm      per sample, over C, H, W           independent of the batch
    instance norm   per sample and channel, over H, W  removes the contrast of each map
    group norm      per sample, over C/G channels, H, W: G = 1 is layer norm, G = C instance norm
    local response  x / (k + alpha/n sum_{n neighbouring channels} x^2)^beta      no mean; channels compete
    local contrast  x minus the Gaussian mean of its surroundings, over their spread (subtractive and divisive)

S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, algorithm 1; J. Ba, J. Kiros, G. Hinton, "Layer normalization",
arXiv:1607.06450; D. Ulyanov et al., "Instance normalization", arXiv:1607.08022; Y. Wu, K. He, "Group normalization", ECCV
2018; A. Krizhevsky et al., NIPS 2012, section 3.3 (local response); K. Jarrett et al., "What is the best multi-stage
architecture for object recognition?", ICCV 2009, section 2.1 (local contrast).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.course.row import Outcome, Row, Settings, within
from tinygrad_course.data import load_fashion
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPS = 1e-5


def normalise(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """(x - mean) / sqrt(variance + 1e-5), both over `axes`, the variance with 1/n."""
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + EPS)


def local_response(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Krizhevsky et al. (2012), section 3.3, for x (N, C, H, W); alpha is divided by `size`, as in PyTorch."""
    y = np.empty_like(x)
    channels = x.shape[1]
    for c in range(channels):
        near = x[:, max(0, c - size // 2):min(channels, c + (size - 1) // 2 + 1)]
        y[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(axis=1)) ** beta
    return y


def gaussian_window(size: int) -> Tensor:
    """Weights (1, 1, size, size) of a Gaussian with a standard deviation of size / 4, which sum to 1."""
    t = np.arange(size) - (size - 1) / 2
    line = np.exp(-0.5 * (t / (size / 4)) ** 2)
    weights = np.outer(line, line)
    return tgc.tensor((weights / weights.sum()).astype(np.float32))[None, None]


def local_contrast_norm(x: Tensor, size: int = 9) -> Tensor:
    """Local contrast normalisation of grey images (N, 1, H, W); Jarrett et al. (2009), section 2.1.

        v = x - G * x                        subtractive: the weighted mean of the surroundings
        y = v / max(c, sigma)                divisive: sigma^2 = G * v^2, and c the mean of sigma over the image

    G is a Gaussian window of `size` x `size`; at the border it is cut off and scaled up to sum to 1.
    Raises ShapeError unless x is (N, 1, H, W) and `size` is odd.
    """
    if x.ndim != 4 or x.shape[1] != 1:
        raise ShapeError(f"local_contrast_norm: x has the shape {tuple(x.shape)}, needed are grey images (N, 1, H, W).")
    if size % 2 == 0:
        raise ShapeError(f"local_contrast_norm: a window of {size} has no centre. Give an odd size.")
    window = gaussian_window(size).to(x.dtype)
    covered = F.conv2d(tgc.ones_like(x), window, padding=size // 2)  # less than 1 near the border

    def blur(values: Tensor) -> Tensor:
        return F.conv2d(values, window, padding=size // 2) / covered

    v = x - blur(x)
    sigma = blur(v * v).clamp(min=0).sqrt()
    return v / tgc.maximum(sigma, sigma.mean(dim=(2, 3), keepdim=True))


def _difference(a: Tensor, b: Tensor | np.ndarray) -> float:
    return float(np.abs(a.detach().numpy() - np.asarray(b.detach().numpy() if isinstance(b, Tensor) else b)).max())


def run(settings: Settings) -> Outcome:
    """Every layer against its formula in NumPy, and what each is blind to."""
    rng = np.random.default_rng(settings.seed)
    x = 3 * rng.standard_normal((6, 8, 5, 4)) + 2
    t = tgc.tensor(x)
    with tgc.no_grad():
        batch = nn.BatchNorm2d(8).double()
        normed = batch(t)
        batch.eval()
        single = batch(t[:1])
        wanted = (x[:1] - batch.running_mean.numpy()[:, None, None]) / np.sqrt(
            batch.running_var.numpy()[:, None, None] + EPS)
        running = float(np.abs(batch.running_mean.numpy() - 0.1 * x.mean(axis=(0, 2, 3))).max())
        group = F.group_norm(t, 4)
        by_groups = normalise(x.reshape(6, 4, 2, 5, 4), (2, 3, 4)).reshape(x.shape)
        layer = F.layer_norm(t, (8, 5, 4))
        instance = F.instance_norm(t)

        images = tgc.tensor(load_fashion("test")[0][:6].astype(np.float32)[:, None] / 255)
        contrast = local_contrast_norm(images)
        dimmed = local_contrast_norm(0.2 * images + 0.5)
        shade = tgc.linspace(0.2, 1.0, 28)  # a shadow from the left
        lit = local_contrast_norm(images * shade)

    def spread(values: Tensor) -> float:
        """How unequal the contrast of left and right half is: ratio of their standard deviations."""
        left, right = values.numpy()[..., 4:14].std(), values.numpy()[..., 14:24].std()
        return float(max(left, right) / min(left, right))

    facts = [
        within("batch norm against its formula", _difference(normed, normalise(x, (0, 2, 3))), high=1e-10),
        within("layer norm", _difference(layer, normalise(x, (1, 2, 3))), high=1e-10),
        within("instance norm", _difference(instance, normalise(x, (2, 3))), high=1e-10),
        within("group norm, 4 groups of 2 channels", _difference(group, by_groups), high=1e-10),
        within("group norm with one group is layer norm", _difference(F.group_norm(t, 1), layer), high=1e-10),
        within("group norm with one channel per group is instance norm", _difference(F.group_norm(t, 8), instance),
               high=1e-10),
        within("local response norm against loops",
               _difference(F.local_response_norm(t, 5, 1e-2, 0.75, 2.0), local_response(x, 5, 1e-2, 0.75, 2.0)), high=1e-10),
        within("batch norm: the running mean has moved a tenth of the way from 0", running, high=1e-12),
        within("batch norm in evaluation mode uses the running statistics, whatever else is in the batch",
               _difference(single, wanted), high=1e-10),
        within("instance norm does not see the contrast of a map", _difference(F.instance_norm(5 * t - 3), instance),
               high=1e-4),
        within("layer norm does not see the scale of a sample", _difference(F.layer_norm(7 * t, (8, 5, 4)), layer),
               high=1e-4),
        within("local contrast norm does not see brightness and contrast", _difference(dimmed, contrast), high=1e-3),
        within("a shadow changes the contrast of left and right by a factor", spread(images * shade) / spread(images),
               low=1.2),
        within("after local contrast norm by", spread(lit) / spread(contrast), 0.85, 1.15),
    ]

    def figure() -> Figure:
        from tinygrad_course.viz import plot_panels

        return plot_panels([("image", images[2, 0]), ("in a shadow from the left", (images * shade)[2, 0]),
                            ("local contrast norm", contrast[2, 0]), ("of the shadowed image", lit[2, 0])],
                           title="Local contrast normalisation removes uneven light")

    def what_is_averaged() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import LABEL_SIZE, new_figure

        fig = new_figure(14, 4.4)
        kinds = {"batch norm": np.tile([1, 0, 0, 0, 0, 0], (4, 1)), "layer norm": np.zeros((4, 6)),
                 "instance norm": np.zeros((4, 6)), "group norm (2 groups)": np.zeros((4, 6))}
        kinds["layer norm"][0] = 1
        kinds["instance norm"][0, 0] = 1
        kinds["group norm (2 groups)"][0, :3] = 1
        for ax, (name, cells) in zip(fig.subplots(1, 4), kinds.items(), strict=True):
            plot_matrix(cells, title=name, numbers=False, limits=(0, 1.4), ax=ax)
            ax.set_xticks(np.arange(-0.5, 6), minor=True)
            ax.set_yticks(np.arange(-0.5, 4), minor=True)
            ax.grid(which="minor", color="#BBBBBB")
            ax.set_xlabel("channel", fontsize=LABEL_SIZE)
            ax.set_ylabel("sample", fontsize=LABEL_SIZE)
        fig.suptitle("One mean and one spread over the blue cells and all their pixels", fontsize=LABEL_SIZE)
        return fig

    return Outcome(facts, {"local_contrast": figure, "what_is_averaged": what_is_averaged})


ROW = Row("E6", "Normalisations", "Fashion-MNIST (shipped)",
          "each equals its formula, and is blind to what it removes", 1.0, run,
          ("nn.BatchNorm2d", "nn.LayerNorm", "nn.InstanceNorm2d", "nn.GroupNorm", "nn.LocalResponseNorm"))
