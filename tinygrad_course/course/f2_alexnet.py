"""F2: AlexNet, in the form of 2012 and in that of torchvision.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012.
Two facts that shaped what came after: nearly all weights are in the linear layers, nearly all of the work is in the
convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import models, nn
from tinygrad_course.course.classifier import fashion, n_parameters, plot_losses, train
from tinygrad_course.course.row import Outcome, Row, Settings, equal, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")


def output_shapes(net: nn.Module, image: tgc.Tensor) -> dict[str, tuple[int, ...]]:
    """Shape of the output of every direct child that is called, by its name."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Any:
        return lambda module, inputs, output: shapes.__setitem__(name, tuple(output.shape))

    hooks = [child.register_forward_hook(watch(name)) for name, child in net.named_children()]
    with tgc.no_grad():
        net(image)
    for hook in hooks:
        hook.remove()
    return shapes


def multiply_adds(net: nn.Module, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Multiply-adds of convolutions and linear layers for one image: each weight once per output pixel."""
    counts = {}
    for name, child in net.named_children():
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            pixels = int(np.prod(shapes[name][2:]))
            counts[name] = pixels * child.weight.numel()
    return counts


def run(settings: Settings) -> Outcome:
    """Sizes and counts of the 2012 form, and a short training of torchvision's at 64 x 64 pixels."""
    tgc.manual_seed(settings.seed)
    original = models.AlexNet2012(num_classes=10).eval()
    shapes = output_shapes(original, tgc.zeros(1, 3, 227, 227))
    work = multiply_adds(original, shapes)
    weights = {name: n_parameters(original.get_submodule(name)) for name in work}
    net = models.alexnet(num_classes=10)
    counted = n_parameters(net) + 990 * 4097  # with 1,000 classes: 990 more rows of 4,096 weights and a bias
    trained = train(net, fashion(64, channels=3), settings, steps=45, lr=3e-4, batch=64, label="AlexNet")
    dense = [name for name in work if name.startswith("fc")]
    facts = [
        equal("parameters of torchvision's form with 1,000 classes", counted, 61_100_840),
        equal("parameters of the 2012 form with 1,000 classes", n_parameters(original) + 990 * 4097, 60_965_224),
        equal("pixels along an axis after " + ", ".join(LAYERS), [shapes[name][2] for name in LAYERS],
              [55, 27, 27, 13, 13, 13, 13, 6]),
        equal("filters of the five convolutions", [shapes[f"conv{n}"][1] for n in range(1, 6)], [96, 256, 384, 384, 256]),
        within("share of the linear layers in the weights", sum(weights[name] for name in dense) / sum(weights.values()),
               low=0.95),
        within("share of the convolutions in the work", 1 - sum(work[name] for name in dense) / sum(work.values()), low=0.9),
        within("loss: last steps as a share of the first", trained.last_loss / trained.first_loss, high=0.7),
        within("accuracy on test images", trained.accuracy, low=0.4),
    ]

    def weights_and_work() -> Figure:
        from tinygrad_course.viz.figure import TICK_SIZE, label_axes, new_figure

        fig = new_figure(10, 5.6)
        ax = fig.subplots()
        places = np.arange(len(work))
        for shift, counts, label in ((-0.2, weights, "weights and biases"), (0.2, work, "multiply-adds per image")):
            shares = np.array([counts[name] for name in work]) / sum(counts.values())
            ax.bar(places + shift, 100 * shares, 0.4, label=f"{label}: {sum(counts.values()) / 1e6:.0f} million")
        ax.set_xticks(places, list(work))
        label_axes(ax, "AlexNet (10 classes): weights and work are not in the same layers", "layer", "share of all (%)")
        ax.legend(fontsize=TICK_SIZE)
        return fig

    return Outcome(facts, {"weights_and_work": weights_and_work,
                           "losses": lambda: plot_losses({"AlexNet": trained}, "AlexNet on 64 x 64 pixels")})


ROW = Row("F2", "AlexNet", "Fashion-MNIST (shipped), 64 x 64",
          "61,100,840 parameters; sizes 55-27-27-13-13-13-13-6; it learns in 45 steps", 20.0, run,
          ("models.alexnet", "models.alexnet2012"))
