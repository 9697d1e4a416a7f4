"""E4: a fully connected layer is a convolution, and a convolution is a fully connected layer.

A linear layer over a (C, H, W) map is a convolution whose kernel covers the whole map: same weights, reshaped.  So a net
that was trained on small images becomes a fully convolutional one without training.  On a larger image it gives a *map*
of scores: what the net would say at every place, at a fraction of the cost of cutting out every window, because
neighbouring windows share their work.  (The net has seen nothing but digits, and names one everywhere: a detector also
needs a class for "no digit".)

P. Sermanet et al., "OverFeat", ICLR 2014, section 3.5; J. Long, E. Shelhamer, T. Darrell, "Fully convolutional networks
for semantic segmentation", CVPR 2015, section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.e2_transposed import convolution_matrix
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within
from tinygrad_course.data import DIGIT_WHITE, load_digits, resize
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.train import cosine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 16          # pixels of a digit
STEPS, BATCH = 400, 64
PLACES = ((4, 8), (24, 20), (8, 40))  # top left corners of the digits on the canvas, multiples of the map's step of 4
CANVAS = (48, 64)


class SmallNet(nn.Module):
    """Digits (N, 1, 16, 16) -> (N, 10): two convolutions with pooling, then two linear layers.

    Without padding, which would tell the border of a window from the middle of a larger image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2),   # (N, 16, 12, 12) -> (N, 16, 6, 6)
            nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),  # (N, 32, 4, 4) -> (N, 32, 2, 2)
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(32 * 2 * 2, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x: tgc.Tensor) -> tgc.Tensor:
        return self.classifier(self.features(x))


def linear_to_conv(linear: nn.Linear, in_channels: int, size: tuple[int, int]) -> nn.Conv2d:
    """The convolution that computes `linear` of a flattened (in_channels, *size) map, with the same weights.

    Raises ShapeError if the layer does not take in_channels * height * width inputs.
    """
    if linear.in_features != in_channels * size[0] * size[1]:
        raise ShapeError(f"linear_to_conv: the layer takes {linear.in_features} inputs, a map of {in_channels} x {size[0]} x "
                         f"{size[1]} has {in_channels * size[0] * size[1]}. Give the shape of the map before Flatten.")
    conv = nn.Conv2d(in_channels, linear.out_features, size, bias=linear.bias is not None)
    with tgc.no_grad():
        conv.weight.copy_(linear.weight.reshape(conv.weight.shape))  # (O, C H W) -> (O, C, H, W)
        if conv.bias is not None and linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


def conv_to_linear(conv: nn.Conv2d, size: tuple[int, int]) -> nn.Linear:
    """The linear layer that computes `conv`, of one channel in and out, on images of `size`: its matrix is mostly zeros."""
    kernel = conv.weight.detach().numpy()[0, 0]
    matrix = convolution_matrix(kernel, size, int(conv.stride[0]), int(conv.padding[0]))
    linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=conv.bias is not None)
    with tgc.no_grad():
        linear.weight.copy_(tgc.tensor(matrix))
        if conv.bias is not None and linear.bias is not None:
            linear.bias.copy_(conv.bias.expand(matrix.shape[0]))
    return linear


