"""One hidden layer approximates any continuous function: the construction with bumps, and what one unit cannot do.

A very steep sigmoid, sigmoid(k (x - s)), is a step at s.  A step up at s_i and one down at s_(i+1), both as high as f in
between, make a bump, and n bumps side by side the graph of f in n stairs.  If f changes by at most L per unit of x, stairs
of the width D = (high - low) / n are nowhere wrong by more than L D / 2.

G. Cybenko, "Approximation by superpositions of a sigmoidal function", Mathematics of Control, Signals and Systems 2,
303-314 (1989); K. Hornik, "Approximation capabilities of multilayer feedforward networks", Neural Networks 4, 251-257
(1991); the construction is that of M. Nielsen, "Neural networks and deep learning" (2015), chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models.mlp import MLP, with_weights


def bump_network(f: Callable[[np.ndarray], np.ndarray], bumps: int, low: float, high: float, steepness: float = 100.0) -> MLP:
    """A network of 2 `bumps` sigmoids, float64, whose output is f at the middle of each stair:  (N, 1) -> (N, 1).

    f          takes and returns an array (bumps,)
    low, high  range of x; the outermost stairs go on for one more width
    steepness  k D: a step rises from 1 to 99 % within 9.2 / steepness of a stair.  Small values make a smooth curve
    Raises DataError for no bump, an empty range or a steepness that is not positive.
    """
    if bumps < 1 or not low < high or not steepness > 0:
        raise DataError(f"bump_network: {bumps} bumps from {low:g} to {high:g} with steepness {steepness:g}. Give at least "
                        "one, low < high, and a positive steepness.")
    edges = np.linspace(low, high, bumps + 1)
    width = edges[1] - edges[0]
    heights = np.asarray(f((edges[:-1] + edges[1:]) / 2), dtype=np.float64)
    edges[0] -= width
    edges[-1] += width
    steps = np.stack([edges[:-1], edges[1:]], axis=1).ravel()  # up, down, up, down, ...
    slope = steepness / width
    hidden = np.full((2 * bumps, 1), slope), -slope * steps
    output = np.stack([heights, -heights], axis=1).reshape(1, -1), np.zeros(1)
    return with_weights(MLP(1, [2 * bumps, 1], activation_layer=nn.Sigmoid), [hidden, output])


def best_monotone(y: np.ndarray) -> np.ndarray:
    """The nearest sequence to y (N,), in squared error, that only rises or only falls: (N,).

    One hidden unit with a monotone activation and a linear output gives a monotone curve, so no training of it comes nearer.
    By pooling adjacent violators: R. Barlow et al., "Statistical inference under order restrictions" (1972), chapter 1.
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 1 or not y.size:
        raise ShapeError(f"best_monotone: values have the shape {y.shape}, needed is (N,) with N >= 1.")
    rising, falling = _pooled(y), -_pooled(-y)
    return rising if ((rising - y) ** 2).sum() <= ((falling - y) ** 2).sum() else falling


def _pooled(y: np.ndarray) -> np.ndarray:
    """The nearest sequence that nowhere falls."""
    means: list[float] = []
    sizes: list[int] = []
    for value in y.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:  # these two violate the order: they become one
            size = sizes[-2] + sizes[-1]
            means[-2:] = [(sizes[-2] * means[-2] + sizes[-1] * means[-1]) / size]
            sizes[-2:] = [size]
    return np.repeat(means, sizes)
