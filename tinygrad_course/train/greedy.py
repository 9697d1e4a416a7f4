"""Greedy layer-wise pre-training: each layer learns, without labels, to represent what the layer below gives out.

Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, "Greedy layer-wise training of deep networks", NIPS 2006.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import DataError
from tinygrad_course.ops.random import Generator
from tinygrad_course.optim import Optimizer
from tinygrad_course.tensor import Tensor


class Layer(Protocol):
    """What can be a layer of a stack: energy.RBM, models.Autoencoder, models.DenoisingAutoencoder."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """What learns."""

    def pretraining_loss(self, x: Tensor) -> Tensor:
        """A number whose gradient teaches the layer its input x, (N, n)."""

    def encode(self, x: Tensor) -> Tensor:
        """What the next layer sees: (N, n) -> (N, m)."""

    def as_encoder(self) -> nn.Sequential:
        """Modules that compute the same as `encode`, with weights of their own."""


def pretrain(layers: Iterable[Layer], x: Tensor, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer], *, epochs: int,
             batch_size: int = 100, generator: Generator | None = None,
             say: Callable[[str], None] = lambda line: None) -> list[list[float]]:
    """Train the layers, from the data upwards, each on what the one below makes of the unlabelled patterns x (N, n).

    optimizer  makes the optimiser of a layer from its parameters: `lambda parameters: optim.SGD(parameters, lr=0.1)`
    generator  source of the order of the patterns, new in each epoch; the default generator without it
    say        is called with a line of progress after each layer

    Returns, for each layer, the mean of its loss over each epoch.  Layers below are finished when the next one begins.
    """
    if epochs < 1 or batch_size < 1:
        raise DataError(f"pretrain: epochs is {epochs} and batch_size {batch_size}; both must be at least 1.")
    if not isinstance(x, Tensor) or not len(x) or not bool(x.isfinite().all()):
        # Checked here, as a unit that is drawn with the probability NaN is 0, which nobody would see.
        raise DataError("pretrain: x is to be a Tensor (N, n) with N >= 1 patterns, without NaN and infinities. Make one "
                        "with tgc.tensor(...), and leave such patterns out.")
    history = []
    for number, layer in enumerate(layers, start=1):
        steps = optimizer(layer.parameters())
        losses = []
        for _ in range(epochs):
            order, total = tgc.randperm(len(x), generator=generator), 0.0
            for start in range(0, len(x), batch_size):
                batch = x[order[start:start + batch_size]]
                loss = layer.pretraining_loss(batch)
                steps.zero_grad()
                loss.backward()
                steps.step()
                total += loss.item() * len(batch)
            losses.append(total / len(x))
        say(f"layer {number}: {epochs} epochs, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
        history.append(losses)
        with tgc.no_grad():
            x = layer.encode(x)
    return history


def classifier(layers: Sequence[Layer], num_classes: int) -> nn.Sequential:
    """A feed-forward net to be fine-tuned: copies of the layers, and a Linear to the classes, which starts from zero.

    With the last layer at zero the first step of fine-tuning leaves the layers below as they were learnt: no gradient
    reaches them through weights that are still random.
    """
    parts = [part for layer in layers for part in layer.as_encoder()]
    widths = [part.out_features for part in parts if isinstance(part, nn.Linear)]
    if not widths:
        raise DataError("classifier: the layers have no Linear. Give RBMs or autoencoders, at least one.")
    head = nn.Linear(widths[-1], num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]  # made with bias=True
    return nn.Sequential(*parts, head)
