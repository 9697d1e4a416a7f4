"""Multi-layer perceptron: layers of units, each of which sees all units of the layer below.

    a^0 = x,    a^l = f(W^l a^(l-1) + b^l)  for l = 1 ... L - 1,    y = W^L a^(L-1) + b^L

D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 533-536 (1986).
Arguments and the keys of the state dict are those of torchvision.ops.MLP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_course import nn
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.creation import tensor
from tinygrad_course.tensor import Tensor


class MLP(nn.Sequential):
    """Linear layers of the widths `hidden_channels`, the last of which is the output: (..., in_channels) -> (..., last).

    Behind every layer but the last stand the normalisation, if there is one, the activation and a dropout; behind the last
    only the dropout.  MLP(2, [3, 1]) has one hidden layer of 3 ReLUs and one linear output.

    norm_layer        makes a normalisation of so many channels, say nn.BatchNorm1d
    activation_layer  makes the activation, say nn.Sigmoid
    inplace           handed on to activation and dropout, if it is not None
    dropout           probability with which a unit is silent in training
    output_layer      makes an activation of the output (behind the dropout; it has no place in torchvision's MLP)
    Raises ShapeError for a width that is not positive, or no width at all.
    """

    def __init__(self, in_channels: int, hidden_channels: Sequence[int],
                 norm_layer: Callable[..., nn.Module] | None = None,
                 activation_layer: Callable[..., nn.Module] = nn.ReLU, inplace: bool | None = None, bias: bool = True,
                 dropout: float = 0.0, *, output_layer: Callable[[], nn.Module] | None = None) -> None:
        widths = [in_channels, *hidden_channels]
        if len(widths) < 2 or min(widths) < 1:
            raise ShapeError(f"MLP: {in_channels} inputs and layers of {list(hidden_channels)} units. Give at least one "
                             "layer, the output, and 1 or more units in each.")
        options: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
        parts: list[nn.Module] = []
        for layer, (below, width) in enumerate(pairwise(widths), start=1):
            parts.append(nn.Linear(below, width, bias=bias))
            if layer < len(hidden_channels):
                parts += [] if norm_layer is None else [norm_layer(width)]
                parts.append(activation_layer(**options))
            parts.append(nn.Dropout(dropout, **options))
        if output_layer is not None:
            parts.append(output_layer())
        super().__init__(*parts)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers, from below."""
        return [part for part in self if isinstance(part, nn.Linear)]


def with_weights(net: MLP, layers: Sequence[tuple[ArrayLike, ArrayLike]]) -> MLP:
    """The network, now float64 and with the weights W^l (units, units below) and biases b^l (units,) of each layer."""
    net.double()
    with no_grad():
        for linear, (weights, biases) in zip(net.linears, layers, strict=True):
            linear.weight.copy_(tensor(np.asarray(weights, dtype=np.float64)))
            if linear.bias is None:
                raise ShapeError("with_weights: the network has no biases. Build it with bias=True.")
            linear.bias.copy_(tensor(np.asarray(biases, dtype=np.float64)))
    return net


def layer_values(net: nn.Sequential, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Pre-activations z^1 ... z^L and activations a^0 = x, a^1 ... a^L of a stack of linear layers, all in one graph.

    `tgc.autograd.grad(loss, z)` is then delta^l = dE/dz^l of every layer.
    """
    z: list[Tensor] = []
    a = [x]
    for part in net:
        x = part(x)
        if isinstance(part, nn.Linear):
            z.append(x)
            a.append(x)
        elif z:
            a[-1] = x
    return z, a
