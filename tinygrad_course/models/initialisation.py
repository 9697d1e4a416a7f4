"""Initialisation of deep nets by name, and what it does to signals on their way forward and to gradients on their way back.

For independent weights of mean 0 and variance v, a layer with m inputs makes of inputs x the pre-activations h with

    E[h^2] = m v E[x^2]

so the spread stays the same from layer to layer if m v makes up for what the activation takes away (E[x^2] of a ReLU is half
the variance of its pre-activation).  Backwards the same holds with the number n of outputs in place of m.

    name          variance v of the weights                       source
    N(0, 1)       1                                               the spread grows by sqrt(m) per layer
    N(0, 1/m)     1 / m                                           Y. LeCun et al., "Efficient BackProp" (1998), section 4.6
    Glorot        2 / (m + n)                                     X. Glorot, Y. Bengio, AISTATS 2010, equation 12
    He            2 / m                                           K. He et al., ICCV 2015, equation 10
    orthogonal    1 / m, and every length is kept, not the mean   A. Saxe et al., ICLR 2014
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_course import nn
from tinygrad_course.autograd import grad
from tinygrad_course.errors import DataError
from tinygrad_course.tensor import Tensor

INITIALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "N(0, 1)": nn.init.normal_,
    "N(0, 1/m)": lambda w: nn.init.normal_(w, std=w.shape[1] ** -0.5),
    "Glorot": nn.init.xavier_normal_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}


def initialise(net: nn.Module, name: str) -> nn.Module:
    """Draw the weights of all linear layers anew by a name of INITIALISATIONS, biases 0.  Returns the net.

    Raises DataError for another name.
    """
    if name not in INITIALISATIONS:
        raise DataError(f"initialise: {name!r} is unknown. There are {', '.join(INITIALISATIONS)}.")
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            INITIALISATIONS[name](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


@dataclass(frozen=True)
class Signals:
    """What a batch of N patterns does to each linear layer of a net, from the first to the last.

    pre_activations  h of each layer, (N, n)
    deltas           dE/dh of each layer, (N, n), for the E that `signals` was given
    """

    pre_activations: list[np.ndarray]
    deltas: list[np.ndarray]

    @property
    def spread(self) -> np.ndarray:
        """Root mean square of the pre-activations, per layer."""
        return np.array([np.sqrt((h.astype(np.float64) ** 2).mean()) for h in self.pre_activations])

    @property
    def gradient(self) -> np.ndarray:
        """Root mean square of the deltas, per layer."""
        return np.array([np.sqrt((d.astype(np.float64) ** 2).mean()) for d in self.deltas])


def signals(net: nn.Sequential, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Signals:
    """Run a batch x through the net, loss(output) backwards, and note h and dE/dh of each linear layer.

    Gradients of the parameters are not touched.  Raises DataError for a net without linear layers.
    """
    noted: list[Tensor] = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            noted.append(x)
    if not noted:
        raise DataError(f"signals: {type(net).__name__} has no nn.Linear. Give a net of linear layers and activations.")
    deltas = grad([loss(x)], noted)
    return Signals([h.detach().numpy() for h in noted], [d.detach().numpy() for d in deltas])