def fully_convolutional(net: SmallNet) -> nn.Sequential:
    """The same net without a fixed image size: (N, 1, H, W) -> (N, 10, (H - 16) // 4 + 1, (W - 16) // 4 + 1)."""
    first, last = net.classifier[1], net.classifier[3]
    return nn.Sequential(net.features, linear_to_conv(first, 32, (2, 2)), nn.ReLU(), linear_to_conv(last, 64, (1, 1)))


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Digits of 16 x 16 pixels in [0, 1], (N, 1, 16, 16), and labels."""
    images, labels = load_digits(split)
    return resize(images.astype(np.float32) / DIGIT_WHITE, SIZE)[:, None], labels


def train(net: nn.Module, settings: Settings) -> None:
    """Adam, with a learning rate that falls to zero."""
    x, y = digits("train")
    rng = np.random.default_rng(settings.seed)
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    steps = STEPS if settings.steps is None else settings.steps
    schedule = cosine(3e-3, steps)
    for step in range(steps):
        index = rng.integers(len(x), size=BATCH)
        optimizer.param_groups[0]["lr"] = schedule(step)
        loss = F.cross_entropy(net(tgc.tensor(x[index])), tgc.tensor(y[index]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            settings.say(f"step {step:4} of {steps}: loss {loss.item():.3f}")


def scene(images: np.ndarray) -> np.ndarray:
    """Three digits on one black canvas, (1, 1, 48, 64)."""
    canvas = np.zeros((1, 1, *CANVAS), dtype=np.float32)
    for image, (top, left) in zip(images, PLACES, strict=True):
        canvas[0, 0, top:top + SIZE, left:left + SIZE] = image[0]
    return canvas


def run(settings: Settings) -> Outcome:
    """Train on small images, convert, look at large ones."""
    tgc.manual_seed(settings.seed)
    net = SmallNet()
    train(net, settings)
    net.eval()
    x, y = digits("test")
    wide = fully_convolutional(net)
    with tgc.no_grad():
        scores, as_map = net(tgc.tensor(x)), wide(tgc.tensor(x))
        # The first test digits that the net recognises: the map is to show places, not mistakes of the classifier.
        right = np.flatnonzero(scores.argmax(1).numpy() == y)[:3]
        canvas = scene(x[right])
        score_map = wide(tgc.tensor(canvas))[0]
        windows = [net(tgc.tensor(canvas[:, :, top:top + SIZE, left:left + SIZE]))[0]
                   for top in range(0, CANVAS[0] - SIZE + 1, 4) for left in range(0, CANVAS[1] - SIZE + 1, 4)]
        one_by_one = tgc.stack(windows).reshape(9, 13, 10).permute(2, 0, 1)
        conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)
        flat = conv_to_linear(conv, (16, 16))
        back = float((flat(tgc.tensor(x).flatten(1)) - conv(tgc.tensor(x)).flatten(1)).abs().max().item())
    said = [int(score_map[:, top // 4, left // 4].argmax().item()) for top, left in PLACES]
    accuracy = float((scores.argmax(1).numpy() == y).mean())
    facts = [
        within("accuracy of the small net on test digits", accuracy, low=0.93),
        within("largest difference between linear layers and their convolutions",
               float((scores - as_map[:, :, 0, 0]).abs().max().item()), high=1e-4),
        equal("a canvas of 48 x 64 gives a map of 9 x 13 scores", list(score_map.shape), [10, 9, 13]),
        within("the map against 117 windows, one by one", float((score_map - one_by_one).abs().max().item()), high=1e-4),
        equal("what the map says at the places of the three digits", said, y[right].tolist()),
        within("a convolution of 16 x 16 pixels as a linear layer: difference", back, high=1e-4),
        equal("its matrix has 64 x 256 entries, of which are not zero",
              int((flat.weight != 0).sum().item()), int(np.count_nonzero(convolution_matrix(
                  np.ones((3, 3), np.float32), (16, 16), 2, 1)))),
    ]

    def figure() -> Figure:
        from tinygrad_course.viz import plot_matrix
        from tinygrad_course.viz.figure import LABEL_SIZE, TICK_SIZE, new_figure

        fig = new_figure(14, 5)
        left, right_ax = fig.subplots(1, 2)
        plot_matrix(canvas[0, 0], title="image of 48 x 64 pixels", numbers=False, cmap="gray", ax=left)
        probability = F.softmax(score_map, dim=0)
        best = probability.amax(0).numpy()
        mark = np.zeros(best.shape, dtype=bool)
        for top, left_edge in PLACES:
            mark[top // 4, left_edge // 4] = True
        plot_matrix(best, title="most probable digit; frames: where digits are", numbers=False, limits=(0, 1), mark=mark,
                    ax=right_ax)
        for (i, j), digit in np.ndenumerate(probability.argmax(0).numpy()):
            right_ax.text(j, i, str(digit), ha="center", va="center", fontsize=TICK_SIZE,
                          color="white" if best[i, j] > 0.6 else "black")
        bar = fig.colorbar(right_ax.images[0], ax=right_ax, fraction=0.05)
        bar.set_label("its probability", fontsize=LABEL_SIZE)
        return fig

    return Outcome(facts, {"score_map": figure})


ROW = Row("E4", "Fully connected layers as convolutions", "8 x 8 digits (shipped), enlarged to 16 x 16",
          "the same scores on small images, a score map that names each digit at its place on a large one", 6.0, run,
          ("nn.Linear", "nn.Conv2d"))
