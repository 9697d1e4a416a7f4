"""Decision regions of multi-layer perceptrons of threshold units, with weights set by hand.

    layers   region                              how
    1        a half-plane                        one unit: w . x >= theta
    2        a convex polygon                    one unit per side, and one that needs all of them (AND)
    3        any union of convex polygons        one such unit per polygon, and one that needs any of them (OR)

So three layers cut out any region that polygons fill.  It is a way to see what depth gives, not a bound: two layers with
enough hidden units come as close to any region as wanted (Cybenko 1989), and some non-convex ones they give exactly.

R. Lippmann, "An introduction to computing with neural nets", IEEE ASSP Magazine 4(2), 4-22 (1987), figure 14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models.mlp import MLP, with_weights
from tinygrad_course.tensor import Tensor

Points = Sequence[Sequence[float]] | np.ndarray


class Threshold(nn.Module):
    """1 where h >= 0, else 0, in the dtype of h.  It has no gradient: its derivative is 0 wherever there is one."""

    def forward(self, h: Tensor) -> Tensor:
        """Elementwise."""
        return (h.detach() >= 0).to(h.dtype)


def half_plane_network(weights: Sequence[float], threshold: float) -> MLP:
    """One unit that fires where w . x >= theta:  (N, n) -> (N, 1)."""
    return _network([(np.array([weights], float), np.array([-threshold], float))])


def polygon_network(corners: Points) -> MLP:
    """Two layers that fire in a convex polygon and, but for rounding, on its rim:  (N, 2) -> (N, 1).

    corners  (K, 2), one after the other around it, in either direction
    Raises ShapeError for other shapes, DataError if the polygon is not convex.
    """
    weights, biases = _sides(corners)
    return _network([(weights, biases), (np.ones((1, len(weights))), np.array([0.5 - len(weights)]))])


def region_network(polygons: Sequence[Points]) -> MLP:
    """Three layers that fire wherever one of the convex polygons does:  (N, 2) -> (N, 1)."""
    sides = [_sides(corners) for corners in polygons]
    if not sides:
        raise DataError("region_network: there is no polygon. Give at least one.")
    first = np.concatenate([weights for weights, _ in sides]), np.concatenate([biases for _, biases in sides])
    owner = np.repeat(np.arange(len(sides)), [len(biases) for _, biases in sides])  # of each side its polygon
    member = (owner == np.arange(len(sides))[:, None]).astype(float)                # (polygons, sides)
    second = member, 0.5 - member.sum(axis=1)                                       # AND
    third = np.ones((1, len(sides))), np.array([-0.5])                              # OR
    return _network([first, second, third])


def _sides(corners: Points) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, 2) and biases (K,) of units that fire on the inner side of each side."""
    corners = np.asarray(corners, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ShapeError(f"polygon_network: corners have the shape {corners.shape}, needed is (K, 2) with K >= 3.")
    along = np.roll(corners, -1, axis=0) - corners
    following = np.roll(along, -1, axis=0)
    turns = along[:, 0] * following[:, 1] - along[:, 1] * following[:, 0]  # > 0: to the left
    angles = np.arctan2(turns, (along * following).sum(axis=1))
    if not ((turns > 0).all() or (turns < 0).all()) or abs(angles.sum()) > 2.5 * np.pi:  # a star turns around twice
        raise DataError("polygon_network: the corners do not go once around a convex polygon. Cut it into convex ones and "
                        "give them to region_network.")
    inward = np.sign(turns[0]) * np.stack([-along[:, 1], along[:, 0]], axis=1)
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    return inward, -(inward * corners).sum(axis=1)


def _network(layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> MLP:
    """Of threshold units, with these weights and biases."""
    net = MLP(layers[0][0].shape[1], [len(biases) for _, biases in layers], activation_layer=Threshold,
              output_layer=Threshold)
    return with_weights(net, layers)
