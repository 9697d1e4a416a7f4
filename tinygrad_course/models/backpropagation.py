r"""Backpropagation by hand: the four equations for a multi-layer perceptron, in plain NumPy.

Layer l has the weights W^l (units of l, units of l - 1) and biases b^l.  For one pattern

    z^l = W^l a^(l-1) + b^l,    a^l = f(z^l),    a^0 = x,    y = a^L,    delta^l = dE/dz^l

    BP1   delta^L = dE/dy * f'(z^L)
    BP2   delta^l = ((W^(l+1))^T delta^(l+1)) * f'(z^l)
    BP3   dE/db^l = delta^l
    BP4   dE/dW^l = delta^l (a^(l-1))^T

(* is the product of units).  Patterns stand in rows here, so that W a is written a W^T, and BP3 and BP4 add over them.

D. Rumelhart, G. Hinton, R. Williams, Nature 323, 533-536 (1986), equations 4 to 7; M. Nielsen, "Neural networks and deep
learning" (2015), chapter 2, for the names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models.perceptron import sigmoid


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    y = sigmoid(z)
    return y * (1 - y)


Function = Callable[[np.ndarray], np.ndarray]
# name -> f and its derivative
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "linear": (lambda z: z, np.ones_like),
    "sigmoid": (sigmoid, _sigmoid_slope),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
}


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """z^1 ... z^L, each (N, units), and a^0 ... a^L."""

    z: list[np.ndarray]
    a: list[np.ndarray]

    @property
    def output(self) -> np.ndarray:
        """y = a^L, (N, units of the last layer)."""
        return self.a[-1]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Of each layer, from below: delta^l (N, units), dE/dW^l and dE/db^l."""

    deltas: list[np.ndarray]
    weights: list[np.ndarray]
    biases: list[np.ndarray]


def forward(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], x: np.ndarray,
            activations: Sequence[str]) -> ForwardPass:
    """Through all layers.

    weights, biases  W^l (units of l, units of l - 1) and b^l (units of l), from below
    x                patterns (N, inputs)
    activations      of each layer: "linear", "sigmoid", "tanh" or "relu"
    Raises ShapeError for shapes that do not fit, DataError for another activation.
    """
    if not len(weights) == len(biases) == len(activations):
        raise ShapeError(f"forward: {len(weights)} weights, {len(biases)} biases, {len(activations)} activations. Give one "
                         "of each per layer.")
    a, z = [np.asarray(x)], []
    for layer, (w, b, name) in enumerate(zip(weights, biases, activations, strict=True), start=1):
        if name not in ACTIVATIONS:
            raise DataError(f"forward: activation {name!r} of layer {layer} is none of {', '.join(ACTIVATIONS)}.")
        if a[-1].ndim != 2 or w.ndim != 2 or w.shape[1] != a[-1].shape[1] or b.shape != w.shape[:1]:
            raise ShapeError(f"forward: layer {layer} has weights {w.shape} and biases {b.shape} for inputs {a[-1].shape}. "
                             "Needed are (units, inputs), (units,) and (N, inputs).")
        z.append(a[-1] @ w.T + b)
        a.append(ACTIVATIONS[name][0](z[-1]))
    return ForwardPass(z, a)


def backward(weights: Sequence[np.ndarray], done: ForwardPass, cost_gradient: np.ndarray,
             activations: Sequence[str]) -> Gradients:
    """The four equations, from the output down.

    done           what `forward` returned
    cost_gradient  dE/dy (N, outputs); y - t for half the squared error
    """
    slopes = [ACTIVATIONS[name][1](z) for name, z in zip(activations, done.z, strict=True)]
    deltas = [cost_gradient * slopes[-1]]                                       # BP1
    for layer in range(len(weights) - 2, -1, -1):
        deltas.insert(0, (deltas[0] @ weights[layer + 1]) * slopes[layer])      # BP2
    return Gradients(deltas, [delta.T @ a for delta, a in zip(deltas, done.a, strict=False)],  # BP4
                     [delta.sum(axis=0) for delta in deltas])                   # BP3
